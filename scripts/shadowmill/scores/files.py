"""Reading score files, checked against each other. Needs no torch.

Legend: M models, N examples of the pool, A queries.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from shadowmill import storage
from shadowmill.errors import ArtefactError
from shadowmill.names import shadow_names
from shadowmill.provenance import differing
from shadowmill.roles import MEMBER, NON_MEMBER
from shadowmill.scores import CURVATURE_ESTIMATORS


@dataclass(frozen=True)
class ModelScores:
    """Scores of some models of one configuration, with their roles.

    Attributes:
        models: M names.
        phi_MNA: float32 logit-scaled confidence of each query, nats; the identity is query 0.
        correct_MN: bool, whether the identity query is classified correctly.
        roles_MN: int8.
        test_accuracy_M: float64, NaN without an official test set; so is test_loss_M.
        test_loss_M: float64, mean cross-entropy in nats.
        sparsity_M: float64, achieved.
        epochs_M: int64, trained.
        seconds_M: float64, wall time of training, per model.
        training_settings: of all models.
        further: other arrays of the files that were asked for, by name.
    """

    models: tuple[str, ...]
    phi_MNA: np.ndarray
    correct_MN: np.ndarray
    roles_MN: np.ndarray
    test_accuracy_M: np.ndarray
    test_loss_M: np.ndarray
    sparsity_M: np.ndarray
    epochs_M: np.ndarray
    seconds_M: np.ndarray
    training_settings: dict[str, Any]
    further: dict[str, np.ndarray]

    @property
    def member_MN(self) -> np.ndarray:
        """(M, N) bool."""
        return self.roles_MN == MEMBER

    @property
    def nonmember_MN(self) -> np.ndarray:
        """(M, N) bool."""
        return self.roles_MN == NON_MEMBER


# Of examples, not of models: the same in all files of a study.
_SHARED = ("labels", "population_labels")
# Of each query: (M, N, A).
_OF_QUERIES = ("phi", "max_phi", *(f"curvature_{name}" for name in CURVATURE_ESTIMATORS))
_ALWAYS = (
    *("correct", "roles", "test_accuracy", "test_loss"),
    *("sparsity", "epochs", "training_seconds"),
)


def read_scores(
    paths: Sequence[str],
    *,
    identity_only: bool = False,
    further: Collection[str] = (),
    reader: str = "this job",
) -> ModelScores:
    """Read score files of one configuration and put their models together.

    Args:
        paths: score files, at least one.
        identity_only: read the identity query alone, to save time and memory.
        further: names of other arrays to read: `labels`, `entropy`, `modified_entropy`, `logits`,
            `sensitivity`, `population_phi`, `population_labels`, `max_phi`, or `curvature_` and one
            of `CURVATURE_ESTIMATORS`. The last two are of each query, like `phi`.
        reader: who asks for them, for messages.

    Raises:
        ArtefactError: a file is damaged, holds other models than it is named for, or lacks an
            array, or the models' training settings differ.
    """
    parts, settings = [], []
    for path in paths:
        with storage.open_hdf5(path) as file:
            parts.append(_read(file, identity_only, further, reader))
            settings.append(storage.attribute(file, "training_settings"))
        check_same_settings(path, settings[-1], paths[0], settings[0])
        if parts[-1]["phi"].shape[1:] != parts[0]["phi"].shape[1:]:
            raise ArtefactError(
                f"{path}: {parts[-1]['phi'].shape[1:]} examples × queries, but {paths[0]} has "
                f"{parts[0]['phi'].shape[1:]}. Delete the older one and rerun."
            )
    joined = {
        key: parts[0][key] if key in _SHARED else np.concatenate([part[key] for part in parts])
        for key in ("phi", *_ALWAYS, *further)
    }
    return ModelScores(
        models=tuple(name for part in parts for name in part["models"]),
        phi_MNA=joined["phi"],
        correct_MN=joined["correct"],
        roles_MN=joined["roles"],
        test_accuracy_M=joined["test_accuracy"],
        test_loss_M=joined["test_loss"],
        sparsity_M=joined["sparsity"],
        epochs_M=joined["epochs"],
        seconds_M=joined["training_seconds"],
        training_settings=settings[0],
        further={name: joined[name] for name in further},
    )


def _read(
    file: storage.Arrays, identity_only: bool, further: Collection[str], reader: str
) -> dict[str, Any]:
    if missing := sorted(name for name in further if name not in file):
        raise ArtefactError(
            f"{file.path}: it has no {', '.join(missing)}, which {reader} needs. Its models were "
            "asked for less. Delete it and rerun the workflow, which scores them again."
        )
    names = tuple(file["models"])
    _check_block(file.path, names)
    part = {key: file[key] for key in (*_ALWAYS, "phi", *further)}
    if identity_only:
        # Copies, so that the rest need not stay in memory.
        part |= {k: values[:, :, :1].copy() for k, values in part.items() if k in _OF_QUERIES}
    return part | {"models": names}


def _check_block(path: str | Path, models: Sequence[str]) -> None:
    """Refuse a file of another block of models than the one it is named for.

    A file `target-42` is about the model of that name, `shadow-03` about the slots of that block.

    Raises:
        ArtefactError: names the models.
    """
    block = Path(path).stem
    if list(models) not in ([block], shadow_names(block, len(models))):
        raise ArtefactError(
            f"{path}: it holds {', '.join(models)}, which are not the models of {block}. It was "
            "copied or renamed. Delete it and rerun the workflow."
        )


def check_same_settings(
    path: str,
    found: dict[str, Any],
    first: str,
    expected: Mapping[str, Any],
) -> None:
    """Refuse models that were not all trained in the same way.

    Args:
        path: the file in question.
        found: its training settings.
        first: another file, or what else says how they should have been trained.
        expected: the settings of that one.

    Raises:
        ArtefactError: the settings differ; names the fields.
    """
    if fields := differing(found, expected):
        raise ArtefactError(
            f"{path}: its models were trained with other settings than those of {first}: "
            f"{', '.join(fields)}. Delete the older models and rerun."
        )
