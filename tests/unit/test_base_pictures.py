"""Picture files in and out, good ones and bad ones."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from img_open.base.errors import PictureError
from img_open.base.pictures import (
    decode_picture,
    encode_jpeg,
    encode_png,
    flatten_over_white,
    from_data_url,
    to_data_url,
)
from PIL import Image


def saved(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def png_header_of(width: int, height: int) -> bytes:
    """A PNG that says it is huge, in a few bytes."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1), (5, 7, 3), (5, 7, 4)])
def test_png_round_trip(shape):
    picture = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    back = decode_picture(encode_png(picture))
    assert back.dtype == np.uint8
    assert (back == picture.squeeze()).all()


def test_png_text():
    data = encode_png(np.zeros((2, 2), np.uint8), text={"parameters": "a prompt, 提示"})
    assert Image.open(io.BytesIO(data)).info["parameters"] == "a prompt, 提示"


def test_jpeg_flattens_over_white():
    clear = np.zeros((16, 16, 4), np.uint8)
    assert decode_picture(encode_jpeg(clear)).min() > 250


@pytest.mark.parametrize(
    ("picture", "kind", "shape", "corner"),
    [
        (Image.new("1", (4, 3), 1), "PNG", (3, 4), 255),
        (Image.new("LA", (4, 3), (9, 8)), "PNG", (3, 4, 4), [9, 9, 9, 8]),
        (Image.new("P", (4, 3), 0), "PNG", (3, 4, 3), [0, 0, 0]),
        (Image.new("CMYK", (4, 3), (0, 0, 0, 0)), "TIFF", (3, 4, 3), [255, 255, 255]),
        (Image.fromarray(np.full((3, 4), 0x8040, np.uint16)), "PNG", (3, 4), 0x80),
        (Image.new("RGB", (4, 3), (1, 2, 3)), "WEBP", (3, 4, 3), None),
        (Image.new("RGB", (4, 3), (1, 2, 3)), "BMP", (3, 4, 3), [1, 2, 3]),
    ],
)
def test_every_mode_becomes_8_bit(picture, kind, shape, corner):
    array = decode_picture(saved(picture, kind))
    assert array.shape == shape
    assert array.dtype == np.uint8
    if corner is not None:
        assert array[0, 0].tolist() == corner


def test_exif_orientation_is_applied():
    exif = Image.Exif()
    exif[0x0112] = 6  # turned a quarter to the right
    assert decode_picture(saved(Image.new("RGB", (8, 3)), "JPEG", exif=exif)).shape == (8, 3, 3)


def test_of_an_animation_the_first_frame_counts():
    frames = [Image.new("RGB", (4, 4), color) for color in ("red", "blue")]
    data = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode_picture(data)[0, 0, :3].tolist() == [255, 0, 0]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"<html>not found</html>", "cannot be read"),
        (b"\x89PNG\r\n\x1a\n", "cannot be read"),
        (saved(Image.new("RGB", (64, 64), "red"), "BMP")[:-500], "damaged"),
        (encode_png(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))[:-2000], "damaged"),
        (png_header_of(40_000, 40_000), "pixels"),
        (png_header_of(8001, 8001), "8001 x 8001"),
        (saved(Image.new("F", (4, 4)), "TIFF"), "floating"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "cannot be read"),
    ],
)
def test_bad_pictures_are_one_clear_error(data, words):
    with pytest.raises(PictureError, match=words):
        decode_picture(data)


def test_limits_are_checked_before_decoding():
    data = encode_png(np.zeros((10, 10), np.uint8))
    with pytest.raises(PictureError, match="at most 20 are read"):
        decode_picture(data, max_bytes=20)
    with pytest.raises(PictureError, match="at most 99 are read"):
        decode_picture(data, max_pixels=99)


def test_the_source_is_named_without_its_signature():
    with pytest.raises(PictureError) as caught:
        decode_picture(b"x", source="https://host/a.png?X-Amz-Signature=canary")
    assert "https://host/a.png" in str(caught.value)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    "array", [np.zeros((2, 2)), np.zeros((2, 2, 2), np.uint8), np.zeros((0, 2, 3), np.uint8)]
)
def test_only_pictures_are_encoded(array):
    with pytest.raises(PictureError):
        encode_png(array)


def test_data_urls():
    data = bytes(range(256))
    url = to_data_url(data, "image/png")
    assert url.startswith("data:image/png;base64,")
    assert from_data_url(url) == data
    bare = url.split(",")[1]
    assert from_data_url(bare) == data
    assert from_data_url(bare[:100] + "\n" + bare[100:].rstrip("=")) == data
    assert from_data_url(bare.replace("+", "-").replace("/", "_")) == data
    assert from_data_url("data:text/plain,a%20b") == b"a b"


@pytest.mark.parametrize(
    "text", ["data:image/png;base64", "not base64 at all!", "https://host/x.png", "abcde"]
)
def test_wrong_data_urls(text):
    with pytest.raises(PictureError):
        from_data_url(text)


