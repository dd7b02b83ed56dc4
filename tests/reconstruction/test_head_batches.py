"""Batches of heads: what is in them, and that they depend on their number alone."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from shadowmill.reconstruction.heads.shards import HeadStore
from shadowmill.reconstruction.heads.study import HeadTrainer
from shadowmill.reconstruction.images import ExampleImages, to_targets
from shadowmill.reconstruction.reconstructor.batches import (
    Batches,
    StoredHeads,
    StreamedHeads,
    candidates,
)
from shadowmill.reconstruction.sets import layout
from shadowmill.reconstruction.statistics import read_statistics

# With import-mode importlib, modules beside the tests are found through this.
sys.path.append(str(Path(__file__).parent))

from studies_for_tests import Study


@pytest.fixture
def study(tmp_path, write_data, write_features, sets_settings, heads_settings):
    data = write_data(size=8)
    return Study.make(tmp_path, data, write_features(data), sets_settings, heads_settings)


def test_images_of_examples(study):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (5, 8, 8, 3)).astype(np.uint8)
    indices = np.array([[4, 0], [2, 2], [1, 3]])
    found = ExampleImages(images, 8, "cpu").targets(indices)
    assert found.shape == (3, 2, 3, 8, 8)
    for place, index in np.ndenumerate(indices):
        assert torch.equal(found[place], to_targets(torch.from_numpy(images[[index]]), 8)[0])
    assert ExampleImages(images, 16, "cpu").targets(indices[0]).shape == (2, 3, 16, 16)


@pytest.mark.parametrize("batch_size", [4, 5, 12, 100])
def test_an_epoch_has_each_head_once(study, batch_size):
    store = HeadStore(study.shards, study.features, "cpu")
    source = StoredHeads(store, batch_size, seed=0)
    in_batch = min(batch_size, 12)
    num_batches = 12 // in_batch
    everything = {tuple(indices): row for row, indices in enumerate(store.indices(np.arange(12)))}
    orders = []
    for epoch in range(3):
        batches = [source.heads(epoch * num_batches + number) for number in range(num_batches)]
        rows = [everything[tuple(indices)] for _, batch in batches for indices in batch]
        assert len(rows) == len(set(rows)) == num_batches * in_batch
        torch.testing.assert_close(
            torch.cat([weights for weights, _ in batches]), store.weights(np.array(rows))
        )
        orders.append(rows)
    assert orders[0] != orders[1]


@pytest.mark.parametrize("batch_size", [2, 4, 9])
def test_streamed_heads_are_never_the_same(study, batch_size):
    stream = HeadTrainer(study.features, study.data, study.sets, study.heads, "cpu")
    source = StreamedHeads(stream, batch_size, shard_size=8)
    first = [source.heads(number) for number in range(6)]
    assert all(weights.shape == (min(batch_size, 8), stream.num_weights) for weights, _ in first)
    weights = torch.cat([weights for weights, _ in first])
    assert len(weights.unique(dim=0)) == len(weights)
    again = StreamedHeads(stream, batch_size, shard_size=8)
    for number in (5, 0, 3):
        assert torch.equal(again.heads(number)[0], first[number][0])
        assert np.array_equal(again.heads(number)[1], first[number][1])


@pytest.mark.parametrize("conditional", [True, False])
def test_a_batch_depends_on_its_number_alone(study, conditional):
    images = ExampleImages(np.zeros((84, 8, 8, 1), np.uint8), 8, "cpu")
    store, statistics = (
        HeadStore(study.shards, study.features, "cpu"),
        read_statistics(study.statistics),
    )

    def batches(executor):
        source = StoredHeads(store, 4, seed=0)
        where = layout(study.sets, conditional)
        return Batches(source, statistics, where, images, 0, 9, executor)

    with ThreadPoolExecutor(1) as executor:
        one, other = batches(executor), batches(executor)
        in_order = [one.batch(number) for number in range(9)]
        for number in (7, 2, 3, 8):
            found, expected = other.batch(number), in_order[number]
            assert torch.equal(found.weights_BE, expected.weights_BE)
            assert torch.equal(found.groups_B, expected.groups_B)
    groups = torch.cat([batch.groups_B for batch in in_order]).tolist()
    assert set(groups) == ({0, 1, 2} if conditional else {0})
    assert in_order[0].candidates.shape == (4, 1 if conditional else 3, 1, 8, 8)


def test_weights_are_standardised(study):
    store, statistics = (
        HeadStore(study.shards, study.features, "cpu"),
        read_statistics(study.statistics),
    )
    images = ExampleImages(np.zeros((84, 8, 8, 1), np.uint8), 8, "cpu")
    source, where = StoredHeads(store, 12, seed=0), layout(study.sets, True)
    with ThreadPoolExecutor(1) as executor:
        batch = Batches(source, statistics, where, images, 0, 1, executor).batch(0)
    torch.testing.assert_close(batch.weights_BE.mean(dim=0), torch.zeros(39), atol=1e-5, rtol=0)
    torch.testing.assert_close(batch.weights_BE.square().mean(dim=0), torch.ones(39))


def test_candidates_are_the_examples_of_the_group(study):
    # Example n is of one colour, n.
    images = np.broadcast_to(np.arange(84, dtype=np.uint8)[:, None, None, None], (84, 8, 8, 1))
    indices = np.arange(12).reshape(2, 6) * 5  # of two heads with two examples of each class
    where = layout(study.sets | {"class_size": 2}, True)
    found = candidates(indices, np.array([2, 1]), where, ExampleImages(images.copy(), 8, "cpu"))
    colours = (found[:, :, 0, 0, 0] + 1) * 127.5
    torch.testing.assert_close(colours, torch.tensor([[20.0, 25.0], [40.0, 45.0]]))
