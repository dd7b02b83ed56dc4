"""DP-SGD within the trainer: one model, its accountant's facts, and the check of its sampling."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from shadowmill.defenses import private
from shadowmill.errors import TrainingError

# Per-example gradients of so many examples are held at a time, at most.
_PHYSICAL_BATCH = 256


class Privacy:
    """Private gradients of one model, and what they guarantee.

    Sampling is Poisson's: each member is in each batch independently, with probability q.
    """

    def __init__(
        self,
        module: nn.Module,
        seed: int,
        num_members: int,
        recipe: Mapping[str, Any],
        defense: Mapping[str, Any],
        total_steps: int,
    ) -> None:
        """Find the noise.

        Args:
            module: the network, on its device, in training mode and without BatchNorm.
            seed: of the model.
            num_members: size of its training set.
            recipe: with `batch_size`, the expected size of a batch.
            defense: the settings of dp_sgd.
            total_steps: optimiser steps if nothing stops the training early.

        Raises:
            ConfigError: no noise gives the privacy that is asked for.
        """
        # Poisson's batches are of another size each, and the search for the fastest way to convolve
        # would begin anew with each: 8 times slower for ResNet-18 on an H200.
        torch.backends.cudnn.benchmark = False
        self._label_smoothing = recipe["label_smoothing"]
        self._num_members, self._batch_size = num_members, recipe["batch_size"]
        self._delta, self._norm = defense["delta"], defense["max_grad_norm"]
        self.drawn = 0
        self._noise = private.noise_of(defense, self._rate, total_steps)
        self._gradients = private.PrivateGradients(
            module,
            max_grad_norm=self._norm,
            noise_multiplier=self._noise,
            expected_batch_size=self._batch_size,
            seed=seed,
            physical_batch=_PHYSICAL_BATCH,
        )

    @property
    def _rate(self) -> float:
        return self._batch_size / self._num_members

    def backward(
        self,
        parameters: Mapping[str, Tensor],
        weights: Mapping[str, Tensor],
        masks: Mapping[str, Tensor],
        batch: tuple[Tensor, Tensor],
        step: int,
    ) -> tuple[Tensor, Tensor]:
        """Give the parameters their private gradients.

        Args:
            parameters: of the stack of one model, name to (1, …); their `grad` is set.
            weights: what the forward pass uses instead of them, name to (1, …).
            masks: of the gradient, name to (1, …).
            batch: (1, B, …) inputs and (1, B) labels; B varies and may be 0.
            step: of the training.

        Returns:
            Loss and accuracy, (1,) each, of which the mean over many steps has a meaning: sums
            over the batch divided by its expected size.
        """
        inputs, labels = batch[0][0], batch[1][0]
        self.drawn += len(labels)
        gradients, losses, correct = self._gradients(
            {name: tensor[0].detach() for name, tensor in weights.items()},
            {name: mask[0] for name, mask in masks.items()},
            inputs,
            labels,
            step,
            self._label_smoothing,
        )
        for name, parameter in parameters.items():
            parameter.grad = gradients[name][None]
        size = self._batch_size
        return losses.sum()[None] / size, correct.sum(dtype=torch.float32)[None] / size

    def facts(self, steps: int) -> dict[str, Any]:
        """What was guaranteed, and what was drawn.

        Args:
            steps: optimiser steps taken.

        Raises:
            TrainingError: the batches were not of the size that the guarantee assumes.
        """
        expected = steps * self._batch_size
        spread = math.sqrt(expected * (1 - self._rate))
        if abs(self.drawn - expected) > 6 * spread:
            raise TrainingError(
                f"DP-SGD drew {self.drawn} examples in {steps} steps where {expected} ± "
                f"{spread:.0f} were to be expected: the guarantee would not hold. Delete the "
                "folder of this job below results/.unfinished and rerun."
            )
        return {
            "epsilon": private.epsilon(self._noise, self._rate, steps, self._delta),
            "delta": self._delta,
            "noise_multiplier": self._noise,
            "max_grad_norm": self._norm,
            "sample_rate": self._rate,
            "steps": steps,
            "examples_drawn": self.drawn,
        }
