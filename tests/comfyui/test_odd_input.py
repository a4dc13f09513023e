"""ImgOpenPreprocessor in a real host, given what it should not be given."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from comfy_host import Host, Run
from graphs import Graph, node, write_picture
from img_open.base.pictures import decode_picture


def run(host: Host, source: dict[str, Any], prefix: str = "odd", **widgets: Any) -> Run:
    graph: Graph = {
        "source": source,
        "map": node("ImgOpenPreprocessor", **{"image": ["source", 0], "module": "canny", **widgets}),
        "save": node("SaveImage", images=["map", 0], filename_prefix=prefix),
    }
    return host.run(graph)


def odd(kind: str) -> dict[str, Any]:
    return node("OddPicture", kind=kind)


def plain(side: int) -> dict[str, Any]:
    return node("EmptyImage", width=side, height=side, batch_size=1, color=0x808080)


def saved(host: Host, prefix: str) -> list[np.ndarray]:
    return [decode_picture(path.read_bytes()) for path in sorted((host.base / "output").glob(f"{prefix}_*"))]


@pytest.mark.parametrize("kind", ["nan", "inf"])
@pytest.mark.parametrize("module", ["canny", "invert"])
def test_nan_and_infinity_are_refused(host: Host, kind: str, module: str) -> None:
    result = run(host, odd(kind), module=module)
    assert "NaN or infini" in result.error


def test_an_empty_batch_is_refused(host: Host) -> None:
    assert "not empty" in run(host, odd("empty")).error


def test_one_channel_is_gray_and_alpha_is_laid_over_white(host: Host) -> None:
    assert run(host, odd("gray"), "odd-gray", module="none").status == "success"
    gray = saved(host, "odd-gray")
    assert len(gray) == 2
    assert (gray[0] == gray[0][:, :, :1]).all()
    assert gray[0].std() > 10
    assert run(host, odd("alpha"), "odd-alpha", module="none").status == "success"
    assert all((picture == 255).all() for picture in saved(host, "odd-alpha"))  # nothing over white


@pytest.mark.parametrize("side", [1, 16])
def test_the_smallest_pictures(host: Host, side: int) -> None:
    result = run(host, plain(side), f"odd-{side}", processor_res=64)
    assert result.status == "success", result.error
    assert saved(host, f"odd-{side}")[0].shape == (64, 64, 3)


def test_the_largest_picture(host: Host) -> None:
    result = run(host, plain(8192), "odd-8192", processor_res=64)
    assert result.status == "success", result.error
    assert saved(host, "odd-8192")[0].shape == (64, 64, 3)


def test_a_map_beyond_all_limits_is_refused(host: Host) -> None:
    assert "million" in run(host, odd("tall"), processor_res=512).error


def test_thresholds_of_another_module_become_the_defaults(host: Host) -> None:
    """360 is no threshold of canny's; 0.2 none of threshold's."""
    write_picture(host.base / "input" / "photo.png", 96, 80)
    source = node("LoadImage", image="photo.png")
    settings = {"module": "canny", "processor_res": 96}
    assert run(host, source, "odd-wrong", threshold_a=360, threshold_b=300, **settings).status == "success"
    assert run(host, source, "odd-right", threshold_a=100, threshold_b=200, **settings).status == "success"
    assert run(host, source, "odd-other", threshold_a=10, threshold_b=20, **settings).status == "success"
    wrong, right, other = (saved(host, f"odd-{name}")[-1] for name in ("wrong", "right", "other"))
    assert np.array_equal(wrong, right)
    assert not np.array_equal(wrong, other)


class Evil:
    """A pickle that would write a file where it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (open, (str(self.path), "w"))


@pytest.fixture
def weights(host: Host) -> Iterator[Path]:
    """The place of a weight file in the host's folder of annotators; its module needs no further package."""
    folder = host.base / "models" / "imgopen_annotators"
    folder.mkdir(parents=True, exist_ok=True)
    yield folder / "erika.pth"
    (folder / "erika.pth").unlink()


def test_a_pickle_is_refused_and_never_run(host: Host, weights: Path, tmp_path: Path) -> None:
    trace = tmp_path / "it ran"
    weights.write_bytes(pickle.dumps({"state_dict": Evil(trace)}))
    result = run(host, plain(64), module="lineart_anime_denoise")
    assert "erika.pth" in result.error
    assert "cannot be read" in result.error
    assert not trace.exists()


def test_a_truncated_weight_file_names_itself(host: Host, weights: Path) -> None:
    import torch

    torch.save({"block.0.weight": torch.zeros(64, 64)}, weights)
    weights.write_bytes(weights.read_bytes()[:300])
    result = run(host, plain(64), module="lineart_anime_denoise")
    assert "erika.pth" in result.error
    assert "pull" in result.error


def test_without_its_weights_a_module_names_file_folder_and_command(host: Host) -> None:
    result = run(host, plain(64), module="lineart_anime_denoise")
    for word in ("erika.pth", "172.8 MB", "MIT", "imgopen_annotators", "img-open models pull manga_line"):
        assert word in result.error
