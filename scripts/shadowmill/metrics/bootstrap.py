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

from shadowmill.metrics.intervals import bootstrap_limits
from shadowmill.metrics.resampling import MeanOverModels, Pooled, resample, statistic_names

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]

_AGGREGATES = {"mean": MeanOverModels, "pooled": Pooled}


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
    """The range of a statistic over the classes, and the p-value of classes that are alike."""

    value: float
    p_value: float


def two_way_bootstrap(
    scores_MN: Float,
    member_MN: Bool,
    fprs: Sequence[float],
    replicates: int,
    seed: int,
    confidence: float = 0.95,
    nonmember_MN: Bool | None = None,
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
    measures = [of(scores_MN, member_MN, nonmember_MN, fprs) for of in _AGGREGATES.values()]
    value_JS, value_RJS = resample(measures, scores_MN.shape, replicates, seed)
    low_JS, high_JS, _ = _spread(value_JS, value_RJS, confidence, least=0)
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
        measures += [of(each_MN, member_MN, nonmember_MN, fprs) for of in _AGGREGATES.values()]
    value_JS, value_RJS = resample(measures, scores_MN.shape, replicates, seed)
    half = len(_AGGREGATES)
    value_JS = value_JS[:half] - value_JS[half:]
    value_RJS = value_RJS[:, :half] - value_RJS[:, half:]
    low_JS, high_JS, error_JS = _spread(value_JS, value_RJS, confidence, least=-1)
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
) -> tuple[dict[tuple[str, int], Estimate], dict[str, Disparity]]:
    """Bootstrap AUC and TPR of each class, and how far the classes lie apart.

    Each class is one ranking of its pairs of all models. Disparity is the largest value of any
    class minus the smallest; classes without a value are left out. It is positive even where all
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

    Returns:
        classes: An estimate for each (statistic, label). A TPR is NaN where the FPR is below
            1 / non-members of the class, an AUC where the class lacks members or non-members.
        disparity: For each statistic; NaN with fewer than two classes that have a value. No
            interval is given: the resampled range is biased upwards.

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
    value_CS, value_RCS = resample(measures, scores_MN.shape, replicates, seed)
    low_CS, high_CS, _ = _spread(value_CS, value_RCS, confidence, least=0)
    names = statistic_names(fprs)
    classes = {
        (name, int(label)): Estimate(*(float(part[c, s]) for part in (value_CS, low_CS, high_CS)))
        for c, label in enumerate(classes_C)
        for s, name in enumerate(names)
    }
    disparity = {
        name: _disparity(value_CS[:, s], value_RCS[:, :, s]) for s, name in enumerate(names)
    }
    return classes, disparity


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


def _disparity(value_C: Float, value_RC: Float) -> Disparity:
    defined_C = ~np.isnan(value_C)
    if defined_C.sum() < 2:
        return Disparity(np.nan, np.nan)
    value_RD = value_RC[:, defined_C]
    deviation_RD = value_RD - np.nanmean(value_RD, axis=0)
    range_R = np.nanmax(deviation_RD, axis=1) - np.nanmin(deviation_RD, axis=1)
    disparity = np.ptp(value_C[defined_C])
    p_value = (1 + np.sum(range_R >= disparity)) / (1 + len(range_R))
    return Disparity(float(disparity), float(p_value))


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
