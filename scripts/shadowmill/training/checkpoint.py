"""Checkpoints: interrupted and resumed equals uninterrupted, bit for bit on a CPU.

A checkpoint is one safetensors file with all that is not derived from seeds and settings: weights,
buffers, masks, optimiser moments, the best weights of early stopping, the attack networks of
adversarial regularisation, the step and what was recorded so far. Random numbers need no state:
they are drawn from generators keyed by model and step.
"""

import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

from torch import Tensor

from shadowmill import storage
from shadowmill.errors import ArtefactError

# Slurm sends SIGTERM before a time-out or a preemption, some sites SIGUSR1; Ctrl-C is SIGINT.
_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


class Trainer(Protocol):
    """What is trained step by step, and can go on from its state.

    Attributes:
        step: taken so far.
        total_steps: to take, unless something ends the training early.
        steps_per_epoch: between two reports of progress.
        seconds: spent in steps so far.
        is_finished: whether no step is left.
    """

    step: int
    total_steps: int
    steps_per_epoch: int
    seconds: float

    @property
    def is_finished(self) -> bool: ...  # noqa: D102

    def train_step(self) -> None:
        """Take one step."""

    def progress(self) -> dict[str, str]:
        """What a progress bar shows."""

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors and JSON-serialisable facts to go on from."""

    def load(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Go on from what `state` returned."""


@dataclass(frozen=True)
class Checkpoint:
    """The file that the state of a training is kept in.

    Attributes:
        path: safetensors file.
        digest: of everything that determines the result; only a checkpoint of the same is restored.
    """

    path: Path
    digest: str

    def save(self, trainer: Trainer) -> None:
        """Write the state of a training, atomically."""
        tensors, facts = trainer.state()
        storage.write_tensors(self.path, tensors, {"digest": self.digest, "facts": facts})

    def restore(self, trainer: Trainer) -> bool:
        """Continue from the checkpoint, if there is one that belongs to what is trained.

        Returns:
            Whether the state was restored. A damaged checkpoint, or one of other settings, is left
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
        trainer.load(tensors, metadata["facts"])
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
