"""Shadows that did not converge.

Legend: M models.
"""

import numpy as np

from shadowmill.scores.files import ModelScores

_DEVIATIONS = 5
_SMALLEST_GAP = 0.05  # of accuracy: siblings that agree closely are all healthy


def limit(accuracy_M: np.ndarray) -> float:
    """The accuracy below which a shadow lies far below its siblings.

    Args:
        accuracy_M: of all shadows of a configuration.

    Returns:
        median − max(5 MAD, 0.05), with MAD the median absolute deviation from the median: few
        failures among many hardly move either (Hampel 1974, JASA 69, 383–393).
    """
    median = np.median(accuracy_M)
    deviation = np.median(np.abs(accuracy_M - median))
    return float(median - max(_DEVIATIONS * deviation, _SMALLEST_GAP))


def converged(shadows: ModelScores) -> np.ndarray:
    """Which shadows are no worse than their siblings on their own members, (M,) bool."""
    accuracy_M = shadows["correct"].mean(axis=1, where=shadows.member_MN)
    return accuracy_M >= limit(accuracy_M)
