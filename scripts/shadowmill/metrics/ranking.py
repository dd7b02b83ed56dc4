"""Metrics of one ranking of examples: AUC, TPR at a low FPR, and thresholds.

An example is called a member where score >= threshold. Examples with equal scores are taken
all or none, and nothing is interpolated, so every rate is one that some threshold attains.

Legend: N examples, V vertices of the ROC curve (one per distinct score, and the origin).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Scores = NDArray[np.floating]
Labels = NDArray[np.bool_]


class OperatingPoint(NamedTuple):
    """A threshold and what it decides; ``inf`` calls no example a member."""

    threshold: float
    true_positives: int
    false_positives: int


def auc(scores: Scores, member: Labels) -> float:
    """Probability that a random member scores above a random non-member, ties counting ½.

    The Mann–Whitney statistic U / (members × non-members), computed by exact counting.

    Args:
        scores: (N,) float, higher = more likely a member.
        member: (N,) bool.

    Returns:
        Value in [0, 1].

    Raises:
        ValueError: see ``roc_curve``.
    """
    require_ranking(scores, member)
    members, nonmembers = np.sort(scores[member]), np.sort(scores[~member])
    # Twice the pairs that a member does not win, an integer: ties are counted once.
    lost = sum(int(members.searchsorted(nonmembers, side).sum()) for side in ("left", "right"))
    pairs = len(members) * len(nonmembers)
    return (2 * pairs - lost) / (2 * pairs)


def roc_curve(scores: Scores, member: Labels) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rates at every distinct threshold, from the strictest to the laxest.

    Args:
        scores: (N,) float, higher = more likely a member.
        member: (N,) bool.

    Returns:
        fpr, tpr: (V,) float64, non-decreasing, from (0, 0) to (1, 1); element i > 0 uses the
        i-th largest distinct score as threshold. Draw as steps.

    Raises:
        ValueError: empty input, shapes that differ, labels that are not bool, NaN scores,
            or members only or non-members only.
    """
    _, tp_V, fp_V = _vertices(scores, member)
    return fp_V / fp_V[-1], tp_V / tp_V[-1]


def operating_point(scores: Scores, member: Labels, fpr: float) -> OperatingPoint:
    """Find the laxest threshold with no more than floor(fpr × non-members) false positives.

    Args:
        scores: (N,) float, higher = more likely a member.
        member: (N,) bool.
        fpr: Allowed false-positive rate, at least 1 / non-members and at most 1.

    Returns:
        Threshold and counts; threshold ``inf`` and no positives if even the highest score
        brings too many false positives.

    Raises:
        ValueError: fpr out of range, and as ``roc_curve``.
    """
    threshold_V, tp_V, fp_V = _vertices(scores, member)
    allowed = allowed_false_positives(fpr, int(fp_V[-1]))
    if allowed < 1 or fpr > 1:
        raise ValueError(
            f"FPR {fpr:g} is {'above 1' if fpr > 1 else f'below 1/{fp_V[-1]}'}, expected "
            f"{1 / fp_V[-1]:.3g} to 1 with {fp_V[-1]} non-members; "
            "ask for an FPR in that range or pool more non-members"
        )
    last = np.searchsorted(fp_V, allowed, side="right") - 1
    return OperatingPoint(float(threshold_V[last]), int(tp_V[last]), int(fp_V[last]))


def tpr_at_fpr(scores: Scores, member: Labels, fpr: float) -> float:
    """True-positive rate at the operating point of a false-positive rate.

    Args:
        scores: (N,) float, higher = more likely a member.
        member: (N,) bool.
        fpr: Allowed false-positive rate, at least 1 / non-members and at most 1.

    Returns:
        Value in [0, 1]; the largest that is attained, nothing is interpolated.

    Raises:
        ValueError: as ``operating_point``.
    """
    return operating_point(scores, member, fpr).true_positives / int(np.sum(member))


def allowed_false_positives(fpr: ArrayLike, nonmembers: ArrayLike) -> NDArray[np.int64]:
    """Count the false positives that a rate allows: floor(fpr × non-members).

    Args:
        fpr: False-positive rate, or an array of rates.
        nonmembers: Number of non-members, or an array of numbers.

    Returns:
        The number, or an array of numbers; the tiny term keeps 0.29 × 100, which is 28.999…96 in
        floating point, at 29.
    """
    return np.floor(np.multiply(fpr, nonmembers) + 1e-9).astype(np.int64)


def best_threshold(scores: Scores, member: Labels) -> float:
    """Threshold of the largest balanced accuracy; the strictest of equals.

    To be fixed on shadow models and then given to ``confusion`` for a target.

    Args:
        scores: (N,) float, higher = more likely a member.
        member: (N,) bool.

    Returns:
        One of the scores, or ``inf`` where no score does better than chance.

    Raises:
        ValueError: see ``roc_curve``.
    """
    threshold_V, tp_V, fp_V = _vertices(scores, member)
    # In integers, so that equals are equal: TPR − FPR times members × non-members.
    gain_V = tp_V * fp_V[-1] - fp_V * tp_V[-1]
    return float(threshold_V[gain_V.argmax()])


def balanced_accuracy_oracle(scores: Scores, member: Labels) -> float:
    """Largest balanced accuracy over all thresholds.

    An oracle: no attacker knows this threshold, it is chosen on the labels it is judged by.

    Args:
        scores: (N,) float, higher = more likely a member.
        member: (N,) bool.

    Returns:
        Value in [½, 1].

    Raises:
        ValueError: see ``roc_curve``.
    """
    _, tp_V, fp_V = _vertices(scores, member)
    gain_V = tp_V * fp_V[-1] - fp_V * tp_V[-1]
    return float((1 + gain_V.max() / (tp_V[-1] * fp_V[-1])) / 2)


def _vertices(
    scores: Scores, member: Labels
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Thresholds, true and false positives at the end of every block of equal scores."""
    require_ranking(scores, member)
    order_N = np.argsort(-scores)
    sorted_N = scores[order_N]
    end_V = np.append(np.flatnonzero(sorted_N[1:] != sorted_N[:-1]), len(sorted_N) - 1)
    tp_V = np.cumsum(member[order_N])[end_V]
    fp_V = end_V + 1 - tp_V
    return np.append(np.inf, sorted_N[end_V]), np.append(0, tp_V), np.append(0, fp_V)


def require_ranking(scores: Scores, member: Labels) -> None:
    """Refuse what is no ranking of members and non-members.

    Args:
        scores: (N,) float, higher = more likely a member.
        member: (N,) bool.

    Raises:
        ValueError: see ``roc_curve``.
    """
    if scores.ndim != 1 or scores.shape != member.shape or len(scores) == 0:
        raise ValueError(
            f"scores have shape {scores.shape} and labels {member.shape}, expected the same "
            "non-empty one-dimensional shape; select the same examples for both"
        )
    if member.dtype != np.bool_:
        raise ValueError(
            f"labels have type {member.dtype}, expected bool; "
            "compare the role matrix with the wanted role and leave unused examples out"
        )
    if np.isnan(scores).any():
        raise ValueError(
            f"score {np.isnan(scores).argmax()} of {len(scores)} is NaN, expected a number; "
            "rerun the attack"
        )
    members = int(member.sum())
    if members in (0, len(member)):
        raise ValueError(
            f"found {members} members and {len(member) - members} non-members, expected at least "
            "one of each; evaluate on examples with both labels"
        )
