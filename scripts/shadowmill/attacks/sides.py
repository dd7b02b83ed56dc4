"""Targets compared with one side of the shadows: those with an example, or those without it.

Legend: M shadow models, T targets, N examples, A queries. Scores are put into the order
(A, T, N) for the computation: the examples are then contiguous, and the masks broadcast.
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shadowmill.attacks.bank import ScoreBank

Location = Literal["mean", "median"]

SIGMA_FLOOR = 1e-6
"""Smallest σ in nats: shadows that agree to the last bit must not give an infinite score."""

_CHUNK_ELEMENTS = 2**17  # float64 values per temporary array: 1 MB, which a core's cache holds

Float = NDArray[np.float64]


class Comparison(NamedTuple):
    """Each target against the shadows of one side, IN or OUT; a shadow against the others.

    Attributes:
        deviation_ATN: (A, T, N) float64, value of the target minus the side's mean or median.
        sum_squares_ATN: (A, T, N) float64, of the side's residuals about its mean; T may be 1,
            for all alike.
        count_TN: (T, N) float64, shadows on the side; T may be 1.
    """

    deviation_ATN: Float
    sum_squares_ATN: Float
    count_TN: Float

    @property
    def variance_ATN(self) -> Float:
        """Of the side's values, the maximum-likelihood estimate (divisor n)."""
        return self.sum_squares_ATN / self.count_TN


class Removal(NamedTuple):
    """What a side loses where each shadow in turn is left out with its complement.

    Attributes:
        complement_M: (M,) of ``ScoreBank``.
        is_own_MN: (M, N) bool, whether the side loses the shadow itself.
        is_complement_MN: (M, N) bool, whether it loses the complement.
    """

    complement_M: NDArray[np.intp]
    is_own_MN: NDArray[np.bool_]
    is_complement_MN: NDArray[np.bool_]

    @property
    def gone_MN(self) -> NDArray[np.bool_]:
        """Whether the side has one shadow less."""
        return self.is_own_MN | self.is_complement_MN

    def of(self, value_AMN: NDArray) -> NDArray:
        """The value (A, M, N) of the shadow that the side loses, anything where it loses none."""
        return np.where(self.is_complement_MN, value_AMN[:, self.complement_M], value_AMN)

    def times(self, value_AMN: Float, factor_MN: Float) -> Float:
        """The same times a factor, alike for a shadow and its complement; 0 if none is lost."""
        product_AMN = value_AMN * (self.is_own_MN * factor_MN)
        others_AMN = product_AMN.take(self.complement_M, axis=1)
        others_AMN[:, self.complement_M == np.arange(len(self.complement_M))] = 0
        others_AMN += product_AMN
        return others_AMN


def removal(side_MN: NDArray[np.bool_], complement_M: NDArray[np.intp]) -> Removal:
    """Say which shadow a side of each example loses with a shadow and its complement.

    Args:
        side_MN: (M, N) bool, which shadows make up the side.
        complement_M: (M,) of ``ScoreBank``: never is a shadow on a side with its complement.
    """
    return Removal(complement_M, side_MN, side_MN[complement_M] & ~side_MN)


def compare(
    value_AMN: Float,
    side_MN: NDArray[np.bool_],
    asking_ATN: Float | None,
    complement_M: NDArray[np.intp],
    location: Location = "mean",
) -> Comparison:
    """Compare the given targets, or every shadow in turn, with one side of the shadows.

    All shadows in turn come from one set of sums: with r = value − mean over the n shadows of the
    side, leaving one of them out moves the mean by −r/(n−1) and takes r²·n/(n−1) from the sum of
    squares: O(MNA), not O(M²NA).

    Args:
        value_AMN: (A, M, N) float64, φ or another statistic of the shadows.
        side_MN: (M, N) bool, which shadows make up the side; at least one for each example, or
            two if one is left out.
        asking_ATN: (A, T, N) float64, the same of the targets; None for every shadow in turn, left
            out with its complement.
        complement_M: (M,) of ``ScoreBank``.
        location: What the targets deviate from.

    Returns:
        The comparison; T = M if every shadow asks in turn.
    """
    weight_MN = side_MN.astype(np.float64)
    count_N = weight_MN.sum(axis=0)
    mean_A1N = np.einsum("mn,amn->an", weight_MN, value_AMN)[:, None] / count_N
    residual_AMN = value_AMN - mean_A1N
    square_AMN = residual_AMN * residual_AMN
    total_A1N = np.einsum("mn,amn->an", weight_MN, square_AMN)[:, None]
    removed = None if asking_ATN is not None else removal(side_MN, complement_M)
    if removed is None:
        left_TN = count_N[None]
        deviation_ATN = asking_ATN - mean_A1N
        sum_squares_ATN = total_A1N
    else:
        asking_ATN = value_AMN
        left_TN = count_N - removed.gone_MN
        deviation_ATN = removed.times(residual_AMN, 1 / left_TN)
        deviation_ATN += residual_AMN
        lost_AMN = removed.times(square_AMN, count_N / left_TN)
        sum_squares_ATN = np.subtract(total_A1N, lost_AMN, out=lost_AMN)
        _mend_cancelled(sum_squares_ATN, total_A1N, value_AMN, side_MN, removed)
    if location == "median":
        deviation_ATN = asking_ATN - side_quantile(value_AMN, side_MN, 0.5, removed)
    return Comparison(deviation_ATN, sum_squares_ATN, left_TN)


