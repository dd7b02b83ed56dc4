"""The table of data sets. To add one, write a reader below `readers` and a row here.

Those of the user's own have rows of the same kind, see `own`. Snakemake imports this while it
parses: readers are named, not imported.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Dataset:
    """A row of the table; None stands for what only the user's own files tell.

    Attributes:
        name: in the configuration.
        title: for figures.
        reader: `module:function` below `shadowmill.data` that reads it.
        kind: "image" (pixels) or "tabular" (features).
        pool_size: number of training examples of the official split, or of all examples where
            there is none: those over which membership is defined unless a protocol adds the test
            set.
        test_size: number of official test examples, 0 where there is no official split.
        num_classes: number of labels.
        found_in: its files: the first of these groups of patterns that something in the data folder
            matches. Folders count with all that is in them. None for what comes with a library.
        settings: further arguments of the reader.
        folder: of the user's own: the only one it is looked for in; None for others.
        has_groups: whether examples belong together, such as those of one person; None where that
            cannot be seen before they are prepared.
    """

    name: str
    title: str
    reader: str
    kind: Literal["image", "tabular"] | None
    pool_size: int | None
    test_size: int | None
    num_classes: int | None
    found_in: tuple[tuple[str, ...], ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    folder: str | None = None
    has_groups: bool | None = False

    @property
    def is_own(self) -> bool:
        """Whether it is the user's own."""
        return self.folder is not None


def _idx(folder: str, parts: tuple[str, str]) -> tuple[str, ...]:
    return tuple(f"{folder}{part}-*-ubyte*" for part in parts)


_MNIST = ("train", "t10k")
_EMNIST = ("emnist-letters-train", "emnist-letters-test")

_ROWS = (
    Dataset("digits", "Digits", "readers.digits:digits", "image", 1_797, 0, 10),
    Dataset(
        "fashion_mnist",
        "Fashion-MNIST",
        "readers.idx:fashion_mnist",
        "image",
        60_000,
        10_000,
        10,
        (_idx("FashionMNIST/raw/", _MNIST), _idx("", _MNIST)),
    ),
    Dataset(
        "cifar10",
        "CIFAR-10",
        "readers.torchvision_sets:cifar10",
        "image",
        50_000,
        10_000,
        10,
        (("cifar-10-batches-py",),),
    ),
    Dataset(
        "cifar100",
        "CIFAR-100",
        "readers.torchvision_sets:cifar100",
        "image",
        50_000,
        10_000,
        100,
        (("cifar-100-python",),),
    ),
    Dataset(
        "mnist",
        "MNIST",
        "readers.idx:mnist",
        "image",
        60_000,
        10_000,
        10,
        (_idx("MNIST/raw/", _MNIST), _idx("", _MNIST)),
    ),
    Dataset(
        "emnist_letters",
        "EMNIST letters",
        "readers.idx:emnist_letters",
        "image",
        124_800,
        20_800,
        26,
        (_idx("EMNIST/raw/", _EMNIST), _idx("gzip/", _EMNIST), _idx("", _EMNIST)),
    ),
    Dataset(
        "svhn",
        "SVHN",
        "readers.torchvision_sets:svhn",
        "image",
        73_257,
        26_032,
        10,
        (("train_32x32.mat", "test_32x32.mat"),),
    ),
    Dataset(
        "chmnist",
        "CH-MNIST",
        "readers.folders:chmnist",
        "image",
        5_000,
        0,
        8,
        (("0[1-8]_*",), ("Kather_texture_2016_image_tiles_5000",)),
    ),
    Dataset(
        "imagenet",
        "ImageNet",
        "readers.folders:imagenet",
        "image",
        1_281_167,
        50_000,
        1_000,
        (("imagenet/train", "imagenet/val"), ("train", "val")),
    ),
    Dataset(
        "celeba",
        "CelebA",
        "readers.celeba:celeba",
        "image",
        182_637,
        19_962,
        2,
        (("celeba/img_align_celeba", "celeba/*.txt"),),
    ),
    Dataset(
        "purchase100",
        "Purchase100",
        "readers.tabular:purchase100",
        "tabular",
        197_324,
        0,
        100,
        (("purchase100.npz",), ("dataset_purchase",)),
    ),
    Dataset(
        "texas100",
        "Texas100",
        "readers.tabular:texas100",
        "tabular",
        67_330,
        0,
        100,
        (("texas100.npz",), ("texas/100/feats", "texas/100/labels")),
    ),
    Dataset(
        "location",
        "Location",
        "readers.tabular:location",
        "tabular",
        5_010,
        0,
        30,
        (("bangkok",), ("location/data_complete.npz",), ("data_complete.npz",)),
    ),
)
DATASETS: dict[str, Dataset] = {row.name: row for row in _ROWS}


def title_of(name: str) -> str:
    """What figures call a data set: one of the user's own by its name."""
    return DATASETS[name].title if name in DATASETS else name
