"""What a threshold fixed elsewhere decides: counts, and the rates made of them.

Legend: N examples.
"""

from dataclasses import dataclass

import numpy as np

from shadowmill.metrics.ranking import Labels, Scores, require_ranking


@dataclass(frozen=True)
class Confusion:
    """Counts of decisions, members being the positives, and metrics of these counts.

    Attributes:
        true_positives: Members called members.
        false_positives: Non-members called members.
        members: Number of members, at least 1.
        nonmembers: Number of non-members, at least 1.
    """

    true_positives: int
    false_positives: int
    members: int
    nonmembers: int

    @property
    def true_negatives(self) -> int:
        """Non-members called non-members."""
        return self.nonmembers - self.false_positives

    @property
    def positives(self) -> int:
        """All examples called members."""
        return self.true_positives + self.false_positives

    @property
    def tpr(self) -> float:
        """Share of the members that are found; also called recall."""
        return self.true_positives / self.members

    @property
    def fpr(self) -> float:
        """Share of the non-members that are called members."""
        return self.false_positives / self.nonmembers

    @property
    def accuracy(self) -> float:
        """Share of all examples that are called right."""
        return (self.true_positives + self.true_negatives) / (self.members + self.nonmembers)

    @property
    def balanced_accuracy(self) -> float:
        """Mean of the true-positive and true-negative rates."""
        return (1 + self.advantage) / 2

    @property
    def advantage(self) -> float:
        """TPR − FPR, in [−1, 1] (Yeom et al. 2018, arXiv:1709.01604, Definition 4)."""
        return self.tpr - self.fpr

    @property
    def precision(self) -> float:
        """Share of members among the examples called members; NaN if none is."""
        return self.true_positives / self.positives if self.positives else np.nan

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 0 if no example is called a member."""
        return 2 * self.true_positives / (self.positives + self.members)

    def ppv(self, prior: float) -> float:
        """Precision in a population with another share of members.

        Jayaraman et al. (2021), "Revisiting membership inference under realistic assumptions",
        arXiv:2005.10881, Section 4.

        Args:
            prior: Share of members, more than 0 and less than 1.

        Returns:
            prior × TPR / (prior × TPR + (1 − prior) × FPR); NaN if no example is called a member.
        """
        return ppv(self.tpr, self.fpr, prior)


def ppv(tpr: float, fpr: float, prior: float) -> float:
    """Share of members among those who are called members; see ``Confusion.ppv``."""
    found, mistaken = prior * tpr, (1 - prior) * fpr
    return found / (found + mistaken) if found + mistaken else np.nan


def confusion(scores: Scores, member: Labels, threshold: float) -> Confusion:
    """Count what a threshold decides.

    Args:
        scores: (N,) float, higher = more likely a member.
        member: (N,) bool.
        threshold: Scores at or above it are called members.

    Returns:
        The counts.

    Raises:
        ValueError: see ``roc_curve``.
    """
    require_ranking(scores, member)
    called = scores >= threshold
    members = int(member.sum())
    found = int((called & member).sum())
    return Confusion(found, int(called.sum()) - found, members, len(member) - members)
