"""Shared by all tests: golden data, one torch thread, and a home directory of our own."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

# One thread before torch is first imported: more of them thrash on a shared machine, and sums may differ.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")

GOLDEN = Path(__file__).parent / "golden" / "controlnet"


class Golden:
    """Outputs of the original code (see tests/golden/README.md), with the tolerance each is compared with."""

    root = GOLDEN

    @staticmethod
    @lru_cache(maxsize=1)
    def manifest() -> dict[str, Any]:
        return json.loads((GOLDEN / "manifest.json").read_text(encoding="utf-8"))

    @staticmethod
    @lru_cache(maxsize=1)
    def tables() -> dict[str, Any]:
        return json.loads((GOLDEN / "tables.json").read_text(encoding="utf-8"))

    @classmethod
    def cases(cls, *kinds: str) -> list[dict[str, Any]]:
        """All cases of these kinds, in the manifest's order."""
        return [case for case in cls.manifest()["cases"] if case["kind"] in kinds]

    @classmethod
    def rows(cls, table: str) -> list[Any]:
        return cls.tables()[table]["rows"]

    @staticmethod
    def load(name: str) -> Any:
        """The array in a file named as in the manifest: (H, W[, C]) uint8 for PNG, anything for npz."""
        import numpy as np

        path = GOLDEN / name
        if path.suffix == ".npz":
            with np.load(path) as stored:
                return stored["x"]
        from PIL import Image

        with Image.open(path) as picture:
            return np.asarray(picture)

    @classmethod
    def check(cls, actual: Any, case: dict[str, Any], key: str = "output") -> None:
        """Fails unless `actual` has the shape of case[key] and is within the case's tolerance."""
        import numpy as np

        expected = cls.load(case[key]["file"])
        actual = np.asarray(actual)
        assert list(actual.shape) == list(case[key]["shape"]), f"{case['id']}: shape {actual.shape}"
        assert str(actual.dtype) == case[key]["dtype"], f"{case['id']}: dtype {actual.dtype}"
        tolerance = case["tolerance"]
        difference = np.abs(actual.astype(np.float64) - expected.astype(np.float64))
        share = float(np.mean(difference > tolerance["max_abs"]))
        assert share <= tolerance["frac"], (
            f"{case['id']}: {share:.5f} of the values differ by more than {tolerance['max_abs']} "
            f"(allowed {tolerance['frac']}), at most {difference.max()}"
        )


@pytest.fixture(scope="session")
def golden() -> type[Golden]:
    return Golden


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "golden_cases(*kinds): runs the test once per golden case, as `case`")
    config.addinivalue_line("markers", "golden_table(name): runs the test once per row of a table, as `row`")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    marker = metafunc.definition.get_closest_marker("golden_cases")
    if marker and "case" in metafunc.fixturenames:
        cases = Golden.cases(*marker.args)
        metafunc.parametrize("case", cases, ids=[case["id"] for case in cases])
    marker = metafunc.definition.get_closest_marker("golden_table")
    if marker and "row" in metafunc.fixturenames:
        metafunc.parametrize("row", Golden.rows(marker.args[0]), ids=lambda row: json.dumps(row)[:90])


@pytest.fixture(autouse=True, scope="session")
def _session_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Nothing a test writes may land in the user's own directories, session-wide servers included."""
    before = os.environ.get("IMG_OPEN_HOME")
    home = tmp_path_factory.mktemp("img-open-home")
    os.environ["IMG_OPEN_HOME"] = str(home)
    yield home
    if before is None:
        del os.environ["IMG_OPEN_HOME"]
    else:
        os.environ["IMG_OPEN_HOME"] = before


@pytest.fixture(autouse=True)
def _own_home(_session_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMG_OPEN_HOME", str(tmp_path / "img-open-home"))


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "set_num_threads"):
        torch.set_num_threads(1)
