"""Heads that a reconstructor is judged by: their weights, and what they were trained on.

Legend: H heads, B of them, E standardised weights, N examples of a head's set, G candidate groups,
M candidates of a group, C channels, S × S pixels.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shadowmill.data.store import Data
from shadowmill.data.store import load as load_data
from shadowmill.errors import ArtefactError, ConfigError
from shadowmill.reconstruction.features import Features, read_features
from shadowmill.reconstruction.heads.shards import HeadStore
from shadowmill.reconstruction.images import ExampleImages
from shadowmill.reconstruction.reconstructor.batches import candidates
from shadowmill.reconstruction.reconstructor.files import Interface
from shadowmill.reconstruction.sets import layout
from shadowmill.reconstruction.statistics import Statistics


def read_data(data_path: str, features: Features, features_path: str) -> Data:
    """The data set that features are of.

    Raises:
        ArtefactError: the file is missing or damaged, or the features are of other data.
    """
    data = load_data(data_path)
    if data.digest != features.data_digest:
        raise ArtefactError(
            f"{features_path}: these are features of other data than those in {data_path}. "
            "Delete the features and rerun."
        )
    return data


class HeldOutHeads:
    """The heads of a shard of the test split, for one reconstructor.

    Attributes:
        data: the data set they were trained on.
        images: of these data.
        layout: which examples of a set a reconstruction may show.
        indices_HN: (H, N) int64 examples of their sets.
        settings: of the heads.
        features_digest: of the features they were trained on.
    """

    def __init__(
        self,
        shard: str,
        features_path: str,
        data_path: str,
        sets: Mapping[str, Any],
        interface: Interface,
        statistics: Statistics,
        device: torch.device,
    ) -> None:
        """Read heads, features and images.

        Args:
            shard: the heads.
            features_path: features that they were trained on.
            data_path: the data set these are of.
            sets: settings of their sets.
            interface: what the reconstructor takes and gives.
            statistics: of the weights of the heads that the reconstructor learns from.
            device: where to.

        Raises:
            ArtefactError: a file is missing or damaged, or files do not belong together.
            ConfigError: these heads do not fit the reconstructor.
        """
        features = read_features(features_path)
        self.data = read_data(data_path, features, features_path)
        self._store = HeadStore([shard], features_path, device)
        self._statistics = statistics
        self.images = ExampleImages(self.data.inputs, interface.image_size, device)
        self.settings = self._store.settings
        self.features_digest = features.digest
        self.layout = layout(sets, interface.conditional)
        self.indices_HN = self._store.indices(np.arange(self._store.num_heads))
        if self._store.sets != dict(sets) or self._store.split != "test":
            raise ArtefactError(
                f"{shard}: the sets of these heads are of other settings than those asked for, or "
                "not of the test split. Delete it and rerun."
            )
        self._check_fit(shard, features, interface)

    def _check_fit(self, shard: str, features: Features, interface: Interface) -> None:
        known = len(self._statistics.mean_D)
        for what, found, expected in (
            ("backbone", features.backbone_identity, interface.backbone_identity),
            ("number of weights", self._store.num_weights, known),
            ("number of groups", self.num_groups, interface.num_groups),
            ("number of colour channels", self.images.num_channels, interface.channels),
        ):
            if found != expected:
                raise ConfigError(
                    f"{shard}: these heads do not fit the reconstructor that is to be tested on "
                    f"them: {what} {found}, expected {expected}. With `test_on`, name a "
                    "reconstruction with the same backbone, as many classes, the same hidden "
                    "units, and images of as many channels."
                )

    def __len__(self) -> int:
        return len(self.indices_HN)

    @property
    def num_groups(self) -> int:
        """G."""
        return len(self.layout.candidates_GM)

    def weights(self, rows_B: NDArray[np.int64]) -> Tensor:
        """(B, E) float32 standardised weights of some heads, by position."""
        return self._statistics.standardise(self._store.weights(rows_B))

    def candidates(self, rows_B: NDArray[np.int64], groups_B: NDArray[np.int64]) -> Tensor:
        """(B, M, C, S, S) of −1…1: what reconstructions from some heads may show, of one group."""
        return candidates(self.indices_HN[rows_B], groups_B, self.layout, self.images)
