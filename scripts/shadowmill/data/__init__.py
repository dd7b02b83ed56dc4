"""The table of data sets. To add one, write a reader below `readers` and a row here.

Snakemake imports this while it parses: readers are named, not imported.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Dataset:
    """A row of the table; None stands for what only the user's own files tell.

    Attributes:
        title: for figures.
        reader: `module:function` below `shadowmill.data` that reads it.
        kind: "image" (uint8 pixels) or "tabular" (float32 features).
        pool_size: number of training examples of the official split, or of all examples where
            there is none: those over which membership is defined unless a protocol adds the test
            set.
        test_size: number of official test examples, 0 where there is no official split.
        num_classes: number of labels.
        found_in: its files: the first of these groups of patterns that something in the data folder
            matches. Folders count with all that is in them. None for what comes with a library.
    """

    title: str
    reader: str
    kind: Literal["image", "tabular"]
    pool_size: int | None
    test_size: int | None
    num_classes: int | None
    found_in: tuple[tuple[str, ...], ...] = ()


def _idx(folder: str, parts: tuple[str, str]) -> tuple[str, ...]:
    return tuple(f"{folder}{part}-*-ubyte*" for part in parts)


_MNIST = ("train", "t10k")
_EMNIST = ("emnist-letters-train", "emnist-letters-test")

DATASETS: dict[str, Dataset] = {
    "digits": Dataset("Digits", "readers.digits:digits", "image", 1_797, 0, 10),
    "fashion_mnist": Dataset(
        "Fashion-MNIST",
        "readers.idx:fashion_mnist",
        "image",
        60_000,
        10_000,
        10,
        (_idx("FashionMNIST/raw/", _MNIST), _idx("", _MNIST)),
    ),
    "cifar10": Dataset(
        "CIFAR-10",
        "readers.torchvision_sets:cifar10",
        "image",
        50_000,
        10_000,
        10,
        (("cifar-10-batches-py",),),
    ),
    "cifar100": Dataset(
        "CIFAR-100",
        "readers.torchvision_sets:cifar100",
        "image",
        50_000,
        10_000,
        100,
        (("cifar-100-python",),),
    ),
    "mnist": Dataset(
        "MNIST",
        "readers.idx:mnist",
        "image",
        60_000,
        10_000,
        10,
        (_idx("MNIST/raw/", _MNIST), _idx("", _MNIST)),
    ),
    "emnist_letters": Dataset(
        "EMNIST letters",
        "readers.idx:emnist_letters",
        "image",
        124_800,
        20_800,
        26,
        (_idx("EMNIST/raw/", _EMNIST), _idx("gzip/", _EMNIST), _idx("", _EMNIST)),
    ),
    "svhn": Dataset(
        "SVHN",
        "readers.torchvision_sets:svhn",
        "image",
        73_257,
        26_032,
        10,
        (("train_32x32.mat", "test_32x32.mat"),),
    ),
    "chmnist": Dataset(
        "CH-MNIST",
        "readers.folders:chmnist",
        "image",
        5_000,
        0,
        8,
        (("0[1-8]_*",), ("Kather_texture_2016_image_tiles_5000",)),
    ),
    "imagenet": Dataset(
        "ImageNet",
        "readers.folders:imagenet",
        "image",
        1_281_167,
        50_000,
        1_000,
        (("imagenet/train", "imagenet/val"), ("train", "val")),
    ),
    "image_folder": Dataset(
        "Own images",
        "readers.folders:image_folder",
        "image",
        None,
        None,
        None,
        (
            ("image_folder/train", "image_folder/test", "image_folder/val"),
            ("train", "test", "val"),
        ),
    ),
    "celeba": Dataset(
        "CelebA",
        "readers.celeba:celeba",
        "image",
        182_637,
        19_962,
        2,
        (("celeba/img_align_celeba", "celeba/*.txt"),),
    ),
    "purchase100": Dataset(
        "Purchase100",
        "readers.tabular:purchase100",
        "tabular",
        197_324,
        0,
        100,
        (("purchase100.npz",), ("dataset_purchase",)),
    ),
    "texas100": Dataset(
        "Texas100",
        "readers.tabular:texas100",
        "tabular",
        67_330,
        0,
        100,
        (("texas100.npz",), ("texas/100/feats", "texas/100/labels")),
    ),
    "location": Dataset(
        "Location",
        "readers.tabular:location",
        "tabular",
        5_010,
        0,
        30,
        (("bangkok",), ("location/data_complete.npz",), ("data_complete.npz",)),
    ),
}
