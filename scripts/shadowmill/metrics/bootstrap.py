"""Two-way bootstrap: intervals that allow for the choice of both models and examples.

Leave-one-out targets share their examples and their shadows, so the spread between models
over √M is too narrow an interval; examples must be resampled as well.

Legend: M models, N examples, P members and Q non-members of one ranking (or of all pairs),
S statistics (AUC, then one TPR per FPR), R replicates.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shadowmill.metrics.intervals import require_confidence
from shadowmill.metrics.ranking import allowed_false_positives

Float = NDArray[np.float64]


class Estimate(NamedTuple):
    """A statistic of all data and its interval."""

    value: float
    low: float
    high: float


def two_way_bootstrap(
    scores_MN: Float,
    member_MN: NDArray[np.bool_],
    fprs: Sequence[float],
    replicates: int,
    seed: int,
    confidence: float = 0.95,
    nonmember_MN: NDArray[np.bool_] | None = None,
) -> dict[tuple[str, str], Estimate]:
    """Bootstrap AUC and TPR at low FPR over models × examples.

    Each replicate draws M models and N examples with replacement, the same examples for every
    model, and recomputes every threshold. Owen (2007), "The pigeonhole bootstrap", Annals of
    Applied Statistics 1, 386–411: never too narrow by much, conservative where the noise of
    single model-example pairs dominates. Limits are the quantiles of the replicates, less the bias
    that the replicates show (Efron and Tibshirani 1993, Ch. 10).

    Args:
        scores_MN: (M, N) float64, higher = more likely a member.
        member_MN: (M, N) bool.
        fprs: False-positive rates.
        replicates: Number of resamples, at least 2.
        seed: Of the resampling; the same seed draws the same models and examples, whatever
            the scores.
        confidence: Coverage, between 0 and 1.
        nonmember_MN: (M, N) bool, the pairs that count as non-members; ``~member_MN`` if not
            given. Pairs that are neither are left out.

    Returns:
        An estimate for each (statistic, aggregate). Statistics are "auc" and
        "tpr_at_fpr_0.01" and the like; aggregates are "mean", over the models' own values, and
        "pooled", one ranking of all model-example pairs. A TPR is NaN for an FPR below
        1 / non-members of that ranking (of any single model, for "mean"): an FPR too low for
        one model may be within reach of the pool.

    Raises:
        ValueError: shapes that differ, NaN scores, a model without members or without
            non-members, an FPR or confidence out of range, fewer than two replicates.
    """
    nonmember_MN = ~member_MN if nonmember_MN is None else nonmember_MN
    _require_valid(scores_MN, member_MN, nonmember_MN, fprs, replicates)
    tail = require_confidence(confidence)
    rankings = [_rank(scores_MN, member_MN, nonmember_MN, [m]) for m in range(len(scores_MN))]
    pooled = _rank(scores_MN, member_MN, nonmember_MN, range(len(scores_MN)))
    weights = [np.ones(size) for size in scores_MN.shape]
    value_2S = _statistics(rankings, pooled, *weights, fprs)
    rng = np.random.default_rng(seed)
    draws = (_draw_weights(rng, *scores_MN.shape) for _ in range(replicates))
    value_R2S = np.array([_statistics(rankings, pooled, *weights, fprs) for weights in draws])
    # A replicate that misses all members of a tiny pool has no AUC: NaN, left out here.
    limits = np.nanquantile(value_R2S, [tail, 1 - tail], axis=0)
    # Examples drawn twice tie, which lets the TPR of a single model at a low FPR drift upwards.
    limits = np.clip(limits - (np.nanmean(value_R2S, axis=0) - value_2S), 0, 1)
    result_32S = np.stack([value_2S, *limits])
    result_32S[:, ~_attained(rankings, pooled, fprs)] = np.nan
    names = ["auc", *(f"tpr_at_fpr_{fpr:g}" for fpr in fprs)]
    return {
        (name, aggregate): Estimate(*result_32S[:, row, column].tolist())
        for row, aggregate in enumerate(("mean", "pooled"))
        for column, name in enumerate(names)
    }


@dataclass(frozen=True)
class _Ranking:
    """Model-example pairs in order of falling score, members and non-members apart.

    Sorted once; a replicate changes only the weights of models and examples.
    """

    model_P: NDArray[np.intp]
    example_P: NDArray[np.intp]
    model_Q: NDArray[np.intp]
    example_Q: NDArray[np.intp]
    above_Q: NDArray[np.intp]  # members that score strictly higher than this non-member
    tied: NDArray[np.intp]  # the non-members that tie with members, and for each of these
    reached: NDArray[np.intp]  # the members that score as high or higher


def _rank(
    scores_MN: Float,
    member_MN: NDArray[np.bool_],
    nonmember_MN: NDArray[np.bool_],
    models: Sequence[int],
) -> _Ranking:
    scores_KN = scores_MN[models]

    def descending(role_MN: NDArray[np.bool_]) -> tuple[NDArray[np.intp], ...]:
        row, example = np.nonzero(role_MN[models])
        order = np.argsort(-scores_KN[row, example])
        row, example = row[order], example[order]
        return np.asarray(models)[row], example, -scores_KN[row, example]

    model_P, example_P, rising_P = descending(member_MN)
    model_Q, example_Q, rising_Q = descending(nonmember_MN)
    above_Q = np.searchsorted(rising_P, rising_Q, side="left")
    reached_Q = np.searchsorted(rising_P, rising_Q, side="right")
    tied = np.flatnonzero(reached_Q > above_Q)
    return _Ranking(model_P, example_P, model_Q, example_Q, above_Q, tied, reached_Q[tied])


def _draw_weights(
    rng: np.random.Generator, num_models: int, num_examples: int
) -> tuple[Float, Float]:
    """How often each model and each example is drawn, as floats for fast products."""
    return tuple(
        np.bincount(rng.integers(size, size=size), minlength=size).astype(np.float64)
        for size in (num_models, num_examples)
    )


def _statistics(
    rankings: list[_Ranking],
    pooled: _Ranking,
    weight_M: Float,
    weight_N: Float,
    fprs: Sequence[float],
) -> Float:
    """Statistics (2, S) of one resample: mean over the models, and pooled."""
    mean_S = sum(
        weight * _weighted(ranking, weight_N[ranking.example_P], weight_N[ranking.example_Q], fprs)
        for ranking, weight in zip(rankings, weight_M, strict=True)
        if weight
    )
    pooled_S = _weighted(
        pooled,
        weight_M[pooled.model_P] * weight_N[pooled.example_P],
        weight_M[pooled.model_Q] * weight_N[pooled.example_Q],
        fprs,
    )
    return np.stack([mean_S / weight_M.sum(), pooled_S])


def _weighted(ranking: _Ranking, weight_P: Float, weight_Q: Float, fprs: Sequence[float]) -> Float:
    """AUC and TPRs (S,) of one ranking whose pairs count as often as their weights say."""
    # Sums of integers below 2^53, so exact in floating point, in any order.
    member_weight = np.concatenate([[0.0], np.cumsum(weight_P)])  # of the k highest members
    false_positives_Q = np.cumsum(weight_Q)
    members, nonmembers = member_weight[-1], false_positives_Q[-1]
    if not members or not nonmembers:
        return np.full(1 + len(fprs), np.nan)
    above_Q = member_weight[ranking.above_Q]
    beside = member_weight[ranking.reached] - above_Q[ranking.tied]
    # Not `@`: waking the threads of BLAS takes several times longer than these products.
    wins = np.einsum("q,q->", weight_Q, above_Q)
    wins += np.einsum("q,q->", weight_Q[ranking.tied], beside) / 2
    auc = wins / (members * nonmembers)
    # The first non-member that is one too many closes the list: members strictly above it
    # are found, those that tie with it are not. Where there is none, all are found.
    allowed = [allowed_false_positives(fpr, nonmembers) for fpr in fprs]
    closing = np.searchsorted(false_positives_Q, allowed, side="right")
    found = np.append(above_Q, members)[closing]
    return np.append(auc, found / members)


def _attained(
    rankings: list[_Ranking], pooled: _Ranking, fprs: Sequence[float]
) -> NDArray[np.bool_]:
    """Whether each statistic (2, S) is defined: AUC always, TPR if it allows a false positive."""
    smallest = min(len(ranking.example_Q) for ranking in rankings)
    return np.array(
        [
            [True, *(allowed_false_positives(fpr, nonmembers) >= 1 for fpr in fprs)]
            for nonmembers in (smallest, len(pooled.example_Q))
        ]
    )


def _require_valid(
    scores_MN: Float,
    member_MN: NDArray[np.bool_],
    nonmember_MN: NDArray[np.bool_],
    fprs: Sequence[float],
    replicates: int,
) -> None:
    shapes = {scores_MN.shape, member_MN.shape, nonmember_MN.shape}
    dtypes = {member_MN.dtype, nonmember_MN.dtype}
    if scores_MN.ndim != 2 or len(shapes) > 1 or dtypes != {np.dtype(bool)}:
        raise ValueError(
            f"scores have shape {scores_MN.shape}, labels {member_MN.shape} {member_MN.dtype} and "
            f"{nonmember_MN.shape} {nonmember_MN.dtype}, expected one shape (models, examples) "
            "and bool labels; select the same models and examples for all"
        )
    if np.isnan(scores_MN).any():
        model, example = np.argwhere(np.isnan(scores_MN))[0]
        raise ValueError(
            f"score of model {model} for example {example} is NaN, expected a number; "
            "rerun the attack"
        )
    for label, role_MN in (("member", member_MN), ("non-member", nonmember_MN)):
        if not role_MN.any(axis=1).all() or not role_MN.size:
            lacking = np.flatnonzero(~role_MN.any(axis=1)).tolist()
            raise ValueError(
                f"models {lacking} of {len(role_MN)} have no {label}, expected at least one each; "
                "leave these models out"
            )
    for fpr in fprs:
        if not 0 < fpr <= 1:
            raise ValueError(f"FPR is {fpr}, expected more than 0 and at most 1; write 1 % as 0.01")
    if replicates < 2:
        raise ValueError(f"replicates is {replicates}, expected at least 2; 1000 are usual")
