import sys
from pathlib import Path

import pytest

# With import-mode importlib, modules beside the tests are found through this.
sys.path.append(str(Path(__file__).parent))

from jobs_for_tests import PRUNING


@pytest.fixture(params=PRUNING)
def pruning(request):
    return PRUNING[request.param]
