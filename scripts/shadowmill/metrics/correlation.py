"""Rank correlation of two quantities of examples that come in clusters.

Legend: E examples, R replicates.
"""

import numpy as np
from numpy.typing import NDArray

from shadowmill.metrics.bootstrap import Estimate
from shadowmill.metrics.intervals import bootstrap_limits

Float = NDArray[np.float64]


def spearman(
    one_E: Float,
    other_E: Float,
    cluster_E: NDArray[np.integer],
    replicates: int,
    seed: int,
    confidence: float = 0.95,
) -> Estimate:
    """Spearman's ρ with a bootstrap over clusters; limits as in `shadowmill.metrics.bootstrap`.

    Args:
        one_E: (E,) float64.
        other_E: (E,) float64.
        cluster_E: (E,) integer, examples of the same number are drawn together.
        replicates: Number of resamples, at least 2.
        seed: Of the resampling.
        confidence: Coverage, between 0 and 1.

    Returns:
        Value and limits in [-1, 1]; NaN where either quantity is constant.

    Raises:
        ValueError: shapes that differ.
    """
    if one_E.ndim != 1 or not one_E.shape == other_E.shape == cluster_E.shape or not len(one_E):
        raise ValueError(
            f"quantities have shapes {one_E.shape} and {other_E.shape}, clusters "
            f"{cluster_E.shape}, expected one shape (examples,); select the same examples for all"
        )
    value = _rho(one_E, other_E)
    if np.isnan(value):
        return Estimate(np.nan, np.nan, np.nan)
    order = np.argsort(cluster_E, kind="stable")
    clusters = np.split(order, np.flatnonzero(np.diff(cluster_E[order])) + 1)
    rng = np.random.default_rng(seed)
    value_R = np.empty(replicates)
    for r in range(replicates):
        chosen = rng.integers(len(clusters), size=len(clusters))
        drawn = np.concatenate([clusters[k] for k in chosen])
        value_R[r] = _rho(one_E[drawn], other_E[drawn])
    low, high = np.clip(bootstrap_limits(value, value_R, confidence), -1, 1)
    return Estimate(value, float(low), float(high))


def _rho(one_E: Float, other_E: Float) -> float:
    """NaN where either is constant."""
    from scipy.stats import rankdata

    ranks = [rankdata(one_E), rankdata(other_E)]
    if any(np.ptp(rank_E) == 0 for rank_E in ranks):
        return np.nan
    return float(np.corrcoef(*ranks)[0, 1])
