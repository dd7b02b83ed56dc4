"""What is recorded while a stack trains: losses, accuracies, and what pruning does.

Legend: E models.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from shadowmill.errors import TrainingError
from shadowmill.pruning.record import overlap, reactivated, sparsities

# A pruned parameter's sparsity is recorded as this, a slash, and the parameter's name.
SPARSITY = "sparsity"

# Standard deviations from the mean. Photographs reach 3, features of a long tail much more.
_LARGE_INPUT = 30


class History:
    """What is known of each model at the end of each epoch.

    `loss` and `accuracy` of training and the overall `sparsity`; with early stopping also
    `validation_accuracy`; of pruned models also `sparsity/NAME` of each masked parameter,
    `reactivated` (share of the prunable weights that came back during the epoch) and
    `mask_overlap` (Jaccard overlap of the weights kept at its end with those kept at its begin).
    """

    def __init__(self, names: Sequence[str], device: torch.device) -> None:
        """Start with nothing.

        Args:
            names: of the E models, for messages.
            device: where losses are computed.
        """
        self._names = names
        self._running = torch.zeros(3, len(names), dtype=torch.float64, device=device)
        self._first_bad_step = torch.full((len(names),), -1, device=device)
        self._masks: dict[str, Tensor] = {}
        self.epochs: dict[str, list[list[float]]] = {}

    def record_step(self, step: int, losses: Tensor, accuracies: Tensor) -> None:
        """Add the (E,) losses and accuracies of a step to those of its epoch."""
        self._running[0] += losses
        self._running[1] += accuracies
        # On the device, so that no step waits for it; looked at once an epoch.
        new = ~torch.isfinite(losses) & (self._first_bad_step < 0)
        self._first_bad_step[new] = step

    def record_masks(self, old: Mapping[str, Tensor], new: Mapping[str, Tensor]) -> None:
        """Take note that masks were recomputed."""
        if old:
            self._running[2] += reactivated(old, new)

    def end_epoch(
        self, num_steps: int, masks: Mapping[str, Tensor], validation_accuracy: Tensor | None
    ) -> None:
        """Write down the epoch."""
        loss, accuracy, back = self._running.clone()
        self._append("loss", loss / num_steps)
        self._append("accuracy", accuracy / num_steps)
        if validation_accuracy is not None:
            self._append("validation_accuracy", validation_accuracy)
        shares = sparsities(masks) if masks else {"overall": torch.zeros_like(loss)}
        self._append(SPARSITY, shares.pop("overall"))
        if masks:
            self._append("reactivated", back)
            everything = {name: torch.ones_like(mask) for name, mask in masks.items()}
            self._append("mask_overlap", overlap(self._masks or everything, masks), before=1.0)
            self._masks = {name: mask.clone() for name, mask in masks.items()}
        for name, share in shares.items():
            self._append(f"{SPARSITY}/{name}", share)
        self._running.zero_()

    def _append(self, name: str, values: Tensor, before: float = 0.0) -> None:
        """Add an epoch; earlier epochs of a quantity that begins with pruning get `before`."""
        past = len(self.epochs.get("loss", [])) - (name != "loss")
        blank = [[before] * len(self._names)] * past
        self.epochs.setdefault(name, blank).append(values.tolist())

    def check_finite(self, ignored: Tensor, largest_input: Callable[[], float]) -> None:
        """Refuse to go on with models that diverged.

        Args:
            ignored: (E,) bool, models that have stopped and are no longer looked at.
            largest_input: of their networks, in standard deviations; asked for the message.

        Raises:
            TrainingError: names each such model and the step.
        """
        bad = self._first_bad_step.masked_fill(ignored, -1).tolist()
        diverged = [f"{n} at step {s}" for n, s in zip(self._names, bad, strict=True) if s >= 0]
        if diverged:
            largest = largest_input()
            cure = "Lower the recipe's learning rate and rerun."
            if not largest < _LARGE_INPUT:
                cure = (
                    f"The data have inputs of {largest:.3g} standard deviations: scale or clip "
                    "them (a logarithm helps with long tails), or lower the recipe's learning "
                    "rate, and rerun."
                )
            raise TrainingError(
                f"the loss is no longer a finite number: {', '.join(diverged)}. No model "
                f"of their stack was written. {cure}"
            )

    def of(self, index: int, num_epochs: int) -> dict[str, list[float]]:
        """The first epochs of one model."""
        return {
            name: [epoch[index] for epoch in epochs[:num_epochs]]
            for name, epochs in self.epochs.items()
        }

    def latest(self) -> dict[str, float]:
        """Mean over the models of the main quantities of the last epoch."""
        return {
            name: sum(epochs[-1]) / len(epochs[-1])
            for name, epochs in self.epochs.items()
            if "/" not in name
        }

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """All that a checkpoint needs: tensors, and what goes into JSON."""
        tensors = {"running": self._running, "first_bad_step": self._first_bad_step}
        masks = {f"mask/{name}": mask for name, mask in self._masks.items()}
        return tensors | masks, self.epochs

    def load(self, tensors: Mapping[str, Tensor], epochs: dict[str, list[list[float]]]) -> None:
        """Continue from a checkpoint."""
        tensors = {name: tensor.to(self._running.device) for name, tensor in tensors.items()}
        self._running = tensors.pop("running")
        self._first_bad_step = tensors.pop("first_bad_step")
        self._masks = {name.removeprefix("mask/"): mask for name, mask in tensors.items()}
        self.epochs = epochs
