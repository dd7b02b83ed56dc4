"""The forward pass of many models of one architecture.

Legend: E models, B examples of a batch, K classes.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap


def precision(device: torch.device, recipe: Mapping[str, Any]) -> str:
    """Number format of the forward pass in training; weights are float32 in either case.

    Args:
        device: where to train.
        recipe: which perhaps says its `precision`.
    """
    by_device = "bfloat16" if device.type == "cuda" else "float32"
    return recipe.get("precision", by_device)


def autocast(device: torch.device, recipe: Mapping[str, Any]) -> torch.autocast:
    """The context of forward passes in training; arguments as of `precision`."""
    is_short = precision(device, recipe) == "bfloat16"
    return torch.autocast(device.type, torch.bfloat16, enabled=is_short)


def stacked_forward(
    module: nn.Module,
    parameters: Mapping[str, Tensor],
    buffers: Mapping[str, Tensor],
    inputs: Tensor,
    *,
    shared: bool = False,
) -> Tensor:
    """Logits of E models, each on its own examples or all on the same.

    Args:
        module: the network, for its structure and its mode.
        parameters: name to (E, …).
        buffers: name to (E, …); in training mode, running statistics are updated in place.
        inputs: (E, B, …), or (B, …) if `shared`.
        shared: whether all models are asked about the same inputs.

    Returns:
        (E, B, K).
    """

    def one(parameters: dict[str, Tensor], buffers: dict[str, Tensor], inputs: Tensor) -> Tensor:
        return functional_call(module, (parameters, buffers), (inputs,))

    if len(next(iter(parameters.values()))) == 1:  # grouped convolutions would only slow it down
        first = ({n: t[0] for n, t in tensors.items()} for tensors in (parameters, buffers))
        return one(*first, _channels_last(inputs if shared else inputs[0]))[None]
    return vmap(one, in_dims=(0, 0, None if shared else 0))(dict(parameters), dict(buffers), inputs)


def channels_last_weights(parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The parameters of one model (1, …), with convolutions in the layout GPUs are fastest with."""
    return {
        name: _channels_last(tensor[0])[None] if tensor.dim() == 5 else tensor
        for name, tensor in parameters.items()
    }


def _channels_last(tensor: Tensor) -> Tensor:
    if tensor.is_cuda and tensor.dim() == 4:
        return tensor.contiguous(memory_format=torch.channels_last)
    return tensor
