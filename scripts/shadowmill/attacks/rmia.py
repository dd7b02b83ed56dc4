"""RMIA, the robust membership-inference attack: likelihood ratios of an example and a population.

Zarifzadeh, Liu and Shokri (2024), "Low-cost high-power membership inference attacks",
arXiv:2312.03262. With the model's probability p_θ of the true class and its mean p̄ over
reference models, here the shadows, ratio(x) = p_θ(x) / p̄(x), and an example's score is the part of
a population Z of non-members that it dominates, P_z[ratio(x) / ratio(z) ≥ γ].

Legend: M shadow models, T targets, N examples of the pool, A queries, Z population.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from shadowmill.attacks.bank import AMONG_OTHERS, ScoreBank
from shadowmill.metrics.ranking import auc
from shadowmill.seeds import generator

Mode = Literal["online", "offline"]
MODES: tuple[Mode, ...] = ("online", "offline")

A_GRID = np.arange(11) / 10
"""The values of a that are tried."""

LOG_P_FLOOR = -690.0
"""Smallest log p, in nats: exp of it is still a normal number, so no mean of p is zero."""

# Pairs of a stand-in and an example: the mean AUC is then sure to about 0.005.
_TUNING_PAIRS = 2**14

Float = NDArray[np.float64]
Average = Callable[[Float, NDArray[np.bool_]], Float]


def rmia(shadows: ScoreBank, targets: ScoreBank | None, mode: Mode = "online") -> Float:
    """Score every example for membership in every target, or in every shadow by the others.

    - ``online``: p̄ = ½ (p̄_in + p̄_out), the mean over IN and OUT shadows of the example; of
      unequal numbers each side still counts half, or else the count of a left-out shadow's side
      would give away its role.
    - ``offline``: p̄ = ½ [(1 + a) p̄_out + (1 − a)], from OUT shadows alone, where p̄_in is taken
      to be a p̄_out + 1 − a.

    Every z is OUT for all shadows that count, so p̄(z) is the latter in both modes. Z is the
    bank's population. Without one, a quarter of each target's non-members is, which is then not
    evaluated: see `held_out_nonmembers`.

    a is the value of ``A_GRID`` with the highest mean AUC of the offline log ratio over shadows as
    stand-ins for the target, each with the others as its references; on the identity query and,
    of a large pool, on some examples drawn at random. The target takes no part in it.

    γ and the temperature of the softmax are 1, as in the authors' second version: of one target, γ
    changes no order.

    An example's log ratio is the mean over queries (the paper takes a majority vote), a z's that
    of the queries there are: the identity for a population, all of them for held-out
    non-members. The published code smooths p further; this is the plain softmax.

    For one target the part of Z that is dominated is a step function of ratio(x) with Z + 1 values,
    so most examples tie where it matters, at low false-positive rates. Hence the
    score is (z dominated + sigmoid(log ratio)) / (Z + 1): the number orders first, then the ratio,
    down to the precision of float64.

    Args:
        shadows: Scores and roles of the M shadows.
        targets: Scores of the T targets, of the same examples, queries and population; None for
            every shadow in turn, also in the choice of a. The means over the others then come from
            running sums, in O(MNA).
        mode: One of ``MODES``.

    Returns:
        (T, N) float64 in [0, 1], higher = more likely a member; NaN where not evaluated.

    Raises:
        ValueError: unknown mode, targets that do not fit the shadows, too few shadows, or none of
            the non-members of a target to hold out.
    """
    if mode not in MODES:
        raise ValueError(f"unknown RMIA mode {mode!r}, expected one of {', '.join(MODES)}")
    _check_sides(shadows, mode, in_turn=targets is None)
    if targets is not None:
        _check_fit(shadows, targets)
        a_T1 = np.full((len(targets.names), 1), _tuned_a(shadows))
        return _scores(shadows, targets, a_T1, mode, _mean)
    a_M1 = np.empty((len(shadows.names), 1))
    groups = shadows.left_out_together
    for group in groups:
        a_M1[group] = _tuned_a(shadows.without(group))
    average = partial(_mean_of_others, groups=groups)
    return _scores(shadows, shadows, a_M1, mode, average)


def count_dominated(log_ratio_N: Float, log_ratio_Z: Float) -> NDArray[np.int64]:
    """Count the z that each x dominates, ratio(x) ≥ ratio(z), by search in sorted order.

    O((N + Z) log Z) and no N × Z matrix.

    Args:
        log_ratio_N: (N,) float64, nats.
        log_ratio_Z: (Z,) float64, nats.

    Returns:
        (N,) int64, 0 to Z.
    """
    return np.searchsorted(np.sort(log_ratio_Z), log_ratio_N, side="right")


def held_out_nonmembers(bank: ScoreBank, model: int) -> NDArray[np.intp]:
    """Draw the non-members that stand in for a population where a data set has none.

    A fourth of the model's non-members, drawn by its name alone, so every attack holds out the same
    ones. An attack that learns from them must not be judged by them.

    Args:
        bank: Roles and names.
        model: Index of the model in the bank.

    Returns:
        Ascending indices of the examples.

    Raises:
        ValueError: the model has fewer than four non-members.
    """
    nonmembers = np.flatnonzero(bank.nonmember_MN[model])
    name = bank.names[model]
    if len(nonmembers) < 4:
        raise ValueError(
            f"{name} has {len(nonmembers)} non-members, expected at least 4 to hold out one in "
            "four; use a larger pool, or a data set with an official test set"
        )
    chosen = generator("population", name).permutation(nonmembers)[: len(nonmembers) // 4]
    return np.sort(chosen)


def _scores(
    shadows: ScoreBank,
    targets: ScoreBank,
    a_T1: Float,
    mode: Mode,
    average: Average,
) -> Float:
    """Scores (T, N); `average` is over all shadows, or for each over the others."""
    from scipy.special import expit  # takes longer to import than planning a workflow may

    ratio_TN, ratio_pool_TN = _log_ratios(shadows, targets, a_T1, mode, average)
    ratio_TZ = None
    if "population_phi" in shadows:
        log_p_MZ = _log_p(shadows["population_phi"])
        out_Z = average(np.exp(log_p_MZ), np.ones(log_p_MZ.shape, dtype=bool))
        ratio_TZ = _log_p(targets["population_phi"]) - np.log(_offline(out_Z, a_T1))
    score_TN = np.empty_like(ratio_TN)
    for target, ratio_N in enumerate(ratio_TN):
        if ratio_TZ is None:
            held_out = held_out_nonmembers(targets, target)
            ratio_Z = ratio_pool_TN[target, held_out]
        else:
            held_out = np.empty(0, dtype=np.intp)
            ratio_Z = ratio_TZ[target]
        count_N = count_dominated(ratio_N, ratio_Z)
        score_TN[target] = (count_N + expit(ratio_N)) / (len(ratio_Z) + 1)
        score_TN[target, held_out] = np.nan
    return score_TN


def _log_ratios(
    shadows: ScoreBank,
    targets: ScoreBank,
    a_T1: Float,
    mode: Mode,
    average: Average,
) -> tuple[Float, Float]:
    """Mean log ratios (T, N) over queries, of the pool as x and, by the offline p̄, as z."""
    total_x = total_z = np.float64(0)
    num_queries = shadows.phi_MNA.shape[2]
    for query in range(num_queries):
        p_MN = np.exp(_log_p(shadows.phi_MNA[:, :, query]))
        log_p_TN = _log_p(targets.phi_MNA[:, :, query])
        out_TN = average(p_MN, shadows.nonmember_MN)
        ratio_TN = log_p_TN - np.log(_offline(out_TN, a_T1))
        total_z = total_z + ratio_TN
        if mode == "online":
            ratio_TN = log_p_TN - np.log((average(p_MN, shadows.member_MN) + out_TN) / 2)
        total_x = total_x + ratio_TN
    return total_x / num_queries, total_z / num_queries


def _offline(out: Float, a: Float | float) -> Float:
    """p̄ from the mean over OUT references."""
    return ((1 + a) * out + (1 - a)) / 2


def _log_p(phi: NDArray[np.floating]) -> Float:
    # p = 1 / (1 + exp(−φ)); its logarithm keeps the order of p that round to 1.
    return np.maximum(-np.logaddexp(0, -phi.astype(np.float64)), LOG_P_FLOOR)


def _mean(p_MN: Float, side_MN: NDArray[np.bool_]) -> Float:
    """Mean (1, N) over the shadows of a side."""
    return (p_MN.sum(axis=0, where=side_MN) / side_MN.sum(axis=0))[None]


def _mean_of_others(
    p_MN: Float, side_MN: NDArray[np.bool_], groups: Sequence[NDArray[np.intp]]
) -> Float:
    """Mean (M, N) over a side without each group of shadows; NaN if none is left.

    From sums over the groups before and after it: to subtract its own p from the sum over all would
    leave rounding errors where the others' p are small.
    """
    sum_GN = np.stack([p_MN[group].sum(axis=0, where=side_MN[group]) for group in groups])
    count_GN = np.stack([side_MN[group].sum(axis=0) for group in groups])
    others_GN = np.zeros_like(sum_GN)
    others_GN[1:] = np.cumsum(sum_GN[:-1], axis=0)
    others_GN[:-1] += np.cumsum(sum_GN[:0:-1], axis=0)[::-1]
    with np.errstate(invalid="ignore"):
        others_GN /= side_MN.sum(axis=0) - count_GN
    mean_MN = np.empty_like(p_MN)
    for group, others_N in zip(groups, others_GN, strict=True):
        mean_MN[group] = others_N
    return mean_MN


def _tuned_a(shadows: ScoreBank) -> float:
    """Value of the grid with the highest mean AUC over shadows as stand-ins for the target."""
    log_p_MN = _log_p(shadows.phi_MNA[:, :, 0])
    num_examples = log_p_MN.shape[1]
    member_MN, nonmember_MN = shadows.member_MN, shadows.nonmember_MN
    num_drawn = -(-_TUNING_PAIRS // len(log_p_MN))
    if num_examples > num_drawn:
        draw = generator("rmia", num_examples).choice(num_examples, num_drawn, replace=False)
        log_p_MN, member_MN, nonmember_MN = (
            array_MN[:, draw] for array_MN in (log_p_MN, member_MN, nonmember_MN)
        )
    out_MN = _mean_of_others(np.exp(log_p_MN), nonmember_MN, shadows.left_out_together)
    usable_MN = (member_MN | nonmember_MN) & np.isfinite(out_MN)
    total_G = np.zeros(len(A_GRID))
    stand_ins = 0
    for log_p_N, out_N, member_N, usable_N in zip(
        log_p_MN, out_MN, member_MN, usable_MN, strict=True
    ):
        is_member = member_N[usable_N]
        if is_member.all() or not is_member.any():
            continue
        stand_ins += 1
        total_G += [
            auc(log_p_N[usable_N] - np.log(_offline(out_N[usable_N], a)), is_member) for a in A_GRID
        ]
    if stand_ins == 0:
        raise ValueError(
            f"{len(shadows.names)} shadows are too few to choose RMIA's a: none has both members "
            "and non-members that another shadow holds out; use at least 4 shadows in "
            "complementary pairs"
        )
    return float(A_GRID[total_G.argmax()])


def _check_fit(shadows: ScoreBank, targets: ScoreBank) -> None:
    found, expected = targets.phi_MNA.shape[1:], shadows.phi_MNA.shape[1:]
    if found != expected:
        raise ValueError(
            f"phi_MNA of the targets has shape {found} per model, expected {expected} (examples, "
            "queries) like that of the shadows; select the same examples and queries for both"
        )
    sizes = [
        bank["population_phi"].shape[1] if "population_phi" in bank else None
        for bank in (targets, shadows)
    ]
    if sizes[0] != sizes[1]:
        raise ValueError(
            f"the population of the targets has {sizes[0]} examples, that of the shadows "
            f"{sizes[1]}, expected the same; score both on the same data set"
        )


def _check_sides(shadows: ScoreBank, mode: Mode, *, in_turn: bool) -> None:
    sides = {"OUT": shadows.nonmember_MN}
    if mode == "online":
        sides["IN"] = shadows.member_MN
    for side, side_MN in sides.items():
        left_N = side_MN.sum(axis=0) - (1 if in_turn else 0)
        worst = int(left_N.argmin())
        if left_N[worst] < 1:
            when = AMONG_OTHERS if in_turn else ""
            raise ValueError(
                f"RMIA mode {mode!r} found {max(0, left_N[worst])} {side} shadows for example "
                f"{worst}{when}, expected at least 1 for every example; use at least 4 shadows in "
                "complementary pairs, or only examples that enough shadows hold"
            )
