import numpy as np
import pytest
from scipy.stats import binom, norm

from shadowmill.metrics.intervals import auc_interval, clopper_pearson
from shadowmill.metrics.ranking import auc


def test_clopper_pearson_known_value():
    low, high = clopper_pearson(25, 25_000)
    assert (round(100 * low, 3), round(100 * high, 3)) == (0.065, 0.148)


def test_clopper_pearson_ends():
    # Nothing found in n trials: the limit p has (1 - p)^n = 0.025, and the mirror image.
    limit = 1 - 0.025 ** (1 / 40)
    assert clopper_pearson(0, 40) == (0, pytest.approx(limit))
    assert clopper_pearson(40, 40) == (pytest.approx(1 - limit), 1)


@pytest.mark.parametrize("confidence", [0.9, 0.99])
def test_clopper_pearson_inverts_the_binomial_test(confidence):
    low, high = clopper_pearson(7, 50, confidence)
    assert binom.sf(6, 50, low) == pytest.approx((1 - confidence) / 2)
    assert binom.cdf(7, 50, high) == pytest.approx((1 - confidence) / 2)


@pytest.mark.parametrize(("successes", "trials"), [(1, 0), (5, 4), (-1, 4)])
def test_clopper_pearson_impossible_counts(successes, trials):
    with pytest.raises(ValueError, match=f"{successes} successes in {trials} trials"):
        clopper_pearson(successes, trials)


def slow_delong(scores, member, confidence):
    """DeLong et al. (1988), Equations 5 and 6, pair by pair."""
    wins = np.array(
        [[(x > y) + (x == y) / 2 for y in scores[~member]] for x in scores[member]], dtype=float
    )
    num_in, num_out = wins.shape
    estimate = wins.mean()
    variance_in = np.sum((wins.mean(axis=1) - estimate) ** 2) / (num_in - 1)
    variance_out = np.sum((wins.mean(axis=0) - estimate) ** 2) / (num_out - 1)
    margin = norm.ppf((1 + confidence) / 2) * np.sqrt(variance_in / num_in + variance_out / num_out)
    return estimate - margin, estimate + margin


@pytest.mark.parametrize("decimals", [0, 1, 9])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_delong_against_slow(decimals, confidence):
    rng = np.random.default_rng(decimals)
    member = rng.random(150) < 0.3
    scores = np.round(rng.normal(size=150) + member, decimals)
    expected = slow_delong(scores, member, confidence)
    assert auc_interval(scores, member, confidence) == pytest.approx(expected, rel=1e-12)


def test_delong_is_clipped():
    scores = np.array([9.0, 8, 3, 5, 1, 0])
    member = np.array([1, 1, 1, 0, 0, 0], dtype=bool)
    assert slow_delong(scores, member, 0.99)[1] > 1
    assert auc_interval(scores, member, 0.99)[1] == 1
    assert auc_interval(scores, ~member, 0.99)[0] == 0


def test_delong_covers():
    rng = np.random.default_rng(0)
    truth = norm.cdf(1 / np.sqrt(2))
    member = np.arange(200) < 80
    hits = 0
    for _ in range(400):
        low, high = auc_interval(rng.normal(size=200) + member, member, 0.9)
        hits += low < truth < high
    assert 0.86 < hits / 400 < 0.94


def test_errors():
    scores = np.array([1.0, 2.0, 3.0])
    member = np.array([True, False, False])
    assert auc(scores, member) == 0
    with pytest.raises(ValueError, match="found 1 members and 2 non-members, expected at least"):
        auc_interval(scores, member)


def test_two_of_each_are_enough_for_an_interval():
    # Placements of 1 and ½ among the others, and of ½ and 0: variances of ⅛, over two each.
    low, high = auc_interval(np.array([3.0, 1.0, 2.0, 0.0]), np.array([True, True, False, False]))
    assert low == pytest.approx(0.75 - norm.ppf(0.975) * np.sqrt(1 / 16 + 1 / 16))
    assert high == 1
