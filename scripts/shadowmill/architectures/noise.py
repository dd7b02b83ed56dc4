"""Random layers whose noise is a function of a key, so that a model in a stack equals it alone.

torch.func.vmap draws from the global generator, for all models of a stack at once; what a model
would get then depended on its neighbours. Here the trainer writes a fresh key into a buffer of each
layer of each model at every step, and the mask follows from it by counter-based hashing, the same
bits on every device.

Legend: B examples of a batch.
"""

import math

import torch
from torch import Tensor, nn

# Constants of SplitMix64 (Steele, Lea & Flood 2014, doi:10.1145/2660193.2660195; as in Vigna's
# splitmix64.c), as signed 64-bit integers: torch has no arithmetic on unsigned ones.
_INCREMENT = 0x9E3779B97F4A7C15 - 2**64
_FACTORS = (0xBF58476D1CE4E5B9 - 2**64, 0x94D049BB133111EB - 2**64)


def random_bits(key: Tensor, count: int) -> Tensor:
    """Outputs 0 … count − 1 of the generator SplitMix64 seeded with a key.

    Each output is a hash of its own counter, so all are computed at once.

    Args:
        key: () int64.
        count: number of outputs.

    Returns:
        (count,) int64, on the device of the key: uniform over all 64-bit patterns.
    """
    bits = key + _INCREMENT * torch.arange(1, count + 1, device=key.device)
    for shift, factor in zip((30, 27), _FACTORS, strict=True):
        bits = (bits ^ _shifted_right(bits, shift)) * factor
    return bits ^ _shifted_right(bits, 31)


def _shifted_right(bits: Tensor, shift: int) -> Tensor:
    # torch's shift of signed integers fills up with the sign; the hash wants zeros.
    return (bits >> shift) & (2 ** (64 - shift) - 1)


class KeyedDropout(nn.Module):
    """Dropout (Srivastava et al. 2014) whose mask is a function of a key; identity in eval mode.

    In training mode every element, or every whole example, is zeroed with probability p and the
    others are scaled by 1 / (1 − p). The mask depends on the key and on the position within the
    activation of one model alone: not on the device, on the global generator, or on how many models
    are stacked by vmap. Whole examples make the stochastic depth of Huang et al. (2016,
    arXiv:1603.09382) at the end of a residual branch.

    Attributes:
        key: () int64 buffer, no part of the state dict. Layers with equal keys drop alike: the
            trainer gives each layer of each model its own at every step.
    """

    key: Tensor

    def __init__(self, p: float, per_example: bool = False) -> None:
        """Take the drop probability, 0 ≤ p < 1, and whether whole examples are dropped."""
        super().__init__()
        if not 0 <= p < 1:
            raise ValueError(f"p is {p}; a drop probability is at least 0 and below 1")
        self.p = p
        self.per_example = per_example
        self.register_buffer("key", torch.zeros((), dtype=torch.int64), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Drop elements or examples of an activation (B, …) of one model; same shape and dtype."""
        if not self.training or self.p == 0:
            return x
        shape = (x.shape[0],) + (1,) * (x.dim() - 1) if self.per_example else x.shape
        # Read as signed numbers, the bits are uniform from −2⁶³ on.
        keep = random_bits(self.key, math.prod(shape)) >= int(self.p * 2**64) - 2**63
        return torch.where(keep.view(shape), x / (1 - self.p), 0)

    def extra_repr(self) -> str:
        """Show the settings when the network is printed."""
        return f"p={self.p}, per_example={self.per_example}"


def noise_keys(module: nn.Module) -> list[str]:
    """Names of the key buffers of a network, in the order of its modules."""
    return [
        f"{name}.key".removeprefix(".")
        for name, layer in module.named_modules()
        if isinstance(layer, KeyedDropout)
    ]


def replace_random_layers(module: nn.Module) -> None:
    """Swap, in place, the nn.Dropout and (row-mode) StochasticDepth layers of a network.

    Args:
        module: a network of torchvision, not itself such a layer.
    """
    # Here, because torchvision takes a second to load and most networks need none of it.
    from torchvision.ops import StochasticDepth

    for parent in list(module.modules()):
        for name, layer in parent.named_children():
            if isinstance(layer, nn.Dropout | StochasticDepth):
                per_example = isinstance(layer, StochasticDepth)
                setattr(parent, name, KeyedDropout(layer.p, per_example))
