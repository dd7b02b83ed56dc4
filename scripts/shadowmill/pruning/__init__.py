"""Pruning methods: criterion × schedule × feedback.

This module is the table and the schedules; `shadowmill.pruning.masks` has what needs torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Method:
    """A row of the table of pruning methods.

    Attributes:
        title: for figures.
        schedule: `one_shot` prunes once at the start of an epoch; `cubic` follows a ramp.
        final_epoch: name of the setting that says from which epoch on sparsity is full.
        feedback: whether pruned weights keep receiving gradients and may come back.
    """

    title: str
    schedule: str
    final_epoch: str
    feedback: bool


METHODS: dict[str, Method] = {
    # Magnitude pruning with a fixed mask.
    "static": Method("static", "one_shot", "epoch", feedback=False),
    # Dynamic pruning with feedback: Lin et al. 2020, arXiv:2006.07253.
    "dpf": Method("DPF", "cubic", "target_epoch", feedback=True),
}


@dataclass(frozen=True)
class PruningPlan:
    """When and how far one variant is pruned.

    Attributes:
        sparsity: final fraction of pruned weights, 0 for none at all.
        feedback: see `Method`.
        first_step: first step at which a mask is computed.
        every: steps between two computations, 0 for one computation only.
        ramp_epochs: length T of the cubic ramp in epochs, 0 for none.
    """

    sparsity: float = 0.0
    feedback: bool = False
    first_step: int = 0
    every: int = 0
    ramp_epochs: int = 0

    @classmethod
    def of(cls, settings: Mapping[str, Any], steps_per_epoch: int) -> "PruningPlan":
        """Make the plan from the `pruning` part of the training settings.

        Args:
            settings: `method`, `sparsity` and the method's own keys.
            steps_per_epoch: optimiser steps in an epoch.
        """
        if settings["method"] == "dense":
            return cls()
        method = METHODS[settings["method"]]
        if method.schedule == "one_shot":
            first = settings[method.final_epoch] * steps_per_epoch
            return cls(settings["sparsity"], method.feedback, first_step=first)
        return cls(
            settings["sparsity"],
            method.feedback,
            every=settings["every"],
            ramp_epochs=settings[method.final_epoch],
        )

    def is_due(self, step: int) -> bool:
        """Whether the mask is computed before this step."""
        if not self.sparsity or step < self.first_step:
            return False
        return (step - self.first_step) % self.every == 0 if self.every else step == self.first_step

    def sparsity_at(self, epoch: int) -> float:
        """Sparsity s(e) = S − S(1 − e/T)³ for e ≤ T, then S (Zhu and Gupta 2017, Eq. 1)."""
        if epoch >= self.ramp_epochs:
            return self.sparsity
        return self.sparsity * (1 - (1 - epoch / self.ramp_epochs) ** 3)
