"""Readers of data sets: from the formats they are published in to arrays. What all of them share.

A reader takes the folder in which its data set is looked for, returns `Examples`, and downloads
what is missing where a program can. Files that belong to one data set are looked for in the folder
itself and where they come to lie when several data sets share a folder.
"""

import hashlib
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from shadowmill.data import DATASETS, Dataset
from shadowmill.disks import disk_full, is_full
from shadowmill.errors import DataError
from shadowmill.large_arrays import Streamed

_MOST_FOLDERS = 100  # that are looked into for a data set that is not where it should be


@dataclass(frozen=True)
class Examples:
    """A data set in official order, training examples first.

    Attributes:
        inputs: (N, H, W, C) images or (N, D) float32 features. Images are uint8, or float32 where
            bytes cannot hold them; large ones are read as they are needed.
        labels: (N,) int64, 0 … K - 1.
        is_test: (N,) bool, True for the official test set.
        class_names: K, one for each label.
        source: where they come from.
        extras: further arrays by name, such as other annotations of each example; kept beside the
            examples in the prepared file.
        ids: (N,) text, what the user calls each example; None if only its number is known.
        groups: (N,) text, which examples belong together; None if each is on its own.
        notes: what was done to the data, and what is odd about them, in words.
    """

    inputs: np.ndarray | Streamed
    labels: np.ndarray
    is_test: np.ndarray
    class_names: tuple[str, ...]
    source: str
    extras: Mapping[str, np.ndarray] = field(default_factory=dict)
    ids: np.ndarray | None = None
    groups: np.ndarray | None = None
    notes: tuple[str, ...] = ()


def join(
    train: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    class_names: tuple[str, ...],
    source: str,
) -> Examples:
    """Examples from inputs and labels of the two official parts."""
    inputs = np.concatenate([train[0], test[0]])
    labels = np.concatenate([train[1], test[1]]).astype(np.int64)
    is_test = np.arange(len(labels)) >= len(train[1])
    return Examples(inputs, labels, is_test, class_names, source)


def check_sizes(
    entry: Dataset, pool_size: int, test_size: int, num_classes: int, source: str
) -> None:
    """Compare what was found of a data set with its row of the table.

    Raises:
        DataError: a number differs from the published one.
    """
    for what, found, expected in (
        ("training examples", pool_size, entry.pool_size),
        ("test examples", test_size, entry.test_size),
        ("classes", num_classes, entry.num_classes),
    ):
        if expected is not None and found != expected:
            raise DataError(
                f"{entry.name}: {found} {what} in {source}, {expected} expected. "
                "Fetch the data set again."
            )


def find(root: Path, *candidates: str) -> Path | None:
    """The first of these paths below `root` that exists."""
    return next((root / path for path in candidates if (root / path).exists()), None)


def download(fetch: Callable[[], Any], name: str, root: Path, page: str) -> Any:
    """Call `fetch`, which downloads a data set into `root`, and return what it returns.

    Args:
        fetch: raises OSError or RuntimeError if it fails, as torchvision does.
        name: row of the table of data sets.
        root: where the data set was looked for in vain.
        page: address at which the files can be had by hand.

    Raises:
        DataError: it lies in another folder nearby, or the download failed; says what to do.
        DiskError: there is no room for it.
    """
    refuse_misplaced(DATASETS[name], root)
    try:
        return fetch()
    except (OSError, RuntimeError) as error:
        if is_full(error):
            raise disk_full(error, root / name) from error
        reason = " ".join(str(error).split())  # torchvision's is of several lines
        raise DataError(
            f"{name}: not found in {root}, and it cannot be downloaded ({reason}). On a machine "
            f"with network run `snakemake --cores 1 results/data/{name}.h5`, or fetch the files by "
            f"hand ({page}); then put them into that folder, or name the folder that has them in "
            f"workflow_config.yaml under data.root (data.roots.{name} for this data set alone)."
        ) from error


