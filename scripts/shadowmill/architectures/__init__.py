"""The table of architectures. To add one, write a builder in a module here and a row below.

Snakemake imports this while it parses: builders are named, not imported.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Literal

from shadowmill.errors import ConfigError

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A row of the table.

    Attributes:
        title: for figures.
        builder: MODULE:FUNCTION below this package; called with (input_shape, num_classes). Its
            layers draw no random numbers in the forward pass but through `noise.KeyedDropout`.
        kind: of the examples it takes: `image` (C, H, W) or `tabular` (D,).
        batch_norm: whether it has any BatchNorm layer.
        stacked: whether the models of a job are trained in lock-step when `stacking` is auto.
            True where `make benchmark` found it faster on CPUs (docs/performance.md); large
            networks fill the device alone.
    """

    title: str
    builder: str
    kind: Literal["image", "tabular"] = "image"
    batch_norm: bool = True
    stacked: bool = False


# Stacked: those below a million parameters.
ARCHITECTURES: dict[str, Architecture] = {
    "small_convnet": Architecture(
        title="Small convnet", builder="convnet:small_convnet", batch_norm=False, stacked=True
    ),
    "mlp": Architecture(
        title="MLP", builder="mlp:mlp", kind="tabular", batch_norm=False, stacked=True
    ),
    "resnet18": Architecture(title="ResNet-18", builder="resnet:resnet18"),
    "resnet34": Architecture(title="ResNet-34", builder="resnet:resnet34"),
    "resnet50": Architecture(title="ResNet-50", builder="resnet:resnet50"),
    "resnet20": Architecture(title="ResNet-20", builder="resnet:resnet20"),
    "resnet32": Architecture(title="ResNet-32", builder="resnet:resnet32"),
    "resnet44": Architecture(title="ResNet-44", builder="resnet:resnet44"),
    "resnet56": Architecture(title="ResNet-56", builder="resnet:resnet56"),
    "resnet110": Architecture(title="ResNet-110", builder="resnet:resnet110"),
    "wrn28_2": Architecture(title="WRN-28-2", builder="wide_resnet:wrn28_2"),
    "wrn28_10": Architecture(title="WRN-28-10", builder="wide_resnet:wrn28_10"),
    "vgg16_bn": Architecture(title="VGG-16", builder="adapted:vgg16_bn"),
    "densenet121": Architecture(title="DenseNet-121", builder="adapted:densenet121"),
    "efficientnet_b0": Architecture(title="EfficientNet-B0", builder="adapted:efficientnet_b0"),
}


def title_of(name: str) -> str:
    """What figures call a network: one of the user's own by its name."""
    return ARCHITECTURES[name].title if name in ARCHITECTURES else name


def is_stacked(row: Architecture, stacking: str, device_type: str) -> bool:
    """Whether models of an architecture are run in lock-step.

    Args:
        row: of the table.
        stacking: `stacked`, `sequential`, or `auto` for the table's word.
        device_type: `cpu` or `cuda`. There, BatchNorm in bfloat16 fails under vmap (PyTorch 2.11),
            so networks with it are not stacked, whatever is asked for.
    """
    if device_type == "cuda" and row.batch_norm:
        return False
    return row.stacked if stacking == "auto" else stacking == "stacked"


def build(
    name: str,
    input_shape: tuple[int, ...],
    num_classes: int,
    seed: int,
    *,
    group_norm: bool = False,
) -> "nn.Module":
    """Build a network with weights initialised from `seed` alone.

    Args:
        name: row of the table.
        input_shape: of one example: (C, H, W) of an image, at least 8 pixels a side, or (D,).
        num_classes: number of logits.
        seed: of the initialisation; the global generators are left as they were.
        group_norm: make the network fit for per-example gradients, see
            `group_norm.with_group_norm`.

    Returns:
        A network in training mode, float32: (B, *input_shape) to logits (B, K).

    Raises:
        ConfigError: the table has no such row.
    """
    import torch

    if name not in ARCHITECTURES:
        raise ConfigError(
            f"there is no architecture {name!r}. Choose one of {', '.join(ARCHITECTURES)}."
        )
    module, function = ARCHITECTURES[name].builder.split(":")
    builder = getattr(import_module(f"shadowmill.architectures.{module}"), function)
    with torch.random.fork_rng(devices=[]):
        # Not torch.manual_seed, which would seed the generators of the GPUs too.
        torch.default_generator.manual_seed(seed)
        network = builder(input_shape, num_classes)
    if group_norm:
        from shadowmill.architectures.group_norm import with_group_norm

        network = with_group_norm(network)
    return network
