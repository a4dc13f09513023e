from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # the helpers beside the tests are no package


@pytest.fixture
def runtime():
    from img_open.preprocessors.runtime import PlainRuntime

    return PlainRuntime("cpu")


@pytest.fixture(scope="session")
def random_runtime(tmp_path_factory):
    """A runtime that writes the golden set's random checkpoints just before they are looked for."""
    import random_weights
    from img_open.preprocessors.runtime import PlainRuntime

    folder = tmp_path_factory.mktemp("random-weights")

    class Runtime(PlainRuntime):
        def load(self, key, builder):
            tag = key.rpartition("/")[2]
            if tag in random_weights.GAINS:
                random_weights.write(tag, folder)
            return super().load(key, builder)

    return Runtime("cpu", folders=[folder], networks=2)
