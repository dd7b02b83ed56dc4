"""Adjustment of p-values for how many there are.

Legend: P p-values of one family.
"""

import numpy as np
from numpy.typing import NDArray


def holm(p_P: NDArray[np.float64]) -> NDArray[np.float64]:
    """Adjust p-values so that the chance of any false finding in the family is controlled.

    Holm (1979), "A simple sequentially rejective multiple test procedure", Scandinavian Journal
    of Statistics 6, 65–70. Holds however the tests depend on each other.

    Args:
        p_P: (P,) float64 in [0, 1], or NaN for what was not tested, which counts for nothing.

    Returns:
        (P,) float64, at least the p-value and at most 1, in the order given; NaN stays NaN.

    Raises:
        ValueError: a p-value below 0 or above 1.
    """
    tested = np.flatnonzero(~np.isnan(p_P))
    order = tested[np.argsort(p_P[tested], kind="stable")]
    if len(order) and not 0 <= p_P[order[0]] <= p_P[order[-1]] <= 1:
        raise ValueError(
            f"p-values range from {p_P[order[0]]:g} to {p_P[order[-1]]:g}, expected 0 to 1; "
            "pass probabilities, not test statistics"
        )
    adjusted_P = np.full(len(p_P), np.nan)
    # The smallest is multiplied by how many there are, the next by one less, and so on.
    stepped = p_P[order] * np.arange(len(order), 0, -1)
    adjusted_P[order] = np.minimum(np.maximum.accumulate(stepped), 1)
    return adjusted_P
