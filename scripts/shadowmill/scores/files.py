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
from shadowmill.provenance import IMPORTED, differing
from shadowmill.roles import MEMBER, NON_MEMBER
from shadowmill.scores.arrays import ARRAYS

_READ_ALWAYS = ("phi", "correct", "roles")


@dataclass(frozen=True)
class ModelScores:
    """Scores of some models of one configuration, with their roles.

    Attributes:
        models: M names.
        training_settings: of all models.
        arrays: by name, with the axes and types of `ARRAYS`.
    """

    models: tuple[str, ...]
    training_settings: dict[str, Any]
    arrays: dict[str, np.ndarray]

    def __getitem__(self, name: str) -> np.ndarray:
        """One of the arrays that were read."""
        return self.arrays[name]

    @property
    def member_MN(self) -> np.ndarray:
        """(M, N) bool."""
        return self["roles"] == MEMBER

    @property
    def nonmember_MN(self) -> np.ndarray:
        """(M, N) bool."""
        return self["roles"] == NON_MEMBER


def read_scores(
    paths: Sequence[str],
    arrays: Collection[str] = (),
    *,
    identity_only: bool = False,
    reader: str = "this job",
) -> ModelScores:
    """Read score files of one configuration and put their models together.

    Args:
        paths: score files, at least one.
        arrays: names in `ARRAYS` of what to read beside `phi`, `correct` and `roles`.
        identity_only: read the identity query alone, to save time and memory.
        reader: who asks for them, for messages.

    Raises:
        ArtefactError: a file is damaged, holds other models than it is named for, or lacks an
            array, or the models' training settings differ.
    """
    names = dict.fromkeys((*_READ_ALWAYS, *arrays))
    parts, models, settings = [], [], []
    for path in paths:
        with storage.open_hdf5(path) as file:
            models.append(_models(file))
            parts.append(_read(file, names, identity_only, reader))
            settings.append(storage.attribute(file, "training_settings"))
        check_same_settings(path, settings[-1], paths[0], settings[0])
        if parts[-1]["phi"].shape[1:] != parts[0]["phi"].shape[1:]:
            raise ArtefactError(
                f"{path}: {parts[-1]['phi'].shape[1:]} examples × queries, but {paths[0]} has "
                f"{parts[0]['phi'].shape[1:]}. Delete the older one and rerun."
            )
    joined = {
        # What is of no model is the same in all files of a study.
        name: np.concatenate([part[name] for part in parts])
        if ARRAYS[name].axes.startswith("M")
        else parts[0][name]
        for name in names
    }
    return ModelScores(tuple(name for own in models for name in own), settings[0], joined)


def _read(
    file: storage.Arrays, names: Collection[str], identity_only: bool, reader: str
) -> dict[str, np.ndarray]:
    if missing := sorted(name for name in names if name not in file):
        raise ArtefactError(
            f"{file.path}: it has no {', '.join(missing)}, which {reader} needs. Its models were "
            "asked for less. Delete it and rerun the workflow, which scores them again."
        )
    part = {name: file[name] for name in names}
    if identity_only:
        # Copies, so that the rest need not stay in memory.
        part |= {n: part[n][:, :, :1].copy() for n in names if ARRAYS[n].axes == "MNA"}
    return part


def _models(file: storage.Arrays) -> tuple[str, ...]:
    """Names of the models of a file.

    Raises:
        ArtefactError: they are not the models that the file is named for: `target-42` is about the
            model of that name, `shadow-03` about the slots of that block.
    """
    models, block = tuple(file["models"]), Path(file.path).stem
    if list(models) not in ([block], shadow_names(block, len(models))):
        raise ArtefactError(
            f"{file.path}: it holds {', '.join(models)}, which are not the models of {block}. It "
            "was copied or renamed. Delete it and rerun the workflow."
        )
    return models


def check_same_settings(
    path: str,
    found: dict[str, Any],
    first: str,
    expected: Mapping[str, Any],
) -> None:
    """Refuse models that were not all trained in the same way, as far as is known of them.

    Args:
        path: the file in question.
        found: its training settings.
        first: another file, or what else says how they should have been trained.
        expected: the settings of that one.

    Raises:
        ArtefactError: the settings differ; names the fields.
    """
    fields = differing(found, expected)
    if IMPORTED in (found.get("precision"), expected.get("precision")):
        fields = [name for name in fields if name != "precision"]
    if fields:
        raise ArtefactError(
            f"{path}: its models were trained with other settings than those of {first}: "
            f"{', '.join(fields)}. Delete the older models and rerun."
        )
