"""Whether a data set must be prepared again: lists of its files, and records of what was prepared.

A listing (paths, sizes, times) is cheap and says whether the files may have changed. What they hold
is known once they are read: the digest of the examples then says whether models are trained again.
Snakemake is given both, by `plan` and by `Content`. Records are beside the prepared files, not in
them, as they must outlive them: prepared files may be deleted to save space.

Imported while Snakemake parses.
"""

import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from shadowmill import storage
from shadowmill.data import Dataset
from shadowmill.errors import DataError
from shadowmill.provenance import digest


@dataclass(frozen=True)
class Record:
    """What was prepared.

    Attributes:
        planned: what `plan` said when Snakemake planned to prepare it.
        listing: of the files it was read from, None if there are none.
        folder: in which they were looked for.
        content: digest of the examples.
        names: digest of what they are called.
        settings: digest of how they were read.
    """

    planned: str
    listing: str | None
    folder: str
    content: str
    names: str = ""
    settings: str = digest({})


class Plan(NamedTuple):
    """Whether to prepare a data set again.

    Attributes:
        value: the same as last time if not.
        note: for the user, "" if there is nothing to say.
    """

    value: str
    note: str = ""


def folder_of(entry: Dataset, folders: Mapping[str, Any]) -> Path:
    """The folder that a data set is looked for in.

    Args:
        entry: of the data set.
        folders: the configuration's `data`.
    """
    return Path(entry.folder or folders["roots"].get(entry.name, folders["root"]))


def settings_of(entry: Dataset) -> str:
    """Digest of how a data set is read, but for where it lies."""
    return digest(entry.settings)


def listing(entry: Dataset, root: Path) -> str | None:
    """Digest of paths below `root`, sizes and times of a data set's files; None without files.

    Raises:
        DataError: a folder may not be read.
    """
    for patterns in entry.found_in:
        places = {place for pattern in patterns for place in root.glob(pattern)}
        try:
            files = sorted(file for place in places for file in _files(root, place))
        except OSError as error:
            raise DataError(
                f"{entry.name}: {error.filename} cannot be read ({error.strerror}). Change its "
                f"permissions, or name another folder in workflow_config.yaml under {_key(entry)}."
            ) from error
        if files:
            return digest(files)
    return None


def _key(entry: Dataset) -> str:
    """Where the configuration says where a data set lies."""
    return f"datasets.{entry.name}" if entry.is_own else f"data.roots.{entry.name}"


def _files(root: Path, place: Path) -> Iterator[tuple[str, int, int]]:
    """A file, or all of a folder but what is hidden: path, bytes, nanoseconds."""
    pending: list[Path | os.DirEntry] = [place]
    while pending:
        entry = pending.pop()
        if entry.is_dir():
            with os.scandir(entry) as inside:
                pending += [part for part in inside if not part.name.startswith(".")]
        elif entry.is_file():
            facts = entry.stat()
            path = os.fspath(entry).removeprefix(f"{root}/")
            yield path, facts.st_size, facts.st_mtime_ns


def write_record(path: str | Path, record: Record) -> None:
    """Write what was prepared."""
    storage.write_text(path, json.dumps(asdict(record), indent=1) + "\n")


def read_record(path: str | Path) -> Record | None:
    """Read what was prepared; None if that is not known."""
    try:
        return Record(**json.loads(Path(path).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


class Content(str):
    """Digest of the examples that were prepared, as a parameter of Snakemake: the path of a record.

    Snakemake compares and writes down how a parameter is represented. Of jobs on a cluster it keeps
    the parameters from when it planned, before anything was prepared: so the record is read when it
    asks for that.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        record = read_record(self)
        return repr(record and record.content)


class Names(Content):
    """The same of what the examples are called, which changes tables and figures alone."""

    __slots__ = ()

    def __repr__(self) -> str:
        record = read_record(self)
        return repr(record and record.names)


def plan(entry: Dataset, root: Path, record_path: str) -> Plan:
    """Whether a data set must be prepared again.

    Published examples are what they are: where their files were deleted, or are looked for in a
    folder without them, what was prepared of them stands, unless it is to be read otherwise.

    Raises:
        DataError: the user's own files are not there.
    """
    record, now = read_record(record_path), listing(entry, root)
    if record is None:
        if entry.is_own and now is None:
            raise DataError(f"{_key(entry)}: {_absent(entry, root)}")
        return Plan(f"first, {time.time_ns()}")
    settings = settings_of(entry)
    is_read_alike = settings == record.settings
    if now == record.listing and is_read_alike:
        return Plan(record.planned)
    if now is not None or not is_read_alike:
        reason = "the files in {root} are not those that were prepared"
        if now == record.listing:
            reason = "the configuration has it read otherwise than it was prepared"
        return Plan(
            f"{now} after {record.listing}, {settings} after {record.settings}",
            f"{entry.name}: {reason.format(root=root)}. They are prepared again. If their content "
            "is another one, models are trained again after that.",
        )
    if not entry.is_own:
        return Plan(record.planned)
    if str(root) == record.folder:
        note = (
            f"{entry.name}: no files in {root} any more. The examples that were prepared are used."
        )
        return Plan(record.planned, note)
    raise DataError(
        f"{_key(entry)}: {_absent(entry, root)} The examples that were prepared are of another "
        f"folder, {record.folder}."
    )


def _absent(entry: Dataset, root: Path) -> str:
    wanted = " or ".join(entry.found_in[0])
    if not root.is_dir():
        return f"there is no folder {root}. Correct the path."
    return f"there is no {wanted} in {root}. Correct the path, or put the data there."
