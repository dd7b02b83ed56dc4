"""Spearman's ρ with a bootstrap over clusters."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from shadowmill.metrics.correlation import spearman


def sample(clusters, size, correlation, seed, shared=0.0):
    """Pairs of normal quantities; those of a cluster share part of either."""
    random = np.random.default_rng(seed)
    cluster = np.repeat(np.arange(clusters), size)
    pair = random.normal(size=(2, clusters * size))
    pair[1] = correlation * pair[0] + np.sqrt(1 - correlation**2) * pair[1]
    return *(pair + shared * random.normal(size=(2, clusters))[:, cluster]), cluster


def test_four_pairs_by_hand():
    # Ranks 1 2 3 4 and 1 3 2 4: 1 − 6 · (1 + 1) / (4 · 15) = 0.8.
    found = spearman(np.array([1.0, 2, 5, 9]), np.array([0.0, 7, 3, 8]), np.arange(4), 10, seed=0)
    assert found.value == pytest.approx(0.8)


def test_ties_as_scipy_has_them():
    one, other, cluster = sample(40, 3, 0.5, seed=1)
    one, other = one.round(), other.round()
    found = spearman(one, other, cluster, 10, seed=0)
    assert found.value == pytest.approx(spearmanr(one, other).statistic)


def test_interval_as_by_drawing_clusters_one_by_one():
    one, other, cluster = sample(7, 2, 0.6, seed=2)
    found = spearman(one, other, cluster, 50, seed=3)
    random, replicates = np.random.default_rng(3), []
    for _ in range(50):
        rows = [
            row for k in random.integers(7, size=7) for row in range(len(one)) if cluster[row] == k
        ]
        replicates.append(spearmanr(one[rows], other[rows]).statistic)
    bias = np.mean(replicates) - found.value
    expected = np.quantile(replicates, [0.025, 0.975]) - bias
    assert (found.low, found.high) == pytest.approx(np.clip(expected, -1, 1))


def test_order_of_examples_does_not_matter():
    one, other, cluster = sample(9, 4, 0.3, seed=4)
    shuffled = np.random.default_rng(0).permutation(len(one))
    found = spearman(one[shuffled], other[shuffled], cluster[shuffled], 30, seed=1)
    assert found == pytest.approx(spearman(one, other, cluster, 30, seed=1))


def test_the_interval_covers_a_known_correlation():
    truth = 6 / np.pi * np.arcsin(0.5 / 2)  # of normal quantities with a correlation of 0.5
    found = [spearman(*sample(120, 1, 0.5, seed), 100, seed=0) for seed in range(60)]
    assert np.mean([each.low <= truth <= each.high for each in found]) >= 0.85


def test_clusters_that_agree_among_themselves_widen_the_interval():
    one, other, cluster = sample(30, 10, 0.0, seed=5, shared=3.0)
    together = spearman(one, other, cluster, 100, seed=0)
    alone = spearman(one, other, np.arange(len(one)), 100, seed=0)
    assert together.high - together.low > 1.5 * (alone.high - alone.low)


def test_undefined_where_a_quantity_is_constant():
    found = spearman(np.ones(5), np.arange(5.0), np.arange(5), 10, seed=0)
    assert np.isnan(found).all()


def test_errors():
    with pytest.raises(ValueError, match=r"shapes \(5,\) and \(4,\), clusters \(5,\), expected"):
        spearman(np.ones(5), np.ones(4), np.arange(5), 10, seed=0)
