"""Dropout of the user's networks, drawn from keys as that of ours."""

import math

import torch
from torch import Tensor, nn

from shadowmill.architectures.noise import KeyedDropout, random_bits, replace_random_layers

_CHANNEL_DROPOUT = nn.Dropout1d | nn.Dropout2d | nn.Dropout3d


class KeyedChannelDropout(KeyedDropout):
    """Dropout of whole channels, of a key and the position within the activation alone."""

    def forward(self, x: Tensor) -> Tensor:
        """Drop channels of an activation (B, C, …) of one model; same shape and dtype."""
        if not self.training or self.p == 0:
            return x
        shape = (*x.shape[:2], *[1] * (x.dim() - 2))
        # Read as signed numbers, the bits are uniform from −2⁶³ on.
        keep = random_bits(self.key, math.prod(shape)) >= int(self.p * 2**64) - 2**63
        return torch.where(keep.view(shape), x / (1 - self.p), 0)


def with_keyed_dropout(network: nn.Module) -> nn.Module:
    """Swap the dropout and the stochastic depth of a network for layers drawn from keys.

    Args:
        network: changed in place, unless it is such a layer itself.
    """
    whole = nn.Sequential(network)
    replace_random_layers(whole)
    for parent in list(whole.modules()):
        for name, layer in parent.named_children():
            if isinstance(layer, _CHANNEL_DROPOUT):
                setattr(parent, name, KeyedChannelDropout(layer.p))
    return whole[0]
