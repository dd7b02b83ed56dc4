"""Examples that are nearly the same as another one.

Legend: N examples, D features.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

NUM_COMPONENTS = 32
CANDIDATES = 8

_CHUNK = 256  # examples, so that their candidates fit into memory

NEAR = 0.25
"""An example is a near-duplicate if its nearest neighbour is at less than this part of the median
distance between an example and its nearest neighbour."""


class Nearest(NamedTuple):
    """The nearest other example of each.

    Attributes:
        index_N: (N,) intp.
        distance_N: (N,) float64, Euclidean distance over the median one.
        is_duplicate_N: (N,) bool, whether that is below ``NEAR``.
    """

    index_N: NDArray[np.intp]
    distance_N: NDArray[np.float64]
    is_duplicate_N: NDArray[np.bool_]


def nearest(feature_ND: NDArray[np.floating]) -> Nearest:
    """Find the nearest other example of each.

    Candidates are nearest in ``NUM_COMPONENTS`` principal components, in which no two examples are
    further apart than they are; of these the nearest itself is taken.

    Args:
        feature_ND: (N, D) float, at least two examples.

    Returns:
        What was found.
    """
    from sklearn.decomposition import PCA
    from sklearn.neighbors import NearestNeighbors

    num_examples, num_features = feature_ND.shape
    components = min(NUM_COMPONENTS, num_examples, num_features)
    with np.errstate(invalid="ignore"):  # shares of no variance at all, where all are alike
        reduced = PCA(components, svd_solver="randomized", random_state=0).fit_transform(feature_ND)
    search = NearestNeighbors(n_neighbors=min(CANDIDATES, num_examples - 1)).fit(reduced)
    candidate_NK = search.kneighbors(return_distance=False)
    index_N = np.empty(num_examples, dtype=np.intp)
    distance_N = np.empty(num_examples)
    for start in range(0, num_examples, _CHUNK):
        part = slice(start, start + _CHUNK)
        gap_nKD = feature_ND[part, None] - feature_ND[candidate_NK[part]]
        distance_nK = np.linalg.norm(gap_nKD, axis=2)
        best_n = distance_nK.argmin(axis=1)[:, None]
        index_N[part] = np.take_along_axis(candidate_NK[part], best_n, axis=1)[:, 0]
        distance_N[part] = np.take_along_axis(distance_nK, best_n, axis=1)[:, 0]
    median = np.median(distance_N)
    relative_N = distance_N / median if median else np.where(distance_N > 0, np.inf, 0.0)
    return Nearest(index_N, relative_N, relative_N < NEAR)
