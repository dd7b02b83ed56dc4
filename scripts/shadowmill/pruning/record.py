"""What is recorded about masks while models train.

Legend: E models stacked along the first axis of every mask.
"""

from collections.abc import Mapping

from torch import Tensor


def sparsities(masks: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Fraction of pruned entries.

    Args:
        masks: name to (E, …) bool tensor, at least one; False is pruned.

    Returns:
        Name to (E,) float64, of each masked parameter, and of all together under `overall`.
    """
    pruned = {name: _count(~mask) for name, mask in masks.items()}
    fractions = {name: count / masks[name][0].numel() for name, count in pruned.items()}
    return fractions | {"overall": sum(pruned.values()) / _size(masks)}


def reactivated(old: Mapping[str, Tensor], new: Mapping[str, Tensor]) -> Tensor:
    """Share of all entries that were pruned and are no longer.

    Args:
        old: name to (E, …) bool tensor, at least one.
        new: of the same names and shapes.

    Returns:
        (E,) float64, in [0, 1].
    """
    return sum(_count(new[name] & ~old[name]) for name in old) / _size(old)


def overlap(old: Mapping[str, Tensor], new: Mapping[str, Tensor]) -> Tensor:
    """Jaccard index of the kept entries, |old ∩ new| / |old ∪ new|.

    Args:
        old: name to (E, …) bool tensor, at least one; at least one entry of each model is kept.
        new: of the same names and shapes.

    Returns:
        (E,) float64; 1 for equal masks, 0 if no entry is kept by both.
    """
    both = sum(_count(old[name] & new[name]) for name in old)
    return both / sum(_count(old[name] | new[name]) for name in old)


def _count(entries: Tensor) -> Tensor:
    return entries.flatten(1).sum(dim=1).double()


def _size(masks: Mapping[str, Tensor]) -> int:
    """Entries of one model."""
    return sum(mask[0].numel() for mask in masks.values())
