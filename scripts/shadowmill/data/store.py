"""Data sets as files of the workflow: results/data/{name}.h5."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from shadowmill import storage
from shadowmill.data import Dataset
from shadowmill.data.inspection import Inspection, as_streamed, remarks
from shadowmill.data.listing import Record, listing, settings_of, write_record
from shadowmill.data.readers import Examples, check_sizes
from shadowmill.errors import ArtefactError, DataError
from shadowmill.large_arrays import Streamed, mapped, write_hdf5_in_parts
from shadowmill.provenance import array_digest, digest, provenance

_INPUTS = {"image": "images", "tabular": "features"}  # kind to name of the HDF5 data set


@dataclass(frozen=True)
class Data:
    """A data set in memory.

    Attributes:
        name: its row in the table.
        kind: "image" or "tabular".
        inputs: (N, H, W, C) images, uint8 or float32, or (N, D) float32 features: the pool, then
            the official test set if there is one. Images of a folder are read from the disk as they
            are used.
        labels: (N,) int64.
        pool_size: number of examples in the pool.
        class_names: one for each label.
        mean: float64; of images (C,), of the pool's pixels, bytes scaled to 0…1; of features (D,)
            zeros: published systems use their binary features as they are, those of the user's own
            are standardised already.
        std: float64, likewise; of features ones; 1 for a channel that is constant.
        digest: of inputs and labels.
        value_range: the smallest and the largest value of pixels.
        ids: (N,) text, what the user calls each example, if anything.
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
    value_range: tuple[float, float] = (0, 255)
    ids: np.ndarray | None = None

    @property
    def flat_inputs(self) -> np.ndarray:
        """Each example as one row of numbers, (N, D) float32; bytes scaled to 0…1."""
        rows = self.inputs.reshape(len(self.labels), -1).astype(np.float32)
        return rows / 255 if self.inputs.dtype == np.uint8 else rows

    def title_of(self, example: int) -> str:
        """What the user calls an example, or its number."""
        return f"no. {example}" if self.ids is None else str(self.ids[example])

    def normalised_by(self, moments: Mapping[str, Sequence[float]]) -> "Data":
        """The same data for a network whose inputs were normalised in another way.

        Args:
            moments: `mean` and `std`, a number for each channel or feature; empty for those here.

        Raises:
            DataError: there are more or fewer numbers.
        """
        for name, values in moments.items():
            expected = getattr(self, name).shape
            if (len(values),) != expected:
                raise DataError(
                    f"{self.name}: {len(values)} numbers for {name}, expected {expected[0]}, one "
                    f"for each {'channel' if self.kind == 'image' else 'feature'}."
                )
        return replace(self, **{name: np.array(v, np.float64) for name, v in moments.items()})

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
    entry: Dataset, root: Path, path: str | Path, record_path: str | Path, planned: str
) -> tuple[str, ...]:
    """Prepare a data set, and record what it was prepared from.

    Args:
        entry: of the data set.
        root: folder to look in and to download to.
        path: HDF5 file to write.
        record_path: JSON file to write.
        planned: what `listing.plan` said.

    Returns:
        What the user should know of the data, in words.

    Raises:
        DataError: not found and not to be had, or not what it should be, or its files change while
            they are read.
    """
    for _ in range(2):  # once more after a download, which changes the files, too
        found = listing(entry, root)
        prepared = prepare(entry, root, path)
        if listing(entry, root) == found:
            record = Record(
                planned, found, str(root), prepared.content, prepared.names, settings_of(entry)
            )
            write_record(record_path, record)
            return prepared.notes
    raise DataError(
        f"{entry.name}: the files in {root} change while they are read. Run again later."
    )


class Prepared(NamedTuple):
    """What was prepared.

    Attributes:
        content: digest of all that is saved of the examples, but for their ids.
        names: digest of their ids.
        notes: what the user should know of the data, in words.
    """

    content: str
    names: str
    notes: tuple[str, ...]


