"""Who made a file, from what and how: the facts that every artefact carries."""

import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

_PACKAGE_FOLDER = Path(__file__).parent
_LIBRARIES = ("numpy", "scipy", "h5py", "torch", "torchvision", "safetensors", "snakemake")


IMPORTED = "imported"
"""In place of the precision of training, of a model that was trained elsewhere."""


def digest(value: Any) -> str:
    """Short hexadecimal digest of anything JSON-serialisable; independent of the order of keys."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def differing(found: Mapping[str, Any], expected: Mapping[str, Any]) -> list[str]:
    """Names of the settings that are not the same in two sets of JSON-serialisable ones."""
    names = sorted(found.keys() | expected.keys())
    return [name for name in names if digest(found.get(name)) != digest(expected.get(name))]


class ArrayDigest:
    """Short hexadecimal digest of an array's shape, type and content, taken part by part."""

    def __init__(self, dtype: "np.dtype", shape: Sequence[int]) -> None:
        """Begin with no content."""
        self._content = hashlib.sha256(f"{dtype.str}{tuple(shape)}".encode())

    def update(self, part: "np.ndarray") -> None:
        """Add the next elements, in C order."""
        import numpy as np

        # Without a copy: data sets are large.
        self._content.update(np.ascontiguousarray(part).reshape(-1).view(np.uint8))

    def hexdigest(self) -> str:
        """The digest."""
        return self._content.hexdigest()[:16]


def array_digest(array: Any) -> str:
    """Short hexadecimal digest of an array's shape, type and content."""
    import numpy as np

    array = np.ascontiguousarray(array)
    content = ArrayDigest(array.dtype, array.shape)
    content.update(array)
    return content.hexdigest()


def file_digest(path: str | Path) -> str:
    """Short hexadecimal digest of the content of a file."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


@cache
def _commit() -> str:
    def git(*arguments: str) -> str:
        command = ["git", "-C", str(_PACKAGE_FOLDER), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        dirty = git("status", "--porcelain", "--untracked-files=no", "--", ".")
        return git("rev-parse", "HEAD") + ("+changes" if dirty else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"  # installed from an archive: there is no repository to ask


@cache
def _libraries() -> dict[str, str]:
    installed = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            installed[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return installed


def provenance(settings: Mapping[str, Any], seconds: float, **facts: Any) -> dict[str, Any]:
    """Facts on how an artefact was made.

    Args:
        settings: what determined the result; stored whole and as a digest.
        seconds: wall time of the making.
        facts: anything else that is JSON-serialisable (device, seeds, digests of inputs).
    """
    from shadowmill import __version__

    return {
        "shadowmill": __version__,
        "commit": _commit(),
        "libraries": _libraries(),
        "host": platform.node(),
        "slurm_job": os.environ.get("SLURM_JOB_ID"),
        "visible_devices": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "settings": dict(settings),
        "settings_digest": digest(settings),
        "seconds": round(seconds, 3),
        **facts,
    }
