"""Atomic writes and checked reads of the files under ``results/``.

A file appears under its final name only when it is whole: it is written beside it, flushed to the
disk, then renamed. A job killed at any moment leaves no half file under a final name. A full disk
is one clear message. Arrays and tensors carry digests of their content, checked on reading.
"""

import io
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shadowmill.disks import disk_full, is_full
from shadowmill.errors import ArtefactError
from shadowmill.provenance import array_digest, digest

if TYPE_CHECKING:
    import h5py
    import numpy as np
    import torch

PROVENANCE = "provenance"
# Of attributes or metadata, or of one array; and of all tensors.
DIGEST, _CONTENT = "digest_of_this", "digest_of_tensors"

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
    """Give a file a second name, atomically: a hard link where possible, else a copy.

    It is dated now: Snakemake deletes outputs that are older than an input, and that may have been
    made again since the file was written.
    """
    with atomic(destination, source.stat().st_size) as temporary:
        temporary.unlink(missing_ok=True)
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)
        os.utime(temporary)


def _missing(path: str | Path) -> ArtefactError:
    return ArtefactError(f"{path}: no such file. Rerun the workflow to make it.")


def _forbidden(path: str | Path) -> ArtefactError:
    return ArtefactError(f"{path}: you may not read it. Change its permissions.")


def _unreadable(path: str | Path, reason: str) -> ArtefactError:
    """For what may be anything: only what is known to be ours is recommended for deletion."""
    return ArtefactError(
        f"{path}: cannot be read ({reason}). It is truncated or damaged, or was not written by "
        "this workflow. Move it elsewhere and rerun the workflow, which makes it again."
    )


def _foreign(path: str | Path) -> ArtefactError:
    return ArtefactError(
        f"{path}: not written by this workflow, or by an earlier version of it. Move it elsewhere "
        "and rerun the workflow, which makes its own."
    )


def damaged(path: str | Path, what: str) -> ArtefactError:
    """The error for a file of ours that is no longer what was written."""
    return ArtefactError(
        f"{path}: damaged, the content of {what} is no longer what was written. Delete it and "
        "rerun the workflow."
    )


def content_digest(values: Any) -> str:
    """Digest of an array of numbers or text: of its shape, type and content."""
    import numpy as np

    array = np.asarray(values)
    if array.dtype.kind in "UOS":
        return digest([array.shape, [str(text) for text in array.ravel()]])
    return array_digest(array)


class Arrays:
    """The arrays and attributes of an open HDF5 file, checked against their digests when read.

    Attributes:
        path: of the file.
        attributes: what `write_hdf5` was given, by name, with the provenance.
    """

    def __init__(self, path: str | Path, file: "h5py.File") -> None:
        """Read the attributes.

        Raises:
            ArtefactError: the file was not written by this workflow, or its attributes changed.
        """
        self.path, self._file, self._names = path, file, tuple(file)
        texts = dict(file.attrs)
        expected = texts.pop(DIGEST, None)
        if PROVENANCE not in texts or expected is None:
            raise _foreign(path)
        if digest(texts) != expected:
            raise damaged(path, "its attributes")
        self.attributes = {name: json.loads(text) for name, text in texts.items()}

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def shape(self, name: str) -> tuple[int, ...]:
        """Of an array, which is not read."""
        with self.stored(name) as stored:
            return stored.shape

    def __getitem__(self, name: str) -> "np.ndarray":
        """An array, read whole; text as an array of objects."""
        with self.stored(name) as stored:
            values = stored.asstr()[:] if stored.dtype.kind == "O" else stored[()]
            return self._checked(stored, values)

    def get(self, name: str) -> "np.ndarray | None":
        """An array that the file may lack."""
        return self[name] if name in self._names else None

    def read_into(self, name: str, destination: "np.ndarray", where: Any) -> None:
        """Read an array straight into a part of another one of its type."""
        with self.stored(name) as stored:
            stored.read_direct(destination, dest_sel=where)
            self._checked(stored, destination[where])

    @contextmanager
    def stored(self, name: str) -> Iterator["h5py.Dataset"]:
        """An array to be read; what the library cannot read in a file that is ours is damaged."""
        if name not in self:
            raise ArtefactError(
                f"{self.path}: it has no array {name}, but {', '.join(self)}. It was made with "
                "other settings than are asked for now. Delete it and rerun the workflow."
            )
        try:
            yield self._file[name]
        except (KeyError, OSError, RuntimeError, ValueError) as error:
            if "errno" in str(error):  # the disk or the network failed, not the file
                raise
            raise damaged(self.path, name) from error

    def _checked(self, stored: "h5py.Dataset", values: "np.ndarray") -> "np.ndarray":
        if content_digest(values) != stored.attrs.get(DIGEST):
            raise damaged(self.path, stored.name.lstrip("/"))
        return values


@contextmanager
def open_hdf5(path: str | Path) -> Iterator[Arrays]:
    """Open an HDF5 file that `write_hdf5` wrote, for reading.

    Raises:
        ArtefactError: the file is missing or unreadable, was not written by this workflow, lacks an
            array that is asked for, or its content is no longer what was written.
    """
    import h5py

    try:
        # Whole once they have their name: no lock is needed, which some network drives lack.
        file = h5py.File(path, "r", locking=False)
    except PermissionError as error:
        raise _forbidden(path) from error
    except FileNotFoundError as error:
        raise _missing(path) from error
    except OSError as error:
        raise _unreadable(path, str(error).splitlines()[0]) from error
    with file:
        try:
            arrays = Arrays(path, file)
        except (KeyError, OSError, RuntimeError, ValueError) as error:
            raise _unreadable(path, str(error)) from error
        yield arrays