def refuse_misplaced(entry: Dataset, root: Path) -> None:
    """Refuse a folder without a data set that lies in the folder above it, or in one or two below.

    Raises:
        DataError: names the folder that has it.
    """
    below = [folder for folder in _folders(root) for folder in (folder, *_folders(folder))]
    for place in (root.parent, *below[:_MOST_FOLDERS]):
        for patterns in entry.found_in:
            # MNIST and its replacements have the same names: their folders tell them apart.
            is_clear = not any(pattern.startswith("train-") for pattern in patterns)
            if is_clear and all(any(place.glob(pattern)) for pattern in patterns):
                raise DataError(
                    f"{entry.name}: not in {root}, but in {place}. Name that folder in "
                    f"workflow_config.yaml under data.roots.{entry.name}."
                )


def _folders(folder: Path) -> list[Path]:
    """Folders in a folder, but for hidden ones."""
    try:
        found = [path for path in folder.iterdir() if not path.name.startswith(".")]
        return sorted(path for path in found if path.is_dir())[:_MOST_FOLDERS]
    except OSError:
        return []


def refuse_altered(name: str, root: Path, files: Iterable[tuple[str, str | None]]) -> None:
    """Refuse files that differ from those that were published: a download would replace them.

    Args:
        name: row of the table of data sets.
        root: folder of the data set.
        files: paths below it, each with its MD5 sum; None if that is not known.

    Raises:
        DataError: names the first such file.
    """
    for path, expected in files:
        if expected and (root / path).is_file() and _digest(root / path, "md5") != expected:
            raise _altered(name, root / path, "MD5", expected)


def _altered(name: str, path: Path, kind: str, expected: str) -> DataError:
    return DataError(
        f"{name}: {path} is not the published file (its {kind} sum is not {expected}). It is left "
        "as it is. Move it elsewhere to have the published one downloaded, name another folder in "
        f"workflow_config.yaml under data.roots.{name}, or audit these data as your own, under "
        "`datasets`."
    )


def _digest(path: Path, kind: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, kind).hexdigest()


def through_torchvision(
    parts: Callable[[bool], list[Any]],
    name: str,
    root: Path,
    page: str,
    files: Iterable[tuple[str, str | None]],
) -> list[Any]:
    """Parts of a data set as torchvision reads them, downloaded if they are not there.

    Args:
        parts: makes torchvision's objects; its argument is their `download`.
        name: row of the table of data sets.
        root: folder to look in and to download to.
        page: address at which the files can be had by hand.
        files: all that a download writes, as of `refuse_altered`.

    Raises:
        DataError: not found and not to be had, or altered.
    """
    try:
        return parts(False)
    except RuntimeError:  # torchvision's word for: not there, or its checksums are wrong
        refuse_altered(name, root, files)
        return download(lambda: parts(True), name, root, page)


def download_archive(
    url: str, name: str, root: Path, page: str, checksum: tuple[str, str] | None
) -> None:
    """Download an archive into `root`, unless it lies there already, and unpack it there.

    Nothing that lies there is replaced, and a killed download or unpacking leaves nothing that
    could be taken for the data.

    Args:
        url: of the archive.
        name: row of the table of data sets.
        root: folder.
        page: address at which it can be had by hand.
        checksum: kind and value, such as ("sha256", "9272…"); None if none was published.

    Raises:
        DataError: it cannot be had, is damaged, or is not the published one.
        DiskError: there is no room for it.
    """
    from torchvision.datasets.utils import download_url

    archive = root / url.rsplit("/", 1)[-1]
    if not archive.exists():
        part = root / f".{archive.name}.part"
        try:
            download(lambda: download_url(url, root, part.name), name, root, page)
            part.rename(archive)
        finally:
            part.unlink(missing_ok=True)
    if checksum and _digest(archive, checksum[0]) != checksum[1]:
        raise _altered(name, archive, checksum[0].upper(), checksum[1])
    _unpack(archive, root)


def _unpack(archive: Path, root: Path) -> None:
    from torchvision.datasets.utils import extract_archive

    folder = root / f".{archive.name}.unpacked"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        extract_archive(archive, folder)
        for entry in folder.iterdir():
            if not (root / entry.name).exists():
                entry.rename(root / entry.name)
    except (OSError, EOFError, zlib.error, tarfile.TarError, zipfile.BadZipFile) as error:
        if is_full(error):
            raise disk_full(error, root / archive.stem) from error
        raise DataError(
            f"{archive}: cannot be unpacked ({error}). Move it elsewhere and fetch it again."
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
