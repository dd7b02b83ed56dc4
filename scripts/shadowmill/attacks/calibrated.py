"""Attacks that hold the target's loss against those of reference models or of other examples.

References are the shadows; OUT ones have never seen the example. The loss ℓ is the
cross-entropy of the identity query. Where None stands for the targets, every shadow is one in turn,
with all others but its complement as its shadows.

Legend: M shadow models, T targets, N examples, Z population examples.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from shadowmill.attacks.bank import (
    ScoreBank,
    require_same_examples,
    require_shadows_of_each_example,
)
from shadowmill.attacks.loss import cross_entropy
from shadowmill.attacks.sides import compare, removal, side_quantile

Float = NDArray[np.float64]
Index = NDArray[np.intp]

LARGEST_LOSS = 1000.0
"""Where the distribution of Attack-R ends, nats; the value of its authors' code."""

_PAIRS_AT_ONCE = 2**18  # of targets and examples: some megabytes

YE_LEVEL = 1e-4
"""The quantile of the OUT losses that the curvature study takes for Ye et al.'s threshold."""


def watson(shadows: ScoreBank, targets: ScoreBank | None) -> Float:
    """Score by the mean OUT loss minus the target's: how much easier than for the others.

    Watson et al. (2022), "On the importance of difficulty calibration in membership inference
    attacks", arXiv:2111.08440, with the loss as the score to calibrate.

    Args:
        shadows: φ and roles of the M shadows.
        targets: φ of the T targets, same examples; None for every shadow in turn.

    Returns:
        (T, N) float64, nats, higher = more likely a member.

    Raises:
        ValueError: targets that do not fit the shadows, or an example without OUT shadow.
    """
    _require(shadows, targets, ("OUT",), "watson")
    return _mean_gap(shadows, shadows.nonmember_MN, targets)


def sablayrolles(shadows: ScoreBank, targets: ScoreBank | None) -> Float:
    """Score by ½(μ_in + μ_out) − ℓ, with μ the mean losses of IN and OUT shadows.

    Sablayrolles et al. (2019), "White-box vs black-box: Bayes optimal strategies for membership
    inference", arXiv:1908.11229: the loss with a threshold per example (MAST).

    Args:
        shadows: φ and roles of the M shadows.
        targets: φ of the T targets, same examples; None for every shadow in turn.

    Returns:
        (T, N) float64, nats, higher = more likely a member.

    Raises:
        ValueError: targets that do not fit the shadows, or an example without IN or OUT shadow.
    """
    _require(shadows, targets, ("IN", "OUT"), "sablayrolles")
    gap_in_TN = _mean_gap(shadows, shadows.member_MN, targets)
    return (gap_in_TN + _mean_gap(shadows, shadows.nonmember_MN, targets)) / 2


