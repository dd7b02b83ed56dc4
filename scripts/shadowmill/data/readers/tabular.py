"""Data sets of binary features: Purchase100, Texas100 and Location.

Published with the first membership inference attacks (Shokri et al. 2017, arXiv:1610.05820) by the
Privacy Trust Lab as text, and since spread as NumPy archives. Both are read. There are no official
splits. Classes are named by their published numbers, which begin with 1; labels begin with 0.
"""

import warnings
import zipfile
from pathlib import Path

import numpy as np

from shadowmill.data.readers import Examples, download_archive, find
from shadowmill.errors import DataError

_PAGE = "https://github.com/privacytrustlab/datasets"
# That of Location was computed from the published archive. Of the two others none is published:
# their numbers of examples and features, and that these are binary, are what is checked of them.
_CHECKSUMS = {
    "location": ("sha256", "927203f85a868f8ee17a0ded1dc61699efe602167beabe34fbf45b4b1de94b33"),
    "purchase100": None,
    "texas100": None,
}


def purchase100(root: Path) -> Examples:
    """Purchase100: which of 600 products 197,324 customers bought; 100 clusters of customers.

    Read from `root`/purchase100.npz (features, one-hot labels) or `root`/dataset_purchase (lines
    of label, features).
    """
    path = find(root, "purchase100.npz", "dataset_purchase")
    if path is None:
        path = _fetch("purchase100", "dataset_purchase", root)
    features, labels = _read_one_hot(path) if path.suffix == ".npz" else _read_text(path)
    return _examples(features, labels, 600, 100, path)


def texas100(root: Path) -> Examples:
    """Texas100: 6,169 attributes of 67,330 hospital stays; the 100 most frequent procedures.

    Read from `root`/texas100.npz (features, one-hot labels) or `root`/texas/100/feats and
    `root`/texas/100/labels (text).
    """
    path = find(root, "texas100.npz", "texas/100/feats")
    if path is None:
        path = _fetch("texas100", "texas/100/feats", root)
    if path.suffix == ".npz":
        features, labels = _read_one_hot(path)
    else:
        features, labels = _load_text(path), _load_text(path.with_name("labels"))[:, 0]
    return _examples(features, labels, 6_169, 100, path)


def location(root: Path) -> Examples:
    """Location: 446 regions and kinds of places that 5,010 people visited; 30 clusters of people.

    From check-ins in Bangkok (Yang et al. 2016). Read from `root`/bangkok (lines of quoted label,
    features) or data_complete.npz (x, y = 1 … 30, as MemGuard has it, Jia et al. 2019,
    arXiv:1909.10594) in `root`/location or `root` itself.
    """
    path = find(root, "bangkok", "location/data_complete.npz", "data_complete.npz")
    if path is None:
        path = _fetch("location", "bangkok", root)
    features, labels = _load_npz(path, "x", "y") if path.suffix == ".npz" else _read_text(path)
    return _examples(features, labels, 446, 30, path)


def _fetch(name: str, file: str, root: Path) -> Path:
    archive = name.removesuffix("100")
    url = f"{_PAGE}/raw/master/dataset_{archive}.tgz"
    download_archive(url, name, root, _PAGE, _CHECKSUMS[name])
    return root / file


def _read_one_hot(path: Path) -> tuple[np.ndarray, np.ndarray]:
    features, one_hot = _load_npz(path, "features", "labels")
    if one_hot.ndim != 2 or not (np.count_nonzero(one_hot, axis=1) == 1).all():
        raise DataError(f"{path}: labels are not one-hot vectors. Fetch it again.")
    return features, one_hot.argmax(axis=1) + 1


def _read_text(path: Path) -> tuple[np.ndarray, np.ndarray]:
    table = _load_text(path)
    return table[:, 1:], table[:, 0]


def _load_npz(path: Path, *keys: str) -> list[np.ndarray]:
    try:
        with np.load(path) as archive:
            return [archive[key] for key in keys]
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path}: not a whole NumPy archive of {' and '.join(keys)} ({error}). Fetch it again."
        ) from error


def _load_text(path: Path) -> np.ndarray:
    """(N, columns) uint8."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # NumPy's word for: no data
            return np.loadtxt(path, np.uint8, delimiter=",", quotechar='"', ndmin=2)
    except (OSError, ValueError, UserWarning) as error:
        raise DataError(
            f"{path}: not lines of small integers separated by commas ({error}). Fetch it again."
        ) from error


def _examples(
    features: np.ndarray, labels: np.ndarray, num_features: int, num_classes: int, path: Path
) -> Examples:
    if features.ndim != 2 or features.shape[1] != num_features:
        raise DataError(
            f"{path}: features of shape {features.shape}, (examples, {num_features}) expected. "
            "Fetch it again."
        )
    binary = features.astype(bool)
    if not np.array_equal(features, binary):
        raise DataError(
            f"{path}: features other than 0 and 1, so they are not the published ones. "
            "Fetch it again."
        )
    return Examples(
        binary.astype(np.float32),
        labels.astype(np.int64) - 1,
        np.zeros(len(labels), bool),
        tuple(str(k) for k in range(1, num_classes + 1)),
        str(path),
    )