def write_hdf5(
    path: str | Path, arrays: Mapping[str, Any], provenance: Mapping[str, Any], **attributes: Any
) -> None:
    """Write named arrays, attributes, provenance, and digests of all these, atomically.

    Args:
        path: HDF5 file to write.
        arrays: name to array; large arrays are compressed losslessly.
        provenance: JSON-serialisable facts on how the file was made.
        attributes: JSON-serialisable facts that readers need.
    """
    import h5py

    # In memory first: the library crashes the process when it cannot write what it holds.
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        fill(file, arrays, {**attributes, PROVENANCE: provenance})
    write_bytes(path, content.getbuffer())


def fill(file: "h5py.File", arrays: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    """Put arrays and attributes into an HDF5 file, with their digests."""
    import h5py
    import numpy as np

    for name, value in arrays.items():
        array = np.asarray(value)
        if array.dtype.kind in "UO":
            text = array.astype(object)
            stored = file.create_dataset(name, data=text, dtype=h5py.string_dtype())
        elif array.nbytes > 1 << 16:
            stored = file.create_dataset(name, data=array, compression="gzip", compression_opts=1)
        else:
            stored = file.create_dataset(name, data=array)
        stored.attrs[DIGEST] = content_digest(array)
    texts = {name: json.dumps(value) for name, value in facts.items()}
    for name, text in (texts | {DIGEST: digest(texts)}).items():
        file.attrs[name] = text


def attribute(file: Arrays, name: str = PROVENANCE) -> Any:
    """An attribute that `write_hdf5` wrote (the provenance, if no name is given).

    Raises:
        ArtefactError: the file has none of that name.
    """
    if name not in file.attributes:
        raise ArtefactError(
            f"{file.path}: it does not say its {name}. It is another kind of file than this place "
            "is for. Move it elsewhere and rerun the workflow."
        )
    return file.attributes[name]


def write_tensors(
    path: str | Path, tensors: Mapping[str, "torch.Tensor"], metadata: Mapping[str, Any]
) -> None:
    """Write tensors, JSON-serialisable metadata, and digests of both, atomically.

    Args:
        path: safetensors file to write.
        tensors: by name, on any device.
        metadata: at least one entry.
    """
    from safetensors.torch import save

    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    texts = {name: json.dumps(value) for name, value in metadata.items()}
    digests = {DIGEST: digest(texts), _CONTENT: _tensors_digest(plain)}
    write_bytes(path, save(plain, texts | digests))


def _tensors_digest(tensors: Mapping[str, "torch.Tensor"]) -> str:
    import torch

    # As bytes: NumPy knows no bfloat16.
    return digest(
        {
            name: [
                str(tensor.dtype),
                list(tensor.shape),
                content_digest(tensor.reshape(-1).view(torch.uint8).numpy()),
            ]
            for name, tensor in tensors.items()
        }
    )


def read_tensors(path: str | Path) -> tuple[dict[str, "torch.Tensor"], dict[str, Any]]:
    """Read what `write_tensors` wrote.

    Returns:
        The tensors by name, on the CPU, and the metadata.

    Raises:
        ArtefactError: the file is missing or unreadable, was not written by this workflow, or its
            content is no longer what was written.
    """
    with _open_tensors(path, "pt") as (file, metadata, content):
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if _tensors_digest(tensors) != content:
            raise damaged(path, "its tensors")
        return tensors, metadata


def read_metadata(path: str | Path) -> dict[str, Any]:
    """Read the metadata alone; needs no torch.

    Raises:
        ArtefactError: as for `read_tensors`, but the tensors are not looked at.
    """
    with _open_tensors(path, "np") as (_, metadata, _):
        return metadata


@contextmanager
def _open_tensors(path: str | Path, framework: str) -> Iterator[tuple[Any, dict[str, Any], str]]:
    """The file, its metadata, and the digest that its tensors should have."""
    from safetensors import SafetensorError, safe_open

    if not Path(path).exists():
        raise _missing(path)
    try:
        with safe_open(path, framework=framework) as file:
            texts = dict(file.metadata() or {})
            expected, content = texts.pop(DIGEST, None), texts.pop(_CONTENT, None)
            if expected is None or content is None:
                raise _foreign(path)
            if digest(texts) != expected:
                raise damaged(path, "its metadata")
            yield file, {name: json.loads(text) for name, text in texts.items()}, content
    except PermissionError as error:
        raise _forbidden(path) from error
    except (SafetensorError, OSError, ValueError) as error:
        raise _unreadable(path, str(error)) from error


def write_text(path: str | Path, text: str) -> None:
    """Write a text file, atomically."""
    write_bytes(path, text.encode())


def write_bytes(path: str | Path, content: bytes | memoryview) -> None:
    """Write a file, atomically."""
    with atomic(path, len(content)) as temporary:
        temporary.write_bytes(content)