def side_quantile(
    value_AMN: Float, side_MN: NDArray[np.bool_], quantile: float, removed: Removal | None
) -> Float:
    """Quantile of some models' values, per example, with linear interpolation.

    Without a model it is read from the sorted values, its rank skipped.

    ``numpy.quantile`` over ``value_AMN[:, side_MN[:, n], n]``, for every example n at once.

    Args:
        value_AMN: (A, M, N) float64.
        side_MN: (M, N) bool, which models count for an example; at least one for each, or two
            if one is left out.
        quantile: Between 0 and 1; 0.5 is the median.
        removed: What is left out where each model asks in turn; None if none does.

    Returns:
        (A, 1, N) float64, or (A, M, N) if each model asks in turn.
    """
    outside_last_AMN = np.where(side_MN, value_AMN, np.inf)
    order_AMN = outside_last_AMN.argsort(axis=1)
    sorted_AMN = np.take_along_axis(outside_last_AMN, order_AMN, axis=1)
    left_TN = side_MN.sum(axis=0, keepdims=True)
    skipped_ATN = np.full((1, 1, 1), len(side_MN))
    if removed is not None:
        # Models that do not count rank behind those that do, so that skipping them does nothing.
        left_TN = left_TN - removed.gone_MN
        rank_AMN = np.empty_like(order_AMN)
        ranks_1M1 = np.arange(len(side_MN))[None, :, None]
        np.put_along_axis(rank_AMN, order_AMN, ranks_1M1, axis=1)
        skipped_ATN = removed.of(rank_AMN)
    position_TN = quantile * (left_TN - 1)
    below_TN = position_TN.astype(np.intp)
    low_ATN, high_ATN = (
        np.take_along_axis(sorted_AMN, rank_TN + (rank_TN >= skipped_ATN), axis=1)
        for rank_TN in (below_TN, np.minimum(below_TN + 1, left_TN - 1))
    )
    return low_ATN + (position_TN - below_TN) * (high_ATN - low_ATN)


def pooled_normal(
    value_MN: NDArray[np.floating],
    side_MN: NDArray[np.bool_],
    complement_M: NDArray[np.intp] | None,
) -> tuple[Float, Float]:
    """Mean and variance (divisor n) of the values of all (model, example) pairs of a side.

    Each model's own moments are combined, which loses no digits to cancellation when some
    of them are left out.

    Args:
        value_MN: (M, N) or (M, N, A) float; all queries of a pair are pooled too.
        side_MN: (M, N) bool, the pairs that count.
        complement_M: (M,) of ``ScoreBank`` if each model asks in turn, left out with its
            complement; None if all pairs count.

    Returns:
        Means and variances, both (1,) float64, or (M,) if each model asks in turn; NaN where no
        pair is left. The variance is floored at ``SIGMA_FLOOR`` squared.
    """
    num_models = len(side_MN)
    count_M, mean_M, sum_squares_M = np.zeros((3, num_models))
    for model, own_N in enumerate(side_MN):
        values = value_MN[model][own_N].astype(np.float64)
        if values.size:
            count_M[model] = values.size
            mean_M[model] = values.mean()
            sum_squares_M[model] = ((values - mean_M[model]) ** 2).sum()
    kept_TM = np.ones((1, num_models))
    if complement_M is not None:
        kept_TM = 1 - (np.eye(num_models) + np.eye(num_models)[complement_M] > 0)
    weight_TM = kept_TM * count_M
    count_T = weight_TM.sum(axis=1)
    with np.errstate(invalid="ignore"):
        mean_T = weight_TM @ mean_M / count_T
        between_T = (weight_TM * (mean_M - mean_T[:, None]) ** 2).sum(axis=1)
        variance_T = (kept_TM @ sum_squares_M + between_T) / count_T
    return mean_T, np.maximum(variance_T, SIGMA_FLOOR**2)


def log_ratio(term_in: tuple[Float, Float], term_out: tuple[Float, Float]) -> Float:
    """Log ratio of two normal densities, each given as deviation from its mean and variance."""
    (dev_in, var_in), (dev_out, var_out) = term_in, term_out
    return 0.5 * (np.log(var_out / var_in) + dev_out**2 / var_out - dev_in**2 / var_in)


def chunks(bank: ScoreBank) -> Iterator[slice]:
    """Ranges of examples so short that a statistic of all models stays in a core's cache."""
    num_models, num_examples, num_queries = bank.phi_MNA.shape
    step = max(1, _CHUNK_ELEMENTS // (num_models * num_queries))
    for start in range(0, num_examples, step):
        yield slice(start, start + step)


def queries_first(value_MNA: NDArray[np.floating], chunk: slice) -> Float:
    """Some examples of a statistic in the order that ``compare`` takes, (A, M, N) float64."""
    return value_MNA[:, chunk].transpose(2, 0, 1).astype(np.float64, order="C")


def _mend_cancelled(
    sum_squares_AMN: Float,
    total_A1N: Float,
    value_AMN: Float,
    side_MN: NDArray[np.bool_],
    removed: Removal,
) -> None:
    """Recompute, in place, the few sums that lost digits because one shadow made most of them.

    With many shadows next to none; with two left of three, one in twenty.
    """
    lost_AMN = removed.gone_MN & (sum_squares_AMN < 0.01 * total_A1N)
    query_K, model_K, example_K = np.nonzero(lost_AMN)
    value_KM = value_AMN[query_K, :, example_K]
    weight_KM = side_MN.T[example_K].astype(np.float64)
    is_complement_K = removed.is_complement_MN[model_K, example_K]
    lost_K = np.where(is_complement_K, removed.complement_M[model_K], model_K)
    weight_KM[np.arange(len(model_K)), lost_K] = 0
    mean_K1 = (weight_KM * value_KM).sum(axis=1, keepdims=True) / weight_KM.sum(
        axis=1, keepdims=True
    )
    sum_squares_AMN[query_K, model_K, example_K] = (weight_KM * (value_KM - mean_K1) ** 2).sum(
        axis=1
    )
