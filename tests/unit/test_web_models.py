"""What the model browser's routes are made of: lists that grow, search, files, covers, downloads."""

from __future__ import annotations

import io
import json
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from img_open.api.models import ModelListReply
from img_open.api.profiles import Profile
from img_open.base.errors import InvalidRequest, NetworkError, PictureError, ProfileError, ServerError
from img_open.engines.model_facts import base_model, picture_beside
from img_open.engines.model_shelf import Batch, Entry, Shelf, select, tag_name
from img_open.nodes.web_models import COVER, Covers, offer, small_jpeg
from img_open.preprocessors.pulls import Pulls
from PIL import Image

CONTROL = [
    "control_sd15_canny_old.pth",
    "control_v11p_sd15_canny.safetensors",
    "t2iadapter_depth_sd15v2.pth",
    "control_v11f1p_sd15_depth.pth",
    "ip-adapter-plus_sd15.safetensors",
]

ONE = Profile("one", "http://127.0.0.1:9")


def entries(*names: str, kind: str = "checkpoint", base: str = "SD 1.5") -> list[Entry]:
    return [Entry(name, name, kind, base) for name in names]


# --- lists --------------------------------------------------------------------------------------------------


def test_a_list_is_fetched_once_and_grows_while_it_is_looked_at() -> None:
    more, calls = threading.Event(), []

    def fetch(profile: Profile) -> Iterator[Batch]:
        calls.append(profile.name)
        yield Batch(entries("a", "b"))
        more.wait(10)
        yield Batch(entries("b", "c"), missing=7)

    shelf = Shelf(fetch)
    first = shelf.look(ONE)
    assert [one.name for one in first.entries] == ["a", "b"]
    assert first.loading
    more.set()
    until = time.monotonic() + 10
    while (last := shelf.look(ONE)).loading and time.monotonic() < until:
        time.sleep(0.01)
    assert [one.name for one in last.entries] == ["a", "b", "c"]
    assert (last.missing, last.loading, calls) == (7, False, ["one"])
    shelf.look(ONE, again=True)
    assert calls == ["one", "one"]


def test_an_old_list_is_fetched_again_and_a_failure_is_told_and_tried_again() -> None:
    answers: list[Any] = [ProfileError("No keys.", "Add them."), Batch(entries("a"))]

    def fetch(profile: Profile) -> Iterator[Batch]:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        yield answer

    shelf = Shelf(fetch, keep_s=0.0)
    with pytest.raises(ProfileError):
        shelf.look(ONE)
    assert [one.name for one in shelf.look(ONE).entries] == ["a"]


def test_a_list_that_breaks_off_keeps_what_it_has_and_says_so() -> None:
    def fetch(profile: Profile) -> Iterator[Batch]:
        yield Batch(entries("a"))
        raise NetworkError("Cut off.", "Try again.")

    shelf = Shelf(fetch)
    until = time.monotonic() + 10
    while (look := shelf.look(ONE)).loading and time.monotonic() < until:
        time.sleep(0.01)
    assert [one.name for one in look.entries] == ["a"]
    assert "Cut off." in str(look.error)


def test_another_address_or_dialect_is_another_list() -> None:
    def fetch(profile: Profile) -> Iterator[Batch]:
        yield Batch(entries(f"{profile.base_url} {profile.dialect}"))

    shelf = Shelf(fetch)
    moved = Profile("one", "http://127.0.0.1:10")
    turned = Profile("one", "http://127.0.0.1:10", dialect="cloud")
    first = shelf.look(ONE).entries[0]
    assert shelf.find(moved, first.key) is None
    for profile in (moved, turned, ONE):
        assert [one.name for one in shelf.look(profile).entries] == [f"{profile.base_url} {profile.dialect}"]
    assert shelf.find(ONE, first.key) == first


def test_a_list_that_fails_unexpectedly_says_so_and_is_tried_again() -> None:
    answers: list[Any] = [RuntimeError("odd"), Batch(entries("a"))]

    def fetch(profile: Profile) -> Iterator[Batch]:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        yield answer

    shelf = Shelf(fetch)
    with pytest.raises(ServerError, match="model list of one could not be read: RuntimeError"):
        shelf.look(ONE)
    assert [one.name for one in shelf.look(ONE).entries] == ["a"]


@pytest.mark.parametrize("link", [5, True, {"url": "x"}, ["x"], None])
def test_a_cover_that_is_no_text_is_none(link: Any) -> None:
    rows = [{"sdModelCheckpoint": "a.ckpt", "modelImgUrl2": link}, {"checkpoint": "b", "cover_url": "/b.png"}]
    read = ModelListReply.model_validate({"rows": rows, "total": 2})
    assert [row.cover_url for row in read.rows] == [None, "/b.png"]


