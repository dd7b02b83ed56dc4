"""All metrics of one target at once, with thresholds fixed on the shadows.

Legend: M models, N examples.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shadowmill.metrics.confusion import Confusion, confusion
from shadowmill.metrics.intervals import (
    auc_interval,
    balanced_accuracy_interval,
    clopper_pearson,
    tpr_interval,
)
from shadowmill.metrics.ranking import (
    allowed_false_positives,
    auc,
    balanced_accuracy_oracle,
    best_threshold,
    operating_point,
)

FPRS = (0.1, 0.01, 0.001, 0.0001, 0.00001)
PRIORS = (0.5, 0.1, 0.01)
CONFIDENCE = 0.95


def chance(metric: str) -> float:
    """What an attack that guesses reaches; NaN of metrics without such a level."""
    if metric == "auc":
        return 0.5
    return float(metric.rsplit("_", 1)[1]) if metric.startswith("tpr_at_fpr_") else np.nan


class Measurement(NamedTuple):
    """A metric with its interval; NaN where undefined.

    Attributes:
        metric: Its name.
        value: Of the data.
        low: Lower limit.
        high: Upper limit.
        false_positives: The count behind a TPR at a fixed FPR; NaN for other metrics.
    """

    metric: str
    value: float
    low: float = np.nan
    high: float = np.nan
    false_positives: float = np.nan


@dataclass(frozen=True)
class Thresholds:
    """Thresholds fixed on other models than those that are judged by them.

    Attributes:
        balanced: The one of the largest balanced accuracy.
        at_fpr: For each of ``FPRS``, the one that keeps to it; none for an FPR below
            1 / non-members.
    """

    balanced: float
    at_fpr: dict[float, float]


def fix_thresholds(
    scores_MN: NDArray[np.float64],
    member_MN: NDArray[np.bool_],
    nonmember_MN: NDArray[np.bool_],
) -> Thresholds | None:
    """Fix thresholds on the scores of all shadows in one ranking.

    Args:
        scores_MN: (M, N) float64, each shadow attacked with the others, higher = more likely a
            member.
        member_MN: (M, N) bool.
        nonmember_MN: (M, N) bool; pairs that are neither are left out, and may be NaN.

    Returns:
        The thresholds; infinite ones call no example a member. None if no pair takes part.

    Raises:
        ValueError: see ``roc_curve``.
    """
    used_MN = member_MN | nonmember_MN
    if not used_MN.any():
        return None
    scores, member = scores_MN[used_MN], member_MN[used_MN]
    balanced = best_threshold(scores, member)
    nonmembers = int((~member).sum())
    at_fpr = {
        fpr: operating_point(scores, member, fpr).threshold
        for fpr in FPRS
        if allowed_false_positives(fpr, nonmembers)
    }
    return Thresholds(balanced, at_fpr)


def evaluate(
    scores: NDArray[np.float64], member: NDArray[np.bool_], thresholds: Thresholds | None
) -> Iterator[Measurement]:
    """Compute every metric of one target.

    Metrics that need no threshold, or make their own: ``auc`` (interval of DeLong),
    ``tpr_at_fpr_0.01`` and so on (interval of ``tpr_interval``; undefined at an FPR below
    1 / non-members), ``balanced_accuracy_oracle``. At the shadows' best threshold:
    ``balanced_accuracy``, ``accuracy``, ``precision``, ``recall``, ``f1``, ``advantage`` and
    ``ppv_at_prior_0.01`` and so on. At the shadows' threshold for a nominal FPR:
    ``achieved_fpr_at_0.01`` and so on.

    Args:
        scores: (N,) float64, higher = more likely a member.
        member: (N,) bool.
        thresholds: Fixed on the shadows; None if there are none, which leaves all metrics at
            thresholds of shadows undefined.

    Yields:
        The metrics, always the same ones in the same order.

    Raises:
        ValueError: fewer than two members or non-members, and as ``roc_curve``.
    """
    nonmembers = int((~member).sum())
    yield Measurement("auc", auc(scores, member), *auc_interval(scores, member, CONFIDENCE))
    for fpr in FPRS:
        yield _tpr(scores, member, fpr, nonmembers)
    at = np.inf if thresholds is None else thresholds.balanced
    for found in _decisions(confusion(scores, member, at)):
        yield Measurement(found.metric, np.nan) if thresholds is None else found
    yield Measurement("balanced_accuracy_oracle", balanced_accuracy_oracle(scores, member))
    for fpr in FPRS:
        yield _achieved_fpr(scores, member, fpr, thresholds)


def _tpr(
    scores: NDArray[np.float64], member: NDArray[np.bool_], fpr: float, nonmembers: int
) -> Measurement:
    metric = f"tpr_at_fpr_{fpr:g}"
    if not allowed_false_positives(fpr, nonmembers):
        return Measurement(metric, np.nan)
    _, found, false_positives = operating_point(scores, member, fpr)
    members = len(member) - nonmembers
    limits = tpr_interval(scores, member, fpr, CONFIDENCE)
    return Measurement(metric, found / members, *limits, false_positives)


def _decisions(counts: Confusion) -> Iterator[Measurement]:
    balanced_limits = balanced_accuracy_interval(
        counts.true_positives, counts.members, counts.true_negatives, counts.nonmembers, CONFIDENCE
    )
    right, examples = (
        counts.true_positives + counts.true_negatives,
        counts.members + counts.nonmembers,
    )
    yield Measurement("balanced_accuracy", counts.balanced_accuracy, *balanced_limits)
    yield Measurement("accuracy", counts.accuracy, *clopper_pearson(right, examples, CONFIDENCE))
    yield Measurement(
        "precision", counts.precision, *_share(counts.true_positives, counts.positives)
    )
    yield Measurement("recall", counts.tpr, *_share(counts.true_positives, counts.members))
    yield Measurement("f1", counts.f1)
    advantage_limits = (2 * limit - 1 for limit in balanced_limits)
    yield Measurement("advantage", counts.advantage, *advantage_limits)
    for prior in PRIORS:
        yield Measurement(f"ppv_at_prior_{prior:g}", counts.ppv(prior))


def _share(successes: int, trials: int) -> tuple[float, float]:
    return clopper_pearson(successes, trials, CONFIDENCE) if trials else (np.nan, np.nan)


def _achieved_fpr(
    scores: NDArray[np.float64],
    member: NDArray[np.bool_],
    fpr: float,
    thresholds: Thresholds | None,
) -> Measurement:
    metric = f"achieved_fpr_at_{fpr:g}"
    if thresholds is None or fpr not in thresholds.at_fpr:
        return Measurement(metric, np.nan)
    counts = confusion(scores, member, thresholds.at_fpr[fpr])
    limits = clopper_pearson(counts.false_positives, counts.nonmembers, CONFIDENCE)
    return Measurement(metric, counts.fpr, *limits)