def prepare(entry: Dataset, root: str | Path, path: str | Path) -> Prepared:
    """Read a data set, downloading it if need be, and save it for the workflow.

    Args:
        entry: of the data set.
        root: folder to look in and to download to.
        path: HDF5 file to write.

    Raises:
        DataError: not found and not to be had, or not what it should be.
    """
    start = time.monotonic()
    module, function = entry.reader.split(":")
    read = getattr(import_module(f"shadowmill.data.{module}"), function)
    examples: Examples = read(Path(root), **entry.settings)
    pool_size = int((~examples.is_test).sum())
    inputs = as_streamed(examples.inputs)
    _check(entry, examples, pool_size)
    kind = "image" if len(inputs.shape) == 4 else "tabular"
    seen = Inspection(inputs.shape, inputs.dtype, pool_size)
    beside = {"ids": examples.ids, "groups": examples.groups}
    found: dict[str, Any] = {}

    def rest(digest_of_inputs: str) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        mean, std = seen.moments() if kind == "image" else _no_scaling(inputs.shape[1])
        found["content"] = digest_of_inputs + array_digest(examples.labels)
        found["notes"] = (*examples.notes, *remarks(entry.name, examples, seen.digests))
        arrays = {"labels": examples.labels, "mean": mean, "std": std, **examples.extras}
        arrays |= {name: values for name, values in beside.items() if values is not None}
        made = provenance({"dataset": entry.name}, time.monotonic() - start, source=examples.source)
        attributes = {
            "name": entry.name,
            "kind": kind,
            "pool_size": pool_size,
            "class_names": examples.class_names,
            "digest": found["content"],
            "notes": found["notes"],
            "value_range": seen.value_range,
        }
        return arrays, made, attributes

    name = _INPUTS[kind]
    if isinstance(examples.inputs, Streamed):
        write_hdf5_in_parts(path, name, inputs._replace(parts=seen.passing(inputs.parts)), rest)
    else:
        for _ in seen.passing(inputs.parts):
            pass
        arrays, made, attributes = rest(array_digest(examples.inputs))
        storage.write_hdf5(path, {name: examples.inputs, **arrays}, made, **attributes)
    extras = {key: array_digest(value) for key, value in examples.extras.items()}
    if examples.groups is not None:
        extras["groups"] = storage.content_digest(examples.groups)
    return Prepared(
        digest([found["content"], pool_size, examples.class_names, extras]),
        storage.content_digest([] if examples.ids is None else examples.ids),
        found["notes"],
    )


def _check(entry: Dataset, examples: Examples, pool_size: int) -> None:
    source, present = examples.source, np.unique(examples.labels)
    check_sizes(entry, pool_size, len(examples.labels) - pool_size, len(present), source)
    if examples.inputs.shape[0] != len(examples.labels):
        raise DataError(
            f"{entry.name}: {examples.inputs.shape[0]} inputs and {len(examples.labels)} labels in "
            f"{source}. Fetch the data set again."
        )
    if not np.array_equal(present, np.arange(len(examples.class_names))):
        raise DataError(
            f"{entry.name}: labels {present.min()} to {present.max()} in {source} for "
            f"{len(examples.class_names)} classes. "
            + ("Each class needs an example." if entry.is_own else "Fetch the data set again.")
        )
    assert not examples.is_test[:pool_size].any(), "readers put the pool first"


def _no_scaling(num_features: int) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros(num_features), np.ones(num_features)


def load(path: str | Path) -> Data:
    """Read a prepared data set.

    Raises:
        ArtefactError: the file is missing or damaged, or another data set's.
    """
    with opened(path) as file:
        kind = storage.attribute(file, "kind")
        beside = {}
        if "value_range" in file.attributes:  # not of files of earlier versions
            beside["value_range"] = tuple(file.attributes["value_range"])
        return Data(
            name=storage.attribute(file, "name"),
            kind=kind,
            inputs=mapped(file, _INPUTS[kind]),
            labels=file["labels"],
            pool_size=storage.attribute(file, "pool_size"),
            class_names=tuple(storage.attribute(file, "class_names")),
            mean=file["mean"],
            std=file["std"],
            digest=storage.attribute(file, "digest"),
            ids=file.get("ids"),
            **beside,
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


def groups(path: str | Path, num_examples: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Which examples belong together.

    Args:
        path: the prepared data set.
        num_examples: N, how many are asked about, from the first.

    Returns:
        (G,) text, the names of the groups, and (N,) intp, the number of that of each example; None
        if each example is on its own.

    Raises:
        ArtefactError: the file is missing or damaged, or another data set's.
    """
    with opened(path) as file:
        found = file.get("groups")
    if found is None:
        return None
    return np.unique(found[:num_examples].astype(str), return_inverse=True)


def ids(path: str | Path) -> np.ndarray | None:
    """What the user calls each example, (N,) text; None if they have no names.

    Raises:
        ArtefactError: the file is missing or damaged, or another data set's.
    """
    with opened(path) as file:
        found = file.get("ids")
    return None if found is None else found.astype(str)


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