def test_flatten():
    gray = np.array([[0, 255]], np.uint8)
    assert flatten_over_white(gray).tolist() == [[[0, 0, 0], [255, 255, 255]]]
    assert flatten_over_white(gray[:, :, None]).shape == (1, 2, 3)
    clear = np.array([[[10, 20, 30, 0], [10, 20, 30, 255], [0, 0, 0, 128]]], np.uint8)
    assert flatten_over_white(clear).tolist() == [[[255] * 3, [10, 20, 30], [126] * 3]]
    with pytest.raises(PictureError):
        flatten_over_white(gray.astype(float))


def png_of(
    rows: bytes, width: int, height: int, depth: int = 8, color: int = 2, interlace: int = 0, chunks: int = 1
) -> bytes:
    """A PNG whose picture data are what they are."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlace)
    packed = zlib.compress(rows)
    step = -(-len(packed) // chunks)
    body = b"".join(chunk(b"IDAT", packed[at : at + step]) for at in range(0, len(packed), step))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("depth", "color", "row_bytes"), [(8, 2, 33), (8, 0, 11), (1, 0, 2), (16, 2, 66), (8, 6, 44), (16, 4, 44)]
)
def test_a_png_with_too_few_rows_is_refused_and_a_black_one_is_not(depth, color, row_bytes):
    row = b"\0" + b"\0" * row_bytes
    assert not decode_picture(png_of(row * 20, 11, 20, depth, color))[..., :1].any()
    light = b"\0" + b"\x80" * row_bytes
    for rows in (light * 10, light * 19, light * 19 + light[:-1]):
        for chunks in (1, 2, 3):
            with pytest.raises(PictureError, match=r"The picture half\.png is .*cut off"):
                decode_picture(png_of(rows, 11, 20, depth, color, chunks=chunks), source="half.png")
    assert (decode_picture(png_of(light * 20, 11, 20, depth, color, chunks=2))[..., :1] >= 0x40).any()


def test_how_much_of_a_png_is_there_is_said():
    row = b"\0" + b"\x80" * 33
    with pytest.raises(PictureError, match="holds 50 percent of its 11 x 20 pixels"):
        decode_picture(png_of(row * 10, 11, 20))


def test_an_interlaced_png_is_judged_by_its_passes():
    # Adam7 on 5 x 3 gray: passes of 1x1, 1x1, 2x0 (none), 1x1 ... written out from the PNG specification.
    sizes = [(1, 1), (1, 1), (0, 0), (1, 1), (3, 1), (2, 2), (5, 1)]
    rows = b"".join((b"\0" + b"\x40" * width) * height for width, height in sizes)
    assert (decode_picture(png_of(rows, 5, 3, 8, 0, 1)) == 0x40).all()
    with pytest.raises(PictureError, match="cut off"):
        decode_picture(png_of(rows[:-6], 5, 3, 8, 0, 1))


def photo(height: int = 120, width: int = 200) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width]
    ramp = np.stack([x % 256, y * 2 % 256, (x + y) % 256], axis=2)
    return np.clip(ramp + np.random.default_rng(2).integers(0, 20, ramp.shape), 0, 255).astype(np.uint8)


JPEGS = [{}, {"subsampling": 0}, {"restart_marker_rows": 1}, {"optimize": True}]


@pytest.mark.parametrize("options", JPEGS)
@pytest.mark.parametrize("share", [0.4, 0.7, 0.95])
def test_a_jpeg_cut_short_is_refused_though_it_has_an_end_marker(options, share):
    whole = saved(Image.fromarray(photo()), "JPEG", quality=90, **options)
    with pytest.raises(PictureError, match="cut off"):
        decode_picture(whole[: int(len(whole) * share)] + b"\xff\xd9")


def test_a_progressive_jpeg_cut_in_its_first_scans_is_refused():
    whole = saved(Image.fromarray(photo()), "JPEG", quality=90, progressive=True)
    for share in (0.2, 0.35):
        with pytest.raises(PictureError, match="cut off"):
            decode_picture(whole[: int(len(whole) * share)] + b"\xff\xd9")


@pytest.mark.parametrize("options", [*JPEGS, {"progressive": True}])
@pytest.mark.parametrize("kind", ["photo", "gray", "gray below", "one channel", "cmyk"])
def test_whole_jpegs_pass_gray_ones_too(options, kind):
    array = photo()
    if kind == "gray":
        array[:] = 128
    if kind == "gray below":
        array[60:] = 128
    picture = Image.fromarray(array)
    if kind == "one channel":
        picture = picture.convert("L")
    if kind == "cmyk":
        picture = picture.convert("CMYK")
    whole = saved(picture, "JPEG", quality=90, **options)
    assert decode_picture(whole).shape[:2] == (120, 200)
    assert (decode_picture(whole + b"a camera's trailer \xff\xd9") == decode_picture(whole)).all()
