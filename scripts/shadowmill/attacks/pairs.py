"""Who of two examples was a member: guesses whose coins are fair, for audits of privacy.

Members are a half of fixed size, so the roles of single examples are not independent. Of examples
drawn into pairs, those pairs count that hold one member: given which pairs these are, which of the
two it is was decided by independent fair coins. To turn a coin replaces one example by another.

Legend: M shadows, T targets, N examples, P pairs.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shadowmill.attacks.bank import ScoreBank
from shadowmill.attacks.lira import lira, required_shadows
from shadowmill.seeds import generator

MODE = "bayes_t"
"""Of LiRA: the strongest with few shadows. Chosen beforehand, as the guesses would not be fair if
the best of several attacks were taken afterwards."""

GUESSES = 20
"""Pairs of each model that are guessed, those with the largest difference of scores. Chosen
beforehand, for the same reason."""


class Tally(NamedTuple):
    """What was guessed of independent trainings.

    Attributes:
        runs: Number of audited models.
        coins: Pairs with one member, of all models.
        guesses: Those that were guessed.
        right: Those that were guessed right.
    """

    runs: int
    coins: int
    guesses: int
    right: int


def audit(targets: ScoreBank, shadows: ScoreBank, *, own: bool) -> Tally:
    """Guess the members of models by shadows that are not audited themselves.

    Pairs, mode and number of guesses do not depend on the audited models, and no role of these is
    looked at before the guesses are counted.

    Args:
        targets: Scores of the T targets.
        shadows: Scores of the M shadows.
        own: Whether the shadows were trained as the targets were. Then half of them serve as
            references, and of each complementary pair of the others the first is audited too: the
            roles of its complement follow from its own. If half are too few, all are references.

    Returns:
        The tally of all audited models.

    Raises:
        ValueError: as ``lira``.
    """
    groups = shadows.left_out_together
    half = len(groups) // 2 if own else 0
    references = shadows.select(np.concatenate(groups[half:]))
    if not _suffice(references):
        half, references = 0, shadows
    # An example that the complement validates on would count in one of its two roles only.
    fair_MN = shadows.nonmember_MN | shadows.nonmember_MN[shadows.complement_M]
    audited = [group[0] for group in groups[:half]]
    banks = [(targets, np.ones_like(targets.member_MN))]
    if audited:
        banks.append((shadows.select(audited), fair_MN[audited]))
    pairs_P2 = draw_pairs(targets.member_MN.shape[1])
    total = np.zeros(4, dtype=np.int64)
    for bank, fair_MN in banks:
        roles = bank.member_MN & fair_MN, bank.nonmember_MN & fair_MN
        for each in zip(lira(references, bank, MODE), *roles, strict=True):
            total += 1, *guess(*each, pairs_P2)
    return Tally(*total.tolist())


def _suffice(references: ScoreBank) -> bool:
    """Whether shadows can attack: of few pairs all may validate on an example."""
    sides = (references.member_MN, references.nonmember_MN)
    return len(references.names) >= required_shadows(MODE) and all(
        side_MN.any(axis=0).all() for side_MN in sides
    )


def draw_pairs(num_examples: int) -> NDArray[np.intp]:
    """Draw the examples into pairs, (P, 2); of an odd number one is left over."""
    order_N = generator("audit pairs", num_examples).permutation(num_examples)
    return order_N[: num_examples // 2 * 2].reshape(-1, 2)


def guess(
    score_N: NDArray[np.float64],
    member_N: NDArray[np.bool_],
    nonmember_N: NDArray[np.bool_],
    pairs_P2: NDArray[np.intp],
) -> tuple[int, int, int]:
    """Guess that of two examples the one with the higher score is the member.

    Args:
        score_N: (N,) float64, of one model.
        member_N: (N,) bool.
        nonmember_N: (N,) bool; examples that are neither take no part.
        pairs_P2: (P, 2) int, drawn without looking at this model.

    Returns:
        Numbers of pairs with one member, of guesses, and of right ones. Equal scores are guessed
        to be wrong, which is no help to whoever claims too little privacy.
    """
    first_P, second_P = pairs_P2.T
    mixed_P = (member_N[first_P] & nonmember_N[second_P]) | (
        nonmember_N[first_P] & member_N[second_P]
    )
    first_P, second_P = first_P[mixed_P], second_P[mixed_P]
    difference_P = score_N[first_P] - score_N[second_P]
    guessed_P = np.argsort(-np.abs(difference_P), kind="stable")[:GUESSES]
    right_P = np.where(member_N[first_P], difference_P > 0, difference_P < 0)[guessed_P]
    return len(difference_P), len(guessed_P), int(right_P.sum())
