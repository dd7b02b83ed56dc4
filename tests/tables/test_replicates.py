"""Intervals are made of as many resamples as the documentation says."""

import numpy as np
import pytest

from shadowmill import storage
from shadowmill.metrics import resampling
from shadowmill.tables import membership, reconstruction


@pytest.fixture
def drawn(monkeypatch):
    """How many resamples each bootstrap has drawn."""
    counts, draw = [], resampling.draw_weights

    def counting(*arguments):
        counts.append(0)
        for weights in draw(*arguments):
            counts[-1] += 1
            yield weights

    monkeypatch.setattr(resampling, "draw_weights", counting)
    return counts


def test_of_membership(cell, attack, tmp_path, drawn):
    membership.tabulate(cell, "loss", attack[0], str(tmp_path / "table.csv"))
    assert drawn == [1000]


def test_of_reconstructions(tmp_path, drawn):
    path = str(tmp_path / "reconstructions.h5")
    min_mse = np.linspace(0.1, 1, 4)[:, None]
    arrays = {"min_mse_h0": min_mse, "min_mse_h1": 2 * min_mse, "nearest": min_mse}
    arrays |= {"best": np.zeros((4, 1), int), "indices": np.arange(4)[:, None]}
    pictures = ("gallery_originals", "gallery_reconstructions", "gallery_null")
    arrays |= dict.fromkeys(pictures, np.zeros((2, 8, 8, 1), np.uint8))
    facts = {"nearest_quantile_threshold": 0.1, "class_names": ["all"], "epsilon": None}
    storage.write_hdf5(path, arrays, {}, **facts)
    identity = dict.fromkeys(("study", "setting", "parameter", "value", "dataset", "task"), "a")
    reconstruction.tabulate(path, {}, str(tmp_path / "table.csv"), **identity)
    assert drawn == [1000, 1000]  # at FPRs, and at the fixed threshold
