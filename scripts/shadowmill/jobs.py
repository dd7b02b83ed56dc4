"""What every rule script does around its one call: a log, and errors that help."""

import errno
import logging
import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from shadowmill.disks import disk_full, is_full
from shadowmill.errors import ArtefactError, BusyError, Interrupted, ShadowmillError

# Ends the log of a job that would fail again in the same way.
NO_RETRY = "Not tried again: it would end in the same way."


# Seconds by which a file may be dated ahead of this machine's clock.
_MOST_AHEAD = 60


class _Log(logging.FileHandler):
    """A log that may stay incomplete: a full disk for it is no reason to lose a result."""

    is_complete = True

    def handleError(self, record: logging.LogRecord) -> None:
        """Go on without this line."""
        self.is_complete = False


@contextmanager
def job(log_path: str, inputs: Iterable[str] = ()) -> Iterator[None]:
    """Run the body of a rule script, its imports included.

    Inputs from the future are refused before the work: Snakemake would delete what is made of them.

    What is logged goes to `log_path`. A user's mistake, or a fault of the outside world (disk,
    memory, permissions), ends the job with one line, which is the last that is logged but for
    `NO_RETRY`; anything else with a traceback. Where the log cannot be written, this goes to the
    standard error.
    """
    log = _open_log(log_path)
    logging.captureWarnings(True)
    try:
        require_past(inputs)
        yield
    except Exception as error:
        message, can_be_cured = explain(error)
        if message is None:
            logging.exception("unexpected error")
        else:
            if not isinstance(error, ShadowmillError):
                logging.info("where it happened:", exc_info=True)
            logging.error("%s", message)
        if not can_be_cured:
            logging.info(NO_RETRY)
        if not log.is_complete:
            print(f"shadowmill: {message or repr(error)}", file=sys.stderr)
        sys.exit(1)


def tell(title: str, notes: Iterable[str]) -> None:
    """Show the user what is no error but should be known, and log it."""
    notes = list(notes)
    if notes:
        text = "\n".join([f"{title}:", *(f"  {note}" for note in notes)])
        logging.warning("%s", text)
        print(text, file=sys.stderr)


def require_past(paths: Iterable[str]) -> None:
    """Wait for files that are dated a few seconds ahead, as shared disks may date them.

    Raises:
        ArtefactError: a file is dated further ahead.
    """
    dates = {path: Path(path).stat().st_mtime for path in paths if Path(path).exists()}
    if not dates:
        return
    latest = max(dates, key=dates.__getitem__)
    ahead = dates[latest] - time.time()
    if ahead > _MOST_AHEAD:
        date, now = (
            datetime.fromtimestamp(t).isoformat(" ", "seconds")
            for t in (dates[latest], time.time())
        )
        raise ArtefactError(
            f"{latest}: dated {date}, and it is {now} now. What is made of a file from the future "
            "counts as out of date at once. Set the clock right if it is wrong, or give the file "
            f"the present date: touch {latest}"
        )
    if ahead > 0:
        time.sleep(ahead)


def _open_log(path: str) -> _Log:
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        log = _Log(path, mode="w", encoding="utf-8")
    except OSError as error:
        sys.exit(f"shadowmill: {explain(error)[0]}")
    logging.basicConfig(
        handlers=[log],
        level=logging.INFO,
        force=True,  # some libraries install handlers of their own when they are imported
        format="%(asctime)s %(levelname)s %(message)s",
    )
    return log


def explain(error: Exception) -> tuple[str | None, bool]:
    """What to tell about an error, in one line, and whether another try may end otherwise.

    Returns:
        None as the line for a defect of the code, which only a traceback explains.
    """
    if isinstance(error, ShadowmillError):
        return str(error), isinstance(error, Interrupted | BusyError)
    if is_full(error):
        return str(disk_full(error, error.filename or Path.cwd() / "a temporary file")), False
    if isinstance(error, OSError):
        what = f"{error.filename}: " if error.filename else ""
        message = f"{what}{error.strerror or error}"
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            return f"{message}. Change its permissions, or use another folder.", False
        return message, True
    if isinstance(error, MemoryError) or _is_torch_memory(error):
        return (
            f"out of memory: {_first_line(error) or 'nothing is left'} Give the job more memory, "
            "or let fewer run at once; models_per_job in the configuration sets how many models "
            "a job trains.",
            True,
        )
    if isinstance(error, ImportError):
        return (
            f"{error.name or 'a library'} cannot be loaded on {os.uname().nodename}: "
            f"{_first_line(error)} Set up the environment again: `make setup`.",
            True,
        )
    return None, True


def _first_line(error: Exception) -> str:
    line = next(iter(str(error).splitlines()), "")
    return line and line.rstrip(".") + "."


def _is_torch_memory(error: Exception) -> bool:
    # Without an import of torch, which most jobs do not need.
    torch = sys.modules.get("torch")
    return torch is not None and (
        isinstance(error, torch.OutOfMemoryError)
        or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error))
    )
