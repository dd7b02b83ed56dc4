"""What a backbone learns from.

Legend: n examples of the data set, R of them to train on, K outputs; images are H × W with C
channels.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from shadowmill.data import store
from shadowmill.data.store import Data
from shadowmill.errors import ConfigError
from shadowmill.provenance import array_digest


@dataclass(frozen=True)
class Examples:
    """What a backbone learns from, on the device.

    Attributes:
        images: (n, H, W, C) uint8, all of the data set.
        targets: (n,) int64 labels, or (n, K) float32 attributes of 0 and 1.
        train_R: int64 rows to train on.
        test: int64 rows of the official test set, likewise.
        num_outputs: K.
        data_digest: of the data set, attributes left aside.
        targets_digest: of `targets`.
    """

    images: Tensor
    targets: Tensor
    train_R: np.ndarray
    test: np.ndarray
    num_outputs: int
    data_digest: str
    targets_digest: str

    @classmethod
    def of(
        cls, data: Data, data_path: str, settings: Mapping[str, Any], device: torch.device
    ) -> "Examples":
        """Choose examples and targets.

        Raises:
            ConfigError: a class has no example in the pool, or there are no attributes.
        """
        classes = settings["classes"] or list(range(data.num_classes))
        missing = np.setdiff1d(classes, data.labels[: data.pool_size]).tolist()
        if missing:
            raise ConfigError(
                f"backbone: classes: {data.name} has no example of {missing} to train on. Its "
                f"labels are 0 to {data.num_classes - 1}."
            )
        rows = np.flatnonzero(np.isin(data.labels, classes))
        if settings["labels"] == "attributes":
            targets = _attributes(data, data_path)
            num_outputs = targets.shape[1]
        else:
            num_outputs = len(classes)
            position = np.zeros(data.num_classes, np.int64)
            position[classes] = np.arange(len(classes))
            targets = position[data.labels]
        return cls(
            torch.from_numpy(data.inputs).to(device),
            torch.from_numpy(targets).to(device),
            rows[rows < data.pool_size],
            rows[rows >= data.pool_size],
            num_outputs,
            data.digest,
            array_digest(targets),
        )


def _attributes(data: Data, data_path: str) -> np.ndarray:
    with store.opened(data_path) as file:
        if "attributes" not in file:
            raise ConfigError(
                f"backbone: labels: attributes were asked for, but {data.name} has none. Use "
                "`labels: classes`, or a data set that has them, like celeba."
            )
        return file["attributes"].astype(np.float32)