def test_a_server_that_keeps_silent_costs_the_wait_and_no_more() -> None:
    stop = threading.Event()

    def fetch(profile: Profile) -> Iterator[Batch]:
        stop.wait(20)
        yield Batch([])

    began = time.monotonic()
    look = Shelf(fetch).look(ONE, wait_s=0.2)
    stop.set()
    assert time.monotonic() - began < 5
    assert (look.entries, look.loading) == ([], True)


WORDS = st.sampled_from(["harbour", "ink", "snow", "xl", "v1"])
ROWS = st.lists(
    st.builds(
        lambda words, kind, base: Entry("_".join(words), " ".join(words).title(), kind, base),
        st.lists(WORDS, min_size=1, max_size=3),
        st.sampled_from(["checkpoint", "lora", "vae"]),
        st.sampled_from(["", "SD 1.5", "SDXL"]),
    ),
    max_size=40,
)


@given(
    ROWS, st.lists(WORDS, max_size=2), st.sampled_from([(), ("lora",), ("vae", "lora")]), st.integers(1, 7)
)
def test_pages_hold_every_match_once_in_order(
    rows: list[Entry], words: list[str], kinds: tuple[str, ...], size: int
) -> None:
    search = " ".join(words).upper()
    wanted = [
        one
        for one in rows
        if (not kinds or one.kind in kinds)
        and all(word in f"{one.name} {one.base}".lower() for word in words)
    ]
    first = select(rows, search=search, kinds=kinds, size=size)
    got = list(first.entries)
    for page in range(2, -(-first.found // size) + 1):
        got += select(rows, search=search, kinds=kinds, page=page, size=size).entries
    assert got == wanted
    assert first.found == len(wanted)
    beyond = select(rows, search=search, kinds=kinds, page=999, size=size)
    assert beyond.page == max(1, -(-len(wanted) // size))
    assert sum(first.kinds.get(kind, 0) for kind in kinds or first.kinds) == len(wanted)


def test_filters_say_what_else_there_is() -> None:
    rows = [*entries("a", "b"), *entries("c", base="SDXL"), *entries("d", kind="lora", base="SDXL")]
    made = select(rows, kinds=("checkpoint",), base="SDXL")
    assert [one.name for one in made.entries] == ["c"]
    assert made.kinds == {"checkpoint": 1, "lora": 1}
    assert made.bases == ["SD 1.5", "SDXL"]


# --- files --------------------------------------------------------------------------------------------------


def _header(path: Path, header: dict[str, Any]) -> Path:
    data = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(data)) + data)
    return path


@pytest.mark.parametrize(
    ("header", "family"),
    [
        ({"__metadata__": {"ss_base_model_version": "sdxl_base_v1-0"}}, "SDXL"),
        ({"__metadata__": {"modelspec.architecture": "stable-diffusion-v1/lora"}}, "SD 1.5"),
        ({"cond_stage_model.transformer.text_model.x": {}}, "SD 1.5"),
        ({"cond_stage_model.model.transformer.x": {}}, "SD 2"),
        ({"conditioner.embedders.1.model.x": {}}, "SDXL"),
        ({"something.else": {}, "__metadata__": {"ss_base_model_version": ""}}, ""),
    ],
)
def test_the_header_tells_the_base_model(tmp_path: Path, header: dict[str, Any], family: str) -> None:
    assert base_model(_header(tmp_path / "a.safetensors", header)) == family


def test_files_that_tell_nothing(tmp_path: Path) -> None:
    for name, data in (("a.safetensors", b""), ("b.safetensors", b"\xff" * 64), ("c.ckpt", b"PK")):
        (tmp_path / name).write_bytes(data)
        assert base_model(tmp_path / name) == ""
    assert base_model(tmp_path / "none.safetensors") == ""


def test_a_header_of_brackets_without_end_tells_nothing(tmp_path: Path) -> None:
    data = b"[" * 200_000
    (tmp_path / "deep.safetensors").write_bytes(struct.pack("<Q", len(data)) + data)
    assert base_model(tmp_path / "deep.safetensors") == ""


def test_the_picture_beside_a_model(tmp_path: Path) -> None:
    model = tmp_path / "ink.v2.safetensors"
    assert picture_beside(model) is None
    (tmp_path / "ink.v2.png").write_bytes(b"x")
    assert picture_beside(model) == tmp_path / "ink.v2.png"
    (tmp_path / "ink.v2.preview.png").write_bytes(b"x")
    assert picture_beside(model) == tmp_path / "ink.v2.preview.png"


@pytest.mark.parametrize(
    ("file", "name"),
    [("a/b\\ink.v2.safetensors", "ink.v2"), ("ink.v2", "ink.v2"), ("ink", "ink"), ("x.PT", "x")],
)
def test_a_lora_is_named_without_folder_and_extension(file: str, name: str) -> None:
    assert tag_name(file) == name


# --- covers -------------------------------------------------------------------------------------------------


def _png(mode: str = "RGB", size: tuple[int, int] = (900, 600)) -> bytes:
    out = io.BytesIO()
    Image.new(mode, size, (10, 200, 30, 0) if mode == "RGBA" else (10, 200, 30)).save(out, "PNG")
    return out.getvalue()


def test_covers_leave_as_small_jpegs() -> None:
    with Image.open(io.BytesIO(small_jpeg(_png()))) as picture:
        assert (picture.format, picture.size) == ("JPEG", (COVER, 213))
    with Image.open(io.BytesIO(small_jpeg(_png("RGBA")))) as picture:
        assert min(picture.getpixel((5, 5))) > 250  # transparent: white
    with pytest.raises(PictureError):
        small_jpeg(b"<svg onload=alert(1)>")


def test_a_cover_is_read_once_and_a_bad_one_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(_png())
    covers, entry = Covers(), Entry("a", "a", "checkpoint", cover=str(path))
    first = covers.get(None, entry)
    path.unlink()
    assert covers.get(None, entry) == first
    bad = Entry("b", "b", "checkpoint", cover=str(tmp_path / "b.png"))
    with pytest.raises(PictureError):
        covers.get(None, bad)
    (tmp_path / "b.png").write_bytes(_png())
    with pytest.raises(PictureError, match="a moment ago"):
        covers.get(None, bad)


# --- control models -----------------------------------------------------------------------------------------


def test_the_modules_models_come_first_and_all_are_there_once() -> None:
    told = offer("depth_midas", CONTROL)
    assert told["offered"] == ["t2iadapter_depth_sd15v2.pth", "control_v11f1p_sd15_depth.pth"]
    assert told["default"] == "control_v11f1p_sd15_depth.pth"
    assert sorted(told["offered"] + told["others"]) == sorted(CONTROL)
    assert offer("canny", CONTROL)["default"] == "control_v11p_sd15_canny.safetensors"
    assert offer("none", CONTROL) == {"offered": [], "others": CONTROL, "default": ""}
    assert offer("canny", [])["default"] == ""
    with pytest.raises(InvalidRequest):
        offer("no such module", CONTROL)


# --- downloads ----------------------------------------------------------------------------------------------


def _until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_download_goes_on_by_itself_and_can_be_stopped(tmp_path: Path) -> None:
    from img_open.base.errors import Cancelled

    go, calls = threading.Event(), []

    def fetch(key: str, folder: Path, *, progress: Any, cancelled: Any) -> Path:
        calls.append((key, folder))
        progress(0.25)
        while not go.wait(0.01):
            if cancelled():
                raise Cancelled("Stopped.")
        (folder / "ControlNetHED.pth").write_bytes(b"weights")
        return folder

    pulls, folders = Pulls(fetch), (tmp_path,)
    assert pulls.status("hed", folders)["state"] == "missing"
    assert pulls.start("hed", folders)["state"] == "pulling"
    pulls.start("hed", folders)  # no second one
    _until(lambda: pulls.status("hed", folders)["fraction"] == 0.25)
    assert calls == [("hed", tmp_path)]
    pulls.stop("hed", folders)
    _until(lambda: pulls.status("hed", folders)["state"] == "missing")
    go.set()
    pulls.start("hed", folders)
    _until(lambda: pulls.status("hed", folders)["state"] == "here")
    told = pulls.status("hed", folders)
    assert (told["fraction"], told["folder"], told["licence"]) == (1.0, str(tmp_path), "Apache-2.0")
    pulls.start("hed", folders)
    assert len(calls) == 2
    with pytest.raises(InvalidRequest):
        pulls.start("../secrets", folders)


def test_a_download_that_fails_says_why(tmp_path: Path) -> None:
    def fetch(key: str, folder: Path, **_: Any) -> Path:
        raise NetworkError("It broke off.", "Call it again.")

    pulls = Pulls(fetch)
    pulls.start("hed", (tmp_path,))
    _until(lambda: pulls.status("hed", (tmp_path,))["state"] == "failed")
    told = pulls.status("hed", (tmp_path,))
    assert (told["message"], told["hint"]) == ("It broke off.", "Call it again.")
