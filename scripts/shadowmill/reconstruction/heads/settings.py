"""What follows from the settings of heads."""

from collections.abc import Mapping
from typing import Any


def num_units(settings: Mapping[str, Any]) -> int:
    """J: units of the first layer, hidden ones or outputs."""
    return settings["hidden"] or settings["outputs"]


def num_steps(settings: Mapping[str, Any]) -> int:
    """T: one step in each epoch; with privacy of sampling rate q, round(1/q)."""
    privacy = settings["privacy"]
    return settings["epochs"] * (round(1 / privacy["sample_rate"]) if privacy else 1)


def kept_per_step(settings: Mapping[str, Any]) -> float:
    """k: what weight decay leaves of a weight in one step of plain gradient descent."""
    return 1 - settings["learning_rate"] * settings["weight_decay"]
