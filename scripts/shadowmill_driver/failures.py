"""Failed jobs in a few lines: what failed, why, where the log is, how it ends.

Snakemake's own words are of little use here: with `quiet: rules` nothing is shown, and without it
the files of every job, of which a block has dozens. All of a record's way through Snakemake's
logger passes the filter below, so terminal and log file show the same, in every profile.
"""

import logging
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, TypeVar

from snakemake.logging import logger
from snakemake_interface_logger_plugins.common import LogEvent

from shadowmill.errors import ShadowmillError
from shadowmill.jobs import NO_RETRY
from shadowmill.storage import disk_full, is_full, require_writable

# Lines of a log that are shown.
LAST_LINES = 15

_ERROR = re.compile(r"^\S+ \S+ ERROR ")
_SBATCH = "SLURM sbatch failed"
# What the plugin adds to errors: the whole command, with all tasks of an array in it.
_SBATCH_CALL = re.compile(r"\n\s*sbatch call:.*", re.DOTALL)
_SEE_LOGS = re.compile(r"\s*For further error details see the cluster/cloud log.*", re.DOTALL)
# Words of Slurm for a request that it will never grant. All others (a controller that does not
# answer, a limit on the number of jobs) pass.
_NEVER_GRANTED = re.compile(
    r"invalid|not permitted|not available|denied|unrecognized|can not be satisfied", re.IGNORECASE
)


Kind = TypeVar("Kind", bound=BaseException)


def show_failures(workflow: Any) -> None:
    """Let Snakemake report failures in our way."""
    logger.addFilter(Failures(workflow))
    logging.raiseExceptions = False  # a log on a full disk is no reason for tracebacks


class Failures(logging.Filter):
    """Rewrites what Snakemake says of failed jobs; lets no job be retried that cannot succeed."""

    def __init__(self, workflow: Any) -> None:
        """For the workflow of this process."""
        super().__init__()
        self._workflow = workflow
        self._submission = ""
        self._is_stopping = False

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite a record, or drop it."""
        event = getattr(record, "event", None)
        text = str(record.msg)
        if text.startswith("Terminating processes on user request"):
            self._is_stopping = True
            record.msg = (
                "Stopped on request. What is finished is kept; the same command goes on from there."
            )
        elif self._is_stopping:
            # How jobs ended that were told to stop is no news.
            return not (record.levelno >= logging.ERROR or text.startswith("Elapsed time"))
        elif event == LogEvent.JOB_ERROR:
            return self._is_news(record)
        elif event == LogEvent.ERROR:
            if _cause(subprocess.CalledProcessError):
                return False  # the job's own error follows
            record.msg = _in_one_line() or record.msg
        elif text.startswith(_SBATCH):
            self._submission = record.msg = _SBATCH_CALL.sub("", text)
        return True

    def _is_news(self, record: logging.LogRecord) -> bool:
        status = _exit_status()
        if status == -signal.SIGINT:
            return False
        job = next(
            job for job in list(self._workflow.scheduler.running) if job.jobid == record.jobid
        )
        reason = _SEE_LOGS.sub("", _SBATCH_CALL.sub("", record.rule_msg or ""))
        if status is not None and status < 0:
            reason = f"killed by {signal.Signals(-status).name}"
            if status == -signal.SIGKILL:
                reason += ", most often because memory ran out"
        submission = self._submission if "array sbatch" in reason else reason
        lines, is_hopeless = _ends(record.log)
        if _SBATCH in submission and _NEVER_GRANTED.search(submission):
            is_hopeless = True
        if is_hopeless:
            # Not by the setter, which forgets the resources that the scheduler takes back now.
            job._attempt = job.restart_times + 1
        record.event = LogEvent.ERROR  # so that no setting of `quiet` hides it but `all`
        record.msg = _describe(job, reason, record.log, lines)
        return True


def _cause(kind: type[Kind]) -> Kind | None:
    """The error of a kind in the chain of those that are being reported."""
    error = sys.exception()
    while error is not None and not isinstance(error, kind):
        error = error.__cause__ or error.__context__
    return error


def _in_one_line() -> str | None:
    """What is reported, if it is a user's mistake or a full disk; else None."""
    if mistake := _cause(ShadowmillError):
        return str(mistake)
    fault = _cause(OSError)
    if fault and is_full(fault):
        return str(disk_full(fault, fault.filename or Path(".snakemake/a file").absolute()))
    return None


def _exit_status() -> int | None:
    """Exit status of the job whose failure is being reported, minus N for signal N.

    None if this is about no job that ran here.
    """
    error = _cause(subprocess.CalledProcessError)
    if error is None:
        return None
    status = error.returncode
    return 128 - status if 128 < status < 128 + signal.NSIG else status  # the shell's way


def _describe(job: Any, reason: str, logs: list[str], lines: list[str]) -> str:
    wildcards = ", ".join(f"{name}={value}" for name, value in job.wildcards_dict.items())
    parts = [f"Error in rule {job.rule.name}{f' ({wildcards})' if wildcards else ''}:"]
    parts += reason.splitlines()
    parts += [f"log: {', '.join(logs)}", *(f"  {line}" for line in lines)]
    return "\n    ".join(parts)


def _ends(logs: list[str]) -> tuple[list[str], bool]:
    """The end of the first log that has something to say, and whether no retry helps."""
    for path in logs:
        lines = _read(path)
        starts = [number for number, line in enumerate(lines) if _ERROR.match(line)]
        if starts:
            return lines[starts[-1] :][-LAST_LINES:], lines[-1].endswith(NO_RETRY)
    try:
        # A log that breaks off or was never begun: there may be no room for it.
        require_writable("results")
    except ShadowmillError as error:
        return [str(error), NO_RETRY], True
    ends = (lines[-LAST_LINES:] for lines in map(_read, logs) if lines)
    return next(ends, ["There is none: the job ended before it could write one."]), False


def _read(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
