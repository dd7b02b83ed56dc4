"""Role matrices: which model trained on which example.

The role matrix of a study and data set is drawn once, saved in one file per block of models, and
never drawn again; whatever needs to know members reads it, or a copy in what was made from it.

Three protocols divide the examples:

- `half`: each model trains on a random half of the pool. Shadow models come in complementary
  pairs: 2p trains on a random half and 2p+1 on the other half. Hence each example is IN for exactly
  half of the shadows (Carlini et al. 2022, arXiv:2112.03570, Sec. V; Feldman and Zhang 2020,
  arXiv:2008.03703).
- `disjoint`: half of the examples belong to the targets, the other half to the shadows; every
  model splits its side anew (Yuan and Zhang 2022, arXiv:2202.03335).
- `prefix`: a model trains on the first examples of an order that all models share, so that smaller
  training sets are subsets of larger ones.

Legend: M models, N examples of the pool.
"""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from shadowmill import storage
from shadowmill.errors import ArtefactError, ConfigError, DataError
from shadowmill.provenance import array_digest, provenance
from shadowmill.roles.order import random_order, read_order, read_scores, score_order
from shadowmill.roles.splits import (
    MEMBER,
    NON_MEMBER,
    UNUSED,
    VALIDATION,
    prefix,
    shadow_half,
    shadow_split,
    stream,
    target_half,
    target_split,
    with_rotating_validation,
    with_validation,
)

__all__ = [
    "MEMBER",
    "NON_MEMBER",
    "UNUSED",
    "VALIDATION",
    "RoleMatrix",
    "draw",
    "load",
    "stream",
]


@dataclass(frozen=True)
class RoleMatrix:
    """The roles of a block of models.

    Attributes:
        models: names of the M models.
        roles_MN: (M, N) int8.
        epoch_size: examples in a nominal epoch. Models trained in lock-step share this number, so
            that they take the same steps whichever models share their job: N // 2 for halves,
            which differ by one for an odd pool; otherwise the number of members.
    """

    models: tuple[str, ...]
    roles_MN: np.ndarray
    epoch_size: int


@dataclass(frozen=True)
class Given:
    """What a finished model was trained on.

    Attributes:
        members: (m,) int64 indices.
        held_out: (h,) int64 indices of what it never saw and is compared with.
    """

    members: np.ndarray
    held_out: np.ndarray

    def digest(self) -> str:
        """Of both lists."""
        return array_digest(self.members) + array_digest(self.held_out)

    def row(self, num_examples: int, group_N: np.ndarray | None) -> np.ndarray:
        """Roles, int8, of the examples, or of the groups, which are in one list as a whole."""
        row_N = np.full(num_examples, UNUSED, dtype=np.int8)
        row_N[self.held_out] = NON_MEMBER
        row_N[self.members] = MEMBER
        return row_N if group_N is None else row_N[np.unique(group_N, return_index=True)[1]]


_FEWEST_GROUPS = 4

_ROW = {
    "half": {"target": target_half, "shadow": shadow_half},
    "disjoint": {"target": target_split, "shadow": shadow_split},
}


