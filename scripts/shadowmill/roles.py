"""Role matrices: which model trained on which example.

A role matrix is drawn once per study and data set, saved, and never drawn again; whatever needs to
know members reads it. Shadow models come in complementary pairs: 2p trains on a random half of the
pool and 2p+1 on the other half. Hence each example is IN for exactly half of the shadows (Carlini
et al. 2022, arXiv:2112.03570, Sec. V; Feldman and Zhang 2020, arXiv:2008.03703).

Legend: M models, N examples of the pool.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shadowmill import storage
from shadowmill.errors import ArtefactError
from shadowmill.provenance import array_digest, provenance
from shadowmill.seeds import generator

UNUSED, MEMBER, VALIDATION, NON_MEMBER = 0, 1, 2, 3


def _half_row(num_examples: int, *key: str | int) -> np.ndarray:
    row = np.full(num_examples, NON_MEMBER, dtype=np.int8)
    members = generator(*key).permutation(num_examples)[: num_examples // 2]
    row[members] = MEMBER
    return row


def half(num_models: int, num_examples: int, seed: int) -> np.ndarray:
    """Complementary halves for shadow models.

    Rows 2p and 2p+1 depend on `seed` and p alone: a larger matrix begins with the smaller one. Of
    an odd number of examples, the second row of each pair gets the one more.

    Args:
        num_models: M, even and positive.
        num_examples: N, at least 2.
        seed: of the study.

    Returns:
        (M, N) int8 of MEMBER and NON_MEMBER; exactly M/2 rows have MEMBER in each column.

    Raises:
        ValueError: M is odd or not positive, or N < 2.
    """
    if num_models <= 0 or num_models % 2:
        raise ValueError(
            f"num_models={num_models}: models come in pairs, give a positive even number"
        )
    if num_examples < 2:
        raise ValueError(f"num_examples={num_examples}: at least 2 are needed to make two halves")
    roles_MN = np.empty((num_models, num_examples), dtype=np.int8)
    for pair in range(num_models // 2):
        first = _half_row(num_examples, "half", seed, "pair", pair)
        roles_MN[2 * pair] = first
        roles_MN[2 * pair + 1] = np.where(first == MEMBER, NON_MEMBER, MEMBER)
    return roles_MN


def target_halves(target_seeds: Sequence[int], num_examples: int, seed: int) -> np.ndarray:
    """Random halves for target models, each drawn from its own seed.

    Returns:
        (len(target_seeds), N) int8 of MEMBER and NON_MEMBER; N // 2 members in each row.
    """
    rows = [_half_row(num_examples, "half", seed, "target", target) for target in target_seeds]
    return np.stack(rows)


@dataclass(frozen=True)
class RoleMatrix:
    """The roles of all models of a study on one data set.

    Attributes:
        models: names of the M models, targets first.
        roles_MN: (M, N) int8.
    """

    models: tuple[str, ...]
    roles_MN: np.ndarray

    def row(self, model: str) -> np.ndarray:
        """(N,) int8: the roles of one model.

        Raises:
            ArtefactError: the matrix has no such model.
        """
        try:
            return self.roles_MN[self.models.index(model)]
        except ValueError:
            raise ArtefactError(
                f"the role matrix has no row for model {model!r}; it was drawn for "
                f"{len(self.models)} others. Delete roles.h5 of this study and rerun."
            ) from None

    @property
    def epoch_size(self) -> int:
        """Examples in a nominal epoch: the smallest member count of any model.

        Halves of an odd pool differ by one; models trained in lock-step share this number, so that
        they take the same steps whichever models share their job.
        """
        return int((self.roles_MN == MEMBER).sum(axis=1).min())


def draw(
    path: str | Path, shadows: Sequence[str], targets: dict[str, int], num_examples: int, seed: int
) -> None:
    """Draw the `half` role matrix of a study on one data set and save it.

    Args:
        path: HDF5 file to write.
        shadows: names of the shadow models, in order.
        targets: name of each target model to its seed.
        num_examples: size of the pool.
        seed: of the study's splits.
    """
    matrix = np.concatenate(
        [
            target_halves(list(targets.values()), num_examples, seed),
            half(len(shadows), num_examples, seed),
        ]
    )
    settings = {"protocol": "half", "seed": seed, "target_seeds": list(targets.values())}
    storage.write_hdf5(
        path,
        {"roles": matrix, "models": [*targets, *shadows]},
        provenance(settings, 0.0, roles_digest=array_digest(matrix)),
    )


def load(path: str | Path) -> RoleMatrix:
    """Read a role matrix.

    Raises:
        ArtefactError: the file is missing or damaged.
    """
    with storage.open_hdf5(path) as file:
        return RoleMatrix(tuple(file["models"].asstr()[:]), file["roles"][:])
