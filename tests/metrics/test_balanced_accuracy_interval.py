"""The interval of the balanced accuracy at a threshold fixed beforehand."""

from itertools import product

import numpy as np
import pytest
from scipy.stats import beta

from shadowmill.metrics.intervals import balanced_accuracy_interval, clopper_pearson

SIZES = [(1, 1), (1, 30), (7, 5), (40, 40), (3, 1000)]


def all_counts(members, nonmembers):
    steps = (sorted({0, 1, size // 3, size // 2, size - 1, size}) for size in (members, nonmembers))
    return product(*steps)


@pytest.mark.parametrize(("members", "nonmembers"), SIZES)
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
def test_contains_the_estimate_and_stays_within_0_and_1(members, nonmembers, confidence):
    for found, spared in all_counts(members, nonmembers):
        low, high = balanced_accuracy_interval(found, members, spared, nonmembers, confidence)
        assert 0 <= low <= (found / members + spared / nonmembers) / 2 <= high <= 1


def test_by_hand():
    # Rates 8/10 and 5/20. Clopper-Pearson limits are beta quantiles:
    # 8/10: Beta(8, 3) at 0.025 and Beta(9, 2) at 0.975; 5/20: Beta(5, 16) and Beta(6, 15).
    a_low, a_high = beta.ppf(0.025, 8, 3), beta.ppf(0.975, 9, 2)
    b_low, b_high = beta.ppf(0.025, 5, 16), beta.ppf(0.975, 6, 15)
    assert (round(a_low, 4), round(a_high, 4)) == (0.4439, 0.9748)  # of the usual tables
    assert (round(b_low, 4), round(b_high, 4)) == (0.0866, 0.4910)
    # Half the sum of the rates, with half of the root of the sum of squares to either side:
    # 0.525 − ½ √(0.3561² + 0.1634²), 0.525 + ½ √(0.1748² + 0.2410²).
    low, high = balanced_accuracy_interval(8, 10, 5, 20)
    assert (round(low, 3), round(high, 3)) == (0.329, 0.674)


def test_perfect_separation_reaches_1_and_stays_uncertain_below():
    # Both rates 40/40: each lower limit is 0.025^(1/40).
    gap = 1 - 0.025 ** (1 / 40)
    low, high = balanced_accuracy_interval(40, 40, 40, 40)
    assert high == 1
    assert low == pytest.approx(1 - gap / np.sqrt(2))


def test_narrower_than_adding_the_limits_and_wider_than_either_alone():
    low, high = balanced_accuracy_interval(30, 50, 33, 60)
    (a, b), (c, d) = clopper_pearson(30, 50), clopper_pearson(33, 60)
    assert (a + c) / 2 < low < high < (b + d) / 2
    assert high - low > max(b - a, d - c) / 2


def test_members_and_non_members_are_alike():
    one = balanced_accuracy_interval(9, 12, 31, 50)
    assert balanced_accuracy_interval(31, 50, 9, 12) == pytest.approx(one, rel=1e-14)


def test_more_examples_and_less_confidence_narrow_it():
    def width(scale, confidence):
        low, high = balanced_accuracy_interval(
            7 * scale, 10 * scale, 6 * scale, 10 * scale, confidence
        )
        return high - low

    assert width(100, 0.95) == pytest.approx(width(10_000, 0.95) * 10, rel=0.1)
    assert width(10, 0.8) < width(10, 0.95) < width(10, 0.99)


@pytest.mark.parametrize(("tpr", "tnr"), [(0.5, 0.5), (0.05, 0.99), (0.9, 0.7)])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_coverage(tpr, tnr, confidence):
    random = np.random.default_rng(0)
    members, nonmembers, trials = 80, 120, 1500
    truth, hits = (tpr + tnr) / 2, 0
    for found, spared in zip(
        random.binomial(members, tpr, trials),
        random.binomial(nonmembers, tnr, trials),
        strict=True,
    ):
        low, high = balanced_accuracy_interval(
            int(found), members, int(spared), nonmembers, confidence
        )
        hits += low <= truth <= high
    # Built of exact limits it may be conservative, not the other way.
    assert confidence - 0.03 < hits / trials < confidence + (1 - confidence) * 0.9


@pytest.mark.parametrize("counts", [(5, 4, 1, 2), (1, 2, 3, 2), (0, 0, 1, 2), (1, 2, -1, 2)])
def test_impossible_counts(counts):
    with pytest.raises(ValueError, match="successes in"):
        balanced_accuracy_interval(*counts)
