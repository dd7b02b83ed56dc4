"""Early stopping, for each model of a stack on its own.

Legend: E models.
"""

from collections.abc import Mapping

import torch
from torch import Tensor


class EarlyStopping:
    """The best epoch of each model by validation accuracy, and its weights.

    A stack goes on until all its models have stopped; what a model does after its own stop is
    forgotten. So a model stops, and is kept, as if it had been trained alone.

    Attributes:
        all_stopped: whether no model gets better any more.
    """

    def __init__(
        self, patience: int, first_epoch: int, tensors: Mapping[str, Tensor], device: torch.device
    ) -> None:
        """Start with no best epoch.

        Args:
            patience: a model stops after more than this many epochs without a better one.
            first_epoch: epochs before this one (from 0) do not count: the models are not yet as
                sparse as they shall be.
            tensors: what makes up the models, (E, …) each.
            device: of the tensors.
        """
        num_models = len(next(iter(tensors.values())))
        self._patience, self._first_epoch = patience, first_epoch
        self._accuracy = torch.full((num_models,), -1.0, dtype=torch.float64, device=device)
        self._best_epoch = torch.full((num_models,), -1, device=device)
        self._last_epoch = torch.full((num_models,), -1, device=device)
        self._best = {name: tensor.detach().clone() for name, tensor in tensors.items()}
        # Kept, for asking at each step would wait for the device each time.
        self.all_stopped = False

    @torch.no_grad()
    def update(self, epoch: int, accuracy: Tensor, tensors: Mapping[str, Tensor]) -> None:
        """Take note of an epoch that has just ended.

        Args:
            epoch: from 0.
            accuracy: (E,) on each model's validation examples.
            tensors: the models now; names that were not there at the start are masks that came
                with pruning.
        """
        if epoch < self._first_epoch:
            return
        running = ~self.stopped
        better = running & (accuracy > self._accuracy)
        self._accuracy = torch.where(better, accuracy, self._accuracy)
        self._best_epoch[better] = epoch
        for name, tensor in tensors.items():
            if name not in self._best:
                self._best[name] = torch.zeros_like(tensor)
            self._best[name][better] = tensor.detach()[better]
        self._last_epoch[running & (epoch - self._best_epoch > self._patience)] = epoch
        self.all_stopped = bool(self.stopped.all())

    @property
    def stopped(self) -> Tensor:
        """Which models are no longer looked at, (E,) bool."""
        return self._last_epoch >= 0

    def epochs(self, index: int, finished: int) -> tuple[int, int]:
        """How long a model was trained, and which epoch of it was kept.

        Args:
            index: of the model.
            finished: epochs that its stack has finished.

        Returns:
            Number of epochs up to its stop, and the best epoch, from 0.
        """
        last = int(self._last_epoch[index])
        return (last + 1 if last >= 0 else finished), int(self._best_epoch[index])

    def best(self, index: int) -> dict[str, Tensor]:
        """What makes up a model at its best epoch."""
        return {name: tensor[index] for name, tensor in self._best.items()}

    def state(self) -> dict[str, Tensor]:
        """All that a checkpoint needs."""
        own = {
            "accuracy": self._accuracy,
            "best_epoch": self._best_epoch,
            "last_epoch": self._last_epoch,
        }
        return own | {f"best/{name}": tensor for name, tensor in self._best.items()}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Continue from a checkpoint."""
        device = self._accuracy.device
        state = {name: tensor.to(device) for name, tensor in state.items()}
        self._accuracy = state.pop("accuracy")
        self._best_epoch = state.pop("best_epoch")
        self._last_epoch = state.pop("last_epoch")
        self._best = {name.removeprefix("best/"): tensor for name, tensor in state.items()}
        self.all_stopped = bool(self.stopped.all())
