"""Says on the terminal when Slurm is silent, instead of waiting in silence with it.

The commands in profiles/slurm/bin, which the Slurm plugin calls, leave traces in a folder; a thread
of the driver looks at them.
"""

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from snakemake.logging import logger

FOLDER = Path(".snakemake/shadowmill-slurm")
# The plugin asks at least every three minutes.
MINUTES = 10


def use_our_commands(checkout: str) -> None:
    """Put the commands in profiles/slurm/bin before Slurm's; before the plugin starts."""
    folder = f"{checkout}/profiles/slurm/bin:"
    os.environ["PATH"] = folder + os.environ["PATH"].replace(folder, "")


def watch_slurm(workflow: Any) -> None:
    """Start the watch where jobs go to Slurm; call this before the first of them does."""
    if workflow.executor_plugin.name != "slurm":
        return
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    _tell_of_interrupts(workflow.executor_settings.jobname_prefix)
    if workflow.executor_settings.status_command == "sacct":  # the others leave no traces

        def submitted() -> int:
            running = list(workflow.scheduler.running) if workflow.scheduler else []
            return sum(not job.is_local for job in running)

        threading.Thread(target=_watch, args=(submitted, MINUTES), daemon=True).start()


def _tell_of_interrupts(prefix: str) -> None:
    """After Ctrl-C the commands wait for Slurm no longer, or the driver could not end.

    And all jobs of the run are cancelled by its name, under which the commands keep their numbers:
    the plugin (2.8.0) knows of none while it asks for their states.
    """
    before = signal.getsignal(signal.SIGINT)

    def stop(number: int, frame: FrameType | None) -> None:
        (FOLDER / "stopped").touch()
        for run in FOLDER.glob(f"{prefix}*"):
            subprocess.Popen(["scancel", "--quiet", f"--name={run.name}"])
        if callable(before):
            before(number, frame)

    signal.signal(signal.SIGINT, stop)


def _watch(submitted: Callable[[], int], minutes: float) -> None:
    started, said = time.time(), {}
    while True:
        time.sleep(min(minutes * 6, 15))
        for topic, text in silences(FOLDER, started, submitted(), minutes):
            if time.time() - said.get(topic, 0) >= minutes * 60:
                said[topic] = time.time()
                logger.warning(text)


def silences(
    folder: Path, started: float, submitted: int, minutes: float
) -> Iterator[tuple[str, str]]:
    """What is wrong at present.

    Args:
        folder: Where the commands leave their traces.
        started: When the watch began, in seconds since 1970.
        submitted: Number of jobs that Snakemake has given to Slurm, or is about to.
        minutes: So long a silence is normal.

    Yields:
        A topic, and what to say of it.
    """
    asked, answered = (
        (time.time() - max(started, _modified(folder / name))) / 60
        for name in ("asked", "answered")
    )
    refusals = [text for path in folder.glob("refusal-*") if (text := _last_line(path))]
    if refusals:
        yield (
            "refused",
            f"Slurm takes no job at present: {refusals[0]}. Trying again every few seconds; the "
            "workflow goes on by itself when it does.",
        )
    if not submitted or answered < minutes:
        return
    if asked < minutes:
        reason = _last_line(folder / "no-answer") or "it took too long each time"
        yield (
            "no answer",
            f"Slurm has not answered for {answered:.0f} minutes: {reason}. Its jobs are not lost, "
            "and the workflow goes on by itself once it answers.",
        )
    elif not refusals:
        yield (
            "not asked",
            f"Slurm has not been asked for {asked:.0f} minutes, although {submitted} jobs are "
            "waited for: Snakemake has lost sight of them. Press Ctrl-C, run `make slurm-cleanup`, "
            "and give the same command again. Nothing that is finished is redone.",
        )


def _modified(path: Path) -> float:
    return path.stat().st_mtime if path.exists() else 0


def _last_line(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip().rpartition("\n")[2]
    except FileNotFoundError:  # just removed, or there was nothing to say
        return ""
