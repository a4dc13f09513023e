"""Weight files that cannot be read: the pack's own words, never the library's advice."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from img_open.base.errors import InvalidRequest
from img_open.engines.diffusers_load import read_weights

torch = pytest.importorskip("torch")


class _Code:
    """Pickled, it asks for a call while it is loaded."""

    def __reduce__(self) -> tuple[object, ...]:
        return os.getcwd, ()


def test_a_pickle_with_code_is_refused_without_advice_to_run_it(tmp_path: Path) -> None:
    path = tmp_path / "evil.ckpt"
    torch.save({"weight": _Code()}, path)
    with pytest.raises(InvalidRequest, match=r"evil\.ckpt.*never run") as caught:
        read_weights(path)
    for advice in ("weights_only", "unsafe", "safe_globals", "trust"):
        assert advice not in str(caught.value)


@pytest.mark.parametrize("name", ["cut.safetensors", "cut.ckpt"])
def test_a_damaged_file_is_named(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(b"PK not a weight file")
    with pytest.raises(InvalidRequest, match=name):
        read_weights(path)
