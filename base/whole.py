"""Whether a picture file holds all its pixels: decoders fill what is missing with black or gray, silently.

Found: PNG files with too few rows, and JPEG files whose picture data stop early although an end marker
follows. Not found: an arithmetic-coded JPEG cut short, a progressive one that lacks refinements or was cut in
its last one (a complete picture, only coarser), and other formats beyond what Pillow itself reports.
"""

from __future__ import annotations

import io
import re
import struct
import zlib
from typing import TYPE_CHECKING

from .errors import PictureError

if TYPE_CHECKING:
    from PIL import Image

_HINT = "Save or download it again."
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
# Adam7: first column, first row, column step, row step of each pass.
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_PIECE = 1 << 20

_MARKER = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]", re.DOTALL)  # a real one, not inside entropy-coded data
_SEQUENTIAL, _PROGRESSIVE = (0xC0, 0xC1), (0xC2,)
_FILLER_BYTES = 4096


def check_whole(data: bytes, picture: Image.Image, name: str) -> None:
    """Refuses a file whose pixels end before the picture does.

    Costs next to nothing for a whole picture: the thorough looks are taken only where the last pixels are
    what a decoder leaves there when nothing came (black in PNG, middle gray in JPEG).

    Args:
        data: the file.
        picture: what Pillow decoded from it, loaded, before any turning.
        name: the picture's name in the error.

    Raises:
        PictureError: names the picture and what is missing.
    """
    if picture.format == "PNG":
        _check_png(data, picture, name)
    elif picture.format in ("JPEG", "MPO"):
        _check_jpeg(data, picture, name)


def _check_png(data: bytes, picture: Image.Image, name: str) -> None:
    width, height, depth, color, _, _, interlace = struct.unpack_from(">IIBBBBB", data, 16)
    # Missing rows are zero; the passes of an interlaced file end on other rows than the last.
    if not interlace and _last_row_has_light(picture):
        return
    bits = depth * _PNG_CHANNELS.get(color, 1)
    passes = _PASSES if interlace else ((0, 0, 1, 1),)
    expected = 0
    for left, top, across, down in passes:
        columns, rows = -(-(width - left) // across), -(-(height - top) // down)
        if columns > 0 and rows > 0:
            expected += rows * (1 + (columns * bits + 7) // 8)
    found = _inflated_length(data, expected)
    if found < expected:
        percent = found * 100 // expected
        raise PictureError(
            f"{name} is cut off: it holds {percent} percent of its {width} x {height} pixels.", _HINT
        )


def _last_row_has_light(picture: Image.Image) -> bool:
    import numpy as np

    width, height = picture.size
    return bool(np.asarray(picture.crop((0, height - 1, width, height))).any())


def _inflated_length(data: bytes, enough: int) -> int:
    """The length of a PNG file's unpacked picture data, counted up to `enough` and never held at once."""
    unpacker = zlib.decompressobj()
    length = 0
    position = 8
    while position + 8 <= len(data) and length < enough and not unpacker.eof:
        (size,) = struct.unpack_from(">I", data, position)
        kind = data[position + 4 : position + 8]
        if kind == b"IEND":
            break
        if kind == b"IDAT":
            rest = data[position + 8 : position + 8 + size]
            try:
                while rest and length < enough and not unpacker.eof:
                    length += len(unpacker.decompress(rest, _PIECE))
                    rest = unpacker.unconsumed_tail
            except zlib.error:
                break
        position += size + 12
    if not unpacker.eof and length < enough:
        length += len(unpacker.flush(_PIECE))
    return length


def _check_jpeg(data: bytes, picture: Image.Image, name: str) -> None:
    layout = _jpeg_layout(data)
    if layout is None:
        return
    end, all_there = layout
    corner = picture.getpixel((picture.width - 1, picture.height - 1))
    values = corner if isinstance(corner, tuple) else (corner,)
    # Blocks that never came are decoded as middle gray (127 where Adobe's CMYK is turned over).
    if all_there and not all(value in (127, 128) for value in values):
        return
    if _takes_more(data, end, picture):
        raise PictureError(f"{name} is cut off: its picture data end too early.", _HINT)


def _jpeg_layout(data: bytes) -> tuple[int, bool] | None:
    """Where the last scan's data end, and whether every coefficient of every component was named by some
    scan at full precision. None for what this module does not judge (arithmetic or lossless coding)."""
    position, end = 2, 0
    progressive = False
    missing: dict[int, set[int]] = {}
    while (found := _MARKER.search(data, position)) is not None:
        kind = found.group()[-1]
        start = found.end()
        if kind == 0xD9:
            break
        if kind in (0x01, 0xD8):
            position = start
            continue
        if start + 2 > len(data):
            break
        (size,) = struct.unpack_from(">H", data, start)
        segment = data[start + 2 : start + size]
        position = start + size
        if kind in (*_SEQUENTIAL, *_PROGRESSIVE) and len(segment) >= 6:
            progressive = kind in _PROGRESSIVE
            wanted = set(range(64)) if progressive else {0}
            missing = {component: set(wanted) for component in segment[6::3]}
        elif 0xC3 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            return None
        elif kind == 0xDA and segment:
            _strike_out(missing, segment, progressive)
            after = _MARKER.search(data, position)
            end = position = after.start() if after is not None else len(data)
    return (end, not any(missing.values())) if end else None


def _strike_out(missing: dict[int, set[int]], scan: bytes, progressive: bool) -> None:
    """Takes what a scan delivers at full precision off the list."""
    count = scan[0]
    if len(scan) < 4 + 2 * count:
        return
    first, last, precision = scan[1 + 2 * count : 4 + 2 * count]
    if not progressive:
        first, last = 0, 0
    elif precision & 15:
        return
    for component in scan[1 : 1 + 2 * count : 2]:
        missing.get(component, set()).difference_update(range(first, last + 1))


def _takes_more(data: bytes, end: int, picture: Image.Image) -> bool:
    """Whether the decoder still waits for data at the end of the last scan: bytes put in there change the
    picture. After a whole scan they are passed over."""
    import random

    import numpy as np
    from PIL import Image

    # Any bytes do that are no marker and not all alike; the same ones each time.
    filler = random.Random(1).randbytes(_FILLER_BYTES).replace(b"\xff", b"\x55")
    longer = data[:end].rstrip(b"\xff") + filler + b"\xff\xd9"
    try:
        with Image.open(io.BytesIO(longer), formats=("JPEG",)) as other:
            other.load()
            return not np.array_equal(np.asarray(picture), np.asarray(other))
    except (OSError, SyntaxError, ValueError):
        return True
