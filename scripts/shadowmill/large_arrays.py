"""Arrays too large for the memory: written as they come, and read as they are used."""

import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from shadowmill.provenance import ArrayDigest
from shadowmill.storage import DIGEST, PROVENANCE, Arrays, atomic, damaged, fill

if TYPE_CHECKING:
    import numpy as np

_PART = 1 << 25  # bytes of a large array that are looked at at once
_SPARE = 1 << 20  # bytes of a file beside arrays and attributes, at most


class Streamed(NamedTuple):
    """An array that is never whole in memory.

    Attributes:
        shape: of all of it.
        dtype: of its elements.
        parts: its rows in order, some at a time.
    """

    shape: tuple[int, ...]
    dtype: "np.dtype"
    parts: Iterable["np.ndarray"]


def write_hdf5_in_parts(
    path: str | Path,
    name: str,
    array: Streamed,
    rest: Callable[[str], tuple[Mapping[str, Any], Mapping[str, Any], Mapping[str, Any]]],
) -> None:
    """Write a large array as it comes, uncompressed, and then the rest as `write_hdf5` does.

    Args:
        path: HDF5 file to write.
        name: of the large array.
        array: the array.
        rest: takes the digest of the large array once it is written; gives the arguments of
            `write_hdf5`: arrays, provenance and attributes.

    Raises:
        DiskError: the disk is full.
    """
    import h5py
    import numpy as np

    dtype = np.dtype(array.dtype)
    size = dtype.itemsize * math.prod(array.shape)
    with atomic(path, size) as temporary:
        with h5py.File(temporary, "w") as file:
            plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            plan.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
            plan.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
            space = h5py.h5s.create_simple(array.shape)
            kind = h5py.h5t.py_create(dtype, logical=True)
            offset = h5py.h5d.create(file.id, name.encode(), kind, space, plan).get_offset()
        content = ArrayDigest(dtype, array.shape)
        with temporary.open("rb+") as raw:
            # By us: the library crashes the process when it cannot write what it holds.
            raw.seek(offset)
            for part in array.parts:
                rows = np.ascontiguousarray(part, dtype)
                raw.write(rows.reshape(-1).view(np.uint8))
                content.update(rows)
            if raw.tell() != offset + size:
                raise ValueError(f"{path}: {raw.tell() - offset} bytes of {name}, {size} expected")
            found = content.hexdigest()
            arrays, provenance, attributes = rest(found)
            facts = {**attributes, PROVENANCE: provenance}
            os.posix_fallocate(raw.fileno(), offset + size, _room(arrays, facts))
        with h5py.File(temporary, "r+") as file:
            file[name].attrs[DIGEST] = found
            fill(file, arrays, facts)


def mapped(file: Arrays, name: str) -> "np.ndarray":
    """An array that is read from the disk as it is used, if it lies there in one piece.

    Its content is checked all the same, piece by piece.

    Args:
        file: an open file.
        name: of the array.

    Raises:
        ArtefactError: there is none of that name, or it is damaged.
    """
    import numpy as np

    with file.stored(name) as stored:
        offset = stored.id.get_offset()
        if offset is None:
            return file[name]
        # Copies what is written to, which nothing does: torch warns of arrays that refuse it.
        array = np.memmap(file.path, stored.dtype, "c", offset, stored.shape)
        content = ArrayDigest(array.dtype, array.shape)
        for part in parts(array):
            content.update(part)
        if content.hexdigest() != stored.attrs.get(DIGEST):
            raise damaged(file.path, name)
        return array


def parts(array: "np.ndarray") -> Iterator["np.ndarray"]:
    """The rows of an array, some at a time."""
    rows = max(1, _PART // max(1, array[:1].nbytes))
    for start in range(0, len(array), rows):
        yield array[start : start + rows]


def _room(arrays: Mapping[str, Any], facts: Mapping[str, Any]) -> int:
    """Bytes that are enough for arrays and attributes in an HDF5 file."""
    import numpy as np

    size = len(json.dumps(facts, default=str))
    for value in map(np.asarray, arrays.values()):
        is_text = value.dtype.kind in "UO"
        size += sum(len(str(text)) + 64 for text in value.ravel()) if is_text else value.nbytes
    return 2 * size + _SPARE
