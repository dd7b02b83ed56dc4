"""Handwritten digits that come with scikit-learn."""

from pathlib import Path

import numpy as np

from shadowmill.data.readers import Examples


def digits(root: Path) -> Examples:
    """Optical recognition of handwritten digits (Alpaydin and Kaynak 1998), from scikit-learn.

    8×8 grey images of 17 levels, spread over 0…255. There is no official split: scikit-learn's
    1,797 examples are the test part of the original, so all of them form the pool.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = np.rint(bunch.images * (255 / 16)).astype(np.uint8)[..., None]
    labels = bunch.target.astype(np.int64)
    names = tuple(str(name) for name in bunch.target_names)
    return Examples(images, labels, np.zeros(len(labels), bool), names, "scikit-learn load_digits")
