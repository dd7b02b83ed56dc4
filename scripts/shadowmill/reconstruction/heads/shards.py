"""Shards: the heads of one permutation seed as a file, and many of them in memory.

A head is kept by the indices of its examples and what training made of it, a few hundred bytes; its
weights, of which there are thousands, are formed when they are asked for. All that is drawn for a
head is fixed by its key, so one head can be formed, or trained again, without the others.

Legend: n examples of the data set, d features, H heads, B of them in a batch, N examples of a set,
D numbers of the flattened weights.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shadowmill import devices, progress, storage
from shadowmill.errors import ArtefactError
from shadowmill.provenance import provenance
from shadowmill.reconstruction import HEADS_VERSION
from shadowmill.reconstruction.features import read_features
from shadowmill.reconstruction.heads import Heads, flattened_size, weights
from shadowmill.reconstruction.heads.draws import Key
from shadowmill.reconstruction.heads.study import Chunk, HeadTrainer, head_key

log = logging.getLogger(__name__)

# What heads of the same study and split have in common.
_SHARED = ("sets", "heads", "split", "features_digest")
# Name of an array in a file to the attribute of `Heads`: shape letters are for code alone.
_ATTRIBUTES = {field.name.rpartition("_")[0]: field.name for field in fields(Heads)}
_INTEGERS = {"indices": np.int32, "attempts": np.int64}


def train_shard(
    *,
    features_path: str,
    data_path: str,
    split: str,
    permutation_seed: int,
    num_heads: int,
    sets: Mapping[str, Any],
    heads: Mapping[str, Any],
    materialise: bool,
    output: str,
    execution: Mapping[str, Any],
    threads: int,
) -> None:
    """Train the heads of one permutation seed and write them to one HDF5 file.

    The file holds `indices` (H, N) int32 of examples of the data set and what `Heads` has, under
    the names of its attributes less their shape letters: `coefficients`, `bias`, `losses`, … in
    float32, `attempts` int64. As attributes it has the settings (`sets`, `heads`), the `split`, the
    `permutation_seed`, the `features_digest` and the `version` of the code.

    Args:
        features_path: features of all examples, as `features.extract` writes them.
        data_path: the prepared data set that they are of.
        split: `train` or `test`.
        permutation_seed: of the sets.
        num_heads: how many, each on its own set.
        sets: settings of the sets.
        heads: settings of the heads.
        materialise: also write `weights` (H, D) float32 in the order of `heads.weights`, for use
            elsewhere; the workflow forms them anew.
        output: HDF5 file to write.
        execution: the `execution` part of the configuration.
        threads: CPU threads.

    Raises:
        ArtefactError: a file is missing or damaged, or the features are of other data.
        DataError: the data set has too few examples of a group, or knows no identities.
        ConfigError: too few features for sets of this size, or no GPU where one was asked for.
        TrainingError: heads diverged.
    """
    start = time.monotonic()
    device = devices.claim(execution["device"], threads)
    trainer = HeadTrainer(features_path, data_path, sets, heads, device)
    parts: dict[str, list[NDArray]] = {}
    with progress.bar(total=num_heads, desc=f"{split} heads", unit="head") as bar:
        for chunk in trainer.chunks(split, permutation_seed, num_heads):
            for name, array in _arrays(chunk, materialise).items():
                parts.setdefault(name, []).append(array)
            bar.update(len(chunk.heads))
    arrays = {name: np.concatenate(each) for name, each in parts.items()}
    if heads["restart"]:
        failed = np.count_nonzero(arrays["losses"] >= heads["restart"]["above"])
        log.info("%d of %d heads never came below the loss they should", failed, num_heads)
    facts = {
        "sets": dict(sets),
        "heads": dict(heads),
        "split": split,
        "permutation_seed": permutation_seed,
        "features_digest": trainer.features_digest,
        "version": HEADS_VERSION,
    }
    storage.write_hdf5(
        output,
        arrays,
        provenance(facts, time.monotonic() - start, device=devices.describe(device)),
        **facts,
    )


def _arrays(chunk: Chunk, materialise: bool) -> dict[str, NDArray]:
    """What a file holds of some heads, by name."""
    tensors = chunk.heads.tensors()
    arrays = {
        name: tensors[attribute].cpu().numpy()
        for name, attribute in _ATTRIBUTES.items()
        if attribute in tensors
    }
    arrays["indices"] = chunk.indices_BN.astype(np.int32)
    if materialise:
        arrays["weights"] = chunk.weights().cpu().numpy()
    return arrays


@dataclass(frozen=True, eq=False)
class Shards:
    """The heads of some shards in memory, one file after the other.

    Attributes:
        heads: H heads on the CPU, float32.
        indices_HN: (H, N) int32, the examples each was trained on.
        permutation_seeds_H: (H,) int64.
        numbers_H: (H,) int64, of each within its permutation seed.
        sets: settings of the sets.
        settings: of the heads.
        split: `train` or `test`.
        features_digest: of the features they were trained on.
    """

    heads: Heads
    indices_HN: NDArray[np.int32]
    permutation_seeds_H: NDArray[np.int64]
    numbers_H: NDArray[np.int64]
    sets: dict[str, Any]
    settings: dict[str, Any]
    split: str
    features_digest: str

    def keys(self, rows: NDArray[np.integer]) -> list[Key]:
        """The keys of some heads, by their positions among all H."""
        return [
            head_key(self.sets, self.split, seed, number)
            for seed, number in zip(
                self.permutation_seeds_H[rows].tolist(), self.numbers_H[rows].tolist(), strict=True
            )
        ]


def read_shards(paths: Sequence[str]) -> Shards:
    """Read shards that belong together, at least one.

    Raises:
        ArtefactError: a file is missing, damaged, made by another version of the code or named for
            other heads; or two differ in their settings, split or features.
    """
    headers = [_read_header(path) for path in paths]
    for path, header in zip(paths, headers, strict=True):
        _check_alike(path, header, paths[0], headers[0])
    seeds = [header.permutation_seed for header in headers]
    counts = [header.num_heads for header in headers]
    arrays = {
        name: np.empty((sum(counts), *shape), _INTEGERS.get(name, np.float32))
        for name, shape in headers[0].shapes.items()
    }
    first = 0
    for path, count in zip(progress.bar(paths, desc="shards", unit="file"), counts, strict=True):
        with storage.open_hdf5(path) as file:
            for name, array in arrays.items():
                # Straight into place: all heads of a study may take much of the memory.
                file.read_into(name, array, np.s_[first : first + count])
        first += count
    indices_HN, shared = arrays.pop("indices"), headers[0].shared
    return Shards(
        heads=Heads(**{_ATTRIBUTES[name]: torch.from_numpy(a) for name, a in arrays.items()}),
        indices_HN=indices_HN,
        permutation_seeds_H=np.repeat(np.array(seeds, np.int64), counts),
        numbers_H=np.concatenate([np.arange(count) for count in counts]),
        sets=shared["sets"],
        settings=shared["heads"],
        split=shared["split"],
        features_digest=shared["features_digest"],
    )


@dataclass(frozen=True)
class _Header:
    """A shard without its content."""

    shared: dict[str, Any]
    permutation_seed: int
    num_heads: int
    shapes: dict[str, tuple[int, ...]]  # of the arrays to read, for one head


def _read_header(path: str) -> _Header:
    with storage.open_hdf5(path) as file:
        version = storage.attribute(file, "version")
        shared = {name: storage.attribute(file, name) for name in _SHARED}
        permutation_seed = storage.attribute(file, "permutation_seed")
        # Written out for use elsewhere, weights would take all the memory there is.
        is_dense = shared["heads"]["optimizer"] == "adam"
        shapes = {name: file.shape(name) for name in file if is_dense or name != "weights"}
    if version != HEADS_VERSION:
        raise ArtefactError(
            f"{path}: made by version {version} of the training of heads, and this is version "
            f"{HEADS_VERSION}. Delete it and rerun."
        )
    _check_name(path, shared["split"], permutation_seed)
    lengths = {shape[0] for shape in shapes.values()}
    if "indices" not in shapes or len(lengths) != 1:
        raise ArtefactError(f"{path}: not the heads of one shard. Delete it and rerun.")
    rests = {name: shape[1:] for name, shape in shapes.items()}
    return _Header(shared, permutation_seed, lengths.pop(), rests)


def _check_alike(path: str, header: _Header, first_path: str, first: _Header) -> None:
    differing = [name for name in _SHARED if header.shared[name] != first.shared[name]]
    if header.shapes != first.shapes:
        differing.append("shapes of the arrays")
    if differing:
        raise ArtefactError(
            f"{path}: its heads differ from those of {first_path} in {', '.join(differing)}. "
            "Delete the older of the two and rerun."
        )


def _check_name(path: str, split: str, permutation_seed: int) -> None:
    """Refuse a shard under the name of another one: files are named SPLIT-SEED."""
    named_split, _, seed = Path(path).stem.rpartition("-")
    if named_split != split or not seed.isdecimal() or int(seed) != permutation_seed:
        raise ArtefactError(
            f"{path}: it holds the heads of permutation seed {permutation_seed} of the {split} "
            "split. It was copied or renamed. Delete it and rerun the workflow."
        )


class HeadStore:
    """All heads of some shards, whose weights are formed when they are asked for.

    Attributes:
        num_heads: H.
        num_weights: D.
        sets: settings of the sets.
        settings: of the heads.
        split: `train` or `test`.
        features_digest: of the features.
    """

    def __init__(
        self, paths: Sequence[str], features_path: str, device: torch.device | str
    ) -> None:
        """Read shards, and the features their heads were trained on.

        Raises:
            ArtefactError: as for `read_shards`, or the heads were trained on other features.
        """
        self._shards = read_shards(paths)
        features = read_features(features_path)
        self.sets, self.settings = self._shards.sets, self._shards.settings
        self.split, self.features_digest = self._shards.split, self._shards.features_digest
        if features.digest != self.features_digest:
            raise ArtefactError(
                f"{paths[0]}: these heads were trained on other features than those in "
                f"{features_path}. Delete the older of the two and rerun."
            )
        self._features_nd = torch.from_numpy(features.values_nd).to(device)
        self.num_heads = len(self._shards.indices_HN)
        self.num_weights = flattened_size(features.values_nd.shape[1], self.settings)

    def indices(self, rows: NDArray[np.integer]) -> NDArray[np.int64]:
        """(B, N) examples that the heads at these positions (B,) were trained on."""
        return self._shards.indices_HN[rows].astype(np.int64)

    def weights(self, rows: NDArray[np.integer]) -> Tensor:
        """(B, D) float32 weights of the heads at these positions (B,), on the device."""
        device = self._features_nd.device
        chosen = self._shards.heads.select(torch.from_numpy(rows))
        heads = Heads(**{name: tensor.to(device) for name, tensor in chosen.tensors().items()})
        features_BND = self._features_nd[torch.from_numpy(self.indices(rows)).to(device)]
        return weights(heads, features_BND, self._shards.keys(rows), self.settings)
