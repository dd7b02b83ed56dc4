"""Networks fit for per-example gradients, as differentially private training needs them."""

from opacus.validators import ModuleValidator
from torch import nn


def with_group_norm(network: nn.Module) -> nn.Module:
    """Make the examples of a batch independent, and each layer's output final.

    Every BatchNorm becomes a GroupNorm (Wu & He 2018, arXiv:1803.08494) of gcd(32, channels)
    groups, opacus' choice; activations in place, which opacus' hooks cannot follow, become ordinary
    ones.

    Args:
        network: left unchanged.

    Returns:
        A copy with the same weights but for those of the normalisations, which start at 1 and 0.
    """
    network = ModuleValidator.fix(network)
    for module in network.modules():
        if getattr(module, "inplace", False):
            module.inplace = False
    return network
