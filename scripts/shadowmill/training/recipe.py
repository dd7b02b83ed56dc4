"""Learning rate schedules and optimisers of named recipes."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch


def learning_rate(
    recipe: Mapping[str, Any], step: int, total_steps: int, steps_per_epoch: int
) -> float:
    """Learning rate of one optimiser step.

    Args:
        recipe: with `learning_rate` and `schedule`.
        step: from 0.
        total_steps: optimiser steps of the whole training.
        steps_per_epoch: optimiser steps in an epoch.
    """
    schedule, peak = recipe["schedule"], recipe["learning_rate"]
    if schedule["name"] == "multistep":
        epoch = step // steps_per_epoch
        return peak * schedule["gamma"] ** sum(epoch >= m for m in schedule["milestones"])
    # One cycle (Smith and Topin 2019, arXiv:1708.07120): linear rise, then a half cosine to zero.
    rise = schedule["warmup"] * total_steps
    if step < rise:
        return peak * (step + 1) / (rise + 1)
    return peak * 0.5 * (1 + math.cos(math.pi * (step - rise) / (total_steps - rise)))


def optimizer(
    recipe: Mapping[str, Any], parameters: Iterable[torch.Tensor]
) -> torch.optim.Optimizer:
    """The recipe's optimiser over stacked parameters.

    It must act on each element alone: then one step on the stack is one step on each model.
    """
    parameters = list(parameters)
    return torch.optim.SGD(
        parameters,
        lr=recipe["learning_rate"],
        momentum=recipe["momentum"],
        weight_decay=recipe["weight_decay"],
        nesterov=recipe["nesterov"],
        fused=parameters[0].is_cuda or None,
    )
