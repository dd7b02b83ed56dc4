"""Statistics of rankings under resampling: sort once, then only count anew.

A resample is a weight for each model and for each example, how often it was drawn. What has to be
sorted does not depend on the weights, so a replicate takes a few passes over integers.

Legend: M models, N examples, P members and Q non-members of one ranking, S statistics (AUC, then
one TPR per FPR), J measures, R replicates, B of them at a time.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from shadowmill.metrics.ranking import allowed_false_positives

Float = NDArray[np.float64]
Index = NDArray[np.intp]
Weights = NDArray[np.integer]

_SIDE_BY_SIDE = 8  # resamples


class Measure(Protocol):
    """Something that is computed of weighted models and examples."""

    def __call__(self, weight_BM: Weights, weight_BN: Weights) -> Float:
        """Statistics (B, S) of some resamples; NaN without members or without non-members."""

    @property
    def defined(self) -> NDArray[np.bool_]:
        """Whether each statistic (S,) is: AUC always, a TPR if it allows a false positive."""


@dataclass(frozen=True)
class _Ranking:
    """Model-example pairs in order of falling score, members and non-members apart."""

    model_P: Index
    example_P: Index
    model_Q: Index
    example_Q: Index
    above_Q: Index  # members that score strictly higher than this non-member
    tied: Index  # the non-members that tie with members, and for each of these
    reached: Index  # the members that score as high or higher


class Pooled:
    """AUC and TPRs of all model-example pairs in one ranking."""

    def __init__(
        self,
        scores_MN: Float,
        member_MN: NDArray[np.bool_],
        nonmember_MN: NDArray[np.bool_],
        fprs: Sequence[float],
    ) -> None:
        """Sort the pairs.

        Args:
            scores_MN: (M, N) float64, higher = more likely a member.
            member_MN: (M, N) bool.
            nonmember_MN: (M, N) bool; pairs that are neither are left out, and may be NaN.
            fprs: False-positive rates.
        """
        self._ranking = _rank(scores_MN, member_MN, nonmember_MN, range(len(scores_MN)))
        self._fprs = fprs

    def __call__(self, weight_BM: Weights, weight_BN: Weights) -> Float:
        """Statistics (B, S) of some resamples."""
        of = self._ranking
        pairs = (of.model_P, of.example_P), (of.model_Q, of.example_Q)
        weights = (_of_pairs(*each, weight_BM, weight_BN) for each in pairs)
        return np.stack([_weighted(of, *each, self._fprs) for each in zip(*weights, strict=True)])

    @property
    def defined(self) -> NDArray[np.bool_]:
        """Whether each statistic (S,) is."""
        return _defined(len(self._ranking.example_Q), self._fprs)


class MeanOverModels:
    """The mean over the models of each one's own AUC and TPRs."""

    def __init__(
        self,
        scores_MN: Float,
        member_MN: NDArray[np.bool_],
        nonmember_MN: NDArray[np.bool_],
        fprs: Sequence[float],
    ) -> None:
        """Sort the examples of each model; arguments as of `Pooled`."""
        self._rankings = [
            _rank(scores_MN, member_MN, nonmember_MN, [model]) for model in range(len(scores_MN))
        ]
        self._fprs = fprs

    def __call__(self, weight_BM: Weights, weight_BN: Weights) -> Float:
        """Statistics (B, S) of some resamples."""
        return np.stack([self._of_one(*each) for each in zip(weight_BM, weight_BN, strict=True)])

    def _of_one(self, weight_M: Weights, weight_N: Weights) -> Float:
        total_S = sum(
            weight
            * _weighted(of, weight_N.take(of.example_P), weight_N.take(of.example_Q), self._fprs)
            for of, weight in zip(self._rankings, weight_M, strict=True)
            if weight
        )
        return total_S / weight_M.sum()

    @property
    def defined(self) -> NDArray[np.bool_]:
        """Whether each statistic (S,) is, of every model."""
        return _defined(min(len(of.example_Q) for of in self._rankings), self._fprs)


def resample(
    measures: Sequence[Measure], shape: tuple[int, int], replicates: int, seed: int
) -> tuple[Float, Float]:
    """Compute statistics of the data, and of resamples of models and of examples.

    A replicate draws as many models and as many examples as there are, with replacement, the same
    ones for all measures.

    Args:
        measures: What to compute, J of them.
        shape: M and N.
        replicates: Number of resamples.
        seed: The same seed draws the same models and examples, whatever the scores.

    Returns:
        value_JS: (J, S) float64, NaN where undefined.
        value_RJS: (R, J, S) float64, of the resamples. NaN where undefined, and where a resample
            missed all members or all non-members of a small pool.
    """
    defined_JS = np.array([measure.defined for measure in measures])
    ones = tuple(np.ones(size, dtype=_weight_type(shape)) for size in shape)
    drawn = chain([ones], draw_weights(shape, replicates, seed))
    parts = []
    while some := list(islice(drawn, _SIDE_BY_SIDE)):
        weights = [np.stack(each) for each in zip(*some, strict=True)]
        parts.append(np.stack([measure(*weights) for measure in measures], axis=1))
    value_RJS = np.where(defined_JS, np.concatenate(parts), np.nan)
    return value_RJS[0], value_RJS[1:]


