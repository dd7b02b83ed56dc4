import sys
from pathlib import Path

import pytest
from filelock import FileLock

# With import-mode importlib, modules beside the tests are found through this.
sys.path.append(str(Path(__file__).parent))

from checkouts import Checkout


@pytest.fixture
def fresh(tmp_path):
    """A checkout in which nothing was run."""
    return Checkout.create(tmp_path / "checkout")


@pytest.fixture(scope="session")
def finished_once(tmp_path_factory, worker_id):
    """One run for all the processes that run tests."""
    shared = tmp_path_factory.getbasetemp()
    if worker_id != "master":
        shared = shared.parent
    checkout, done = Checkout(shared / "finished_once"), shared / "finished_once.done"
    with FileLock(shared / "finished_once.lock"):
        if not done.exists():
            Checkout.create(checkout.folder).run()
            done.touch()
    return checkout


@pytest.fixture
def finished(finished_once, tmp_path):
    """A copy of a checkout in which everything was run."""
    return finished_once.copy(tmp_path / "checkout")
