"""Progress bars."""

import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

# Seconds between two updates: seldom in a log file, where each update is a line of its own.
_ON_TERMINAL, _IN_LOG = 1, 60


def bar(iterable: Iterable[Any] | None = None, **options: Any) -> tqdm:
    """A tqdm progress bar on standard error that suits both a terminal and a log file."""
    seconds = _ON_TERMINAL if sys.stderr.isatty() else _IN_LOG
    return tqdm(iterable, mininterval=seconds, maxinterval=seconds, dynamic_ncols=True, **options)
