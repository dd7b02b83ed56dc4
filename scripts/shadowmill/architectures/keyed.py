"""Dropout of the user's networks, drawn from keys as that of ours."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from shadowmill.architectures.noise import KeyedDropout, random_bits

_CHANNEL_DROPOUT = (nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)


class CountedDropout(KeyedDropout):
    """Dropout of a key, of the position within the activation, and of which call it is.

    A network may pass through one layer several times, and each time other noise is wanted. Calls
    are counted from the begin of a forward pass of the whole network, see `with_keyed_dropout`.

    Attributes:
        axes: how many of the first axes the noise has, 1 for whole examples, 2 for whole channels;
            None for all.
        calls: since the forward pass began.
    """

    def __init__(self, p: float, axes: int | None = None) -> None:
        """Take the drop probability, 0 ≤ p < 1, and what is dropped together."""
        super().__init__(p)
        self.axes, self.calls = axes, 0

    def forward(self, x: Tensor) -> Tensor:
        """Drop parts of an activation (B, …) of one model; same shape and dtype."""
        if not self.training or self.p == 0:
            return x
        axes = x.dim() if self.axes is None else self.axes
        shape = (*x.shape[:axes], *[1] * (x.dim() - axes))
        self.calls += 1
        key = random_bits(self.key, self.calls)[-1]
        # Read as signed numbers, the bits are uniform from −2⁶³ on.
        keep = random_bits(key, math.prod(shape)) >= int(self.p * 2**64) - 2**63
        return torch.where(keep.view(shape), x / (1 - self.p), 0)


def with_keyed_dropout(network: nn.Module) -> nn.Module:
    """Swap the dropout and the stochastic depth of a network for layers drawn from keys.

    Args:
        network: changed in place, unless it is such a layer itself.
    """
    # Here, because torchvision takes a second to load.
    from torchvision.ops import StochasticDepth

    whole = nn.Sequential(network)
    for parent in list(whole.modules()):
        for name, layer in parent.named_children():
            # Subclasses may do something else, and are found out by the check.
            kind = type(layer)
            if kind is nn.Dropout:
                setattr(parent, name, CountedDropout(layer.p))
            elif kind in _CHANNEL_DROPOUT:
                setattr(parent, name, CountedDropout(layer.p, axes=2))
            elif kind is StochasticDepth and layer.mode == "row":
                setattr(parent, name, CountedDropout(layer.p, axes=1))
    whole[0].register_forward_pre_hook(_begin)
    return whole[0]


def _begin(network: nn.Module, inputs: Any) -> None:
    for layer in network.modules():
        if isinstance(layer, CountedDropout):
            layer.calls = 0
