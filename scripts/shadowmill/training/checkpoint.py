"""Checkpoints: interrupted and resumed equals uninterrupted, bit for bit on a CPU.

A checkpoint is one safetensors file with all that is not derived from seeds and settings: weights,
buffers, masks, optimiser moments, the step and what was recorded so far.
"""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import torch

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
        tensors = {"running": stack.running, "first_bad_step": stack.first_bad_step}
        for kind, group in (
            ("parameter", stack.parameters),
            ("buffer", stack.buffers),
            ("mask", stack.masks),
        ):
            tensors |= {f"{kind}/{name}": tensor for name, tensor in group.items()}
        for name, parameter in stack.parameters.items():
            for key, value in stack.optimizer.state[parameter].items():
                if value is not None:
                    tensors[f"optimizer/{key}/{name}"] = value
        metadata = {
            "digest": self.digest,
            "step": stack.step,
            "seconds": stack.seconds,
            "history": stack.history,
        }
        storage.write_tensors(self.path, tensors, metadata)

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
        stack.step, stack.history = metadata["step"], metadata["history"]
        stack.seconds = metadata["seconds"]
        stack.running.copy_(tensors.pop("running"))
        stack.first_bad_step.copy_(tensors.pop("first_bad_step"))
        with torch.no_grad():
            for key, tensor in tensors.items():
                self._restore_tensor(stack, *key.split("/", 1), tensor)
        return True

    @staticmethod
    def _restore_tensor(stack: Stack, kind: str, name: str, tensor: torch.Tensor) -> None:
        match kind:
            case "parameter":
                stack.parameters[name].copy_(tensor)
            case "buffer":
                stack.buffers[name].copy_(tensor)
            case "mask":
                stack.masks[name] = tensor.to(stack.running.device)
            case "optimizer":
                slot, name = name.split("/", 1)
                state = stack.optimizer.state[stack.parameters[name]]
                state[slot] = tensor.to(stack.running.device)


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
