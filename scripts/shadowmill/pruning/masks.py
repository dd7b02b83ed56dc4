"""Masks of many models at once.

Legend: E models stacked along the first axis of every tensor.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from shadowmill.errors import ArtefactError


def prunable(module: nn.Module) -> list[str]:
    """Names of the weights that global magnitude pruning may remove: those of convolutions.

    Linear layers, BatchNorm and biases stay dense, as in the published comparison.
    """
    return [
        f"{name}.weight" for name, layer in module.named_modules() if isinstance(layer, nn.Conv2d)
    ]


def num_pruned(num_weights: int, sparsity: float) -> int:
    """How many of `num_weights` are pruned at `sparsity`: rounded down, but for float rounding."""
    return int(num_weights * sparsity + 1e-9)


def magnitude_masks(weights: Mapping[str, Tensor], sparsity: float) -> dict[str, Tensor]:
    """Keep the largest weights of each model, over all its layers together.

    Args:
        weights: name to (E, …) tensor.
        sparsity: fraction to prune, in [0, 1).

    Returns:
        Name to (E, …) bool tensor; exactly `num_pruned` entries of each model are False. Of equal
        magnitudes the later ones stay.
    """
    flat = torch.cat([weight.detach().abs().flatten(1) for weight in weights.values()], dim=1)
    pruned = num_pruned(flat.shape[1], sparsity)
    keep = torch.ones_like(flat, dtype=torch.bool)
    if pruned:
        threshold = flat.kthvalue(pruned, dim=1, keepdim=True).values
        keep = flat > threshold
        surplus = flat.shape[1] - keep.sum(dim=1, keepdim=True) - pruned
        if surplus.any():
            tied = flat == threshold
            from_the_end = tied.flip(1).cumsum(1).flip(1)
            keep |= tied & (from_the_end <= surplus)
    sizes = [weight[0].numel() for weight in weights.values()]
    parts = keep.split(sizes, dim=1)
    return {
        name: part.view_as(weight)
        for (name, weight), part in zip(weights.items(), parts, strict=True)
    }


def masked(weight: Tensor, mask: Tensor, feedback: bool) -> Tensor:
    """Weights of the sparse forward pass.

    Without feedback the gradient is masked too (w ⊙ m differentiates to g ⊙ m); with feedback it
    passes to all weights (straight-through), so that pruned weights can come back.
    """
    sparse = weight * mask
    return weight + (sparse - weight).detach() if feedback else sparse


def check_sparsity(
    weights: Mapping[str, Tensor], masks: Mapping[str, Tensor], sparsity: float, where: str
) -> None:
    """Verify that one model has exactly the sparsity it claims.

    Raises:
        ArtefactError: masks of another sparsity, or weights that are not zero where masked.
    """
    total = sum(mask.numel() for mask in masks.values())
    if sparsity and not total:
        raise ArtefactError(
            f"{where}: no masks in a model of sparsity {sparsity}. Delete the model and rerun."
        )
    pruned = total - sum(int(mask.sum()) for mask in masks.values())
    if pruned != num_pruned(total, sparsity):
        raise ArtefactError(
            f"{where}: {pruned} of {total} weights are masked, sparsity {sparsity} means "
            f"{num_pruned(total, sparsity)}. Delete the model and rerun."
        )
    for name, mask in masks.items():
        if weights[name][~mask.bool()].any():
            raise ArtefactError(
                f"{where}: {name} has weights other than zero under its mask. "
                "Delete the model and rerun."
            )
