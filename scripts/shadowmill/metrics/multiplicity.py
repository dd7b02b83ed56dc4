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
    """
    tested = np.flatnonzero(~np.isnan(p_P))
    order = tested[np.argsort(p_P[tested], kind="stable")]
    adjusted_P = np.full(len(p_P), np.nan)
    # The smallest is multiplied by how many there are, the next by one less, and so on.
    stepped = p_P[order] * np.arange(len(order), 0, -1)
    adjusted_P[order] = np.minimum(np.maximum.accumulate(stepped), 1)
    return adjusted_P
