"""Differences on identical splits: against naive resampling, and how often intervals err."""

import numpy as np
import pytest
from scipy.stats import norm

from shadowmill.metrics import ranking
from shadowmill.metrics.bootstrap import paired_bootstrap, two_way_bootstrap
from shadowmill.metrics.resampling import draw_weights

FPRS = [0.1]


def case(num_models, num_examples, seed, decimals=9):
    """Scores of two variants of the same models, which share most of their noise."""
    rng = np.random.default_rng(seed)
    member_MN = rng.random((num_models, num_examples)) < 0.5
    shared_MN = rng.normal(size=member_MN.shape) + member_MN * rng.exponential(size=num_examples)
    pair = (shared_MN + rng.normal(0, 0.3, size=member_MN.shape) for _ in range(2))
    return *(np.round(each_MN, decimals) for each_MN in pair), member_MN


def pooled_auc(scores_MN, member_MN, weight_M, weight_N):
    weight_MN = np.outer(weight_M, weight_N).ravel()
    return ranking.auc(
        np.repeat(scores_MN.ravel(), weight_MN), np.repeat(member_MN.ravel(), weight_MN)
    )


@pytest.mark.parametrize("decimals", [9, 0])
def test_equals_naive_resampling(decimals):
    scores_MN, reference_MN, member_MN = case(4, 40, 0, decimals)
    found = paired_bootstrap(scores_MN, reference_MN, member_MN, [], 30, seed=5, confidence=0.8)[
        "auc", "pooled"
    ]
    differences = np.array(
        [
            pooled_auc(scores_MN, member_MN, *weights)
            - pooled_auc(reference_MN, member_MN, *weights)
            for weights in draw_weights((4, 40), 30, 5)
        ]
    )
    ones = np.ones(4, dtype=int), np.ones(40, dtype=int)
    value = pooled_auc(scores_MN, member_MN, *ones) - pooled_auc(reference_MN, member_MN, *ones)
    low, high = np.quantile(differences, [0.1, 0.9]) - (differences.mean() - value)
    p_value = 2 * norm.sf(abs(value) / differences.std(ddof=1))
    assert found == pytest.approx((value, low, high, p_value), rel=1e-9)


def test_differences_are_those_of_the_values():
    scores_MN, reference_MN, member_MN = case(5, 200, 1, decimals=1)
    found = paired_bootstrap(scores_MN, reference_MN, member_MN, FPRS, 10, seed=0)
    one = two_way_bootstrap(scores_MN, member_MN, FPRS, 10, seed=0)
    other = two_way_bootstrap(reference_MN, member_MN, FPRS, 10, seed=0)
    assert found.keys() == one.keys()
    for key, difference in found.items():
        assert difference.value == pytest.approx(one[key].value - other[key].value, abs=1e-12)


def test_exchanged_sides_change_the_sign():
    scores_MN, reference_MN, member_MN = case(5, 100, 2)
    there = paired_bootstrap(scores_MN, reference_MN, member_MN, FPRS, 40, seed=0)
    back = paired_bootstrap(reference_MN, scores_MN, member_MN, FPRS, 40, seed=0)
    for key, (value, low, high, p_value) in there.items():
        assert back[key] == pytest.approx((-value, -high, -low, p_value), abs=1e-12)


def test_equal_scores_do_not_differ():
    scores_MN, _, member_MN = case(4, 60, 3)
    for found in paired_bootstrap(scores_MN, 2 * scores_MN, member_MN, FPRS, 10, 0).values():
        assert found == (0, 0, 0, 1)


def test_pairing_narrows_the_interval():
    scores_MN, reference_MN, member_MN = case(8, 200, 4)
    paired = paired_bootstrap(scores_MN, reference_MN, member_MN, [], 100, 0)["auc", "mean"]
    alone = two_way_bootstrap(scores_MN, member_MN, [], 100, 0)["auc", "mean"]
    assert paired.high - paired.low < 0.5 * (alone.high - alone.low)


def test_a_difference_is_found_and_its_sign_told():
    scores_MN, reference_MN, member_MN = case(8, 300, 5)
    for sign, each_MN in ((1, scores_MN + 0.5 * member_MN), (-1, scores_MN - 0.5 * member_MN)):
        found = paired_bootstrap(each_MN, reference_MN, member_MN, [], 100, 0)["auc", "pooled"]
        assert sign * found.value > 0.05
        assert found.p_value < 1e-6
        assert sign * found.low > 0
        assert sign * found.high > 0


@pytest.mark.long
def test_coverage_where_nothing_differs():
    """Twice the same distribution: 95 % intervals hold 0, and 5 % of p-values are below 0.05.

    Noise of single pairs is most of it, where the two-way bootstrap is conservative.
    """
    results = []
    for seed in range(120):
        scores_MN, reference_MN, member_MN = case(6, 80, seed)
        found = paired_bootstrap(scores_MN, reference_MN, member_MN, [], 80, seed)
        results.append(found["auc", "pooled"])
    covered = np.mean([found.low < 0 < found.high for found in results])
    significant = np.mean([found.p_value < 0.05 for found in results])
    assert covered >= 0.92
    assert significant <= 0.07
    assert np.median([found.p_value for found in results]) < 0.8


@pytest.mark.long
def test_coverage_where_examples_differ():
    """Half of the examples leak in one variant only: AUC Φ(√2) there, ½ (Φ(√2) + ½) here."""
    rng = np.random.default_rng(0)
    truth = (norm.cdf(2 / np.sqrt(2)) - 0.5) / 2
    hits = 0
    for seed in range(100):
        member_MN = rng.random((16, 120)) < 0.5
        noise_MN = rng.normal(size=member_MN.shape)
        leak_MN = 2.0 * member_MN
        kept_N = rng.random(120) < 0.5
        found = paired_bootstrap(
            noise_MN + leak_MN, noise_MN + leak_MN * kept_N, member_MN, [], 80, seed
        )["auc", "mean"]
        hits += found.low < truth < found.high
    assert 88 <= hits <= 100


def test_errors_of_either_side():
    scores_MN, reference_MN, member_MN = case(3, 20, 0)
    with pytest.raises(ValueError, match=r"scores have shape \(3, 19\)"):
        paired_bootstrap(scores_MN, reference_MN[:, 1:], member_MN, [], 5, 0)
