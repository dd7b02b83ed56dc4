"""Data sets as files of the workflow: results/data/{name}.h5."""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shadowmill import storage
from shadowmill.data import DATASETS, readers
from shadowmill.errors import DataError
from shadowmill.provenance import array_digest, provenance


@dataclass(frozen=True)
class ImageData:
    """A data set in memory.

    Attributes:
        name: its row in the table.
        images: (N, H, W, C) uint8: the pool, then the official test set if there is one.
        labels: (N,) int64.
        pool_size: number of examples in the pool.
        class_names: one for each label.
        mean: (C,) float64 of the pool, of pixels scaled to 0…1.
        std: (C,) float64, likewise.
        digest: of images and labels.
    """

    name: str
    images: np.ndarray
    labels: np.ndarray
    pool_size: int
    class_names: tuple[str, ...]
    mean: np.ndarray
    std: np.ndarray
    digest: str

    @property
    def num_classes(self) -> int:
        """Number of labels."""
        return len(self.class_names)


def prepare(name: str, root: str | Path, path: str | Path) -> None:
    """Read a published data set, downloading it if need be, and save it for the workflow.

    Args:
        name: row of the table of data sets.
        root: folder to look in and to download to.
        path: HDF5 file to write.

    Raises:
        DataError: not found and not to be had, or not what it should be.
    """
    start = time.monotonic()
    entry = DATASETS[name]
    examples = getattr(readers, entry.reader)(Path(root))
    pool_size = int((~examples.is_test).sum())
    _check(name, examples, pool_size)
    pool = examples.images[:pool_size].reshape(-1, examples.images.shape[-1])
    # Sums of bytes are exact in integers and need no float copy of the data.
    mean = pool.sum(axis=0, dtype=np.int64) / len(pool)
    square = np.einsum("nc,nc->c", pool, pool, dtype=np.int64) / len(pool)
    content = array_digest(examples.images) + array_digest(examples.labels)
    storage.write_hdf5(
        path,
        {
            "images": examples.images,
            "labels": examples.labels,
            "mean": mean / 255,
            "std": np.sqrt(square - mean**2) / 255,
        },
        provenance({"dataset": name}, time.monotonic() - start, source=examples.source),
        name=name,
        pool_size=pool_size,
        class_names=examples.class_names,
        digest=content,
    )


def _check(name: str, examples: readers.Examples, pool_size: int) -> None:
    entry = DATASETS[name]
    classes = len(np.unique(examples.labels))
    for what, found, expected in (
        ("training examples", pool_size, entry.pool_size),
        ("classes", classes, entry.num_classes),
        ("images", len(examples.images), len(examples.labels)),
    ):
        if found != expected:
            raise DataError(
                f"{name}: {found} {what} in {examples.source}, {expected} expected. "
                "Fetch the data set again."
            )


def load(path: str | Path) -> ImageData:
    """Read a prepared data set.

    Raises:
        ArtefactError: the file is missing or damaged.
    """
    with storage.open_hdf5(path) as file:
        return ImageData(
            name=storage.attribute(file, "name"),
            images=file["images"][:],
            labels=file["labels"][:],
            pool_size=storage.attribute(file, "pool_size"),
            class_names=tuple(storage.attribute(file, "class_names")),
            mean=file["mean"][:],
            std=file["std"][:],
            digest=storage.attribute(file, "digest"),
        )
