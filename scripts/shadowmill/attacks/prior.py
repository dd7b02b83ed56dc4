"""An inverse-gamma prior for the variances of many examples, fitted to their sample variances.

Smyth (2004), "Linear models and empirical Bayes methods for assessing differential expression in
microarray experiments", §6.2. With the prior d₀·s₀²/σ² ~ χ²(d₀), the posterior of the variance of
an example with d degrees of freedom and sum of squares SS has d₀ + d of them, and d₀·s₀² + SS.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

_ROUNDS = 50  # of Newton's method, which needs ten at most


class Prior(NamedTuple):
    """What the variances are before anything is known of an example; arrays of one shape.

    Attributes:
        freedom: d₀, as many observations as it counts for; ∞ if all variances are alike.
        variance: s₀².
    """

    freedom: Float
    variance: Float


class Moments:
    """Sums over examples, chunk by chunk, that a prior is fitted to."""

    def __init__(self) -> None:
        """Begin with no example."""
        self._sums = 0.0

    def add(self, sum_squares: Float, freedom: Float, floor: float) -> None:
        """Add examples, along the last axis.

        Args:
            sum_squares: SS of each example's residuals.
            freedom: d of each, broadcast against it; those with d < 1 say nothing.
            floor: the smallest variance that counts.
        """
        from scipy.special import digamma, polygamma  # longer to import than most attacks take

        freedom = np.broadcast_to(freedom, sum_squares.shape)
        says = freedom >= 1
        half = np.where(says, freedom, 2) / 2
        variance = np.where(says, np.maximum(sum_squares / (2 * half), floor), 1)
        log_variance = np.log(variance) - digamma(half) + np.log(half)
        parts = (says, log_variance, log_variance**2, polygamma(1, half), freedom, sum_squares)
        self._sums = self._sums + np.array([(part * says).sum(axis=-1) for part in parts])

    def prior(self) -> Prior:
        """Fit d₀ and s₀² by the first two moments of the logarithms of the variances.

        Where the logarithms of the variances differ no more than samples of one variance do, d₀ is
        ∞ and s₀² the pooled variance ΣSS / Σd.
        """
        from scipy.special import digamma

        count, total, squares, expected, freedom, sum_squares = self._sums
        mean = total / count
        with np.errstate(invalid="ignore"):  # of a single example there is no spread
            spread = (squares - count * mean**2) / (count - 1) - expected / count
        alike = ~(spread > 0)
        half = inverse_trigamma(np.where(alike, 1, spread))
        variance = np.exp(mean + digamma(half) - np.log(half))
        return Prior(
            np.where(alike, np.inf, 2 * half), np.where(alike, sum_squares / freedom, variance)
        )


def inverse_trigamma(value: Float) -> Float:
    """The y > 0 with trigamma(y) = value > 0, by Newton's method on 1/trigamma.

    That is nearly linear and convex: steps from ½ + 1/value do not overshoot (ibid., appendix).
    """
    from scipy.special import polygamma

    y = 0.5 + 1 / value
    for _ in range(_ROUNDS):
        trigamma = polygamma(1, y)
        step = trigamma * (1 - trigamma / value) / polygamma(2, y)
        y = y + step
        if (np.abs(step) <= 1e-12 * y).all():
            break
    return y