def attack_r(shadows: ScoreBank, targets: ScoreBank | None) -> Float:
    """Score by the fraction of OUT shadows with a larger loss on the example, interpolated.

    Ye et al. (2022), "Enhanced membership inference attacks against machine learning models",
    arXiv:2111.09679. n shadows give n + 1 levels, so, as in the authors' code, their sorted
    losses with 0 in front and ``LARGEST_LOSS`` behind are joined linearly: the k-th of them is
    at k / (n + 1). The score is one minus the height of that curve at ℓ, in the middle where
    shadows that agree make it jump; larger losses count as ``LARGEST_LOSS``.

    Args:
        shadows: φ and roles of the M shadows.
        targets: φ of the T targets, same examples; None for every shadow in turn.

    Returns:
        (T, N) float64 between 0 and 1, higher = more likely a member.

    Raises:
        ValueError: targets that do not fit the shadows, or an example without OUT shadow.
    """
    _require(shadows, targets, ("OUT",), "attack_r")
    shadow_loss_MN = np.minimum(cross_entropy(shadows.phi_MNA), LARGEST_LOSS)
    if targets is None:
        asking_TN = shadow_loss_MN
        removed = removal(shadows.nonmember_MN, shadows.complement_M)
        lost_TN = np.where(removed.gone_MN, removed.of(shadow_loss_MN[None])[0], np.inf)
    else:
        asking_TN = np.minimum(cross_entropy(targets.phi_MNA), LARGEST_LOSS)
        lost_TN = np.full(asking_TN.shape, np.inf)
    ends_MN = np.where(shadows.nonmember_MN, shadow_loss_MN, np.inf)
    knots_KN = np.sort(
        np.pad(ends_MN, ((1, 1), (0, 0)), constant_values=((0, LARGEST_LOSS), (0, 0))), axis=0
    )
    score_TN = np.empty(asking_TN.shape)
    step = max(1, _PAIRS_AT_ONCE // len(asking_TN))
    for start in range(0, asking_TN.shape[1], step):
        some = np.s_[:, start : start + step]
        score_TN[some] = 1 - _height(knots_KN[some], asking_TN[some], lost_TN[some])
    return score_TN


def ye_percentile(shadows: ScoreBank, targets: ScoreBank | None) -> Float:
    """Score by the ``YE_LEVEL`` quantile of the OUT losses minus the target's.

    What Ravikumar et al. (2024), "Curvature clues", arXiv:2407.02747, evaluate as Ye et al.'s
    attack. With fewer than 10,000 shadows the quantile is next to the smallest OUT loss.

    Args:
        shadows: φ and roles of the M shadows.
        targets: φ of the T targets, same examples; None for every shadow in turn.

    Returns:
        (T, N) float64, nats, higher = more likely a member.

    Raises:
        ValueError: targets that do not fit the shadows, or an example without OUT shadow.
    """
    _require(shadows, targets, ("OUT",), "ye_percentile")
    shadow_loss_MN = cross_entropy(shadows.phi_MNA)
    out_MN = shadows.nonmember_MN
    removed = removal(out_MN, shadows.complement_M) if targets is None else None
    quantile_1TN = side_quantile(shadow_loss_MN[None], out_MN, YE_LEVEL, removed)
    asking_TN = shadow_loss_MN if targets is None else cross_entropy(targets.phi_MNA)
    return quantile_1TN[0] - asking_TN


def attack_p(shadows: ScoreBank, targets: ScoreBank) -> Float:
    """Score by the fraction of population examples with a larger loss in the same target.

    Ye et al. (2022), arXiv:2111.09679. It ranks the examples of one target as their loss
    does, but the scores of different targets are comparable.

    Args:
        shadows: not used.
        targets: φ of the T targets on the examples and on the population.

    Returns:
        (T, N) float64 between 0 and 1, higher = more likely a member; equal losses count half.

    Raises:
        ValueError: no population.
    """
    score_TN = np.empty(targets.phi_MNA.shape[:2])
    for row, (phi_NA, population_Z) in enumerate(
        zip(targets.phi_MNA, targets["population_phi"], strict=True)
    ):
        # φ orders as the loss does, but keeps apart what the loss rounds to the same number.
        sorted_Z = np.sort(population_Z.astype(np.float64))
        phi_N = phi_NA[:, 0].astype(np.float64)
        below_N, up_to_N = (sorted_Z.searchsorted(phi_N, side) for side in ("left", "right"))
        score_TN[row] = (below_N + up_to_N) / (2 * len(sorted_Z))
    return score_TN


def _require(
    shadows: ScoreBank, targets: ScoreBank | None, sides: tuple[str, ...], attack: str
) -> None:
    side_MN = {"IN": shadows.member_MN, "OUT": shadows.nonmember_MN}
    require_shadows_of_each_example(
        {side: side_MN[side] for side in sides},
        1,
        f"attack {attack!r}",
        in_turn=targets is None,
    )
    if targets is not None:
        require_same_examples(shadows, targets)


def _mean_gap(shadows: ScoreBank, side_MN: NDArray[np.bool_], targets: ScoreBank | None) -> Float:
    """Mean loss of a side minus the loss of the given targets, or of every shadow in turn."""
    value_1MN = cross_entropy(shadows.phi_MNA)[None]
    asking_1TN = None if targets is None else cross_entropy(targets.phi_MNA)[None]
    return -compare(value_1MN, side_MN, asking_1TN, shadows.complement_M).deviation_ATN[0]


def _height(knots_KN: Float, loss_TN: Float, lost_TN: Float) -> Float:
    """Height at some losses of the line through (knot k, k / last k) of each example.

    Args:
        knots_KN: rising, then perhaps infinity, which is no knot.
        loss_TN: where.
        lost_TN: the knot that is taken out first; infinity for none.
    """

    def count(is_lower: Callable[[Float, Float], NDArray[np.bool_]], of_TN: Float) -> Index:
        total_TN = np.zeros(of_TN.shape, np.intp)
        for knot_N in knots_KN:
            total_TN += is_lower(knot_N, of_TN)
        return total_TN

    def knot(index_TN: Index) -> Float:
        return np.take_along_axis(knots_KN, index_TN + (index_TN >= rank_TN), axis=0)

    below_TN = count(np.less, loss_TN) - (lost_TN < loss_TN)
    above_TN = count(np.less_equal, loss_TN) - (lost_TN <= loss_TN)
    rank_TN = count(np.less, lost_TN)
    last_TN = np.isfinite(knots_KN).sum(axis=0) - 1 - np.isfinite(lost_TN)
    low_TN, high_TN = knot(np.maximum(below_TN - 1, 0)), knot(np.minimum(above_TN, last_TN))
    equal_TN = above_TN - below_TN
    gap_TN = np.where(equal_TN > 0, 1, high_TN - low_TN)
    position_TN = np.where(
        equal_TN > 0,
        below_TN + (equal_TN - 1) / 2,
        below_TN - 1 + (loss_TN - low_TN) / gap_TN,
    )
    return position_TN / last_TN
