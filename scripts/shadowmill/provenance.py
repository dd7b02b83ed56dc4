"""Who made a file, from what and how: the facts that every artefact carries."""

import ast
import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

_PACKAGE_FOLDER = Path(__file__).parent
_LIBRARIES = ("numpy", "scipy", "h5py", "torch", "torchvision", "safetensors", "snakemake")


def digest(value: Any) -> str:
    """Short hexadecimal digest of anything JSON-serialisable; independent of the order of keys."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def array_digest(array: Any) -> str:
    """Short hexadecimal digest of an array's shape, type and content."""
    import numpy as np

    array = np.ascontiguousarray(array)
    content = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode())
    content.update(array.reshape(-1).view(np.uint8))  # without a copy: data sets are large
    return content.hexdigest()[:16]


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


def source_digest(script: str | Path) -> str:
    """Digest of a script and of every module of this package that it imports, directly or not.

    Snakemake tracks the text of a rule's script, not what the script imports. Rules of the cheap
    stages carry this digest as a parameter, so that editing the code redoes its results.

    Args:
        script: path of a Python file.
    """
    sources: dict[Path, str] = {}
    pending = [Path(script)]
    while pending:
        path = pending.pop()
        if path not in sources:
            text, imported = _read_source(path)
            sources[path] = text
            pending += imported
    return digest([sources[path] for path in sorted(sources)])


@cache
def _read_source(path: Path) -> tuple[str, tuple[Path, ...]]:
    text = path.read_text(encoding="utf-8")
    names: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return text, tuple(path for name in sorted(names) for path in _module_files(name))


def _module_files(name: str) -> list[Path]:
    package, *parts = name.split(".")
    if package != _PACKAGE_FOLDER.name:
        return []
    base = _PACKAGE_FOLDER.joinpath(*parts)
    return [path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()]
