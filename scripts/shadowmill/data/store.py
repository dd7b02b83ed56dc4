"""Data sets as files of the workflow: results/data/{name}.h5."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Literal

import numpy as np

from shadowmill import storage
from shadowmill.data import DATASETS
from shadowmill.data.listing import Record, listing, write_record
from shadowmill.data.readers import Examples, check_sizes
from shadowmill.errors import ArtefactError, DataError
from shadowmill.provenance import array_digest, digest, provenance

_INPUTS = {"image": "images", "tabular": "features"}  # kind to name of the HDF5 data set


@dataclass(frozen=True)
class Data:
    """A data set in memory.

    Attributes:
        name: its row in the table.
        kind: "image" or "tabular".
        inputs: (N, H, W, C) uint8 images or (N, D) float32 features: the pool, then the official
            test set if there is one.
        labels: (N,) int64.
        pool_size: number of examples in the pool.
        class_names: one for each label.
        mean: float64; of images (C,), of the pool's pixels scaled to 0…1; of features (D,) zeros:
            published systems use these binary features as they are.
        std: float64, likewise; of features ones.
        digest: of inputs and labels.
    """

    name: str
    kind: Literal["image", "tabular"]
    inputs: np.ndarray
    labels: np.ndarray
    pool_size: int
    class_names: tuple[str, ...]
    mean: np.ndarray
    std: np.ndarray
    digest: str

    @property
    def flat_inputs(self) -> np.ndarray:
        """Each example as one row of numbers, (N, D) float32; pixels scaled to 0…1."""
        rows = self.inputs.reshape(len(self.labels), -1).astype(np.float32)
        return rows / 255 if self.kind == "image" else rows

    @property
    def num_classes(self) -> int:
        """Number of labels."""
        return len(self.class_names)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one example as networks take it: (C, H, W) or (D,)."""
        if self.kind == "image":
            height, width, channels = self.inputs.shape[1:]
            return channels, height, width
        return self.inputs.shape[1:]


def prepare_and_record(
    name: str, root: Path, path: str | Path, record_path: str | Path, planned: str
) -> None:
    """Prepare a data set, and record what it was prepared from.

    Args:
        name: row of the table of data sets.
        root: folder to look in and to download to.
        path: HDF5 file to write.
        record_path: JSON file to write.
        planned: what `listing.plan` said.

    Raises:
        DataError: not found and not to be had, or not what it should be, or its files change while
            they are read.
    """
    for _ in range(2):  # once more after a download, which changes the files, too
        found = listing(name, root)
        content = prepare(name, root, path)
        if listing(name, root) == found:
            write_record(record_path, Record(planned, found, str(root), content))
            return
    raise DataError(f"{name}: the files in {root} change while they are read. Run again later.")


def prepare(name: str, root: str | Path, path: str | Path) -> str:
    """Read a published data set, downloading it if need be, and save it for the workflow.

    Args:
        name: row of the table of data sets.
        root: folder to look in and to download to.
        path: HDF5 file to write.

    Returns:
        Digest of all that is saved of the examples.

    Raises:
        DataError: not found and not to be had, or not what it should be.
    """
    start = time.monotonic()
    entry = DATASETS[name]
    module, function = entry.reader.split(":")
    read = getattr(import_module(f"shadowmill.data.{module}"), function)
    examples: Examples = read(Path(root))
    pool_size = int((~examples.is_test).sum())
    _check(name, examples, pool_size)
    pool = examples.inputs[:pool_size]
    mean, std = _moments(pool) if entry.kind == "image" else _no_scaling(pool)
    content = array_digest(examples.inputs) + array_digest(examples.labels)
    storage.write_hdf5(
        path,
        {
            _INPUTS[entry.kind]: examples.inputs,
            "labels": examples.labels,
            "mean": mean,
            "std": std,
            **examples.extras,
        },
        provenance({"dataset": name}, time.monotonic() - start, source=examples.source),
        name=name,
        kind=entry.kind,
        pool_size=pool_size,
        class_names=examples.class_names,
        digest=content,
    )
    extras = {key: array_digest(value) for key, value in examples.extras.items()}
    return digest([content, pool_size, examples.class_names, extras])


def _check(name: str, examples: Examples, pool_size: int) -> None:
    source, present = examples.source, np.unique(examples.labels)
    check_sizes(name, pool_size, len(examples.labels) - pool_size, len(present), source)
    if len(examples.inputs) != len(examples.labels):
        raise DataError(
            f"{name}: {len(examples.inputs)} inputs and {len(examples.labels)} labels in {source}. "
            "Fetch the data set again."
        )
    if not np.array_equal(present, np.arange(len(examples.class_names))):
        raise DataError(
            f"{name}: labels {present.min()} to {present.max()} in {source} for "
            f"{len(examples.class_names)} classes. Fetch the data set again."
        )
    assert not examples.is_test[:pool_size].any(), "readers put the pool first"


def _moments(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each channel of (N, H, W, C) bytes scaled to 0…1."""
    pixels = images.reshape(-1, images.shape[-1])
    # Sums of bytes are exact in integers and need no float copy of the data.
    mean = pixels.sum(axis=0, dtype=np.int64) / len(pixels)
    square = np.einsum("nc,nc->c", pixels, pixels, dtype=np.int64) / len(pixels)
    return mean / 255, np.sqrt(square - mean**2) / 255


def _no_scaling(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros(features.shape[1]), np.ones(features.shape[1])


def load(path: str | Path) -> Data:
    """Read a prepared data set.

    Raises:
        ArtefactError: the file is missing or damaged, or another data set's.
    """
    with opened(path) as file:
        kind = storage.attribute(file, "kind")
        return Data(
            name=storage.attribute(file, "name"),
            kind=kind,
            inputs=file[_INPUTS[kind]],
            labels=file["labels"],
            pool_size=storage.attribute(file, "pool_size"),
            class_names=tuple(storage.attribute(file, "class_names")),
            mean=file["mean"],
            std=file["std"],
            digest=storage.attribute(file, "digest"),
        )


def num_examples(path: str | Path, protocol: str) -> int:
    """Number of examples over which membership is defined.

    Args:
        path: the prepared data set.
        protocol: `half` is about the pool, `disjoint` also about the official test set.

    Raises:
        ArtefactError: the file is missing or damaged, or another data set's.
    """
    with opened(path) as file:
        return (
            file.shape("labels")[0]
            if protocol == "disjoint"
            else storage.attribute(file, "pool_size")
        )


@contextmanager
def opened(path: str | Path) -> Iterator[storage.Arrays]:
    """A prepared data set, of the name that its file has."""
    with storage.open_hdf5(path) as file:
        name = storage.attribute(file, "name")
        if name != Path(path).stem:
            raise ArtefactError(
                f"{path}: it holds the data set {name}. It was copied or renamed. Delete it and "
                "rerun the workflow."
            )
        yield file
