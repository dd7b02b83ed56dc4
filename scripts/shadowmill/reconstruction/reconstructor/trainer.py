"""The steps of a reconstructor's training.

Legend: B heads, E standardised weights, M candidates.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from shadowmill.errors import TrainingError
from shadowmill.optimizer_state import load_optimizer_state, optimizer_state
from shadowmill.reconstruction.reconstructor.batches import Batches
from shadowmill.reconstruction.reconstructor.generator import Generator
from shadowmill.reconstruction.reconstructor.held_out import HeldOutHeads
from shadowmill.reconstruction.reconstructor.losses import (
    PerceptualDistance,
    candidate_errors,
    soft_minimum,
    squared_errors,
)
from shadowmill.reconstruction.statistics import Statistics
from shadowmill.training.forward import autocast

CURVE_COLUMNS = ("step", "train_loss", "validation_min_mse", "validation_null_min_mse")
_CURVE_ROWS = 50
_VALIDATION_HEADS = 200


class Validation:
    """How well a reconstructor does on heads that it does not learn from, one group of each."""

    def __init__(self, heads: HeldOutHeads, statistics: Statistics, seed: int) -> None:
        """Prepare at most 200 heads, and as many draws of weights of no head."""
        rows = np.arange(min(_VALIDATION_HEADS, len(heads)))
        groups_B = rows % heads.num_groups
        self._own_BE = heads.weights(rows)
        self._null_BE = statistics.sample(len(rows), ("null", seed, "validation")).to(self._own_BE)
        self._groups_B = torch.from_numpy(groups_B).to(self._own_BE.device)
        self._candidates = heads.candidates(rows, groups_B)

    @torch.no_grad()
    def min_mse(self, network: Generator) -> tuple[float, float]:
        """Mean MSE to the nearest candidate, of the heads' own weights and of those of no head."""
        network.eval()
        own, null = (
            squared_errors(network(weights_BE, self._groups_B), self._candidates)
            .amin(dim=1)
            .mean()
            .item()
            for weights_BE in (self._own_BE, self._null_BE)
        )
        network.train()
        return own, null


class ReconstructorTrainer:
    """A generator and its optimiser at some step; see `checkpoint.Trainer`.

    Attributes:
        network: the generator.
        curve: rows of the learning curve so far, with the columns `CURVE_COLUMNS`.
    """

    def __init__(
        self,
        network: Generator,
        batches: Batches,
        validation: Validation,
        perceptual: PerceptualDistance | None,
        settings: Mapping[str, Any],
    ) -> None:
        """Start before the first step.

        Args:
            network: initialised, on the device where to train.
            batches: to learn from.
            validation: for the learning curve.
            perceptual: part of the loss, if any, on the same device.
            settings: of the reconstructor: `steps` and `learning_rate`.
        """
        self.network = network.train()
        self._batches, self._validation, self._perceptual = batches, validation, perceptual
        self._parameters = dict(network.named_parameters())
        # Fused: steps of small networks are a fifth faster on CPUs.
        self._optimizer = torch.optim.Adam(
            self._parameters.values(), lr=settings["learning_rate"], fused=True
        )
        self._device = next(network.parameters()).device
        self._loss_sum = torch.zeros((), dtype=torch.float64, device=self._device)
        self.total_steps = settings["steps"]
        self.steps_per_epoch = math.ceil(self.total_steps / _CURVE_ROWS)
        self.step = 0
        self.seconds = 0.0
        self.curve: list[list[float]] = []

    @property
    def is_finished(self) -> bool:
        """Whether all steps were taken."""
        return self.step >= self.total_steps

    def progress(self) -> dict[str, str]:
        """The last row of the learning curve."""
        _, loss, own, null = self.curve[-1]
        return {"loss": f"{loss:.4f}", "min MSE": f"{own:.4f}", "of no head": f"{null:.4f}"}

    def train_step(self) -> None:
        """One step of Adam."""
        batch = self._batches.batch(self.step)
        self._optimizer.zero_grad()
        with autocast(self._device, {}):
            images = self.network(batch.weights_BE, batch.groups_B)
            errors_BM = candidate_errors(images, batch.candidates, self._perceptual)
        loss = soft_minimum(errors_BM).mean()
        loss.backward()
        self._optimizer.step()
        self._loss_sum += loss.detach()
        self.step += 1
        if self.step % self.steps_per_epoch == 0 or self.is_finished:
            self._extend_curve()

    def _extend_curve(self) -> None:
        before = int(self.curve[-1][0]) if self.curve else 0
        loss = self._loss_sum.item() / (self.step - before)
        if not math.isfinite(loss):
            raise TrainingError(
                f"the reconstructor's loss is no longer a finite number, before step {self.step}. "
                "Lower reconstructor.learning_rate and rerun."
            )
        self._loss_sum.zero_()
        self.curve.append([self.step, loss, *self._validation.min_mse(self.network)])

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """All that a checkpoint needs: tensors, and what goes into JSON."""
        tensors = {f"network:{n}": tensor for n, tensor in self.network.state_dict().items()}
        moments = optimizer_state(self._optimizer, self._parameters)
        tensors |= {f"optimizer:{name}": tensor for name, tensor in moments.items()}
        tensors["loss_sum:"] = self._loss_sum
        return tensors, {"step": self.step, "seconds": self.seconds, "curve": self.curve}

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Continue from a checkpoint."""
        parts: dict[str, dict[str, Tensor]] = {"network": {}, "optimizer": {}, "loss_sum": {}}
        for key, tensor in tensors.items():
            part, name = key.split(":", 1)
            parts[part][name] = tensor
        load_optimizer_state(self._optimizer, self._parameters, parts["optimizer"])
        self.network.load_state_dict(parts["network"])
        self._loss_sum.copy_(parts["loss_sum"][""])
        self.step, self.seconds = facts["step"], facts["seconds"]
        self.curve = [list(row) for row in facts["curve"]]
