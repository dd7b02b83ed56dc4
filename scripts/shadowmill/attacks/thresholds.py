"""Attacks on one number of the target's posterior, with a threshold fixed on the shadows.

Song and Mittal (2021), "Systematic evaluation of privacy risks of machine learning models",
arXiv:2003.10595, as the pruning study (Yuan and Zhang 2022, arXiv:2202.03335) and others
run them. Without a threshold per class they need no shadows.

Legend: M shadow models, T targets, N examples, C classes among the targets' examples, P pairs of a
shadow and an example that is a member or a non-member of it.
"""

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from shadowmill.attacks.bank import AMONG_OTHERS, ScoreBank
from shadowmill.attacks.loss import cross_entropy

Statistic = Literal["confidence", "entropy", "modified_entropy", "correctness"]
STATISTICS: tuple[Statistic, ...] = get_args(Statistic)

Float = NDArray[np.float64]


def threshold(shadows: ScoreBank, targets: ScoreBank, statistic: Statistic) -> Float:
    """Score every example by a statistic of the identity query's posterior p, y the true class.

    - ``confidence``: p_y. (The loss attack ranks alike, and does not saturate at 1.)
    - ``entropy``: Σ p log p, minus the entropy.
    - ``modified_entropy``: (1 − p_y) log p_y + Σ_{i≠y} p_i log(1 − p_i), minus the modified
      entropy (Eq. 8).
    - ``correctness``: 1 where the prediction is y, else 0 (the "gap attack").

    Args:
        shadows: not used.
        targets: the statistic of the T targets.
        statistic: One of ``STATISTICS``.

    Returns:
        (T, N) float64, higher = more likely a member.

    Raises:
        ValueError: unknown statistic, or one that the bank does not hold.
    """
    if statistic == "confidence":
        return np.exp(-cross_entropy(targets.phi_MNA))
    if statistic == "correctness":
        return targets["correct"].astype(np.float64)
    if statistic not in STATISTICS:
        raise ValueError(
            f"unknown statistic {statistic!r}, expected one of {', '.join(STATISTICS)}"
        )
    return -targets[statistic].astype(np.float64)


def class_threshold(shadows: ScoreBank, targets: ScoreBank | None, statistic: Statistic) -> Float:
    """Score every example by a statistic, less the threshold of its class.

    The published decision (member if the statistic reaches the threshold) is then score ≥ 0, and
    scores of different classes can be ranked together. See ``class_thresholds``.

    Args:
        shadows: statistic, roles and labels of the M shadows. The examples need not be those of
            the targets.
        targets: statistic and labels of the T targets; None for every shadow in turn, with all
            others but its complement as its shadows.
        statistic: One of ``STATISTICS``; see ``threshold``.

    Returns:
        (T, N) float64, higher = more likely a member.

    Raises:
        ValueError: unknown statistic, one that the bank does not hold, no labels, or shadows
            without members or without non-members.
    """
    asking = shadows if targets is None else targets
    return threshold(shadows, asking, statistic) - class_thresholds(
        threshold(shadows, shadows, statistic),
        shadows,
        asking["labels"],
        in_turn=targets is None,
    )


def class_thresholds(
    value_MN: Float, shadows: ScoreBank, labels_N: NDArray[np.int64], *, in_turn: bool
) -> Float:
    """Find for each example the threshold of its class, fixed on the shadows.

    The threshold t is the value among those of the class's members and non-members, of all
    shadows together, that maximises ½(P[member's value ≥ t] + P[non-member's value < t]); of
    several, the largest, which calls the fewest examples members. A class of which the shadows
    have no members or no non-members gets the threshold of all classes together.

    Args:
        value_MN: (M, N') float64, what the threshold is for, of the shadows.
        shadows: roles and labels that belong to it.
        labels_N: (N,) int64, classes of the examples that want a threshold.
        in_turn: Whether each shadow asks in turn, its pairs and its complement's left out.

    Returns:
        (1, N) float64, or (M, N) if each shadow asks in turn.

    Raises:
        ValueError: the shadows have no members or no non-members at all.
    """
    classes_C, class_N = np.unique(labels_N, return_inverse=True)
    roles = (shadows.member_MN, shadows.nonmember_MN)
    complement_M = shadows.complement_M if in_turn else None
    best_CT = []
    for label in classes_C:
        chosen_N = shadows["labels"] == label
        parts = (part_MN[:, chosen_N] for part_MN in (value_MN, *roles))
        best_CT.append(_best_thresholds(*parts, complement_M))
    best_TC = np.stack(best_CT, axis=1)
    if np.isnan(best_TC).any():
        overall_T = _best_thresholds(value_MN, *roles, complement_M)
        if np.isnan(overall_T).any():
            when = AMONG_OTHERS if in_turn else ""
            raise ValueError(
                f"no threshold can be fixed: the shadows have no members or no non-members{when}, "
                "expected some of both; use more shadows"
            )
        best_TC = np.where(np.isnan(best_TC), overall_T[:, None], best_TC)
    return best_TC[:, class_N]


def _best_thresholds(
    value_MN: Float,
    member_MN: NDArray[np.bool_],
    nonmember_MN: NDArray[np.bool_],
    complement_M: NDArray[np.intp] | None,
) -> Float:
    """Thresholds (1,), or (M,) without each shadow and its complement.

    NaN if members or non-members are missing.
    """
    pair_MN = member_MN | nonmember_MN
    value_P = value_MN[pair_MN]
    order_P = value_P.argsort(kind="stable")
    value_P, member_P = value_P[order_P], member_MN[pair_MN][order_P]
    if complement_M is None:
        return np.array([_best_of_sorted(value_P, member_P)])
    model_P = np.nonzero(pair_MN)[0][order_P]
    best_M = np.empty(len(value_MN))
    for model, complement in enumerate(complement_M):
        if model <= complement:
            kept_P = (model_P != model) & (model_P != complement)
            best_M[[model, complement]] = _best_of_sorted(value_P[kept_P], member_P[kept_P])
    return best_M


def _best_of_sorted(value_P: Float, member_P: NDArray[np.bool_]) -> float:
    """Largest of the ascending values that is best as a threshold."""
    num_members = np.count_nonzero(member_P)
    num_nonmembers = len(member_P) - num_members
    if num_members == 0 or num_nonmembers == 0:
        return np.nan
    # Raising the threshold past a pair loses a member or wins a non-member. Scaled by the product
    # of both counts the gains are integers, so that equally good thresholds compare as equal.
    gain_P = np.where(member_P, -num_nonmembers, num_members)
    gained_P = np.cumsum(gain_P) - gain_P
    starts_P = np.ones(len(value_P), dtype=bool)
    starts_P[1:] = value_P[1:] != value_P[:-1]
    candidates = np.flatnonzero(starts_P)
    gained = gained_P[candidates]
    return value_P[candidates[len(gained) - 1 - gained[::-1].argmax()]]
