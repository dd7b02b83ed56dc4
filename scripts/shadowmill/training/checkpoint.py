"""Checkpoints: interrupted and resumed equals uninterrupted, bit for bit on a CPU.

A checkpoint is one safetensors file with all that is not derived from seeds and settings: weights,
buffers, masks, optimiser moments, the best weights of early stopping, the attack networks of
adversarial regularisation, the step and what was recorded so far. Random numbers need no state:
they are drawn from generators keyed by model and step.
"""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from shadowmill import storage
from shadowmill.errors import ArtefactError
from shadowmill.training.lockstep import Stack

# Slurm sends SIGTERM before a time-out or a preemption, some sites SIGUSR1; Ctrl-C is SIGINT.
_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


@dataclass(frozen=True)
class Checkpoint:
    """The file that the state of a stack is kept in.

    Attributes:
        path: safetensors file.
        digest: of everything that determines the models; only a checkpoint of the same is restored.
    """

    path: Path
    digest: str

    def save(self, stack: Stack) -> None:
        """Write the state of a stack, atomically."""
        tensors, facts = stack.state()
        storage.write_tensors(self.path, tensors, {"digest": self.digest, "facts": facts})

    def restore(self, stack: Stack) -> bool:
        """Continue from the checkpoint, if there is one that belongs to these models.

        Returns:
            Whether the stack was restored. A damaged checkpoint, or one of other settings, is left
            unused: training starts afresh and overwrites it.
        """
        if not self.path.exists():
            return False
        try:
            tensors, metadata = storage.read_tensors(self.path)
        except ArtefactError:
            return False
        if metadata.get("digest") != self.digest:
            return False
        stack.load(tensors, metadata["facts"])
        return True


class Interruption:
    """Whether the job was asked to stop, and how long ago the last checkpoint was."""

    def __init__(self, checkpoint_minutes: float) -> None:
        """Start the clock."""
        self._interval = 60 * checkpoint_minutes
        self._last = time.monotonic()
        self.requested = False

    def checkpoint_is_due(self) -> bool:
        """Whether the interval has passed since this last returned True."""
        if time.monotonic() - self._last < self._interval:
            return False
        self._last = time.monotonic()
        return True

    def _request(self, number: int, frame: FrameType | None) -> None:
        self.requested = True


@contextmanager
def watch_signals(checkpoint_minutes: float) -> Iterator[Interruption]:
    """Turn signals that ask a job to stop into a flag, so that it can save its state first."""
    interruption = Interruption(checkpoint_minutes)
    before = {number: signal.signal(number, interruption._request) for number in _SIGNALS}
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
