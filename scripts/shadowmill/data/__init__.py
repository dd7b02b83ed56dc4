"""The table of data sets. To add one, write a reader in `readers.py` and a row here.

Snakemake imports this while it parses: readers are named, not imported.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Dataset:
    """A row of the table.

    Attributes:
        title: for figures.
        reader: name of the function in `shadowmill.data.readers` that reads it.
        pool_size: number of examples over which membership is defined: the official training set,
            or all examples where there is no official split.
        num_classes: number of labels.
    """

    title: str
    reader: str
    pool_size: int
    num_classes: int


DATASETS: dict[str, Dataset] = {
    "digits": Dataset("Digits", "digits", 1_797, 10),
    "fashion_mnist": Dataset("Fashion-MNIST", "fashion_mnist", 60_000, 10),
    "cifar10": Dataset("CIFAR-10", "cifar10", 50_000, 10),
    "cifar100": Dataset("CIFAR-100", "cifar100", 50_000, 100),
}
