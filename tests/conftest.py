import sys
from pathlib import Path

import pytest
import torch

from shadowmill.data import DATASETS
from shadowmill.data.store import load, prepare

# With import-mode importlib, modules beside the tests are found through this.
sys.path.append(str(Path(__file__).parent))

DEVICES = ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)


@pytest.fixture(params=DEVICES)
def device(request):
    """Where a numerical test computes: the CPU, and the GPU if there is one."""
    return torch.device(request.param)


@pytest.fixture(scope="session")
def digits_path(tmp_path_factory):
    """The prepared digits."""
    path = tmp_path_factory.mktemp("data") / "digits.h5"
    prepare(DATASETS["digits"], "unused", path)
    return str(path)


@pytest.fixture(scope="session")
def digits(digits_path):
    """The digits in memory."""
    return load(digits_path)


def pytest_collection_modifyitems(items):
    """The longest first, so that no process is left alone with them at the end."""
    items.sort(key=lambda item: "workflow" not in item.path.parts)
    for item in items:
        if "workflow" in item.path.parts:
            item.add_marker("long")
