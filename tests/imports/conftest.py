import sys
from pathlib import Path

import pytest

from shadowmill.data import DATASETS
from shadowmill.data.store import load, prepare

# With import-mode importlib, modules elsewhere among the tests are found through this.
sys.path.append(str(Path(__file__).parents[1] / "training"))


@pytest.fixture(scope="session")
def digits_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "digits.h5"
    prepare(DATASETS["digits"], "unused", path)
    return path


@pytest.fixture(scope="session")
def digits(digits_path):
    return load(digits_path)
