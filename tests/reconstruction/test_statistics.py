"""Moments of weights: the same however they arrive; standardised and drawn as they say."""

import numpy as np
import pytest
import torch

from shadowmill import storage
from shadowmill.errors import ArtefactError
from shadowmill.reconstruction.heads.shards import HeadStore, train_shard
from shadowmill.reconstruction.statistics import (
    Moments,
    Statistics,
    read_statistics,
    weight_statistics,
)

MIXING = np.array([[1.0, 0.0, 0.0], [0.8, 0.6, 0.0], [-0.5, 0.3, 2.0]])


def correlated(count, seed=0):
    """Rows with known correlations, far from zero: there the textbook formula loses all digits."""
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(count, 3)) @ MIXING.T + 1e7)


def moments_of(*batches):
    moments = Moments(batches[0].shape[1])
    for batch in batches:
        moments.update(batch)
    return moments


def assert_moments_of(moments, rows):
    rows = rows.numpy()
    assert moments.count == len(rows)
    np.testing.assert_allclose(moments.mean_D, rows.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(moments.std_D, rows.std(axis=0), rtol=1e-8)
    np.testing.assert_allclose(moments.correlation(), np.corrcoef(rows.T), atol=1e-8)


def test_by_hand():
    # Deviations from the means 2 and 5: (-1, 0, 1) and (-3, 1, 2); sums of squares 2 and 14, of
    # products 5.
    moments = moments_of(torch.tensor([[1.0, 2.0], [2.0, 6.0], [3.0, 7.0]]))
    np.testing.assert_allclose(moments.mean_D, [2, 5])
    np.testing.assert_allclose(moments.std_D, [np.sqrt(2 / 3), np.sqrt(14 / 3)])
    np.testing.assert_allclose(moments.correlation()[0], [1, 5 / np.sqrt(28)])


@pytest.mark.parametrize("sizes", [[50], [1] * 50, [1, 20, 0, 29]])
def test_in_batches_as_in_one_piece(sizes):
    rows = correlated(50)
    assert_moments_of(moments_of(*rows.split(sizes)), rows)


@pytest.mark.parametrize("size", [0, 1, 20, 50])
def test_merged_as_in_one_piece(size):
    rows = correlated(50)
    first, second = moments_of(rows[:size]), moments_of(rows[size:])
    first.merge(second)
    assert_moments_of(first, rows)


def test_merging_leaves_the_other_as_it_was():
    rows = correlated(20)
    first, second = Moments(3), moments_of(rows)
    first.merge(second)
    first.update(correlated(5, seed=1))
    assert_moments_of(second, rows)


def test_sums_are_in_float64():
    rows = torch.tensor([[1.0], [1.0 + 2**-23]]).repeat(1000, 1)
    assert moments_of(*rows.split(7)).std_D.item() == pytest.approx(2**-24, rel=1e-10)


def test_what_never_varies_is_dropped_exactly():
    """0.1 has no exact sum: means of it differ in the last bit from one batch to the next."""
    rows = torch.cat([correlated(40), torch.full((40, 1), 0.1, dtype=torch.float64)], dim=1)
    rows = rows[:, [0, 3, 1, 2]]
    together = moments_of(*rows[:27].split(3))
    together.merge(moments_of(*rows[27:].split(5)))
    assert together.kept_D.tolist() == [True, False, True, True]
    assert together.std_D[1] == 0
    assert together.mean_D[1] == 0.1
    expected = np.corrcoef(rows[:, [0, 2, 3]].T.numpy())
    np.testing.assert_allclose(together.correlation(), expected, atol=1e-8)


def test_what_varies_only_between_parts_is_kept():
    zeros, ones = torch.zeros(3, 1), torch.ones(1, 1)
    moments = moments_of(zeros)
    moments.merge(moments_of(ones))
    assert moments.kept_D.tolist() == [True]
    assert moments.std_D.item() == pytest.approx(np.sqrt(3 / 16))


def statistics_of(rows):
    moments = moments_of(rows)
    return Statistics(
        count=moments.count,
        mean_D=moments.mean_D.numpy(),
        std_D=moments.std_D.numpy(),
        kept_D=moments.kept_D.numpy(),
        correlation_EE=moments.correlation().numpy(),
        digest="",
        sets={},
        settings={},
        features_digest="",
    )


def test_standardised_weights_have_mean_0_and_variance_1():
    rows = (correlated(200) - 1e7).float()
    rows[:, 1] = 0.1
    statistics = statistics_of(rows)
    standard = statistics.standardise(rows)
    assert standard.dtype == torch.float32
    assert standard.shape == (200, statistics.num_kept) == (200, 2)
    np.testing.assert_allclose(standard.mean(dim=0), 0, atol=1e-6)
    np.testing.assert_allclose(standard.var(dim=0, correction=0), 1, rtol=1e-5)
    expected = (rows[:, 2] - rows[:, 2].mean()) / rows[:, 2].std(correction=0)
    np.testing.assert_allclose(standard[:, 1], expected, atol=1e-5)


def test_weights_of_other_heads_are_refused():
    with pytest.raises(ValueError, match="4 weights a head, statistics of 3"):
        statistics_of(correlated(9)).standardise(torch.zeros(2, 4))


def test_draws_have_the_correlation():
    statistics, count = statistics_of(correlated(100)), 40_000
    drawn = statistics.sample(count, ("null", 3))
    assert drawn.dtype == torch.float32
    assert drawn.shape == (count, 3)
    np.testing.assert_allclose(drawn.mean(dim=0), 0, atol=5 / np.sqrt(count))
    # The standard error of a covariance of standard normals is at most sqrt(2 / count).
    covariance = np.cov(drawn.T.numpy())
    np.testing.assert_allclose(covariance, statistics.correlation_EE, atol=5 * np.sqrt(2 / count))


def test_draws_are_fixed_by_their_key():
    statistics = statistics_of(correlated(100))
    first, again, other = (statistics.sample(5, ("null", seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.isclose(first, other).any()


def test_draws_from_fewer_heads_than_weights():
    """Their correlation is singular; draws lie in the span of the heads but for the jitter."""
    rows = torch.from_numpy(np.random.default_rng(0).normal(size=(4, 30)))
    statistics = statistics_of(rows)
    span = np.linalg.svd(statistics.standardise(rows).numpy())[2][:3]
    drawn = statistics.sample(200, ("null", 0)).numpy()
    outside = drawn - drawn @ span.T @ span
    # 27 directions, of the jitter's standard deviation each.
    assert np.sqrt((outside**2).sum(axis=1).mean()) == pytest.approx(np.sqrt(27e-5), rel=0.1)


@pytest.fixture
def study(tmp_path, write_data, write_features, sets_settings, heads_settings, execution):
    """Two shards of training heads and their features; feature 7 is 0 in all examples."""
    data = write_data()
    features = write_features(data, dead=[7])
    shards = [str(tmp_path / "heads" / f"train-{seed}.h5") for seed in (0, 1)]
    for seed, path in enumerate(shards):
        train_shard(
            features_path=features,
            data_path=data,
            split="train",
            permutation_seed=seed,
            num_heads=14,
            sets=sets_settings,
            heads=heads_settings | {"init_std": 0.0},
            materialise=False,
            output=path,
            execution=execution,
            threads=1,
        )
    return shards, features


def write_statistics(study, output, execution):
    shards, features = study
    weight_statistics(
        shards=shards,
        features_path=features,
        output=str(output),
        execution=execution,
        threads=1,
    )
    return read_statistics(str(output))


def test_statistics_are_those_of_all_heads(study, tmp_path, execution, monkeypatch):
    monkeypatch.setattr("shadowmill.reconstruction.statistics._HEADS_TOGETHER", 5)
    statistics = write_statistics(study, tmp_path / "statistics.h5", execution)
    store = HeadStore(*study, "cpu")
    weights = store.weights(np.arange(28)).double().numpy()
    # Initial weights of 0 and a feature of 0: a weight of each of the three units stays 0.
    kept = np.ones(39, bool)
    kept[[7, 19, 31]] = False
    assert statistics.count == 28
    np.testing.assert_array_equal(statistics.kept_D, kept)
    np.testing.assert_allclose(statistics.mean_D, weights.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(statistics.std_D, weights.std(axis=0), atol=1e-12)
    np.testing.assert_allclose(
        statistics.correlation_EE, np.corrcoef(weights[:, kept].T), atol=1e-9
    )
    np.testing.assert_array_equal(statistics.correlation_EE, statistics.correlation_EE.T)
    assert statistics.sets == store.sets
    assert statistics.settings == store.settings
    assert statistics.features_digest == store.features_digest


def test_the_digest_is_of_the_content(study, tmp_path, execution):
    shards, features = study
    both, again, one = (
        write_statistics((paths, features), tmp_path / f"{name}.h5", execution)
        for name, paths in (("both", shards), ("again", shards), ("one", shards[:1]))
    )
    assert both.digest == again.digest != one.digest


def test_heads_that_are_all_alike_are_refused(
    tmp_path, write_data, write_features, sets_settings, heads_settings, execution
):
    data = write_data()
    study = [str(tmp_path / "train-0.h5")], write_features(data)
    train_shard(
        features_path=study[1],
        data_path=data,
        split="train",
        permutation_seed=0,
        num_heads=1,
        sets=sets_settings,
        heads=heads_settings,
        materialise=False,
        output=study[0][0],
        execution=execution,
        threads=1,
    )
    with pytest.raises(ArtefactError, match=r"train-0\.h5: its weights are the same in all 1 "):
        write_statistics(study, tmp_path / "statistics.h5", execution)


def test_a_damaged_file_is_named(tmp_path):
    path = tmp_path / "statistics.h5"
    storage.write_hdf5(path, {"mean": np.zeros(3)}, {}, count=1)
    with pytest.raises(ArtefactError, match=r"statistics\.h5: it has no array correlation"):
        read_statistics(str(path))
