"""Statistics of rankings under resampling: sort once, then only count anew.

A resample is a weight for each model and for each example, how often it was drawn. What has to be
sorted does not depend on the weights, so a replicate takes a few passes over integers. Many
replicates are counted in one pass: of small pools, the calls would take longer than the counting.

Legend: M models, N examples, P members and Q non-members of one ranking, S statistics (AUC, then
one TPR per FPR), T cells of a ranking, J measures, R replicates.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from shadowmill.metrics.ranking import allowed_false_positives

Float = NDArray[np.float64]
Index = NDArray[np.intp]
Weights = NDArray[np.integer]

_CELLS = 4096
_WEIGHTS_AT_ONCE = 2**16  # of examples: they and what is counted of them fit a core's cache


class Measure(Protocol):
    """Something that is computed of weighted models and examples."""

    def __call__(self, weight_RM: Weights, weight_RN: Weights) -> Float:
        """Statistics (R, S) of resamples; NaN without members or without non-members."""

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

    def __call__(self, weight_RM: Weights, weight_RN: Weights) -> Float:
        """Statistics (R, S) of resamples."""
        of = self._ranking
        found, false = (
            _summed(weight_RM.take(models, axis=1) * weight_RN.take(examples, axis=1))
            for models, examples in ((of.model_P, of.example_P), (of.model_Q, of.example_Q))
        )
        return _statistics(of, found, false, self._fprs)

    @property
    def defined(self) -> NDArray[np.bool_]:
        """Whether each statistic (S,) is."""
        return _defined(len(self._ranking.example_Q), self._fprs)


class MeanAndPooled:
    """The mean over the models of each one's own AUC and TPRs, and those of all in one ranking.

    The weights of the pairs are summed in the order of each model alone. Of the one ranking the
    sums are then known at any threshold: those over the models. It is cut into ``_CELLS`` cells of
    equal scores or neighbouring ones. TPRs are exact, as the cell with the threshold is looked
    through pair by pair. In the AUC the pairs within a cell count ½, as if they were equal, which
    leaves an error of about 10⁻⁷, and none if there are fewer scores than cells.
    """

    def __init__(
        self,
        scores_MN: Float,
        member_MN: NDArray[np.bool_],
        nonmember_MN: NDArray[np.bool_],
        fprs: Sequence[float],
    ) -> None:
        """Sort the examples of each model, and all pairs; arguments as of `Pooled`."""
        self._rankings = [
            _rank(scores_MN, member_MN, nonmember_MN, [model]) for model in range(len(scores_MN))
        ]
        self._pool = _rank(scores_MN, member_MN, nonmember_MN, range(len(scores_MN)))
        self._fprs = fprs
        used = np.sort(scores_MN[member_MN | nonmember_MN])[::-1]
        ends = np.linspace(0, len(used) - 1, min(_CELLS, len(used))).astype(np.intp)
        falling_T = -np.unique(-used[ends])  # the last score of each cell
        self._reached_MT, self._false_MT = (
            np.stack(
                [
                    np.searchsorted(np.sort(-score_N[role_N]), -falling_T, side="right")
                    for score_N, role_N in zip(scores_MN, role_MN, strict=True)
                ]
            )
            for role_MN in (member_MN, nonmember_MN)
        )
        self._members_T, self._nonmembers_T = (
            np.append(0, counts_MT.sum(axis=0)) for counts_MT in (self._reached_MT, self._false_MT)
        )

    def __call__(self, weight_RM: Weights, weight_RN: Weights) -> Float:
        """Statistics of resamples, (R, 2S): the means, then those of one ranking."""
        resamples = len(weight_RM)
        total_RS = np.zeros((resamples, 1 + len(self._fprs)))
        reached_RT, false_RT = np.zeros((2, resamples, len(self._members_T)), weight_RN.dtype)
        for model, of in enumerate(self._rankings):
            drawn = np.flatnonzero(weight_RM[:, model])
            if not len(drawn):
                continue
            weight_R1, weight_of_drawn_RN = weight_RM[drawn, model, None], weight_RN[drawn]
            found, false = (
                _summed(weight_of_drawn_RN.take(examples, axis=1))
                for examples in (of.example_P, of.example_Q)
            )
            total_RS[drawn] += weight_R1 * _statistics(of, found, false, self._fprs)
            reached_RT[drawn, 1:] += weight_R1 * found.take(self._reached_MT[model], axis=1)
            false_RT[drawn, 1:] += weight_R1 * false.take(self._false_MT[model], axis=1)
        pooled_RS = np.stack([*map(self._of_pool, reached_RT, false_RT, weight_RM, weight_RN)])
        return np.hstack([total_RS / weight_RM.sum(axis=1, keepdims=True), pooled_RS])

    def _of_pool(
        self, reached_T: Weights, false_T: Weights, weight_M: Weights, weight_N: Weights
    ) -> Float:
        """From the weights of members and of non-members up to the end of each cell."""
        of, members, nonmembers = self._pool, int(reached_T[-1]), int(false_T[-1])
        if not members or not nonmembers:
            return np.full(1 + len(self._fprs), np.nan)
        wins = float(np.diff(false_T) @ (reached_T[1:] + reached_T[:-1]).astype(np.float64))
        values = [wins / (2 * members * nonmembers)]
        for fpr in self._fprs:
            allowed = allowed_false_positives(fpr, nonmembers)
            cell = int(np.searchsorted(false_T, allowed, side="right"))
            if cell == len(false_T):
                values.append(1.0)
                continue
            first, end = self._nonmembers_T[cell - 1 : cell + 1]
            weight_Q = weight_M[of.model_Q[first:end]] * weight_N[of.example_Q[first:end]]
            sums = false_T[cell - 1] + np.cumsum(weight_Q, dtype=np.int64)
            closing = first + int(np.searchsorted(sums, allowed, side="right"))
            above = slice(self._members_T[cell - 1], of.above_Q[closing])
            weight_P = weight_M[of.model_P[above]] * weight_N[of.example_P[above]]
            found = reached_T[cell - 1] + weight_P.sum(dtype=np.int64)
            values.append(float(found / members))
        return np.array(values)

    @property
    def defined(self) -> NDArray[np.bool_]:
        """Whether each statistic (2S,) is: of every model, and of the one ranking."""
        fewest = min(len(of.example_Q) for of in self._rankings)
        return np.append(
            _defined(fewest, self._fprs), _defined(len(self._pool.example_Q), self._fprs)
        )


def resample(
    measures: Sequence[Measure],
    shape: tuple[int, int],
    replicates: int,
    seed: int,
    group_N: Index | None = None,
) -> tuple[Float, Float]:
    """Compute statistics of the data, and of resamples of models and of examples.

    A replicate draws as many models and as many examples as there are, with replacement, the same
    ones for all measures.

    Args:
        measures: What to compute, J of them.
        shape: M and N.
        replicates: Number of resamples.
        seed: The same seed draws the same models and examples, whatever the scores.
        group_N: (N,) integer from 0, examples of one group are drawn together: as many groups as
            there are. Each is on its own if not given.

    Returns:
        value_JS: (J, S) float64, NaN where undefined.
        value_RJS: (R, J, S) float64, of the resamples. NaN where undefined, and where a resample
            missed all members or all non-members of a small pool.
    """
    defined_JS = np.array([measure.defined for measure in measures])
    ones = tuple(np.ones(size, dtype=_weight_type(shape, group_N)) for size in shape)
    drawn = itertools.chain([ones], draw_weights(shape, replicates, seed, group_N))
    values = []
    while some := list(itertools.islice(drawn, max(1, _WEIGHTS_AT_ONCE // shape[1]))):
        weights = [np.stack(each) for each in zip(*some, strict=True)]
        values.append(np.stack([measure(*weights) for measure in measures], axis=1))
    value_RJS = np.where(defined_JS, np.concatenate(values), np.nan)
    return value_RJS[0], value_RJS[1:]


def draw_weights(
    shape: tuple[int, int], replicates: int, seed: int, group_N: Index | None = None
) -> Iterator[tuple[Weights, Weights]]:
    """Draw how often each model and each example is in each of the resamples.

    Args:
        shape: M and N.
        replicates: Number of resamples.
        seed: Of the drawing.
        group_N: As of ``resample``.

    Yields:
        weight_M, weight_N: (M,) and (N,) integer. The first has the sum M, the second N unless
        there are groups.
    """
    rng = np.random.default_rng(seed)
    units = shape[1] if group_N is None else int(group_N.max()) + 1
    for _ in range(replicates):
        weight_M, weight_U = (
            np.bincount(rng.integers(size, size=size), minlength=size).astype(
                _weight_type(shape, group_N)
            )
            for size in (shape[0], units)
        )
        yield weight_M, weight_U if group_N is None else weight_U[group_N]


def statistic_names(fprs: Iterable[float]) -> list[str]:
    """Name the statistics of a measure: "auc", and "tpr_at_fpr_0.01" and the like."""
    return ["auc", *(f"tpr_at_fpr_{fpr:g}" for fpr in fprs)]


def _weight_type(shape: tuple[int, int], group_N: Index | None) -> type[np.signedinteger]:
    # The weights of all pairs add up to M × N, if groups are alike. Half the bytes, half the time.
    return np.int32 if shape[0] * shape[1] < 2**31 and group_N is None else np.int64


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


def _summed(weight_RK: Weights) -> Weights:
    """Sums of the first k weights (R, K + 1), for k = 0 and up."""
    sums = np.zeros((len(weight_RK), weight_RK.shape[1] + 1), weight_RK.dtype)
    np.cumsum(weight_RK, axis=1, dtype=weight_RK.dtype, out=sums[:, 1:])
    return sums


def _statistics(of: _Ranking, found: Weights, false: Weights, fprs: Sequence[float]) -> Float:
    """AUC and TPRs (R, S) of one ranking, from sums of the weights of its pairs.

    Args:
        of: the ranking.
        found: (R, P + 1), weight of the k highest members, k from 0 to P.
        false: (R, Q + 1), weight of the k highest non-members, k from 0 to Q.
        fprs: False-positive rates.
    """
    members_R, nonmembers_R = found[:, -1].astype(np.int64), false[:, -1].astype(np.int64)
    above_RQ, weight_RQ = found.take(of.above_Q, axis=1), np.diff(false)
    beside = found.take(of.reached, axis=1) - above_RQ.take(of.tied, axis=1)
    # Twice the wins, so that ties stay whole.
    doubled_R = 2 * np.einsum("rq,rq->r", weight_RQ, above_RQ, dtype=np.int64)
    doubled_R += np.einsum("rq,rq->r", weight_RQ.take(of.tied, axis=1), beside, dtype=np.int64)
    # The first non-member that is one too many closes the list: members strictly above it
    # are found, those that tie with it are not. Where there is none, all are found.
    allowed_FR = allowed_false_positives(np.array(fprs)[:, None], nonmembers_R)
    closing_FR = _first_above(false[:, 1:], allowed_FR)
    above_RQ = np.hstack([above_RQ, found[:, -1:]])
    reached_FR = above_RQ[np.arange(len(found)), closing_FR]
    with np.errstate(invalid="ignore"):  # 0 / 0
        value_SR = np.stack([doubled_R / (2 * members_R * nonmembers_R), *reached_FR / members_R])
    value_SR[:, (members_R == 0) | (nonmembers_R == 0)] = np.nan
    return value_SR.T


def _first_above(rising_RQ: Weights, limit_FR: Weights) -> Index:
    """Where (F, R) each row first exceeds its limits; Q where it does not."""
    resamples, size = rising_RQ.shape
    # One rising sequence of all rows, so that one search finds all.
    apart_R = np.arange(resamples) * (int(rising_RQ.max()) + 1)
    flat = (rising_RQ + apart_R[:, None]).ravel()
    found_FR = np.searchsorted(flat, limit_FR + apart_R, side="right")
    return found_FR - np.arange(resamples) * size
