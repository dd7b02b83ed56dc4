"""Confidence intervals: rates at a fixed threshold, AUC of one target, limits of a bootstrap.

Legend: P members, Q non-members.
"""

import numpy as np
from numpy.typing import NDArray

from shadowmill.metrics.ranking import auc


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


def auc_interval(
    scores: NDArray[np.floating], member: NDArray[np.bool_], confidence: float = 0.95
) -> tuple[float, float]:
    """Interval of the AUC of one target, by the normal approximation.

    Variance by DeLong et al. (1988), Biometrics 44, 837–845, Equations 5 and 6, with the
    placements found by sorting in O(N log N) as in Sun & Xu (2014), IEEE SPL 21, 1389–1393.
    Its width vanishes when members and non-members do not overlap at all.

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
    return max(0.0, estimate - margin), min(1.0, estimate + margin)


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
