"""Disks that are full, as one clear message."""

import errno
import shutil
from pathlib import Path

from shadowmill.errors import DiskError


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
