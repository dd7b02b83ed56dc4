"""NumPy archives and HDF5 files, read array by array or some rows at a time."""

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

_PART = 1 << 25  # bytes that are in memory at once

UNREADABLE = (OSError, EOFError, KeyError, ValueError, RuntimeError, zipfile.BadZipFile)
"""What the libraries raise of files that are missing, damaged or of another kind."""


class Form(NamedTuple):
    """Of an array: what is known without reading it."""

    shape: tuple[int, ...]
    dtype: np.dtype


class ArrayFile(Protocol):
    """An open file of named arrays."""

    names: list[str]

    def form(self, name: str) -> Form:
        """Shape and type of an array."""

    def whole(self, name: str) -> np.ndarray:
        """An array, in memory; text as an array of text."""

    def parts(self, name: str) -> Iterator[np.ndarray]:
        """The rows of an array, some at a time."""


@contextmanager
def opened(path: Path) -> Iterator[ArrayFile]:
    """Open a file for reading; raises one of `UNREADABLE`."""
    if path.suffix == ".npz":
        with zipfile.ZipFile(path) as archive:
            yield _Archive(archive)
        return
    import h5py

    with h5py.File(path, "r") as file:
        yield _HDF5(file)


class _Archive:
    """A NumPy archive."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self.names = [name.removesuffix(".npy") for name in archive.namelist()]

    @contextmanager
    def _member(self, name: str) -> Iterator[tuple[zipfile.ZipExtFile, Form, bool]]:
        with self._archive.open(f"{name}.npy") as file:
            version = np.lib.format.read_magic(file)
            read = (
                np.lib.format.read_array_header_1_0
                if version == (1, 0)
                else np.lib.format.read_array_header_2_0
            )
            shape, is_fortran, dtype = read(file)
            if dtype.hasobject:
                raise ValueError(f"{name} holds Python objects")
            if dtype.kind == "V":
                raise ValueError(f"{name} holds {dtype}, neither numbers nor text")
            yield file, Form(shape, dtype), is_fortran

    def form(self, name: str) -> Form:
        with self._member(name) as (_, form, _):
            return form

    def whole(self, name: str) -> np.ndarray:
        self.form(name)  # which is refused if it is no array of numbers or text
        with self._archive.open(f"{name}.npy") as file:
            return np.lib.format.read_array(file, allow_pickle=False)

    def parts(self, name: str) -> Iterator[np.ndarray]:
        with self._member(name) as (file, (shape, dtype), is_fortran):
            if is_fortran:
                yield self.whole(name)
                return
            row = dtype.itemsize * prod(shape[1:])
            rows = max(1, _PART // max(1, row))
            for start in range(0, shape[0], rows):
                count = min(rows, shape[0] - start)
                content = file.read(count * row)
                if len(content) < count * row:
                    raise EOFError(f"{name} ends early")
                yield np.frombuffer(content, dtype).reshape(count, *shape[1:])


class _HDF5:
    """An HDF5 file."""

    def __init__(self, file) -> None:  # noqa: ANN001  h5py is not loaded for archives
        from h5py import check_string_dtype

        self._file, self._string_info = file, check_string_dtype
        self.names = list(file)

    def _stored(self, name: str):  # noqa: ANN202  likewise
        stored = self._file[name]
        if getattr(stored, "shape", None) is None:
            raise ValueError(f"{name} is no array")
        if stored.dtype.kind in "OV" and self._string_info(stored.dtype) is None:
            raise ValueError(f"{name} holds {stored.dtype}, neither numbers nor text")
        return stored

    def form(self, name: str) -> Form:
        stored = self._stored(name)
        return Form(stored.shape, stored.dtype)

    def whole(self, name: str) -> np.ndarray:
        stored = self._stored(name)
        return stored.asstr()[()].astype(str) if stored.dtype.kind == "O" else stored[()]

    def parts(self, name: str) -> Iterator[np.ndarray]:
        stored = self._stored(name)
        rows = max(1, _PART // max(1, stored.dtype.itemsize * prod(stored.shape[1:])))
        for start in range(0, len(stored), rows):
            yield stored[start : start + rows]
