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

from shadowmill.disks import disk_full, is_full
from shadowmill.errors import ShadowmillError
from shadowmill.jobs import NO_RETRY
from shadowmill.storage import require_writable

# Lines of a log that are shown.
LAST_LINES = 15

_ERROR = re.compile(r"^\S+ \S+ ERROR ")
_SBATCH = "SLURM sbatch failed"
_SUBMISSION = re.compile(r"sbatch|ob submission failed")
# What the plugin adds to errors: the whole command, with all tasks of an array in it.
_SBATCH_CALL = re.compile(r"\n\s*sbatch call:.*", re.DOTALL)
_NO_NEWS = re.compile(r"\s*(For further error details|Detailed failure reason un).*", re.DOTALL)
# Words of Slurm for a request that it will never grant. All others (a controller that does not
# answer, a limit on the number of jobs) pass.
_NEVER_GRANTED = re.compile(
    r"invalid|not permitted|not available|denied|unrecognized|can not be satisfied", re.IGNORECASE
)


_Version = tuple[int, int, int] | None

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
        self._before: dict[int, dict[str, _Version]] = {}

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
            is_news = record.levelno < logging.ERROR and not text.startswith("Elapsed time")
            return is_news and self._workflow.is_main_process
        elif event == LogEvent.JOB_INFO:
            self._before[record.jobid] = {path: _version(path) for path in record.log}
            return self._workflow.is_main_process
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
        if not self._workflow.is_main_process:
            # Within a Slurm job, where one Snakemake starts another: the innermost one knows.
            self._is_stopping = True
            if status is None:
                return False
        running = list(self._workflow.scheduler.running)
        job = next(job for job in running if job.jobid == record.jobid)
        if _SUBMISSION.search(record.rule_msg or ""):
            lines, is_hopeless = self._refused(record.rule_msg)
        else:
            lines, is_hopeless = self._failed(record, status)
        if is_hopeless:
            # Not by the setter, which forgets the resources that the scheduler takes back now.
            job._attempt = job.restart_times + 1
        wildcards = ", ".join(f"{name}={value}" for name, value in job.wildcards_dict.items())
        title = f"Error in rule {job.rule.name}{f' ({wildcards})' if wildcards else ''}:"
        record.msg = "\n    ".join([title, *lines])
        record.event = LogEvent.ERROR  # so that no setting of `quiet` hides it but `all`
        return True

    def _refused(self, message: str) -> tuple[list[str], bool]:
        """What to show of a job that Slurm did not take, and whether no retry helps."""
        message = _NO_NEWS.sub("", _SBATCH_CALL.sub("", message))
        if message.startswith("Part of failed"):
            message = self._submission
        elif not message.startswith("Array"):
            return message.splitlines(), bool(_NEVER_GRANTED.search(message))
        # Of an array, the plugin has shown the reason once; here it would come for every task.
        return ["Slurm did not take it: see above."], bool(_NEVER_GRANTED.search(message))

    def _failed(self, record: logging.LogRecord, status: int | None) -> tuple[list[str], bool]:
        """What to show of a job that ran, and whether no retry helps."""
        reason = _NO_NEWS.sub("", record.rule_msg or "")
        if status is not None and status < 0:
            reason = f"killed by {signal.Signals(-status).name}"
            if status == -signal.SIGKILL:
                reason += ", most often because memory ran out"
        before = self._before.get(record.jobid, {})
        logs = [path for path in map(_existing, record.log) if _version(path) != before.get(path)]
        end, is_hopeless = _end(logs)
        shown = [f"log: {path}" for path in logs or record.log]
        return [*reason.splitlines(), *shown, *(f"  {line}" for line in end)], is_hopeless


def _existing(path: str) -> str:
    """Where a log really is: the plugin (2.8.0) looks for those of arrays one folder too deep."""
    elsewhere = Path(path).parent.parent / Path(path).name
    return str(elsewhere) if elsewhere.exists() and not Path(path).exists() else path


def _version(path: str) -> _Version:
    """Tells the log of this try from what an earlier one left."""
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


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
    return 128 - status if status - 128 in list(signal.Signals) else status  # the shell's way


def _end(logs: list[str]) -> tuple[list[str], bool]:
    """The end of the first log that tells of an error, and whether no retry helps."""
    texts = [_read(path) for path in logs]
    for lines in texts:
        starts = [number for number, line in enumerate(lines) if _ERROR.match(line)]
        if starts:
            end = lines[starts[-1] :]
            return end[-LAST_LINES:], any(line.endswith(NO_RETRY) for line in end)
    try:
        # A log that breaks off or was never begun: there may be no room for it.
        require_writable("results")
    except ShadowmillError as error:
        return [str(error), NO_RETRY], True
    nothing = ["The job ended before it wrote anything there."]
    return next((lines[-LAST_LINES:] for lines in reversed(texts) if lines), nothing), False


def _read(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
