"""Checkpoints: interrupted and resumed equals uninterrupted, bit for bit on a CPU.

A checkpoint is one safetensors file with all that is not derived from seeds and settings: weights,
buffers, masks, optimiser moments, the step and what was recorded so far.
"""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import torch

from shadowmill import storage
from shadowmill.errors import ArtefactError
from shadowmill.training.lockstep import Stack

# Slurm sends SIGTERM before a time-out or a preemption, some sites SIGUSR1; Ctrl-C is SIGINT.
_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


def save(stack: Stack, path: Path, digest: str) -> None:
    """Write a checkpoint, atomically.

    Args:
        stack: the models in training.
        path: safetensors file.
        digest: of everything that determines these models; `restore` wants the same.
    """
    tensors = {"running": stack.running}
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
    metadata = {"digest": digest, "step": stack.step, "history": stack.history}
    storage.write_tensors(path, tensors, metadata)


def restore(stack: Stack, path: Path, digest: str) -> bool:
    """Continue from a checkpoint, if there is one that belongs to these models.

    Returns:
        Whether the stack was restored. A damaged checkpoint, or one of other settings, is left
        unused: training starts afresh and overwrites it.
    """
    if not path.exists():
        return False
    try:
        tensors, metadata = storage.read_tensors(path)
    except ArtefactError:
        return False
    if metadata.get("digest") != digest:
        return False
    device = stack.running.device
    stack.step, stack.history = metadata["step"], metadata["history"]
    stack.running.copy_(tensors.pop("running"))
    with torch.no_grad():
        for key, tensor in tensors.items():
            kind, name = key.split("/", 1)
            if kind == "parameter":
                stack.parameters[name].copy_(tensor)
            elif kind == "buffer":
                stack.buffers[name].copy_(tensor)
            elif kind == "mask":
                stack.masks[name] = tensor.to(device)
            else:
                slot, name = name.split("/", 1)
                stack.optimizer.state[stack.parameters[name]][slot] = tensor.to(device)
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
