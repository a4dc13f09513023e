"""Pictures as files and as arrays: decoding with caps, encoding, data URLs.

Arrays are numpy uint8, (H, W) for gray, (H, W, 3) RGB or (H, W, 4) RGBA, never premultiplied.
"""

from __future__ import annotations

import base64
import binascii
import io
import struct
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from .errors import PictureError
from .log import scrub_link
from .whole import check_whole

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

MAX_BYTES = 64 * 1024 * 1024
MAX_PIXELS = 64_000_000

# What browsers and cameras make. Left out on purpose: formats that start other programs (EPS) or are rare.
_FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
_HINT = "Give a PNG, JPEG, WebP, GIF, BMP or TIFF picture."


def decode_picture(
    data: bytes, *, max_bytes: int = MAX_BYTES, max_pixels: float = MAX_PIXELS, source: str = ""
) -> np.ndarray:
    """The first frame of a picture file as uint8 (H, W), (H, W, 3) or (H, W, 4), upright.

    The size in the header is checked before any pixel is decoded. EXIF orientation is applied, palettes are
    resolved, gray with transparency becomes RGBA, 16 bits become 8. `source` names the picture in errors.

    Raises:
        PictureError: too many bytes or pixels, not a picture, cut off (see `base.whole` for what is found),
            or a floating-point picture.
    """
    name = f"The picture {scrub_link(source)[:200]}" if source else "The picture"
    if len(data) > max_bytes:
        raise PictureError(
            f"{name} has {len(data)} bytes; at most {int(max_bytes)} are read.", "Give a smaller file."
        )
    if not data:
        raise PictureError(f"{name} is empty.", _HINT)

    import numpy as np

    picture = _open(data, name, max_pixels)
    try:
        picture.seek(0)
        picture.load()
        check_whole(data, picture, name)
        return np.ascontiguousarray(_to_array(picture, name))
    except PictureError:
        raise
    except _DECODING_ERRORS as error:
        raise PictureError(
            f"{name} is damaged or cut off ({error}).", "Save or download it again."
        ) from error
    finally:
        picture.close()


# Pillow's plugins let all of these out for files that are broken in one way or another.
_DECODING_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
    MemoryError,
    struct.error,
)


def _open(data: bytes, name: str, max_pixels: float) -> Image.Image:
    import warnings

    from PIL import Image

    try:
        with warnings.catch_warnings():
            # Pillow's own limit only warns; ours, just below, decides.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(data), formats=[each for each in _FORMATS if _known(each)])
    except Image.DecompressionBombError as error:
        raise PictureError(f"{name} has too many pixels ({error}).", "Give a smaller picture.") from error
    except _DECODING_ERRORS as error:
        raise PictureError(f"{name} cannot be read as a picture.", _HINT) from error
    width, height = picture.size
    if width * height > max_pixels:
        picture.close()
        raise PictureError(
            f"{name} has {width} x {height} pixels; at most {int(max_pixels)} are read.",
            "Give a smaller picture.",
        )
    if width == 0 or height == 0:
        raise PictureError(f"{name} has {width} x {height} pixels.", _HINT)
    return picture


def _known(format_name: str) -> bool:
    from PIL import Image

    Image.init()
    return format_name in Image.OPEN


def _to_array(picture: Image.Image, name: str) -> np.ndarray:
    import numpy as np
    from PIL import ImageOps

    picture = ImageOps.exif_transpose(picture)
    mode = picture.mode
    if mode == "F":
        raise PictureError(f"{name} holds floating-point values, whose range is unknown.", _HINT)
    if mode.startswith("I"):
        wide = np.asarray(picture).astype(np.int64)
        return np.clip(wide >> 8, 0, 255).astype(np.uint8)
    if mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in picture.info:
        return np.asarray(picture if mode == "RGBA" else picture.convert("RGBA"))
    if mode in ("1", "L"):
        return np.asarray(picture.convert("L"))
    return np.asarray(picture if mode == "RGB" else picture.convert("RGB"))


def _to_pil(array: np.ndarray) -> Image.Image:
    import numpy as np
    from PIL import Image

    array = np.asarray(array)
    if array.dtype != np.uint8:
        raise PictureError(f"A picture to be encoded has the type {array.dtype}; it must be uint8.")
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.size == 0 or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))):
        raise PictureError(
            f"A picture to be encoded has the shape {array.shape}; it must be (H, W[, 1, 3 or 4])."
        )
    return Image.fromarray(np.ascontiguousarray(array))


def encode_png(array: np.ndarray, level: int = 1, text: dict[str, str] | None = None) -> bytes:
    """A PNG file of a uint8 picture; `level` 0 (fast) to 9 (small); `text` goes into text chunks."""
    from PIL.PngImagePlugin import PngInfo

    info: Any = None
    if text:
        info = PngInfo()
        for key, value in text.items():
            info.add_text(key, value)
    buffer = io.BytesIO()
    _to_pil(array).save(buffer, "PNG", compress_level=level, pnginfo=info)
    return buffer.getvalue()


def encode_jpeg(array: np.ndarray, quality: int = 95) -> bytes:
    """A JPEG file of a uint8 picture; transparency is flattened over white."""
    if array.ndim == 3 and array.shape[2] == 4:
        array = flatten_over_white(array)
    buffer = io.BytesIO()
    _to_pil(array).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def to_data_url(data: bytes, mime: str) -> str:
    """`data:<mime>;base64,...`"""
    return f"data:{mime};base64,{base64.b64encode(data).decode('ascii')}"


def from_data_url(text: str) -> bytes:
    """The bytes of a data URL or of bare base64 (line breaks, the URL alphabet and missing padding allowed).

    Raises:
        PictureError: neither of the two.
    """
    body = text.strip()
    if body[:5].lower() == "data:":
        head, comma, body = body.partition(",")
        if not comma:
            raise PictureError(
                "A data URL has no comma, so no data.", "It must be data:image/png;base64,...."
            )
        if not head.lower().endswith(";base64"):
            return unquote_to_bytes(body)
        if "%" in body:
            body = unquote_to_bytes(body).decode("ascii", "replace")
    body = "".join(body.split()).replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(body + "=" * (-len(body) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        start = body[:24] + ("..." if len(body) > 24 else "")
        raise PictureError(
            f"A text that should be a picture is not base64 (it starts with {start!r}).",
            "Give a data URL, base64 text or a link.",
        ) from error


def flatten_over_white(array: np.ndarray) -> np.ndarray:
    """Any uint8 picture as (H, W, 3): gray becomes three equal channels, transparency shows white.

    Rounds down like sd-webui-controlnet does, so that control pictures come out the same.
    """
    import numpy as np

    if array.dtype != np.uint8:
        raise PictureError(f"A picture has the type {array.dtype}; it must be uint8.")
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4):
        raise PictureError(f"A picture has the shape {array.shape}; it must be (H, W[, 1, 3 or 4]).")
    if array.shape[2] == 3:
        return array
    if array.shape[2] == 1:
        return np.repeat(array, 3, axis=2)
    color = array[:, :, :3].astype(np.float32)
    alpha = array[:, :, 3:].astype(np.float32) / 255.0
    return np.clip(color * alpha + 255.0 * (1.0 - alpha), 0, 255).astype(np.uint8)
