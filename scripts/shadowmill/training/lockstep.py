"""Many models trained as one: stacked parameters, one forward and one backward pass for all.

Each model keeps its own members, batch order, augmentation and initialisation; the sum of their
losses has as gradient, for each model's slice, that model's own gradient. So model k trained in a
stack equals model k trained alone, to rounding.

Legend: E models, B examples of a batch, K classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call, stack_module_state, vmap

from shadowmill import architectures
from shadowmill.data.store import ImageData
from shadowmill.errors import TrainingError
from shadowmill.pruning import PruningPlan
from shadowmill.pruning.masks import magnitude_masks, masked, prunable
from shadowmill.seeds import seed_of
from shadowmill.training import steps_per_epoch
from shadowmill.training.batches import BatchSource
from shadowmill.training.recipe import learning_rate, optimizer


@dataclass(frozen=True)
class ModelSpec:
    """What makes one model different from its siblings.

    Attributes:
        name: of the model.
        seed: of its initialisation, batch order and augmentation.
        members: (n,) int64 indices of the examples it trains on.
    """

    name: str
    seed: int
    members: np.ndarray


class Stack:
    """E models with their masks and their optimiser, at some step of their training."""

    def __init__(
        self,
        specs: Sequence[ModelSpec],
        settings: Mapping[str, Any],
        data: ImageData,
        epoch_size: int,
        device: torch.device,
    ) -> None:
        """Initialise the models.

        Args:
            specs: of the E models.
            settings: `architecture`, `recipe` and `pruning` of their configuration.
            data: the data set.
            epoch_size: number of examples that count as an epoch.
            device: where to train.
        """
        self.names = [spec.name for spec in specs]
        self._recipe = recipe = settings["recipe"]
        self.steps_per_epoch = steps_per_epoch(epoch_size, recipe["batch_size"])
        self.total_steps = recipe["epochs"] * self.steps_per_epoch
        self._plan = PruningPlan.of(settings["pruning"], self.steps_per_epoch)
        height, _, channels = data.images.shape[1:]
        modules = [
            architectures.build(
                settings["architecture"],
                channels,
                data.num_classes,
                height,
                seed_of(spec.seed, "init"),
            )
            for spec in specs
        ]
        parameters, buffers = stack_module_state(modules)
        self._module = modules[0].to("meta").train()
        self.parameters = {
            name: tensor.detach().to(device).requires_grad_() for name, tensor in parameters.items()
        }
        self.buffers = {name: tensor.to(device) for name, tensor in buffers.items()}
        self._prunable = prunable(self._module) if self._plan.sparsity else []
        self.masks: dict[str, Tensor] = {}
        self.optimizer = optimizer(recipe, self.parameters.values())
        self._batches = BatchSource(
            data,
            [spec.seed for spec in specs],
            [spec.members for spec in specs],
            recipe,
            self.steps_per_epoch,
            device,
        )
        self.step = 0
        self.seconds = 0.0
        self.history: dict[str, list[list[float]]] = {
            name: [] for name in ("loss", "accuracy", "sparsity", "reactivated")
        }
        self.running = torch.zeros(3, len(specs), dtype=torch.float64, device=device)
        self.first_bad_step = torch.full((len(specs),), -1, device=device)

    @property
    def num_models(self) -> int:
        """E."""
        return len(self.names)

    def _forward(self, images: Tensor) -> Tensor:
        weights = {
            name: masked(tensor, self.masks[name], self._plan.feedback)
            if name in self.masks
            else tensor
            for name, tensor in self.parameters.items()
        }
        with torch.autocast(
            images.device.type, torch.bfloat16, enabled=precision(images.device) == "bfloat16"
        ):
            return stacked_forward(self._module, weights, self.buffers, images)

    def train_step(self) -> None:
        """One optimiser step of all models."""
        if self._plan.is_due(self.step):
            self._update_masks()
        images, labels = self._batches.batch(self.step)
        logits = self._forward(images)
        losses = F.cross_entropy(logits.float().flatten(0, 1), labels.flatten(), reduction="none")
        losses = losses.view(labels.shape).mean(dim=1)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(
                self._recipe, self.step, self.total_steps, self.steps_per_epoch
            )
        self.optimizer.zero_grad()
        losses.sum().backward()
        self.optimizer.step()
        self._record(losses.detach(), (logits.argmax(dim=2) == labels).float().mean(dim=1))
        self.step += 1
        if self.step % self.steps_per_epoch == 0:
            self._end_epoch()

    @torch.no_grad()
    def _update_masks(self) -> None:
        sparsity = self._plan.sparsity_at(self.step // self.steps_per_epoch)
        weights = {name: self.parameters[name] for name in self._prunable}
        masks = magnitude_masks(weights, sparsity)
        if self.masks:
            back = sum((masks[n] & ~self.masks[n]).flatten(1).sum(dim=1) for n in masks)
            self.running[2] += back / sum(mask[0].numel() for mask in masks.values())
        self.masks = masks

    def _record(self, losses: Tensor, accuracies: Tensor) -> None:
        self.running[0] += losses
        self.running[1] += accuracies
        # On the device, so that no step waits for it; looked at once an epoch.
        new = ~torch.isfinite(losses) & (self.first_bad_step < 0)
        self.first_bad_step[new] = self.step

    def _end_epoch(self) -> None:
        bad = self.first_bad_step.tolist()
        diverged = [f"{n} at step {s}" for n, s in zip(self.names, bad, strict=True) if s >= 0]
        if diverged:
            raise TrainingError(
                f"the loss is no longer a finite number: {', '.join(diverged)}. No model "
                "of their stack was written. Lower the recipe's learning rate and rerun."
            )
        self.history["loss"].append((self.running[0] / self.steps_per_epoch).tolist())
        self.history["accuracy"].append((self.running[1] / self.steps_per_epoch).tolist())
        self.history["sparsity"].append(self.sparsities())
        self.history["reactivated"].append(self.running[2].tolist())
        self.running.zero_()

    def sparsities(self) -> list[float]:
        """Fraction of masked prunable weights of each model."""
        if not self.masks:
            return [0.0] * self.num_models
        kept = sum(mask.flatten(1).sum(dim=1) for mask in self.masks.values())
        total = sum(mask[0].numel() for mask in self.masks.values())
        return (1 - kept / total).tolist()

    def final(
        self, index: int
    ) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, list[float]]]:
        """State (pruned weights zero), masks and history of one model."""
        masks = {name: mask[index] for name, mask in self.masks.items()}
        state = {n: t[index].detach() for n, t in (self.parameters | self.buffers).items()}
        state |= {name: state[name] * mask for name, mask in masks.items()}
        history = {
            name: [epoch[index] for epoch in epochs] for name, epochs in self.history.items()
        }
        return state, masks, history


def precision(device: torch.device) -> str:
    """Number format of the forward pass in training; weights are float32 in either case."""
    return "bfloat16" if device.type == "cuda" else "float32"


def stacked_forward(
    module: torch.nn.Module,
    parameters: Mapping[str, Tensor],
    buffers: Mapping[str, Tensor],
    images: Tensor,
) -> Tensor:
    """Logits of E models, each on its own images or all on the same.

    Args:
        module: the network, for its structure and its mode.
        parameters: name to (E, …).
        buffers: name to (E, …); in training mode, running statistics are updated in place.
        images: (E, B, C, H, W), or (B, C, H, W) for all.

    Returns:
        (E, B, K).
    """

    def one(parameters: dict[str, Tensor], buffers: dict[str, Tensor], images: Tensor) -> Tensor:
        return functional_call(module, (parameters, buffers), (images,))

    shared = images.dim() == 4
    if len(next(iter(parameters.values()))) == 1:  # grouped convolutions would only slow it down
        first = ({n: t[0] for n, t in tensors.items()} for tensors in (parameters, buffers))
        return one(*first, images if shared else images[0])[None]
    return vmap(one, in_dims=(0, 0, None if shared else 0))(dict(parameters), dict(buffers), images)
