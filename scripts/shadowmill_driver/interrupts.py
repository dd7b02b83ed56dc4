"""Ctrl-C while Snakemake plans: one line instead of a traceback."""

import signal
import sys
from types import TracebackType


def end_quietly() -> None:
    """Let Ctrl-C end this process in order, and with one line."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # see python_start/sitecustomize.py
    sys.excepthook = _excepthook


def _excepthook(kind: type[BaseException], error: BaseException, trace: TracebackType) -> None:
    if issubclass(kind, KeyboardInterrupt):
        print("Stopped on request before any job was started.", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)
