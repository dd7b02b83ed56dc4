import numpy as np
import pytest
from scipy.stats import binom, norm

from shadowmill.metrics.intervals import (
    auc_interval,
    clopper_pearson,
    detectable,
    tpr_interval,
)
from shadowmill.metrics.ranking import auc, tpr_at_fpr


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


def slow_tpr_interval(scores, member, fpr, confidence):
    """Draw what is not known: non-members beyond the threshold, and the members' rate there."""
    rng = np.random.default_rng(0)
    falling = np.sort(scores[~member])[::-1]
    into, num_members, low, high = scores[member], int(member.sum()), [], []
    for count in rng.binomial(len(falling), fpr, 100_000):
        found = np.sum(into > falling[count]) if count < len(falling) else num_members
        fewer = np.sum(into > falling[count - 1]) if count else 0
        low.append(rng.beta(fewer, num_members - fewer + 1) if fewer else 0)
        high.append(rng.beta(found + 1, num_members - found) if found < num_members else 1)
    tail = (1 - confidence) / 2
    return np.quantile(low, tail), np.quantile(high, 1 - tail)


@pytest.mark.long
@pytest.mark.parametrize(
    ("members", "nonmembers", "fpr", "confidence", "decimals"),
    [
        (60, 80, 0.1, 0.95, 9),
        (200, 100, 0.01, 0.9, 9),
        (50, 300, 0.2, 0.95, 1),
        (5, 9, 0.5, 0.8, 1),
    ],
)
def test_tpr_interval_against_slow(members, nonmembers, fpr, confidence, decimals):
    rng = np.random.default_rng(members)
    member = np.arange(members + nonmembers) < members
    scores = np.round(rng.normal(size=len(member)) + 0.8 * member, decimals)
    expected = slow_tpr_interval(scores, member, fpr, confidence)
    assert tpr_interval(scores, member, fpr, confidence) == pytest.approx(expected, abs=0.006)
    found = tpr_at_fpr(scores, member, fpr)
    assert expected[0] <= found <= expected[1]


def test_tpr_interval_by_hand():
    # One non-member: with a chance of ½ each none or it is beyond the threshold. Of two members
    # one is above it. Low: none found half of the time. High: one of two, or both: 1 with ½.
    scores, member = np.array([2.0, 0, 1]), np.array([True, True, False])
    assert tpr_interval(scores, member, 0.5, 0.9) == (0, 1)
    # At a true rate of 0.01 it is below with 0.99: found + 1 = 2 of 2, P[Beta(2, 1) > p] = 1 - p²,
    # so that 0.99 (1 - p²) + 0.01 = 0.05.
    low, high = tpr_interval(scores, member, 0.01, 0.9)
    assert (low, high) == (0, pytest.approx((1 - 0.04 / 0.99) ** 0.5))
    # All members beyond all of many non-members.
    far = np.r_[np.full(40, 9.0), np.zeros(1000)], np.arange(1040) < 40
    low, high = tpr_interval(*far, 0.1)
    assert (low, high) == (pytest.approx(0.025 ** (1 / 40), rel=1e-6), 1)


@pytest.mark.long
@pytest.mark.parametrize("allowed", [1, 5, 25])
@pytest.mark.parametrize("shift", [0, 1])
def test_tpr_interval_covers_the_rate_at_the_true_threshold(allowed, shift):
    rng = np.random.default_rng(allowed)
    fpr, nonmembers, draws = 0.05, 20 * allowed, 400
    member = np.arange(2 * nonmembers) < nonmembers
    true = norm.sf(norm.isf(fpr) - shift)
    covered = at_the_threshold_found = 0
    for _ in range(draws):
        scores = rng.normal(size=len(member)) + shift * member
        low, high = tpr_interval(scores, member, fpr)
        covered += low <= true <= high
        found = round(tpr_at_fpr(scores, member, fpr) * nonmembers)
        low, high = clopper_pearson(found, nonmembers)
        at_the_threshold_found += low <= true <= high
    assert covered >= 0.94 * draws
    assert at_the_threshold_found < 0.9 * draws


def test_tpr_interval_of_scores_that_tie_is_at_a_threshold_that_there_is():
    # Half of both have the one score, half the other: at 1 % nothing can be found, and is known.
    member = np.arange(2000) < 1000
    scores = (np.arange(2000) % 2).astype(float)
    assert tpr_interval(scores, member, 0.01) == (0, pytest.approx(1 - 0.025 ** (1 / 1000)))


def test_an_auc_of_one_has_an_interval():
    member = np.arange(50) < 20
    limit = pytest.approx(0.025 ** (1 / 20))
    assert auc_interval(member.astype(float), member) == (limit, 1)
    low, high = auc_interval(-member.astype(float), member)
    assert (low, 1 - high) == (0, limit)


def test_what_is_detectable_is_seen_in_four_of_five_studies():
    # A standard error of 0.1, limits 0.196 to either side: 0.5 + (1.960 + 0.842) · 0.1.
    assert detectable(0.5, 0.4, 0.4 + 2 * 0.1959964) == pytest.approx(0.7802, abs=1e-4)
    assert detectable(0.5, 0.0, 1.0) == 1
    assert np.isnan(detectable(np.nan, 0.1, 0.2))
    rng = np.random.default_rng(0)
    member = np.arange(600) < 300
    leak = detectable(0.5, *auc_interval(rng.normal(size=600), member))
    shift = np.sqrt(2) * norm.ppf(leak)
    seen = [
        auc_interval(rng.normal(size=600) + shift * member, member)[0] > 0.5 for _ in range(400)
    ]
    assert 0.74 < np.mean(seen) < 0.86
