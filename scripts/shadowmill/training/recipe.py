"""Learning rate schedules and optimisers of named recipes."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch


def learning_rate(
    recipe: Mapping[str, Any], step: int, total_steps: int, steps_per_epoch: int
) -> float:
    """Learning rate of one optimiser step.

    With T `total_steps`, each schedule is a multiple of the peak, `learning_rate`:

    - `constant`: 1.
    - `multistep`: `gamma` to the number of `milestones` (epochs) reached.
    - `cosine`: ½(1 + cos(π (step − W) / (T − W))), a half cosine from step W, where it is 1, to T,
      where it would be 0 (Loshchilov and Hutter 2017, arXiv:1608.03983, Eq. 5, without restarts).
    - `one_cycle`: a linear rise over the first `warmup` part of the steps, then a half cosine to
      zero (Smith and Topin 2019, arXiv:1708.07120).

    The first three may have `warmup_epochs` (default 0), which last W steps: from `warmup_start`
    (default 0) times the peak at step 0, linearly to what the schedule has at step W (Goyal et al.
    2017, arXiv:1706.02677, Sec. 2.2). From 0, the first step leaves the weights as they are.

    Args:
        recipe: with `learning_rate` and `schedule`.
        step: from 0.
        total_steps: optimiser steps of the whole training.
        steps_per_epoch: optimiser steps in an epoch.
    """
    schedule, peak = recipe["schedule"], recipe["learning_rate"]
    if schedule["name"] == "one_cycle":
        return _one_cycle(schedule, peak, step, total_steps)
    warmup = schedule.get("warmup_epochs", 0) * steps_per_epoch
    rate = _scheduled(schedule, peak, max(step, warmup), total_steps, steps_per_epoch, warmup)
    if step >= warmup:
        return rate
    start = schedule.get("warmup_start", 0.0) * peak
    return start + (rate - start) * step / warmup


def _one_cycle(schedule: Mapping[str, Any], peak: float, step: int, total_steps: int) -> float:
    rise = schedule["warmup"] * total_steps
    if step < rise:
        return peak * (step + 1) / (rise + 1)
    return _half_cosine(peak, step - rise, total_steps - rise)


def _scheduled(
    schedule: Mapping[str, Any],
    peak: float,
    step: int,
    total_steps: int,
    steps_per_epoch: int,
    warmup: int,
) -> float:
    if schedule["name"] == "multistep":
        epoch = step // steps_per_epoch
        return peak * schedule["gamma"] ** sum(epoch >= m for m in schedule["milestones"])
    if schedule["name"] == "cosine":
        return _half_cosine(peak, step - warmup, total_steps - warmup)
    return peak


def _half_cosine(peak: float, step: float, num_steps: float) -> float:
    return peak * 0.5 * (1 + math.cos(math.pi * step / num_steps))


def optimizer(
    recipe: Mapping[str, Any], parameters: Iterable[torch.Tensor]
) -> torch.optim.Optimizer:
    """The recipe's optimiser over stacked parameters.

    All act on each element alone, so one step on the stack is one step on each model. Weight decay
    is the gradient of an L2 penalty, for Adam too (Kingma and Ba 2015, arXiv:1412.6980; not AdamW).
    Smoothing constants are PyTorch's: β = 0.9 and 0.999 for Adam, α = 0.99 for RMSprop.

    Args:
        recipe: with `optimizer` (`sgd`, `adam` or `rmsprop`), `learning_rate`, `weight_decay`,
            `momentum` (of SGD and RMSprop) and `nesterov` (of SGD).
        parameters: tensors of which the first axis is that of the models.
    """
    parameters = list(parameters)
    common = {"lr": recipe["learning_rate"], "weight_decay": recipe["weight_decay"]}
    if recipe["optimizer"] == "rmsprop":
        return torch.optim.RMSprop(parameters, **common, momentum=recipe["momentum"])
    fused = parameters[0].is_cuda or None
    if recipe["optimizer"] == "adam":
        made = torch.optim.Adam(parameters, **common, fused=fused, capturable=bool(fused))
    else:
        made = torch.optim.SGD(
            parameters,
            **common,
            momentum=recipe["momentum"],
            nesterov=recipe["nesterov"],
            fused=fused,
        )
    if fused:  # on the device, where a captured step finds the rate of each step
        made.param_groups[0]["lr"] = torch.full((), common["lr"], device=parameters[0].device)
    return made
