"""One trained model as a safetensors file: weights, buffers, masks and provenance."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from shadowmill import storage
from shadowmill.data.store import Data
from shadowmill.errors import ArtefactError
from shadowmill.provenance import IMPORTED, array_digest, differing
from shadowmill.pruning.masks import PREFIX, check_masks


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
    _check(state, masks, provenance, path)
    tensors = dict(state) | {f"{PREFIX}{name}": mask for name, mask in masks.items()}
    storage.write_tensors(path, tensors, {"provenance": provenance, "history": history})


def read_model(path: str | Path) -> ModelFile:
    """Read a model and check its sparsity.

    Raises:
        ArtefactError: the file is missing, damaged, or has another sparsity than it claims.
    """
    tensors, metadata = storage.read_tensors(path)
    if metadata.keys() != {"provenance", "history"}:
        raise ArtefactError(f"{path}: a file of this workflow, but no model. Delete it and rerun.")
    masks = {n.removeprefix(PREFIX): t for n, t in tensors.items() if n.startswith(PREFIX)}
    state = {n: t for n, t in tensors.items() if not n.startswith(PREFIX)}
    _check(state, masks, metadata["provenance"], path)
    return ModelFile(state, masks, metadata["provenance"], metadata["history"])


def _check(
    state: Mapping[str, Tensor],
    masks: Mapping[str, Tensor],
    provenance: Mapping[str, Any],
    path: str | Path,
) -> None:
    """Check the sparsity of a model that was trained here: others count in ways of their own."""
    if provenance.get("precision") != IMPORTED:
        check_masks(state, masks, provenance["settings"]["pruning"], str(path))


def read_matching(
    path: str, name: str, data: Data, roles_N: np.ndarray, settings: Mapping[str, Any]
) -> ModelFile:
    """Read a model that was trained on these data, with this row of the role matrix.

    Args:
        path: the model.
        name: of the model.
        data: the data set.
        roles_N: (N,) int8.
        settings: of its training, as the configuration has them.

    Raises:
        ArtefactError: as for `read_model`, or it is another model, or trained on other data or
            members or with other settings.
    """
    file = read_model(path)
    if file.provenance["model"] != name:
        raise ArtefactError(
            f"{path}: it holds the model {file.provenance['model']}, not {name}. It was copied or "
            f"renamed. Delete it and rerun the workflow, which trains {name}."
        )
    for key, found, what in (
        ("data_digest", data.digest, f"another version of {data.name} than the one prepared now"),
        ("roles_digest", array_digest(roles_N), "other examples than its row of the role matrix"),
    ):
        if file.provenance[key] != found:
            raise ArtefactError(
                f"{path}: this model was trained on {what}. Delete it to train it again, or "
                "restore what it was trained with."
            )
    if fields := differing(file.provenance["settings"], settings):
        raise ArtefactError(
            f"{path}: this model was trained with other settings than the configuration has: "
            f"{', '.join(fields)}. It was copied here, or the configuration was changed. Delete it "
            "to train it again, or restore the configuration."
        )
    return file