def draw(
    path: str | Path,
    models: Mapping[str, Sequence[str | int]],
    num_examples: int,
    seed: int,
    *,
    protocol: str = "half",
    validation: float = 0.0,
    scores_path: str | Path | None = None,
    order_path: str | Path | None = None,
    group_N: np.ndarray | None = None,
    given: Mapping[str, "Given"] | None = None,
) -> None:
    """Draw the roles of a block of models and save them.

    Args:
        path: HDF5 file to write.
        models: name of each model to what its members are drawn from: `("target", its seed)`,
            `("shadow", its index)`, `("prefix", its seed, number of members)` for targets on
            prefixes, whose members do not depend on the model's seed, or `("given", its name)`.
        num_examples: N, over which roles are defined.
        seed: of the study.
        protocol: `half` or `disjoint`; prefixes are a protocol of their own.
        validation: share of each model's non-members, from 0 to less than 1, that becomes
            VALIDATION, for shadows in turns. Members do not depend on it. Disjoint splits have a
            validation part of their own.
        scores_path: file for `read_scores`. Prefixes are then taken by ascending score, equal
            scores by index.
        order_path: file for `read_order`, of which prefixes are taken; without both, of
            `random_order`.
        group_N: (N,) integer from 0, which examples have the same role in each model: all is drawn
            among groups then. Not for prefixes.
        given: what finished models were trained on and what they never saw, by their names.

    Raises:
        ConfigError: a prefix that is longer than the pool allows, or of groups.
        DataError: the file of scores does not fit, or there are too few examples.
        ValueError: models of several protocols or epoch sizes, or settings of another protocol.
    """
    start = time.monotonic()
    prefixes = {kind == "prefix" for kind, *_ in models.values()}
    if len(prefixes) > 1:
        raise ValueError("prefixes and other models: a file has one protocol")
    protocol = "prefix" if prefixes.pop() else protocol
    if not 0 <= validation < 1 or (validation and protocol == "disjoint"):
        raise ValueError(f"validation={validation} with the protocol {protocol}")
    path_of_order = scores_path or order_path
    if path_of_order is not None and protocol != "prefix":
        raise ValueError(f"an order, {path_of_order}, with the protocol {protocol}")
    if group_N is not None and protocol == "prefix":
        raise ConfigError(
            "subsets: a training set of the first examples would cut groups that belong together. "
            "Remove the groups from the data, or this key from the study."
        )
    settings: dict[str, Any] = {
        "protocol": protocol,
        "seed": seed,
        "models": dict(models),
        "validation": validation,
    }
    if protocol == "prefix":
        order_N = random_order(num_examples, seed)
        if scores_path is not None:
            scores_N = read_scores(scores_path, num_examples)
            settings["order_digest"] = array_digest(scores_N)
            order_N = score_order(scores_N)
        elif order_path is not None:
            order_N = read_order(order_path, num_examples)
            settings["order_digest"] = array_digest(order_N)
        rows = [prefix(size, order_N) for _, _, size in models.values()]
    else:
        kinds, units = _ROW[protocol], _units(num_examples, group_N)
        rows = [
            given[key].row(num_examples, group_N)
            if kind == "given"
            else kinds[kind](key, units, seed)
            for kind, key in models.values()
        ]
    roles_MN = np.stack(
        [
            with_rotating_validation(row, validation, key[1] // 2, seed)
            if protocol == "half" and key[0] == "shadow"
            else with_validation(row, validation, seed, *key)
            for row, key in zip(rows, models.values(), strict=True)
        ]
    )
    if group_N is not None:
        settings["groups_digest"] = array_digest(group_N)
        roles_MN = roles_MN[:, group_N]
    named = [name for kind, name, *_ in models.values() if kind == "given"]
    if named:
        settings["given"] = {name: given[name].digest() for name in named}
    epoch_size = _epoch_size("given" if named else protocol, roles_MN, group_N)
    storage.write_hdf5(
        path,
        {"roles": roles_MN, "models": list(models)},
        provenance(settings, time.monotonic() - start, roles_digest=array_digest(roles_MN)),
        epoch_size=epoch_size,
    )


def _units(num_examples: int, group_N: np.ndarray | None) -> int:
    """How many examples, or groups of them, roles are drawn among."""
    if group_N is None:
        return num_examples
    if len(group_N) != num_examples:
        raise ValueError(f"{len(group_N)} examples have a group, of {num_examples}")
    units = int(group_N.max()) + 1
    if units < _FEWEST_GROUPS:
        raise DataError(
            f"{units} groups are too few to draw members among. At least {_FEWEST_GROUPS} are "
            "needed; with very few, little can be told."
        )
    return units


def _epoch_size(protocol: str, roles_MN: np.ndarray, group_N: np.ndarray | None) -> int:
    if protocol == "half":
        return roles_MN.shape[1] // 2
    if protocol == "disjoint" and group_N is not None:  # of any size: as many as on average
        return max(1, 9 * int((roles_MN[0] != UNUSED).sum()) // 20)
    sizes = {int((row == MEMBER).sum()) for row in roles_MN}
    if len(sizes) != 1:
        raise ValueError(f"models with {sorted(sizes)} members: a file has one epoch size")
    return sizes.pop()


def load(path: str | Path, models: Collection[str] | None = None) -> RoleMatrix:
    """Read the roles of a block.

    Args:
        path: the roles.
        models: names of the models that they should be of; any if not given.

    Raises:
        ArtefactError: the file is missing or damaged, or is about other models.
    """
    with storage.open_hdf5(path) as file:
        names = tuple(file["models"])
        if models is not None and set(names) != set(models):
            raise ArtefactError(
                f"{path}: it holds the roles of {', '.join(names)}, not those of "
                f"{', '.join(models)}. It was copied or renamed. Delete it and rerun the workflow."
            )
        return RoleMatrix(
            models=names,
            roles_MN=file["roles"],
            epoch_size=storage.attribute(file, "epoch_size"),
        )
