"""Models side by side on one GPU: one model seldom fills it, several streams of work do."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from shadowmill.training.lockstep import Stack
from shadowmill.training.spec import TrainedModel


class SideBySide:
    """Stacks of one model each, all a step further at each step (see `checkpoint.Trainer`).

    Networks too large for one stack, where grouped convolutions slow them down, take turns this
    way. Each model computes what it computes alone.
    """

    def __init__(self, stacks: Sequence[Stack]) -> None:
        """Take the stacks, none of which has begun.

        Args:
            stacks: of one model each, of one configuration, on the same GPU.
        """
        self._stacks = stacks
        for stack in stacks[1:]:
            stack.share_network(stacks[0])
        self._streams = [torch.cuda.Stream() for _ in stacks]
        self.total_steps = stacks[0].total_steps
        self.steps_per_epoch = stacks[0].steps_per_epoch
        self.seconds = 0.0
        torch.cuda.synchronize()  # what the stacks begin with is there for all streams

    @property
    def step(self) -> int:
        """Steps taken by the models that go on longest."""
        return max(stack.step for stack in self._stacks)

    @property
    def is_finished(self) -> bool:
        """Whether all models are."""
        return all(stack.is_finished for stack in self._stacks)

    def train_step(self) -> None:
        """A step of each model that is not finished."""
        for stack, stream in zip(self._stacks, self._streams, strict=True):
            if not stack.is_finished:
                with torch.cuda.stream(stream):
                    stack.train_step()

    def progress(self) -> dict[str, str]:
        """Means over the models as of the last epoch, and the speed so far."""
        latest = [stack.history.latest() for stack in self._stacks]
        shown = [
            n for n in ("loss", "accuracy", "validation_accuracy", "sparsity") if n in latest[0]
        ]
        means = {name: sum(each[name] for each in latest) / len(latest) for name in shown}
        done = self.step / self.total_steps * len(self._stacks)
        return {name: f"{mean:.3f}" for name, mean in means.items()} | {
            "models/s": f"{done / self.seconds:.3g}"
        }

    def final(self, index: int) -> TrainedModel:
        """One model at the end."""
        return self._stacks[index].final(0)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """All that a checkpoint needs: the state of each stack."""
        torch.cuda.synchronize()
        tensors: dict[str, Tensor] = {}
        facts = []
        for index, stack in enumerate(self._stacks):
            own, fact = stack.state()
            tensors |= {f"{index}/{name}": tensor for name, tensor in own.items()}
            facts.append(fact)
        return tensors, {"stacks": facts, "seconds": self.seconds}

    def load(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Continue from a checkpoint."""
        for index, (stack, fact) in enumerate(zip(self._stacks, facts["stacks"], strict=True)):
            own = {
                name.removeprefix(f"{index}/"): tensor
                for name, tensor in tensors.items()
                if name.startswith(f"{index}/")
            }
            stack.load(own, fact)
        self.seconds = facts["seconds"]
        torch.cuda.synchronize()
