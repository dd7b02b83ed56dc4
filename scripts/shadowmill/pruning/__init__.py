"""Pruning methods: criterion × schedule × feedback.

This module has the tables and the schedules; `shadowmill.pruning.masks` has what needs torch, for
Snakemake imports this one while it parses.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# What is ranked, and among what; `shadowmill.pruning.masks` has the rules of the same names.
CRITERIA: dict[str, str] = {
    "global_magnitude": "magnitude of convolution weights, over all layers",
    "layer_magnitude": "magnitude of convolution and linear weights, per layer",
    "filter_l1": "L1 norm of convolution filters, per layer",
    "filter_l2": "L2 norm of convolution filters, per layer",
    "batch_norm_scale": "scale of BatchNorm channels, over all layers",
}


@dataclass(frozen=True)
class Method:
    """A row of the table of pruning methods.

    Attributes:
        title: for figures.
        criterion: which weights go; one of `CRITERIA`.
        schedule: `one_shot` prunes once, at the start of `epoch`; `cubic` follows a ramp until
            `target_epoch` and makes new masks `every` so many steps.
        feedback: whether pruned weights keep receiving gradients and may come back.
    """

    title: str
    criterion: str
    schedule: str
    feedback: bool


METHODS: dict[str, Method] = {
    # Magnitude pruning with a fixed mask: Han et al. 2015, arXiv:1506.02626.
    "static": Method("static", "global_magnitude", "one_shot", feedback=False),
    # Dynamic pruning with feedback: Lin et al. 2020, arXiv:2006.07253.
    "dpf": Method("DPF", "global_magnitude", "cubic", feedback=True),
    # The four pruners of Yuan and Zhang 2022, arXiv:2202.03335. Filters: Li et al. 2017,
    # arXiv:1608.08710 (L1). Slimming: Liu et al. 2017, arXiv:1708.06519; their sparsity penalty on
    # the scales is left out, as in that comparison.
    "l1_unstructured": Method("L1 unstructured", "layer_magnitude", "one_shot", feedback=False),
    "l1_structured": Method("L1 structured", "filter_l1", "one_shot", feedback=False),
    "l2_structured": Method("L2 structured", "filter_l2", "one_shot", feedback=False),
    "slim": Method("slimming", "batch_norm_scale", "one_shot", feedback=False),
}


@dataclass(frozen=True)
class PruningPlan:
    """When and how far one variant is pruned.

    Attributes:
        sparsity: final fraction of pruned weights, 0 for none at all.
        feedback: see `Method`; until the masks are frozen.
        steps_per_epoch: optimiser steps in an epoch.
        first_step: first step at which a mask is computed.
        every: steps between two computations, 0 for one computation only.
        ramp_epochs: length T of the cubic ramp in epochs, 0 for none.
        freeze_step: first step from which masks no longer change and feedback is off; None if
            there is none. It must come after the masks have their final sparsity.
    """

    sparsity: float = 0.0
    feedback: bool = False
    steps_per_epoch: int = 1
    first_step: int = 0
    every: int = 0
    ramp_epochs: int = 0
    freeze_step: int | None = None

    @classmethod
    def of(cls, settings: Mapping[str, Any], steps_per_epoch: int) -> "PruningPlan":
        """Make the plan from the `pruning` part of the training settings.

        Args:
            settings: `method` and `sparsity`; unless the method is `dense`, also `schedule`,
                `feedback`, the schedule's own keys (`epoch`, or `every` in steps and
                `target_epoch`) and perhaps `freeze_epoch`. Epochs count from 0.
            steps_per_epoch: optimiser steps in an epoch.
        """
        if settings["method"] == "dense":
            return cls(steps_per_epoch=steps_per_epoch)
        freezes = "freeze_epoch" in settings
        is_one_shot = settings["schedule"] == "one_shot"
        return cls(
            sparsity=settings["sparsity"],
            feedback=settings["feedback"],
            steps_per_epoch=steps_per_epoch,
            first_step=settings["epoch"] * steps_per_epoch if is_one_shot else 0,
            every=0 if is_one_shot else settings["every"],
            ramp_epochs=0 if is_one_shot else settings["target_epoch"],
            freeze_step=settings["freeze_epoch"] * steps_per_epoch if freezes else None,
        )

    def is_due(self, step: int) -> bool:
        """Whether the masks are computed before this step."""
        if not self.sparsity or step < self.first_step or self._is_frozen(step):
            return False
        return (step - self.first_step) % self.every == 0 if self.every else step == self.first_step

    def sparsity_at(self, epoch: int) -> float:
        """Sparsity s(e) = S − S(1 − e/T)³ for e ≤ T, then S.

        Zhu and Gupta 2017, arXiv:1710.01878, Eq. 1.
        """
        if epoch >= self.ramp_epochs:
            return self.sparsity
        return self.sparsity * (1 - (1 - epoch / self.ramp_epochs) ** 3)

    def feedback_at(self, step: int) -> bool:
        """Whether the gradients of this step reach pruned weights."""
        return self.feedback and not self._is_frozen(step)

    @property
    def full_from_epoch(self) -> int:
        """First epoch at whose end the masks have the final sparsity; 0 if nothing is pruned.

        A ramp that ends between two computations of the masks is felt at the second.
        """
        step = max(self.first_step, self.ramp_epochs * self.steps_per_epoch)
        if self.every:
            step += (self.first_step - step) % self.every
        return step // self.steps_per_epoch

    def _is_frozen(self, step: int) -> bool:
        return self.freeze_step is not None and step >= self.freeze_step
