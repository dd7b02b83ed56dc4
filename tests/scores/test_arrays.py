"""The table of arrays is what score files hold."""

import sys
from pathlib import Path

import numpy as np
import pytest

# With import-mode importlib, modules beside the tests are found through this.
sys.path.append(str(Path(__file__).parent))

from jobs_for_scores import settings_of, train

from shadowmill.scores.arrays import ARRAYS, CURVATURES, on_request

ALWAYS = {name for name, row in ARRAYS.items() if row.given == "always"}
ON_REQUEST = {name for name, row in ARRAYS.items() if row.given == "request"}
SIZES = {"M": 2, "N": 240, "A": 2, "K": 10, "Z": 60}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return train(tmp_path_factory.mktemp("models"), settings_of())


@pytest.mark.parametrize("asked", [set(), {"max_phi"}, ON_REQUEST])
def test_files_hold_what_is_asked_for_with_its_axes_and_type(models, tmp_path, asked):
    curvature = {"curvature": {"probes": 1, "step": 1e-3}} if asked == ON_REQUEST else {}
    queries = {"mirror": True, "shift": 0}
    found = models.score(tmp_path / "shadow-00.h5", queries, arrays=[*asked], **curvature)
    assert found.keys() == ALWAYS | asked | {"models"}
    for name in ALWAYS | asked:
        assert found[name].dtype == np.dtype(ARRAYS[name].dtype), name
        assert found[name].shape == tuple(SIZES[axis] for axis in ARRAYS[name].axes), name


def test_requests_are_in_the_order_of_the_table():
    assert on_request(["labels", "features", "max_phi", "logits", "max_phi"]) == [
        "logits",
        "max_phi",
    ]
    assert set(CURVATURES.values()) < ON_REQUEST
