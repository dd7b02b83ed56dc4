"""What differentially private training claims, towards adding and towards replacing an example."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from shadowmill.defenses.private import epsilon, noise_of
from shadowmill.training import steps_per_epoch


@dataclass(frozen=True)
class Claim:
    """A guarantee of (ε, δ)-differential privacy.

    Attributes:
        delta: δ.
        epsilon: ε, if data sets are neighbours where one has one example more.
        replace_one: ε, if they are where one example is replaced by another.
    """

    delta: float
    epsilon: float
    replace_one: float


def claim_of(settings: Mapping[str, Any], num_members: int, epoch_size: int) -> Claim | None:
    """What the training of a model claims, if it is not stopped early.

    Args:
        settings: the training settings of a score file.
        num_members: size of the training set.
        epoch_size: examples in a nominal epoch.

    Returns:
        None of models that were trained without privacy.
    """
    defense, recipe = settings["defense"], settings["recipe"]
    if defense["name"] != "dp_sgd":
        return None
    batch_size, delta = recipe["batch_size"], defense["delta"]
    rate, steps = (
        batch_size / num_members,
        recipe["epochs"] * steps_per_epoch(epoch_size, batch_size),
    )
    noise = noise_of(defense, rate, steps)
    return Claim(
        delta, epsilon(noise, rate, steps, delta), replace_one_epsilon(noise, rate, steps, delta)
    )


@cache
def replace_one_epsilon(
    noise_multiplier: float, sample_rate: float, steps: int, delta: float
) -> float:
    """The ε of a training with respect to replacing one example by another.

    By privacy loss distributions, with dp_accounting; arguments as of `private.epsilon`.

    Returns:
        An upper bound; infinity where `private.epsilon` is.
    """
    if not math.isfinite(epsilon(noise_multiplier, sample_rate, steps, delta)):
        return math.inf
    from dp_accounting import (
        GaussianDpEvent,
        NeighboringRelation,
        PoissonSampledDpEvent,
        SelfComposedDpEvent,
    )
    from dp_accounting.pld import PLDAccountant

    step = PoissonSampledDpEvent(sample_rate, GaussianDpEvent(noise_multiplier))
    accountant = PLDAccountant(NeighboringRelation.REPLACE_ONE)
    accountant.compose(SelfComposedDpEvent(step, steps))
    return float(accountant.get_epsilon(delta))