def draw_weights(
    shape: tuple[int, int], replicates: int, seed: int
) -> Iterator[tuple[Weights, Weights]]:
    """Draw how often each model and each example is in each of the resamples.

    Args:
        shape: M and N.
        replicates: Number of resamples.
        seed: Of the drawing.

    Yields:
        weight_M, weight_N: (M,) and (N,) integer, with sums M and N.
    """
    rng = np.random.default_rng(seed)
    for _ in range(replicates):
        yield tuple(
            np.bincount(rng.integers(size, size=size), minlength=size).astype(_weight_type(shape))
            for size in shape
        )


def statistic_names(fprs: Iterable[float]) -> list[str]:
    """Name the statistics of a measure: "auc", and "tpr_at_fpr_0.01" and the like."""
    return ["auc", *(f"tpr_at_fpr_{fpr:g}" for fpr in fprs)]


def _weight_type(shape: tuple[int, int]) -> type[np.signedinteger]:
    # The weights of all pairs add up to M × N. Half the bytes, half the time.
    return np.int32 if shape[0] * shape[1] < 2**31 else np.int64


def _defined(nonmembers: int, fprs: Sequence[float]) -> NDArray[np.bool_]:
    return np.array([True, *(allowed_false_positives(fpr, nonmembers) >= 1 for fpr in fprs)])


def _rank(
    scores_MN: Float,
    member_MN: NDArray[np.bool_],
    nonmember_MN: NDArray[np.bool_],
    models: Sequence[int],
) -> _Ranking:
    scores_KN = scores_MN[models]

    def descending(role_MN: NDArray[np.bool_]) -> tuple[Index, Index, Float]:
        row, example = np.nonzero(role_MN[models])
        falling = -scores_KN[row, example]
        order = np.argsort(falling)
        return np.asarray(models)[row[order]], example[order], falling[order]

    model_P, example_P, falling_P = descending(member_MN)
    model_Q, example_Q, falling_Q = descending(nonmember_MN)
    above_Q = np.searchsorted(falling_P, falling_Q, side="left")
    reached_Q = np.searchsorted(falling_P, falling_Q, side="right")
    tied = np.flatnonzero(reached_Q > above_Q)
    return _Ranking(model_P, example_P, model_Q, example_Q, above_Q, tied, reached_Q[tied])


def _of_pairs(model_P: Index, example_P: Index, weight_BM: Weights, weight_BN: Weights) -> Weights:
    """Weights (B, P) of pairs.

    Those of a pair in all resamples lie side by side while they are fetched: what takes time is the
    way to memory.
    """
    narrow = weight_BN.dtype
    if int(weight_BM.max()) * int(weight_BN.max()) <= np.iinfo(np.int16).max:
        narrow = np.dtype(np.int16)
    weight_MB, weight_NB = (
        np.ascontiguousarray(each.T, dtype=narrow) for each in (weight_BM, weight_BN)
    )
    weight_PB = weight_NB.take(example_P, axis=0)
    weight_PB *= weight_MB.take(model_P, axis=0)
    return np.ascontiguousarray(weight_PB.T, dtype=weight_BN.dtype)


def _weighted(of: _Ranking, weight_P: Weights, weight_Q: Weights, fprs: Sequence[float]) -> Float:
    """AUC and TPRs (S,) of one ranking whose pairs count as often as their weights say."""
    member_weight = np.zeros(len(weight_P) + 1, weight_P.dtype)  # of the k highest members
    np.cumsum(weight_P, dtype=weight_P.dtype, out=member_weight[1:])
    members, nonmembers = int(member_weight[-1]), int(weight_Q.sum(dtype=weight_Q.dtype))
    if not members or not nonmembers:
        return np.full(1 + len(fprs), np.nan)
    above_Q = member_weight.take(of.above_Q)
    beside = member_weight.take(of.reached) - above_Q.take(of.tied)
    # Not `@`, which is slow for integers. Twice the wins, so that ties stay whole.
    doubled = 2 * np.einsum("q,q->", weight_Q, above_Q, dtype=np.int64)
    doubled += np.einsum("q,q->", weight_Q.take(of.tied), beside, dtype=np.int64)
    auc = doubled / (2 * members * nonmembers)
    # The first non-member that is one too many closes the list: members strictly above it
    # are found, those that tie with it are not. Where there is none, all are found.
    allowed = np.array([allowed_false_positives(fpr, nonmembers) for fpr in fprs], weight_Q.dtype)
    closing = _first_beyond(weight_Q, allowed)
    found = [above_Q[q] if q < len(above_Q) else members for q in closing]
    return np.append(auc, np.array(found) / members)


def _first_beyond(weight_Q: Weights, allowed_S: Weights) -> list[int]:
    """Where the sum of the weights so far first exceeds each of some numbers; Q if nowhere."""
    share = max(allowed_S, default=0) / weight_Q.sum(dtype=weight_Q.dtype)
    # Sums beyond the largest number are not needed; nearly always a little more than its share is.
    for size in (int(1.2 * share * len(weight_Q)) + 1, len(weight_Q)):
        sums = np.cumsum(weight_Q[:size], dtype=weight_Q.dtype)
        closing = np.searchsorted(sums, allowed_S, side="right")
        if (closing < len(sums)).all():
            break
    return closing.tolist()
