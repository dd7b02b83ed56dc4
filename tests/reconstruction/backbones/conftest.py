import copy
import sys
from pathlib import Path

import pytest

# With import-mode importlib, modules beside the tests are found through this.
sys.path.append(str(Path(__file__).parent))

from jobs_for_backbones import SETTINGS


@pytest.fixture
def job(digits_path, tmp_path):
    """Arguments of a small training."""
    return {
        "data_path": digits_path,
        "output": str(tmp_path / "backbone.safetensors"),
        "settings": copy.deepcopy(SETTINGS),
        "state_folder": str(tmp_path / "state"),
        "execution": {"device": "cpu", "checkpoint_minutes": 5},
        "threads": 1,
    }
