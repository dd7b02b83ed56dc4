"""Role matrices: which model trained on which example.

The role matrix of a study and data set is drawn once, saved in one file per block of models, and
never drawn again; whatever needs to know members reads it, or a copy in what was made from it.

Shadow models come in complementary pairs: 2p trains on a random half of the
pool and 2p+1 on the other half. Hence each example is IN for exactly half of the shadows (Carlini
et al. 2022, arXiv:2112.03570, Sec. V; Feldman and Zhang 2020, arXiv:2008.03703).

Legend: M models, N examples of the pool.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shadowmill import storage
from shadowmill.provenance import array_digest, provenance
from shadowmill.seeds import generator

UNUSED, MEMBER, VALIDATION, NON_MEMBER = 0, 1, 2, 3


def _half_row(num_examples: int, seed: int, *key: str | int) -> np.ndarray:
    row = np.full(num_examples, NON_MEMBER, dtype=np.int8)
    members = generator("half", seed, *key).permutation(num_examples)[: num_examples // 2]
    row[members] = MEMBER
    return row


def target_half(target_seed: int, num_examples: int, seed: int) -> np.ndarray:
    """A random half for a target model, drawn from its own seed.

    Args:
        target_seed: of the target.
        num_examples: N.
        seed: of the study.

    Returns:
        (N,) int8 with N // 2 of MEMBER, the rest NON_MEMBER.
    """
    return _half_row(num_examples, seed, "target", target_seed)


def shadow_half(index: int, num_examples: int, seed: int) -> np.ndarray:
    """The half of one shadow model: random for an even index, the complement for the next.

    Args:
        index: k of the shadow, which belongs to pair k // 2.
        num_examples: N; of an odd number, the second of a pair gets the one more.
        seed: of the study.

    Returns:
        (N,) int8 of MEMBER and NON_MEMBER, fixed by `seed` and the pair.
    """
    row = _half_row(num_examples, seed, "pair", index // 2)
    return np.where(row == MEMBER, NON_MEMBER, MEMBER).astype(np.int8) if index % 2 else row


def half(num_models: int, num_examples: int, seed: int) -> np.ndarray:
    """Complementary halves for shadow models; a larger matrix begins with the smaller one.

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
    return np.stack([shadow_half(index, num_examples, seed) for index in range(num_models)])


@dataclass(frozen=True)
class RoleMatrix:
    """The roles of a block of models.

    Attributes:
        models: names of the M models.
        roles_MN: (M, N) int8.
        epoch_size: examples in a nominal epoch, N // 2. Halves of an odd pool differ by one; models
            trained in lock-step share this number, so that they take the same steps whichever
            models share their job.
    """

    models: tuple[str, ...]
    roles_MN: np.ndarray
    epoch_size: int


_DRAW = {"target": target_half, "shadow": shadow_half}


def draw(
    path: str | Path, models: Mapping[str, Sequence[str | int]], num_examples: int, seed: int
) -> None:
    """Draw the roles of a block of models under the `half` protocol and save them.

    Args:
        path: HDF5 file to write.
        models: name of each model to `("target", its seed)` or `("shadow", its index)`.
        num_examples: size of the pool.
        seed: of the study.
    """
    start = time.monotonic()
    roles_MN = np.stack(
        [_DRAW[kind](number, num_examples, seed) for kind, number in models.values()]
    )
    settings = {"protocol": "half", "seed": seed, "models": dict(models)}
    storage.write_hdf5(
        path,
        {"roles": roles_MN, "models": list(models)},
        provenance(settings, time.monotonic() - start, roles_digest=array_digest(roles_MN)),
        epoch_size=num_examples // 2,
    )


def load(path: str | Path) -> RoleMatrix:
    """Read the roles of a block.

    Raises:
        ArtefactError: the file is missing or damaged.
    """
    with storage.open_hdf5(path) as file:
        return RoleMatrix(
            models=tuple(file["models"].asstr()[:]),
            roles_MN=file["roles"][:],
            epoch_size=storage.attribute(file, "epoch_size"),
        )
