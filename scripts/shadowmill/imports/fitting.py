"""Weights of others under the names of a network."""

from collections.abc import Iterator, Mapping
from difflib import SequenceMatcher

import torch
from torch import Tensor

from shadowmill.errors import DataError

# What wrappers put before all names: DataParallel, Opacus, torch.compile, and modules that hold a
# network as an attribute.
_PREFIXES = ("module.", "_module.", "_orig_mod.", "model.", "net.", "network.")
_COUNTER = "num_batches_tracked"
_MOST_SHOWN = 12


def fitted(path: str, state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give the tensors of a file the names and types that a network has.

    Prefixes of wrappers are taken off. Only counters of batches may be missing, which no forward
    pass reads.

    Args:
        path: of the file, for messages.
        state: its tensors.
        own: parameters and buffers of the network.

    Returns:
        As many tensors as `own`, in its order.

    Raises:
        DataError: a tensor is missing, left over, has another shape, or is not finite; with the
            nearest map from one to the other.
    """
    state = _without_prefix(state, own)
    optional = {name for name in own if name.endswith(_COUNTER)}
    missing = [name for name in own if name not in state and name not in optional]
    surplus = [name for name in state if name not in own and not name.endswith(_COUNTER)]
    reshaped = [name for name in own if name in state and state[name].shape != own[name].shape]
    if missing or surplus or reshaped:
        counts = ", ".join(
            f"{len(names)} {what}"
            for names, what in (
                (missing, "missing"),
                (surplus, "too many"),
                (reshaped, "of another shape"),
            )
            if names
        )
        rows = list(_map(missing, surplus, reshaped, state, own))
        more = [f"  … and {len(rows) - _MOST_SHOWN} more"] if len(rows) > _MOST_SHOWN else []
        listing = "\n".join([*rows[:_MOST_SHOWN], *more])
        raise DataError(
            f"{path}: its tensors are not those of the network ({counts}). Give the network that "
            "was trained, under architectures, or rename the tensors. The nearest map, ours and "
            f"theirs:\n{listing}"
        )
    fitting = {name: state.get(name, tensor).to(tensor.dtype) for name, tensor in own.items()}
    for name, tensor in fitting.items():
        if not torch.isfinite(tensor).all():
            raise DataError(
                f"{path}: {name} has entries that are no finite numbers. This model diverged, or "
                "the file is damaged."
            )
    return fitting


def _without_prefix(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state without the prefixes, perhaps several, that keep its names from being known."""
    variants = [dict(state)]
    for variant in variants:  # which grows meanwhile
        variants += [
            {name.removeprefix(prefix): tensor for name, tensor in variant.items()}
            for prefix in _PREFIXES
            if any(name.startswith(prefix) for name in variant)
        ]
    return max(variants, key=lambda variant: sum(name in own for name in variant))


def _map(
    missing: list[str],
    surplus: list[str],
    reshaped: list[str],
    state: Mapping[str, Tensor],
    own: Mapping[str, Tensor],
) -> Iterator[str]:
    """A line for each name that does not fit, with the one that it most likely is."""
    for name in reshaped:
        yield f"  {name} {_shape(own[name])} ← {name} {_shape(state[name])}"
    left = list(surplus)
    for name in missing:
        alike = [other for other in left if state[other].shape == own[name].shape]
        # In their order: layers are saved as they are built, whatever they are called.
        kinds = [other for other in alike if _ending(other) == _ending(name)] or alike
        if not kinds:
            yield f"  {name} {_shape(own[name])} ← nothing of this shape"
            continue
        nearest = max(kinds, key=lambda other: SequenceMatcher(None, name, other).ratio())
        nearest = kinds[0] if len(kinds) > 1 and _is_vague(name, nearest) else nearest
        left.remove(nearest)
        yield f"  {name} {_shape(own[name])} ← {nearest} {_shape(state[nearest])}"
    for name in left:
        yield f"  nothing ← {name} {_shape(state[name])}"


def _ending(name: str) -> str:
    return name.rpartition(".")[2]


def _is_vague(name: str, other: str) -> bool:
    return SequenceMatcher(None, name, other).ratio() < 0.8


def _shape(tensor: Tensor) -> str:
    return "×".join(str(size) for size in tensor.shape) or "scalar"
