"""The table of architectures. To add one, write a builder in a module here and a row below.

Snakemake imports this while it parses: builders are named, not imported.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Architecture:
    """A row of the table.

    Attributes:
        title: for figures.
        builder: MODULE:FUNCTION below this package; called with (in_channels, num_classes,
            image_size).
        stacked: whether the models of a job are trained in lock-step when `stacking` is auto.
            Small networks are several times faster so; large ones fill the device alone.
    """

    title: str
    builder: str
    stacked: bool


ARCHITECTURES: dict[str, Architecture] = {
    "small_convnet": Architecture("Small convnet", "convnet:small_convnet", stacked=True),
    "resnet18": Architecture("ResNet-18", "resnet:resnet18", stacked=False),
}


def is_stacked(name: str, stacking: str) -> bool:
    """Whether models of an architecture are run in lock-step.

    Args:
        name: row of the table.
        stacking: `stacked`, `sequential`, or `auto` for the table's word.
    """
    return ARCHITECTURES[name].stacked if stacking == "auto" else stacking == "stacked"


def build(name: str, in_channels: int, num_classes: int, image_size: int, seed: int) -> "nn.Module":
    """Build a network with weights initialised from `seed` alone.

    Args:
        name: row of the table.
        in_channels: channels of the images.
        num_classes: number of logits.
        image_size: height (= width) of the images in pixels.
        seed: of the initialisation; the global generator is left as it was.
    """
    import torch

    module, function = ARCHITECTURES[name].builder.split(":")
    builder = getattr(import_module(f"shadowmill.architectures.{module}"), function)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return builder(in_channels, num_classes, image_size)
