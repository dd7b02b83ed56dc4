"""Readers of published data sets: from their own formats to arrays.

Each takes the folder in which the data set is looked for, and downloads it there if it is missing.
"""

import gzip
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from shadowmill.errors import DataError


@dataclass(frozen=True)
class Examples:
    """Images of a data set in official order, training examples first.

    Attributes:
        images: (N, H, W, C) uint8.
        labels: (N,) int64.
        is_test: (N,) bool, True for the official test set.
        class_names: one for each label.
        source: where they come from.
    """

    images: np.ndarray
    labels: np.ndarray
    is_test: np.ndarray
    class_names: tuple[str, ...]
    source: str


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


_FASHION_CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip


def fashion_mnist(root: Path) -> Examples:
    """Fashion-MNIST (Xiao et al. 2017): 70,000 grey 28×28 images.

    Read from idx files, packed or not, in `root` itself (as Debian's dataset-fashion-mnist has
    them) or in `root`/FashionMNIST/raw (where torchvision puts them).
    """
    raw = root / "FashionMNIST" / "raw"
    folder = next((f for f in (root, raw) if _find_idx(f, "train-images-idx3-ubyte")), None)
    if folder is None:
        from torchvision.datasets import FashionMNIST

        _download(lambda: FashionMNIST(root, download=True), "fashion_mnist", root)
        folder = raw
    parts = [
        (
            _read_idx(folder, f"{part}-images-idx3-ubyte"),
            _read_idx(folder, f"{part}-labels-idx1-ubyte"),
        )
        for part in ("train", "t10k")
    ]
    (train_images, train_labels), (test_images, test_labels) = parts
    return _join(
        (train_images[..., None], train_labels),
        (test_images[..., None], test_labels),
        _FASHION_CLASSES,
        str(folder),
    )


def cifar10(root: Path) -> Examples:
    """CIFAR-10 (Krizhevsky 2009): 60,000 colour 32×32 images of 10 classes, through torchvision."""
    from torchvision.datasets import CIFAR10

    return _cifar(CIFAR10, "cifar10", root)


def cifar100(root: Path) -> Examples:
    """CIFAR-100 (Krizhevsky 2009): as CIFAR-10, with 100 classes."""
    from torchvision.datasets import CIFAR100

    return _cifar(CIFAR100, "cifar100", root)


def _cifar(torchvision_class: Any, name: str, root: Path) -> Examples:
    def parts(download: bool) -> list[Any]:
        return [torchvision_class(root, train=train, download=download) for train in (True, False)]

    try:
        train, test = parts(download=False)
    except RuntimeError:  # torchvision's word for: not there, or its checksums are wrong
        train, test = _download(lambda: parts(download=True), name, root)
    return _join(
        (train.data, np.asarray(train.targets)),
        (test.data, np.asarray(test.targets)),
        tuple(train.classes),
        str(root),
    )


def _join(
    train: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    class_names: tuple[str, ...],
    source: str,
) -> Examples:
    images = np.concatenate([train[0], test[0]])
    labels = np.concatenate([train[1], test[1]]).astype(np.int64)
    is_test = np.arange(len(labels)) >= len(train[1])
    return Examples(images, labels, is_test, class_names, source)


def _download(fetch: Callable[[], Any], name: str, root: Path) -> Any:
    try:
        return fetch()
    except (OSError, RuntimeError) as error:
        raise DataError(
            f"{name}: not found in {root}, and it cannot be downloaded ({error}). On a machine "
            f"with network run `snakemake --cores 1 results/data/{name}.h5`, or fetch the files by "
            "hand; then put them into that folder, or name the folder that has them in "
            f"workflow_config.yaml under data.root (data.roots.{name} for this data set alone)."
        ) from error


def _find_idx(folder: Path, stem: str) -> Path | None:
    return next((p for p in (folder / stem, folder / f"{stem}.gz") if p.is_file()), None)


def _read_idx(folder: Path, stem: str) -> np.ndarray:
    """An array of unsigned bytes in the format of LeCun's MNIST: magic, sizes, data."""
    path = _find_idx(folder, stem)
    if path is None:
        raise DataError(
            f"{folder / stem}: missing beside the other files. Fetch the whole data set again."
        )
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be unpacked ({error}). Fetch it again.") from error
    if content[:3] != b"\0\0\x08":
        raise DataError(f"{path}: not an idx file of unsigned bytes. Fetch it again.")
    header = 4 + 4 * int.from_bytes(content[3:4], "big")
    if not 4 < header <= len(content):
        raise DataError(f"{path}: ends within its header. Fetch it again.")
    shape = np.frombuffer(content[4:header], ">i4")
    data = np.frombuffer(content[header:], np.uint8)
    size = shape.prod(dtype=np.int64)
    if data.size != size:
        raise DataError(f"{path}: {data.size} bytes of data where {size} belong. Fetch it again.")
    return data.reshape(shape)
