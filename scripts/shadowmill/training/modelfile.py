"""One trained model as a safetensors file: weights, buffers, masks and provenance."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from shadowmill import storage
from shadowmill.errors import ArtefactError
from shadowmill.pruning.masks import check_sparsity

_MASK = "mask."


@dataclass(frozen=True)
class ModelFile:
    """A model read from its file.

    Attributes:
        state: parameters and buffers by the network's own names; pruned weights are zero.
        masks: bool masks by the name of their weight; empty for a dense model.
        provenance: how it was made.
        history: one list per recorded quantity, one entry per epoch.
    """

    state: dict[str, Tensor]
    masks: dict[str, Tensor]
    provenance: dict[str, Any]
    history: dict[str, list[float]]


def write_model(
    path: str | Path,
    state: Mapping[str, Tensor],
    masks: Mapping[str, Tensor],
    provenance: Mapping[str, Any],
    history: Mapping[str, list[float]],
) -> None:
    """Check the model's sparsity and write it, atomically.

    Raises:
        ArtefactError: the sparsity is not the one in the provenance's settings.
    """
    check_sparsity(state, masks, provenance["settings"]["pruning"]["sparsity"], str(path))
    tensors = dict(state) | {f"{_MASK}{name}": mask for name, mask in masks.items()}
    storage.write_tensors(path, tensors, {"provenance": provenance, "history": history})


def read_model(path: str | Path) -> ModelFile:
    """Read a model and check its sparsity.

    Raises:
        ArtefactError: the file is missing, damaged, or has another sparsity than it claims.
    """
    tensors, metadata = storage.read_tensors(path)
    if metadata.keys() != {"provenance", "history"}:
        raise ArtefactError(f"{path}: not a model of this workflow. Delete it and rerun.")
    masks = {n.removeprefix(_MASK): t for n, t in tensors.items() if n.startswith(_MASK)}
    state = {n: t for n, t in tensors.items() if not n.startswith(_MASK)}
    sparsity = metadata["provenance"]["settings"]["pruning"]["sparsity"]
    check_sparsity(state, masks, sparsity, str(path))
    return ModelFile(state, masks, metadata["provenance"], metadata["history"])
