"""Two-way bootstrap: intervals that allow for the choice of both models and examples.

Leave-one-out targets share their examples and their shadows, so the spread between models
over √M is too narrow an interval; examples must be resampled as well.

Each replicate draws M models and N examples with replacement, the same examples for every model,
and recomputes every threshold. Owen (2007), "The pigeonhole bootstrap", Annals of Applied
Statistics 1, 386–411: never too narrow by much, conservative where the noise of single
model-example pairs dominates. Limits are the quantiles of the replicates, less the bias that the
replicates show (Efron and Tibshirani 1993, Ch. 10).

Legend: M models, N examples, S statistics (AUC, then one TPR per FPR), J measures, R replicates,
C classes.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shadowmill.metrics.intervals import bootstrap_limits, border_limits
from shadowmill.metrics.resampling import MeanAndPooled, Pooled, resample, statistic_names

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]

_AGGREGATES = ("mean", "pooled")  # as `MeanAndPooled` has them


class Estimate(NamedTuple):
    """A statistic of all data and its interval."""

    value: float
    low: float
    high: float


class Difference(NamedTuple):
    """A difference of all data, its interval, and the p-value of no difference."""

    value: float
    low: float
    high: float
    p_value: float


class Disparity(NamedTuple):
    """The range of a statistic over the classes, and the p-value of classes that are alike.

    Attributes:
        value: NaN, like the p-value, with fewer than two classes that count.
        p_value: Of classes that are alike.
        left_out: Classes that do not count: they have fewer than ``MIN_CLASS_SIZE`` examples, or
            no value.
    """

    value: float
    p_value: float
    left_out: tuple[int, ...]


MIN_CLASS_SIZE = 5
"""Of classes of one example, noise is called different in one study of ten (docs/methods.md)."""


def two_way_bootstrap(
    scores_MN: Float,
    member_MN: Bool,
    fprs: Sequence[float],
    replicates: int,
    seed: int,
    confidence: float = 0.95,
    nonmember_MN: Bool | None = None,
    group_N: NDArray[np.integer] | None = None,
) -> dict[tuple[str, str], Estimate]:
    """Bootstrap AUC and TPR at low FPR over models × examples.

    Args:
        scores_MN: (M, N) float64, higher = more likely a member.
        member_MN: (M, N) bool.
        fprs: False-positive rates.
        replicates: Number of resamples, at least 2.
        seed: Of the resampling; the same seed draws the same models and examples, whatever
            the scores.
        confidence: Coverage, between 0 and 1.
        nonmember_MN: (M, N) bool, the pairs that count as non-members; ``~member_MN`` if not
            given. Pairs that are neither are left out; only these may be NaN.
        group_N: (N,) integer from 0, which examples are in a model together or not at all, and are
            drawn together; each is on its own if not given.

    Returns:
        An estimate for each (statistic, aggregate). Statistics are "auc" and
        "tpr_at_fpr_0.01" and the like; aggregates are "mean", over the models' own values, and
        "pooled", one ranking of all model-example pairs. A TPR is NaN for an FPR below
        1 / non-members of that ranking (of any single model, for "mean"): an FPR too low for
        one model may be within reach of the pool.

    Raises:
        ValueError: shapes that differ, a model without members or without non-members.
    """
    nonmember_MN = ~member_MN if nonmember_MN is None else nonmember_MN
    _require_valid(scores_MN, member_MN, nonmember_MN)
    measures = [MeanAndPooled(scores_MN, member_MN, nonmember_MN, fprs)]
    value_JS, value_RJS = _by_aggregate(
        *resample(measures, scores_MN.shape, replicates, seed, group_N)
    )
    trials_JS = np.tile(_trials(member_MN, nonmember_MN, len(fprs), group_N), (len(_AGGREGATES), 1))
    low_JS, high_JS = _rate_limits(value_JS, value_RJS, confidence, trials_JS)
    return {
        (name, aggregate): Estimate(*(float(part[j, s]) for part in (value_JS, low_JS, high_JS)))
        for j, aggregate in enumerate(_AGGREGATES)
        for s, name in enumerate(statistic_names(fprs))
    }


def paired_bootstrap(
    scores_MN: Float,
    reference_MN: Float,
    member_MN: Bool,
    fprs: Sequence[float],
    replicates: int,
    seed: int,
    confidence: float = 0.95,
    nonmember_MN: Bool | None = None,
    group_N: NDArray[np.integer] | None = None,
) -> dict[tuple[str, str], Difference]:
    """Bootstrap the differences between two sets of scores on identical splits.

    Row m of both is of models with the same members, say a pruned and a dense one; each replicate
    draws the same models and examples for both, so what these have in common cancels.

    The p-value is two-sided, 2 Φ(−|difference| / SE) with SE the standard deviation of the
    replicates (Efron and Tibshirani 1993, Ch. 12 and 15). Counting replicates beyond zero instead
    could not go below 2 / R, which an adjustment for a few dozen comparisons would turn into
    "not significant" whatever the data.

    Args:
        scores_MN: (M, N) float64, higher = more likely a member.
        reference_MN: (M, N) float64, what is subtracted.
        member_MN: (M, N) bool, of both.
        fprs: False-positive rates.
        replicates: Number of resamples, at least 2.
        seed: Of the resampling.
        confidence: Coverage, between 0 and 1.
        nonmember_MN: (M, N) bool, of both; as for ``two_way_bootstrap``.
        group_N: As for ``two_way_bootstrap``.

    Returns:
        A difference for each (statistic, aggregate), as for ``two_way_bootstrap``. The p-value is
        1 where nothing differs in any replicate.

    Raises:
        ValueError: as ``two_way_bootstrap``, of either set of scores.
    """
    from scipy.special import ndtr

    nonmember_MN = ~member_MN if nonmember_MN is None else nonmember_MN
    measures = []
    for each_MN in (scores_MN, reference_MN):
        _require_valid(each_MN, member_MN, nonmember_MN)
        measures.append(MeanAndPooled(each_MN, member_MN, nonmember_MN, fprs))
    value_JS, value_RJS = _by_aggregate(
        *resample(measures, scores_MN.shape, replicates, seed, group_N)
    )
    half = len(_AGGREGATES)
    trials_S = _trials(member_MN, nonmember_MN, len(fprs), group_N)
    at_border_JS = (value_JS[:half] == value_JS[half:]) & np.isin(value_JS[:half], (0, 1))
    value_JS = value_JS[:half] - value_JS[half:]
    value_RJS = value_RJS[:, :half] - value_RJS[:, half:]
    low_JS, high_JS, error_JS = _spread(value_JS, value_RJS, confidence, least=-1)
    # Two rates that are both 0, or both 1, in all replicates: as far apart as either may be.
    slack_S = np.array([border_limits(0, int(trials), confidence)[1] for trials in trials_S])
    slack_JS = np.where(at_border_JS & (error_JS == 0), slack_S, 0)
    low_JS, high_JS = low_JS - slack_JS, high_JS + slack_JS
    # The smallest positive number in place of no spread at all: 0 / 0 must be 0, not NaN.
    p_JS = 2 * ndtr(-np.abs(value_JS) / np.maximum(error_JS, np.finfo(np.float64).tiny))
    parts = (value_JS, low_JS, high_JS, p_JS)
    return {
        (name, aggregate): Difference(*(float(part[j, s]) for part in parts))
        for j, aggregate in enumerate(_AGGREGATES)
        for s, name in enumerate(statistic_names(fprs))
    }


def class_bootstrap(
    scores_MN: Float,
    member_MN: Bool,
    labels_N: NDArray[np.integer],
    fprs: Sequence[float],
    replicates: int,
    seed: int,
    confidence: float = 0.95,
    nonmember_MN: Bool | None = None,
    group_N: NDArray[np.integer] | None = None,
) -> tuple[dict[tuple[str, int], Estimate], dict[str, Disparity]]:
    """Bootstrap AUC and TPR of each class, and how far the classes lie apart.

    Each class is one ranking of its pairs of all models. Disparity is the largest value of any
    class minus the smallest; classes without a value, or with fewer than ``MIN_CLASS_SIZE``
    examples (or groups), are left out. It is positive even where all
    classes are equally exposed, so it is compared with what chance makes of equal classes: its
    p-value is the share of replicates, the data counted as one of them, in which the classes'
    deviations from their own values range as far (Davison and Hinkley 1997, "Bootstrap methods
    and their application", §4.4).

    Args:
        scores_MN: (M, N) float64, higher = more likely a member.
        member_MN: (M, N) bool.
        labels_N: (N,) integer, the classes.
        fprs: False-positive rates, of the non-members of a class.
        replicates: Number of resamples, at least 2.
        seed: Of the resampling.
        confidence: Coverage, between 0 and 1.
        nonmember_MN: (M, N) bool, as for ``two_way_bootstrap``.
        group_N: As for ``two_way_bootstrap``.

    Returns:
        classes: An estimate for each (statistic, label). A TPR is NaN where the FPR is below
            1 / non-members of the class, an AUC where the class lacks members or non-members.
        disparity: For each statistic. No interval is given: the resampled range is biased
            upwards.

    Raises:
        ValueError: as ``two_way_bootstrap``, or labels of another shape.
    """
    nonmember_MN = ~member_MN if nonmember_MN is None else nonmember_MN
    _require_valid(scores_MN, member_MN, nonmember_MN)
    if labels_N.shape != scores_MN.shape[1:]:
        raise ValueError(
            f"labels have shape {labels_N.shape}, expected {scores_MN.shape[1:]} (examples,) like "
            "the scores; select the same examples for both"
        )
    classes_C = np.unique(labels_N)
    measures = [
        Pooled(scores_MN, member_MN & (labels_N == c), nonmember_MN & (labels_N == c), fprs)
        for c in classes_C
    ]
    value_CS, value_RCS = resample(measures, scores_MN.shape, replicates, seed, group_N)
    trials_CS = np.stack(
        [
            _trials(member_MN & (labels_N == c), nonmember_MN & (labels_N == c), len(fprs), group_N)
            for c in classes_C
        ]
    )
    low_CS, high_CS = _rate_limits(value_CS, value_RCS, confidence, trials_CS)
    names = statistic_names(fprs)
    classes = {
        (name, int(label)): Estimate(*(float(part[c, s]) for part in (value_CS, low_CS, high_CS)))
        for c, label in enumerate(classes_C)
        for s, name in enumerate(names)
    }
    used_MN = member_MN | nonmember_MN
    is_large_C = np.array(
        [_units(used_MN & (labels_N == c), group_N) >= MIN_CLASS_SIZE for c in classes_C]
    )
    disparity = {}
    for s, name in enumerate(names):
        counts_C = is_large_C & ~np.isnan(value_CS[:, s])
        found = _disparity(value_CS[counts_C, s], value_RCS[:, counts_C, s])
        disparity[name] = Disparity(*found, tuple(classes_C[~counts_C].tolist()))
    return classes, disparity


def _by_aggregate(value_JS: Float, value_RJS: Float) -> tuple[Float, Float]:
    """A row for each aggregate of each measure, in this order."""
    rows, columns = len(_AGGREGATES) * len(value_JS), value_JS.shape[1] // len(_AGGREGATES)
    return value_JS.reshape(rows, columns), value_RJS.reshape(-1, rows, columns)


def _trials(
    member_MN: Bool, nonmember_MN: Bool, num_tprs: int, group_N: NDArray[np.integer] | None
) -> NDArray[np.intp]:
    """Independent trials (S,) behind each statistic at least: examples, whatever the models."""
    members, nonmembers = (_units(role_MN, group_N) for role_MN in (member_MN, nonmember_MN))
    return np.array([min(members, nonmembers), *([members] * num_tprs)])


def _units(role_MN: Bool, group_N: NDArray[np.integer] | None) -> int:
    """How many examples, or groups of them, have a role in some model."""
    role_N = role_MN.any(axis=0)
    return int(role_N.sum()) if group_N is None else len(np.unique(group_N[role_N]))


def _rate_limits(
    value_JS: Float, value_RJS: Float, confidence: float, trials_JS: NDArray[np.intp]
) -> tuple[Float, Float]:
    """Limits of rates: those of the replicates, and of a rate of 0 or 1 no closer than allowed."""
    low_JS, high_JS, _ = _spread(value_JS, value_RJS, confidence, least=0)
    for at in zip(*np.nonzero((value_JS == 0) | (value_JS == 1)), strict=True):
        low, high = border_limits(value_JS[at], int(trials_JS[at]), confidence)
        low_JS[at], high_JS[at] = min(low_JS[at], low), max(high_JS[at], high)
    return low_JS, high_JS


def _spread(
    value_JS: Float, value_RJS: Float, confidence: float, least: float
) -> tuple[Float, Float, Float]:
    """Limits, within `least` to 1, and standard error (J, S); NaN where there is no value."""
    spread_3JS = np.full((3, *value_JS.shape), np.nan)
    defined_JS = ~np.isnan(value_JS)
    value_RD = value_RJS[:, defined_JS]
    limits_2D = bootstrap_limits(value_JS[defined_JS], value_RD, confidence)
    spread_3JS[:2, defined_JS] = np.clip(limits_2D, least, 1)
    spread_3JS[2, defined_JS] = np.nanstd(value_RD, axis=0, ddof=1)
    return tuple(spread_3JS)


def _disparity(value_C: Float, value_RC: Float) -> tuple[float, float]:
    """Range, and p-value of classes that are alike."""
    if len(value_C) < 2:
        return np.nan, np.nan
    deviation_RC = value_RC - np.nanmean(value_RC, axis=0)
    range_R = np.nanmax(deviation_RC, axis=1) - np.nanmin(deviation_RC, axis=1)
    disparity = np.ptp(value_C)
    p_value = (1 + np.sum(range_R >= disparity)) / (1 + len(range_R))
    return float(disparity), float(p_value)


def _require_valid(scores_MN: Float, member_MN: Bool, nonmember_MN: Bool) -> None:
    shapes = {scores_MN.shape, member_MN.shape, nonmember_MN.shape}
    dtypes = {member_MN.dtype, nonmember_MN.dtype}
    if scores_MN.ndim != 2 or len(shapes) > 1 or dtypes != {np.dtype(bool)}:
        raise ValueError(
            f"scores have shape {scores_MN.shape}, labels {member_MN.shape} {member_MN.dtype} and "
            f"{nonmember_MN.shape} {nonmember_MN.dtype}, expected one shape (models, examples) "
            "and bool labels; select the same models and examples for all"
        )
    for label, role_MN in (("member", member_MN), ("non-member", nonmember_MN)):
        if not role_MN.any(axis=1).all() or not role_MN.size:
            lacking = np.flatnonzero(~role_MN.any(axis=1)).tolist()
            raise ValueError(
                f"models {lacking} of {len(role_MN)} have no {label}, expected at least one each; "
                "leave these models out"
            )
