"""Heads that are trained when they are asked for, chunk by chunk."""

import numpy as np
import pytest
import torch

from shadowmill.errors import DataError
from shadowmill.reconstruction.heads.shards import HeadStore
from shadowmill.reconstruction.heads.study import HeadTrainer


@pytest.fixture
def paths(write_data, write_features):
    data = write_data()
    return write_features(data), data


def test_a_chunk_depends_on_its_number_alone(paths, sets_settings, heads_settings):
    trainer = HeadTrainer(*paths, sets_settings, heads_settings, "cpu")
    weights, indices = trainer.fresh(3, 5)
    others = [trainer.fresh(number, 5) for number in (0, 4)]
    again = HeadTrainer(*paths, sets_settings, heads_settings, "cpu").fresh(3, 5)
    assert torch.equal(weights, again[0])
    np.testing.assert_array_equal(indices, again[1])
    for other_weights, other_indices in others:
        assert not torch.isclose(weights, other_weights).all(dim=1).any()
        assert not (indices == other_indices).all(axis=1).any()


def test_heads_are_those_of_a_shard_of_a_seed_of_its_own(
    paths, make_shard, sets_settings, heads_settings
):
    features, data = paths
    path, *_ = make_shard(seed=10**9 + 3, num_heads=7, data_path=data, features_path=features)
    store, rows = HeadStore([path], features, "cpu"), np.arange(5)
    trainer = HeadTrainer(features, data, sets_settings, heads_settings, "cpu")
    weights, indices = trainer.fresh(3, 5)
    np.testing.assert_array_equal(indices, store.indices(rows))
    np.testing.assert_allclose(weights, store.weights(rows), rtol=1e-5, atol=1e-7)
    assert weights.dtype == torch.float32
    assert weights.shape == (5, trainer.num_weights) == (5, store.num_weights)
    assert trainer.features_digest == store.features_digest
    assert indices.max() < 60


def test_more_heads_than_there_are_sets(paths, sets_settings, heads_settings):
    trainer = HeadTrainer(*paths, sets_settings, heads_settings, "cpu")
    with pytest.raises(DataError, match="15"):
        trainer.fresh(0, 16)
