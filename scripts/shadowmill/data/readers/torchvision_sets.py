"""Data sets that torchvision reads into arrays: CIFAR-10, CIFAR-100 and SVHN."""

import string
from pathlib import Path
from typing import Any

import numpy as np

from shadowmill.data.readers import Examples, join, through_torchvision

_CIFAR_PAGE = "https://www.cs.toronto.edu/~kriz/cifar.html"
_SVHN_PAGE = "http://ufldl.stanford.edu/housenumbers"


def cifar10(root: Path) -> Examples:
    """CIFAR-10 (Krizhevsky 2009): 60,000 colour 32×32 images of 10 classes."""
    from torchvision.datasets import CIFAR10

    return _cifar(CIFAR10, "cifar10", root)


def cifar100(root: Path) -> Examples:
    """CIFAR-100 (Krizhevsky 2009): as CIFAR-10, with 100 classes."""
    from torchvision.datasets import CIFAR100

    return _cifar(CIFAR100, "cifar100", root)


def svhn(root: Path) -> Examples:
    """SVHN, cropped digits (Netzer et al. 2011): 99,289 colour 32×32 images of house numbers.

    Read from train_32x32.mat and test_32x32.mat; the additional easy examples of extra_32x32.mat
    are no part of the official training set and are left out. The published label of the digit 0
    is 10; here it is 0.
    """
    from torchvision.datasets import SVHN

    def parts(download: bool) -> list[SVHN]:
        return [SVHN(root, split=split, download=download) for split in ("train", "test")]

    files = [SVHN.split_list[split][1:3] for split in ("train", "test")]
    train, test = (
        (part.data.transpose(0, 2, 3, 1), part.labels)
        for part in through_torchvision(parts, "svhn", root, _SVHN_PAGE, files)
    )
    return join(train, test, tuple(string.digits), str(root))


def _cifar(torchvision_class: Any, name: str, root: Path) -> Examples:
    def parts(download: bool) -> list[Any]:
        return [torchvision_class(root, train=train, download=download) for train in (True, False)]

    published = torchvision_class
    folder = published.base_folder
    listed = [*published.train_list, *published.test_list]
    files = [
        (published.filename, published.tgz_md5),
        *((f"{folder}/{file}", md5) for file, md5 in listed),
    ]
    train, test = through_torchvision(parts, name, root, _CIFAR_PAGE, files)
    return join(
        (train.data, np.asarray(train.targets)),
        (test.data, np.asarray(test.targets)),
        tuple(train.classes),
        str(root),
    )
