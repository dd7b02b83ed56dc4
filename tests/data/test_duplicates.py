"""The nearest other example of each, and which are nearly the same."""

import numpy as np
import pytest

from shadowmill.data import duplicates
from shadowmill.data.duplicates import nearest


@pytest.mark.parametrize("shape", [(2, 3), (5, 40), (300, 5), (300, 200)])
def test_equals_all_pairs(shape, monkeypatch):
    monkeypatch.setattr(duplicates, "_CHUNK", 7)
    feature_ND = np.random.default_rng(0).normal(size=shape)
    # Of random directions all are equally far; real data lie near a plane.
    feature_ND = feature_ND[:, :3] @ np.random.default_rng(1).normal(size=(3, shape[1]))
    distance_NN = np.linalg.norm(feature_ND[:, None] - feature_ND, axis=2)
    np.fill_diagonal(distance_NN, np.inf)
    found = nearest(feature_ND)
    np.testing.assert_array_equal(found.index_N, distance_NN.argmin(axis=1))
    expected = distance_NN.min(axis=1) / np.median(distance_NN.min(axis=1))
    np.testing.assert_allclose(found.distance_N, expected, rtol=1e-6)
    np.testing.assert_array_equal(found.is_duplicate_N, expected < 0.25)


def test_a_copy_with_noise_is_a_near_duplicate():
    rng = np.random.default_rng(0)
    feature_ND = rng.normal(size=(500, 30)).astype(np.float32)
    feature_ND[17] = feature_ND[400] + 0.01 * rng.normal(size=30)
    found = nearest(feature_ND)
    assert np.flatnonzero(found.is_duplicate_N).tolist() == [17, 400]
    assert found.index_N[[17, 400]].tolist() == [400, 17]


def test_all_alike():
    found = nearest(np.zeros((9, 4)))
    assert (found.distance_N == 0).all()
    assert found.is_duplicate_N.all()
