"""One job at a time in a folder of unfinished work: two would undo each other's.

The lock is a file that names its holder. It is void once the holder is gone: on this machine when
its process has ended, elsewhere when Slurm no longer knows its job as alive.
"""

import json
import math
import os
import platform
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from shadowmill.errors import BusyError

_NAME = "lock.json"
# Seconds by which two readings of a process's start may differ: the clock is set now and then.
_CLOCK = 60
# Seconds that Slurm may take to answer.
_PATIENCE = 60


@contextmanager
def held(folder: str | Path) -> Iterator[None]:
    """Hold a folder, which is made if need be, while the body runs.

    Raises:
        BusyError: another job holds it, or it cannot be known whether that job still runs.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path, own = folder / _NAME, _this_job()
    _acquire(path, own)
    try:
        yield
    finally:
        if _read(path) == own:
            path.unlink(missing_ok=True)


def _acquire(path: Path, own: dict[str, Any]) -> None:
    # Written beside it and linked: a lock is whole, and of two jobs one gets it, on NFS too.
    mine = path.with_name(f".{_NAME}.{own['host']}.{own['pid']}")
    mine.write_text(json.dumps(own), encoding="utf-8")
    try:
        while not _linked(mine, path):
            holder = _read(path)
            if holder is None:
                continue  # released in between
            if reason := _alive(holder, own):
                raise BusyError(_message(path.parent, holder, reason))
            _remove(path, holder)
    finally:
        mine.unlink(missing_ok=True)


def _linked(source: Path, path: Path) -> bool:
    try:
        os.link(source, path)
    except FileExistsError:
        return False
    return True


def _remove(path: Path, holder: dict[str, Any]) -> None:
    """Remove a void lock, and no other that took its place meanwhile."""
    aside = path.with_name(f".{_NAME}.void.{platform.node()}.{os.getpid()}")
    try:
        path.rename(aside)
    except FileNotFoundError:
        return
    if _read(aside) != holder:
        _linked(aside, path)
    aside.unlink(missing_ok=True)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError:  # a power cut can leave an empty file: nobody's
        return {}


def _this_job() -> dict[str, Any]:
    return {
        "host": platform.node(),
        "pid": os.getpid(),
        "started": _started(os.getpid()),
        "slurm_job": os.environ.get("SLURM_JOB_ID"),
        "since": time.strftime("%Y-%m-%d %H:%M:%S"),
    }


def _started(pid: int) -> float:
    """When a process of this machine was started, in seconds since the epoch; never: NaN."""
    try:
        process = psutil.Process(pid)
        gone = process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
        return math.nan if gone else process.create_time()
    except psutil.NoSuchProcess:
        return math.nan


def _alive(holder: dict[str, Any], own: dict[str, Any]) -> str:
    """Why a lock may still be held; "" if it is void."""
    if not holder:
        return ""
    if holder["host"] == own["host"]:
        # A number is given to another process some day, at the latest after a reboot.
        apart = abs(_started(holder["pid"]) - holder["started"])
        return "it runs" if apart < _CLOCK else ""
    if holder["slurm_job"] is None:
        return f"whether it still runs only {holder['host']} knows"
    if holder["slurm_job"] == own["slurm_job"]:
        return ""  # this very job, on the node that it ran on before it was requeued
    return _alive_in_slurm(holder["slurm_job"])


def _alive_in_slurm(job: str) -> str:
    command = ["squeue", "--noheader", f"--jobs={job}", "--format=%T"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"Slurm cannot be asked whether it still runs ({error})"
    if done.returncode:
        known = "Invalid job id" not in done.stderr
        return f"Slurm does not say whether it still runs ({done.stderr.strip()})" if known else ""
    states = set(done.stdout.split())
    ended = {"CANCELLED", "COMPLETED", "FAILED", "TIMEOUT", "OUT_OF_MEMORY", "NODE_FAIL"}
    ended |= {"PREEMPTED", "BOOT_FAIL", "DEADLINE"}
    return "it runs" if states - ended else ""


def _message(folder: Path, holder: dict[str, Any], reason: str) -> str:
    job = holder["slurm_job"]
    name = f"process {holder['pid']} of {holder['host']}" if job is None else f"Slurm job {job}"
    cure = f"scancel {job}" if job else f"kill {holder['pid']} on {holder['host']}"
    lost = "" if reason == "it runs" else f" If it is gone, delete {folder / _NAME}."
    return (
        f"{folder}: {name} has worked there since {holder['since']}, and {reason}. Two jobs would "
        f"undo each other's work. Wait for it to end, or end it ({cure}), and run again.{lost}"
    )
