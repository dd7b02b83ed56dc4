"""Confidence intervals: rates at a fixed threshold, AUC of one target, limits of a bootstrap.

Legend: P members, Q non-members.
"""

import numpy as np
from numpy.typing import NDArray

from shadowmill.metrics.ranking import auc, require_ranking

_NEGLIGIBLE = 1e-12


def clopper_pearson(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Exact interval of a binomial proportion, for a rate at a threshold fixed beforehand.

    Clopper & Pearson (1934), Biometrika 26, 404–413, through the beta quantiles.

    Args:
        successes: Positives found, 0 to trials.
        trials: Examples tried, at least 1.
        confidence: Coverage, between 0 and 1.

    Returns:
        Lower and upper limit, in [0, 1].

    Raises:
        ValueError: a count is out of range.
    """
    if trials < 1 or not 0 <= successes <= trials:
        raise ValueError(
            f"found {successes} successes in {trials} trials, expected 0 to trials, "
            "of at least 1; pass counts, not rates"
        )
    from scipy.special import betaincinv  # the beta quantile without importing scipy.stats

    tail = (1 - confidence) / 2
    failures = trials - successes
    low = betaincinv(successes, failures + 1, tail) if successes else 0.0
    high = betaincinv(successes + 1, failures, 1 - tail) if failures else 1.0
    return float(low), float(high)


def tpr_interval(
    scores: NDArray[np.floating], member: NDArray[np.bool_], fpr: float, confidence: float = 0.95
) -> tuple[float, float]:
    """Interval of the TPR of one target at a false-positive rate.

    What is estimated is the TPR at the laxest threshold whose *true* FPR is not above `fpr`. That
    threshold is not known. U ~ Bin(Q, fpr) of the Q non-members at hand reach it, so that, given
    U = u, it lies between the u-th and the next of their scores, where as many members are found
    as with u − 1 and with u false positives allowed. The limits are those of Clopper and Pearson
    with these numbers, whose tails are averaged over U. No form of the distribution of the scores
    is assumed. Where few false positives are allowed the interval is wide, and its lower limit 0:
    then next to nothing is known of the threshold.

    Coverage is measured in docs/methods.md, by benchmarks/intervals.py.

    Args:
        scores: (P + Q,) float, higher = more likely a member.
        member: (P + Q,) bool.
        fpr: Between 0 and 1.
        confidence: Coverage, between 0 and 1.

    Returns:
        Lower and upper limit, in [0, 1].

    Raises:
        ValueError: as ``auc``.
    """
    from scipy.optimize import brentq
    from scipy.special import bdtr, betainc

    require_ranking(scores, member)
    in_P, falling_Q = np.sort(scores[member]), -np.sort(-scores[~member])
    num_members, num_nonmembers = len(in_P), len(falling_Q)
    # Members above the (u + 1)-th non-member: found with u false positives allowed.
    found_U = num_members - in_P.searchsorted(falling_Q, side="right")
    found_U = np.append(found_U, num_members)
    below_U = np.append(0, found_U[:-1])
    chance_U = np.diff(bdtr(np.arange(num_nonmembers + 1), num_nonmembers, fpr), prepend=0)
    likely_U = chance_U > _NEGLIGIBLE
    chance_U, found_U, below_U = (part[likely_U] for part in (chance_U, found_U, below_U))
    tail = (1 - confidence) / 2

    def excess_below(rate: float) -> float:
        below = betainc(np.maximum(below_U, 1), num_members - below_U + 1, rate)
        return chance_U @ np.where(below_U, below, 1) - tail

    def excess_above(rate: float) -> float:
        missed_U = num_members - found_U
        above = betainc(np.maximum(missed_U, 1), found_U + 1, 1 - rate)
        return chance_U @ np.where(missed_U, above, 1) - tail

    low = 0.0 if excess_below(0) > 0 else brentq(excess_below, 0, 1)
    high = 1.0 if excess_above(1) > 0 else brentq(excess_above, 0, 1)
    return float(low), float(high)


def auc_interval(
    scores: NDArray[np.floating], member: NDArray[np.bool_], confidence: float = 0.95
) -> tuple[float, float]:
    """Interval of the AUC of one target, by the normal approximation.

    Variance by DeLong et al. (1988), Biometrics 44, 837–845, Equations 5 and 6, with the
    placements found by sorting in O(N log N) as in Sun & Xu (2014), IEEE SPL 21, 1389–1393.
    Where members and non-members do not overlap at all, its width would vanish; see
    ``border_limits``.

    Args:
        scores: (P + Q,) float, higher = more likely a member.
        member: (P + Q,) bool.
        confidence: Coverage, between 0 and 1.

    Returns:
        Lower and upper limit, clipped to [0, 1].

    Raises:
        ValueError: fewer than two members or non-members, and as ``auc``.
    """
    estimate = auc(scores, member)
    in_P, out_Q = scores[member], scores[~member]
    if min(len(in_P), len(out_Q)) < 2:
        raise ValueError(
            f"found {len(in_P)} members and {len(out_Q)} non-members, expected at least two of "
            "each for a variance; evaluate more examples"
        )
    from scipy.special import ndtri

    tail = (1 - confidence) / 2
    variance_in = _share_below(in_P, out_Q).var(ddof=1) / len(in_P)
    variance_out = _share_below(out_Q, in_P).var(ddof=1) / len(out_Q)
    margin = float(ndtri(1 - tail) * np.sqrt(variance_in + variance_out))
    if estimate in (0, 1):
        return border_limits(estimate, min(len(in_P), len(out_Q)), confidence)
    return max(0.0, estimate - margin), min(1.0, estimate + margin)


def border_limits(rate: float, trials: int, confidence: float) -> tuple[float, float]:
    """Interval of a rate of 0 or 1, where resampling and variances see no spread at all.

    That of Clopper and Pearson for as many independent trials as there are at least: examples of
    the kind that there are fewer of. For an AUC a trial is a member and a non-member of its own.

    Args:
        rate: 0 or 1.
        trials: At least 1.
        confidence: Coverage, between 0 and 1.
    """
    return clopper_pearson(trials if rate else 0, trials, confidence)


def _share_below(values: NDArray[np.floating], others: NDArray[np.floating]) -> NDArray[np.float64]:
    """Placement of each value: the share of the others below it, equals counting ½."""
    ordered = np.sort(others)
    below = np.searchsorted(ordered, values, side="left")
    below_or_equal = np.searchsorted(ordered, values, side="right")
    return (below + below_or_equal) / (2 * len(others))


def balanced_accuracy_interval(
    true_positives: int,
    members: int,
    true_negatives: int,
    nonmembers: int,
    confidence: float = 0.95,
) -> tuple[float, float]:
    """Interval of the balanced accuracy at a threshold fixed beforehand.

    The Clopper–Pearson intervals of the two rates, put together by the square-and-add method
    (Newcombe 1998, Statistics in Medicine 17, 873–890, Method 10, for the sum of two proportions).

    Args:
        true_positives: Members called members.
        members: Number of members.
        true_negatives: Non-members called non-members.
        nonmembers: Number of non-members.
        confidence: Coverage, between 0 and 1.

    Returns:
        Lower and upper end, in [0, 1].

    Raises:
        ValueError: as ``clopper_pearson``.
    """
    below = above = 0.0
    for successes, trials in ((true_positives, members), (true_negatives, nonmembers)):
        low, high = clopper_pearson(successes, trials, confidence)
        below += (successes / trials - low) ** 2
        above += (high - successes / trials) ** 2
    value = (true_positives / members + true_negatives / nonmembers) / 2
    return value - below**0.5 / 2, value + above**0.5 / 2


def detectable(
    chance: float, low: float, high: float, confidence: float = 0.95, power: float = 0.8
) -> float:
    """The smallest value above chance that a study like this would probably have seen.

    With a standard error as that of the interval at hand, an interval lies above chance with
    probability `power` if the true value is z_confidence + z_power standard errors above it.

    Args:
        chance: The value of an attack that guesses.
        low: Lower limit of the interval.
        high: Upper limit.
        confidence: Of the interval, between 0 and 1.
        power: Between 0 and 1.

    Returns:
        The value, at most 1; NaN if the interval is.
    """
    from scipy.special import ndtri

    reach = ndtri((1 + confidence) / 2)
    return float(np.minimum(1.0, chance + (reach + ndtri(power)) * (high - low) / (2 * reach)))


def bootstrap_limits(
    value: NDArray[np.float64] | float, value_R: NDArray[np.float64], confidence: float
) -> NDArray[np.float64]:
    """Quantiles of bootstrap replicates, less the bias that these show.

    Examples drawn twice tie, which lets some statistics drift: the TPR of a single model at a low
    FPR upwards, for one.

    Args:
        value: (…) the statistics.
        value_R: (R, …) the same of R replicates. NaN, as of a replicate that misses all members of
            a tiny pool, is left out.
        confidence: Coverage, between 0 and 1.

    Returns:
        (2, …) lower and upper limits.
    """
    tail = (1 - confidence) / 2
    bias = np.nanmean(value_R, axis=0) - value
    return np.nanquantile(value_R, [tail, 1 - tail], axis=0) - bias
