"""Pictures beside a request, and links that become pictures."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pytest
from img_open.base.errors import InvalidRequest, LinkRefused, PictureError, ProfileError
from img_open.base.pictures import decode_picture, encode_png, to_data_url
from img_open.storage.links import InlineLinker, NoLinker
from img_open.storage.pictures import Pictures, encode_for_upload

COLOUR = np.random.default_rng(1).integers(0, 256, (9, 7, 3), dtype=np.uint8)


def test_the_same_picture_has_the_same_link_and_kinds_stay_apart() -> None:
    pictures = Pictures()
    link = pictures.add(COLOUR)
    assert link.startswith("picture:")
    assert len(link) == len("picture:") + 32
    assert pictures.add(COLOUR.copy()) == link
    as_map = pictures.add(COLOUR, "map")
    assert as_map != link
    assert (pictures.kind(link), pictures.kind(as_map), pictures.kind("https://x/y")) == (
        "photo",
        "map",
        "photo",
    )
    assert Pictures().add(COLOUR) == link  # no state of the process in it


def test_what_goes_in_comes_out_and_is_nobody_elses() -> None:
    pictures = Pictures()
    source = COLOUR.copy()
    link = pictures.add(source)
    source[:] = 0
    got = pictures.get(link)
    assert np.array_equal(got, COLOUR)
    got[:] = 0
    assert np.array_equal(pictures.get(link), COLOUR)


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 1), (4, 5, 3), (4, 5, 4)])
def test_grey_colour_and_alpha_are_kept(shape: tuple[int, ...]) -> None:
    pictures = Pictures()
    array = np.full(shape, 7, np.uint8)
    assert np.array_equal(pictures.get(pictures.add(array)), array[:, :, 0] if shape[-1] == 1 else array)


@pytest.mark.parametrize(
    "array",
    [np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8), np.zeros((2, 4, 4, 3), np.uint8),
     np.zeros((4, 4, 2), np.uint8)],
)  # fmt: skip
def test_other_arrays_are_refused(array: np.ndarray) -> None:
    with pytest.raises(InvalidRequest, match="picture is"):
        Pictures().add(array)


def test_data_urls_and_bare_base64_are_pictures() -> None:
    png = encode_png(COLOUR)
    for link in (to_data_url(png, "image/png"), base64.b64encode(png).decode()):
        assert np.array_equal(Pictures().get(link), COLOUR)


def test_files_only_where_they_are_allowed(tmp_path: Path) -> None:
    file = tmp_path / "a picture.png"
    file.write_bytes(encode_png(COLOUR))
    allowed = Pictures(allow_files=True)
    assert np.array_equal(allowed.get(str(file)), COLOUR)
    assert np.array_equal(allowed.get(file.as_uri()), COLOUR)
    for link in (str(file), file.as_uri(), "../../etc/passwd", "C:\\pictures\\a.png", "/etc/passwd"):
        with pytest.raises((LinkRefused, PictureError)):
            Pictures().get(link)
    with pytest.raises((LinkRefused, PictureError)):
        allowed.get(str(tmp_path / "missing.png"))
    with pytest.raises((LinkRefused, PictureError)):
        allowed.get(str(tmp_path))


@pytest.mark.parametrize(
    "link",
    ["picture:00000000000000000000000000000000", "data:image/png;base64,AAAA", "data:image/png;base64,***",
     "", "bm90IGEgcGljdHVyZQ=="],
)  # fmt: skip
def test_what_is_no_picture_is_a_picture_error(link: str) -> None:
    with pytest.raises(PictureError):
        Pictures().get(link)


@pytest.mark.parametrize("link", ["http://127.0.0.1/a.png", "http://169.254.169.254/latest"])
def test_private_links_are_refused_by_default(link: str) -> None:
    with pytest.raises(LinkRefused):
        Pictures().get(link)


def test_maps_and_masks_travel_without_loss() -> None:
    for kind in ("map", "mask"):
        data, mime = encode_for_upload(COLOUR, kind)  # type: ignore[arg-type]
        assert mime == "image/png"
        assert np.array_equal(decode_picture(data), COLOUR)
    assert encode_for_upload(COLOUR, "photo")[1] == "image/jpeg"
    assert encode_for_upload(COLOUR, "photo", photo_format="png")[1] == "image/png"
    assert encode_for_upload(np.zeros((3, 3, 4), np.uint8), "photo")[1] == "image/png"


def test_the_inline_linker_makes_links_that_pictures_reads() -> None:
    link = InlineLinker().link_for(encode_png(COLOUR), "image/png")
    assert link.startswith("data:image/png;base64,")
    assert np.array_equal(Pictures().get(link), COLOUR)


def test_without_storage_the_user_is_told_what_to_set() -> None:
    with pytest.raises(ProfileError, match="storage"):
        NoLinker().link_for(b"x", "image/png")
