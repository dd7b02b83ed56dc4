"""Batches that suit the memory of a GPU."""

import logging
from collections.abc import Callable
from typing import Any

import torch

log = logging.getLogger(__name__)


def in_batches(
    step: Callable[[slice], None],
    start: int,
    stop: int,
    size: int,
    done: Callable[[int], Any] = lambda number: None,
) -> int:
    """Do something with all examples; where memory is too small for a batch, with half as many.

    How much a batch needs depends on the network, and what is free on others who use the GPU.

    Args:
        step: takes the slice of a batch; it may be called again for what it did not finish.
        start: the first example.
        stop: the one behind the last.
        size: examples of a batch, at most.
        done: is told the number of examples of each batch that is finished.

    Returns:
        The size of batch that there was memory for.

    Raises:
        torch.OutOfMemoryError: there is no memory for a single example.
    """
    while start < stop:
        rows = slice(start, min(start + size, stop))
        number = rows.stop - rows.start
        try:
            step(rows)
        except torch.OutOfMemoryError:
            if number == 1:
                raise
            size = number // 2
        else:
            done(number)
            start = rows.stop
            continue
        # Not before the error is gone, and with it what it kept in memory.
        torch.cuda.empty_cache()
        log.info("memory is too small for batches of %d examples: now of %d", number, size)
    return size
