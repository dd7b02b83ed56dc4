"""Heads of a study trained from its files: sets drawn, features gathered, training, weights.

Legend: n examples of the data set, d features, H heads, B of them trained together, N examples of a
set, D numbers of the flattened weights.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shadowmill import storage
from shadowmill.errors import ArtefactError, ConfigError, DataError
from shadowmill.reconstruction.features import read_features
from shadowmill.reconstruction.heads import Heads, flattened_size, train, weights
from shadowmill.reconstruction.heads.draws import Key
from shadowmill.reconstruction.sets import draw_sets, layout

# Bounds the memory of a job. A constant: the last bits of a product may depend on the number of
# heads in it, and a shard that is made again should be the same to the last bit.
_HEADS_TOGETHER = 512
# Above all permutation seeds of shards.
_FIRST_STREAMED_SEED = 10**9


def head_key(sets: Mapping[str, Any], split: str, permutation_seed: int, number: int) -> Key:
    """What fixes all that is drawn for head `number` of a permutation seed."""
    return "head", sets["seed"], split, permutation_seed, number


@dataclass(frozen=True, eq=False)
class Chunk:
    """Heads that were trained together.

    Attributes:
        indices_BN: (B, N) int64 examples of their sets.
        heads: B heads, on the device.
        features_BND: (B, N, d) float32 of their examples, on the device.
        keys: of the B heads.
        settings: of the heads.
    """

    indices_BN: NDArray[np.int64]
    heads: Heads
    features_BND: Tensor
    keys: list[Key]
    settings: Mapping[str, Any]

    def weights(self) -> Tensor:
        """(B, D) float32, on the device."""
        return weights(self.heads, self.features_BND, self.keys, self.settings)


class HeadTrainer:
    """Trains the heads of one study on the features of one data set.

    Attributes:
        num_weights: D.
        features_digest: of the features.
    """

    def __init__(
        self,
        features_path: str,
        data_path: str,
        sets: Mapping[str, Any],
        settings: Mapping[str, Any],
        device: torch.device | str,
    ) -> None:
        """Read features and labels.

        Args:
            features_path: features of all examples, as `features.extract` writes them.
            data_path: the prepared data set that they are of.
            sets: settings of the sets.
            settings: of the heads.
            device: to train on.

        Raises:
            ArtefactError: a file is missing or damaged, or the features are of other data.
            DataError: the data set knows no identities, and the task needs them.
            ConfigError: too few features for sets of this size.
        """
        features = read_features(features_path)
        self._examples = _read_examples(data_path, sets)
        if features.data_digest != self._examples.digest:
            raise ArtefactError(
                f"{features_path}: these are features of other data than those in {data_path}. "
                "Delete the features and rerun."
            )
        self._sets, self._settings = sets, settings
        self._labels_N = torch.from_numpy(layout(sets, conditional=False).labels_N).to(device)
        num_features, set_size = features.values_nd.shape[1], len(self._labels_N)
        if num_features <= set_size:
            raise ConfigError(
                f"{features_path}: heads of {set_size} examples need more than {set_size} "
                f"features, and these are {num_features}. Lower class_size, or choose a backbone "
                "with more features."
            )
        self._device = device
        self._features_nd = torch.from_numpy(features.values_nd).to(device)
        self.features_digest = features.digest
        self.num_weights = flattened_size(num_features, settings)

    def chunks(self, split: str, permutation_seed: int, num_heads: int) -> Iterator[Chunk]:
        """Train heads 0 … num_heads - 1 of a permutation seed, some at a time.

        Raises:
            DataError: the data set has too few examples of a group.
            TrainingError: heads diverged.
        """
        examples = self._examples
        indices_HN = draw_sets(
            examples.labels_n,
            examples.pool_size,
            self._sets,
            split,
            permutation_seed,
            num_heads,
            examples.identity_n,
        )
        for first in range(0, num_heads, _HEADS_TOGETHER):
            indices_BN = indices_HN[first : first + _HEADS_TOGETHER]
            numbers = range(first, first + len(indices_BN))
            keys = [head_key(self._sets, split, permutation_seed, number) for number in numbers]
            features_BND = self._features_nd[torch.from_numpy(indices_BN).to(self._device)]
            heads = train(features_BND, self._labels_N, keys, self._settings)
            yield Chunk(indices_BN, heads, features_BND, keys, self._settings)

    def fresh(self, chunk_number: int, count: int) -> tuple[Tensor, NDArray[np.int64]]:
        """Train heads of the train split that depend on the number of the chunk alone.

        Args:
            chunk_number: 0, 1, …
            count: heads; those of few are the first of those of many.

        Returns:
            (count, D) float32 weights, on the device, and (count, N) examples.

        Raises:
            DataError: the train split has too few examples for so many disjoint sets.
            TrainingError: heads diverged.
        """
        seed = _FIRST_STREAMED_SEED + chunk_number
        chunks = list(self.chunks("train", seed, count))
        weights_BD = torch.cat([chunk.weights() for chunk in chunks])
        return weights_BD, np.concatenate([chunk.indices_BN for chunk in chunks])


@dataclass(frozen=True, eq=False)
class _Examples:
    """What sets are drawn from; no images, which would take most of the time and memory."""

    labels_n: NDArray[np.int64]
    identity_n: NDArray[np.int64] | None
    pool_size: int
    digest: str


def _read_examples(path: str, sets: Mapping[str, Any]) -> _Examples:
    with storage.open_hdf5(path) as file:
        if sets["task"] == "identity" and "identity" not in file:
            raise DataError(
                f"{path}: {storage.attribute(file, 'name')} does not say who is shown, which the "
                "task identity needs. Use celeba, or another task."
            )
        return _Examples(
            labels_n=file["labels"],
            identity_n=file["identity"] if sets["task"] == "identity" else None,
            pool_size=storage.attribute(file, "pool_size"),
            digest=storage.attribute(file, "digest"),
        )
