"""Atomic writes and checked reads of the files under ``results/``.

A file appears under its final name only when it is whole: it is written beside it, flushed to the
disk, then renamed. A job killed at any moment leaves no half file under a final name. A full disk
is one clear message.
"""

import errno
import io
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shadowmill.errors import ArtefactError, DiskError

if TYPE_CHECKING:
    import h5py
    import torch

_PROVENANCE = "provenance"

_SMALL_FILE = 1 << 16  # bytes; with less room than this nothing can be done


@contextmanager
def atomic(path: str | Path, size: int | None = None) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`; rename it to `path` if the block succeeds.

    The temporary name is fixed, so what a killed writer left is overwritten, never piled up.

    Args:
        path: the final name.
        size: bytes that will be written, to say so if they do not fit; None if unknown.

    Raises:
        DiskError: the disk is full.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(path.parent)
    except OSError as error:
        if is_full(error):
            raise disk_full(error, path, size) from error
        raise


def is_full(error: BaseException) -> bool:
    """Whether an error of the system says that a disk is full or a quota used up."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def disk_full(error: OSError, path: str | Path, size: int | None = None) -> DiskError:
    """The message for a file that does not fit on its disk.

    Args:
        error: what the system said.
        path: the file.
        size: bytes that it needs; None if unknown.
    """
    path = Path(path)
    folder = next(folder for folder in path.parents if folder.exists())
    free = _readable(shutil.disk_usage(folder).free)
    is_quota = error.errno == errno.EDQUOT
    reason = "your disk quota is used up" if is_quota else f"the disk is full ({free} free)"
    need = "does not fit" if size is None else f"needs {_readable(size)}"
    return DiskError(
        f"{path.parent}: {reason}, {path.name} {need}. Make room there, or make the folder a link "
        "to one on a disk with room, and run again: what is finished is kept."
    )


def _readable(size: int) -> str:
    """A number of bytes as people write it."""
    power = min((len(str(size)) - 1) // 3, 4)
    return f"{size / 1000**power:.{1 if power else 0}f} {('bytes', 'kB', 'MB', 'GB', 'TB')[power]}"


def _sync_folder(folder: Path) -> None:
    # The rename itself must reach the disk too, or a power cut can undo it.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def require_writable(folder: str | Path) -> None:
    """Make a folder if need be, and a small file in it.

    Raises:
        ArtefactError: it cannot be written to.
        DiskError: its disk is full.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(_SMALL_FILE))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        if is_full(error):
            raise disk_full(error, Path(folder) / "a small file", _SMALL_FILE) from error
        raise ArtefactError(
            f"{folder}: cannot write there ({error.strerror}). Make it a folder you may write to, "
            "or a link to one with room for the models (`df -h` shows which has)."
        ) from error


def link_or_copy(source: Path, destination: Path) -> None:
    """Give a file a second name, atomically: a hard link where possible, else a copy."""
    with atomic(destination, source.stat().st_size) as temporary:
        temporary.unlink(missing_ok=True)
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)


def _broken(path: str | Path, reason: str) -> ArtefactError:
    if not Path(path).exists():
        return ArtefactError(f"{path}: no such file. Rerun the workflow to make it.")
    return ArtefactError(
        f"{path}: cannot be read, it is truncated or damaged ({reason}). "
        "Delete it and rerun the workflow."
    )


@contextmanager
def open_hdf5(path: str | Path) -> Iterator["h5py.File"]:
    """Open an HDF5 file for reading.

    Raises:
        ArtefactError: the file is missing, truncated or damaged.
    """
    import h5py

    try:
        # Whole once they have their name: no lock is needed, which some network drives lack.
        file = h5py.File(path, "r", locking=False)
    except PermissionError as error:
        raise ArtefactError(f"{path}: you may not read it. Change its permissions.") from error
    except OSError as error:
        raise _broken(path, str(error).splitlines()[0]) from error
    with file:
        try:
            yield file
        except (KeyError, OSError, RuntimeError) as error:
            raise _broken(path, str(error)) from error


def write_hdf5(
    path: str | Path, arrays: Mapping[str, Any], provenance: Mapping[str, Any], **attributes: Any
) -> None:
    """Write named arrays, attributes and provenance to an HDF5 file, atomically.

    Args:
        path: where to.
        arrays: name to array; large arrays are compressed losslessly.
        provenance: JSON-serialisable facts on how the file was made.
        attributes: JSON-serialisable facts that readers need.
    """
    import h5py
    import numpy as np

    # In memory first: the library crashes the process when it cannot write what it holds.
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        for name, value in arrays.items():
            array = np.asarray(value)
            if array.dtype.kind in "UO":
                file.create_dataset(name, data=array.astype(object), dtype=h5py.string_dtype())
            elif array.nbytes > 1 << 16:
                file.create_dataset(name, data=array, compression="gzip", compression_opts=1)
            else:
                file.create_dataset(name, data=array)
        for name, value in attributes.items():
            file.attrs[name] = json.dumps(value)
        file.attrs[_PROVENANCE] = json.dumps(provenance)
    write_bytes(path, content.getbuffer())


def attribute(file: "h5py.File", name: str = _PROVENANCE) -> Any:
    """Read an attribute that `write_hdf5` wrote (the provenance, if no name is given)."""
    return json.loads(file.attrs[name])


def write_tensors(
    path: str | Path, tensors: Mapping[str, "torch.Tensor"], metadata: Mapping[str, Any]
) -> None:
    """Write tensors and JSON-serialisable metadata to a safetensors file, atomically."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    texts = {name: json.dumps(value) for name, value in metadata.items()}
    with atomic(path, sum(tensor.nbytes for tensor in contiguous.values())) as temporary:
        try:
            save_file(contiguous, temporary, texts)
        except SafetensorError as error:
            # The library puts the system's error number into its message.
            if number := re.search(r"(?:code:|os error) (\d+)", str(error)):
                raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error
            raise


def read_tensors(path: str | Path) -> tuple[dict[str, "torch.Tensor"], dict[str, Any]]:
    """Read what `write_tensors` wrote.

    Returns:
        The tensors by name, on the CPU, and the metadata.

    Raises:
        ArtefactError: the file is missing, truncated or damaged.
    """
    with _open_tensors(path, "pt") as (file, metadata):
        return {name: file.get_tensor(name) for name in file.keys()}, metadata  # noqa: SIM118


def read_metadata(path: str | Path) -> dict[str, Any]:
    """Read the metadata alone; needs no torch.

    Raises:
        ArtefactError: the file is missing, truncated or damaged.
    """
    with _open_tensors(path, "np") as (_, metadata):
        return metadata


@contextmanager
def _open_tensors(path: str | Path, framework: str) -> Iterator[tuple[Any, dict[str, Any]]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework=framework) as file:
            if file.metadata() is None:
                raise ValueError("no metadata")
            yield file, {name: json.loads(value) for name, value in file.metadata().items()}
    except (SafetensorError, OSError, ValueError) as error:
        raise _broken(path, str(error)) from error


def read_state_dict(path: str, advice: str) -> dict[str, "torch.Tensor"]:
    """Read weights that others published: a state dict of torch, or a safetensors file.

    Args:
        path: the file; nothing in it is executed.
        advice: where to get the right one, to end messages with.

    Returns:
        The tensors by name, on the CPU.

    Raises:
        ArtefactError: the file is missing, damaged, or holds other things than tensors.
    """
    import pickle

    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not Path(path).exists():
        raise ArtefactError(f"{path}: no such file of weights. {advice}")
    try:
        if path.endswith(".safetensors"):
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, OSError, EOFError, RuntimeError, pickle.UnpicklingError) as error:
        raise ArtefactError(
            f"{path}: no file of weights, or a damaged one ({type(error).__name__}). {advice}"
        ) from error
    if not isinstance(state, Mapping) or not all(
        isinstance(tensor, torch.Tensor) for tensor in state.values()
    ):
        raise ArtefactError(f"{path}: not a state dict, whose every entry is a tensor. {advice}")
    return dict(state)


def write_text(path: str | Path, text: str) -> None:
    """Write a text file, atomically."""
    write_bytes(path, text.encode())


def write_bytes(path: str | Path, content: bytes | memoryview) -> None:
    """Write a file, atomically."""
    with atomic(path, len(content)) as temporary:
        temporary.write_bytes(content)
