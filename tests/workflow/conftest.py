import sys
from pathlib import Path

import pytest

# With import-mode importlib, modules beside the tests are found through this.
sys.path.append(str(Path(__file__).parent))

from checkouts import Checkout


@pytest.fixture
def fresh(tmp_path):
    """A checkout in which nothing was run."""
    return Checkout.create(tmp_path / "checkout")


@pytest.fixture(scope="session")
def finished_once(tmp_path_factory):
    checkout = Checkout.create(tmp_path_factory.mktemp("workflow") / "checkout")
    checkout.run()
    return checkout


@pytest.fixture
def finished(finished_once, tmp_path):
    """A copy of a checkout in which everything was run."""
    return finished_once.copy(tmp_path / "checkout")
