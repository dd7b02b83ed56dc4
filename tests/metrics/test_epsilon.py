import numpy as np
import pytest
from scipy.stats import binomtest, norm

from shadowmill.metrics.confusion import Confusion, confusion
from shadowmill.metrics.epsilon import epsilon_lower_bound


def test_perfect_attack_by_hand():
    # Neither a miss nor a false positive in 100: both limits are 1 − 0.025^(1/100) = 0.0362.
    limit = 1 - 0.025 ** (1 / 100)
    expected = np.log((1 - 1e-5 - limit) / limit)
    found = epsilon_lower_bound(Confusion(100, 0, 100, 100), 1e-5)
    assert found == pytest.approx(expected, rel=1e-10)
    assert 3.27 < found < 3.29


@pytest.mark.parametrize("counts", [(30, 1, 400, 500), (390, 300, 400, 500), (250, 120, 400, 500)])
@pytest.mark.parametrize("delta", [0, 1e-5, 0.01])
def test_against_scipy(counts, delta):
    found, mistaken, members, nonmembers = counts
    fnr = binomtest(members - found, members).proportion_ci(0.9, method="exact").high
    fpr = binomtest(mistaken, nonmembers).proportion_ci(0.9, method="exact").high
    expected = max(np.log((1 - delta - fpr) / fnr), np.log((1 - delta - fnr) / fpr))
    bound = epsilon_lower_bound(Confusion(*counts), delta, confidence=0.9)
    assert bound == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("counts", [(50, 50, 100, 100), (0, 0, 100, 100), (10, 90, 100, 100)])
def test_an_attack_no_better_than_chance_tells_nothing(counts):
    assert epsilon_lower_bound(Confusion(*counts), 1e-5) == 0


def test_both_directions_count():
    """Few false positives, or few misses: the same evidence, mirrored."""
    few_false = epsilon_lower_bound(Confusion(40, 1, 100, 100), 1e-5)
    few_missed = epsilon_lower_bound(Confusion(99, 60, 100, 100), 1e-5)
    assert few_false == pytest.approx(few_missed, rel=1e-9)
    assert few_false > 1


def test_the_bound_rarely_exceeds_the_true_epsilon():
    """Gaussian scores, one σ apart, at a threshold of 1: log(TPR / FPR) = log(0.5 / 0.159)."""
    rng = np.random.default_rng(0)
    member = np.arange(1000) < 500
    truth = np.log(0.5 / norm.sf(1.0))
    bounds = [
        epsilon_lower_bound(confusion(rng.normal(size=1000) + member, member, 1.0), 0)
        for _ in range(300)
    ]
    # One-sided 97.5 % limits of two independent rates: far fewer than 5 % exceed.
    assert np.mean(np.array(bounds) > truth) <= 0.03
    assert np.mean(bounds) > 0.7 * truth
