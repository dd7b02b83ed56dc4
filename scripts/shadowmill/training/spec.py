"""What goes into the training of one model, and what comes out of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor, nn

from shadowmill import architectures
from shadowmill.architectures import own
from shadowmill.data.store import Data
from shadowmill.defenses import is_per_example
from shadowmill.errors import ArtefactError
from shadowmill.seeds import seed_of


@dataclass(frozen=True)
class ModelSpec:
    """What makes one model different from its siblings.

    Attributes:
        name: of the model.
        seed: of its initialisation, batch order, augmentation and dropout.
        members: (n,) int64 indices of the examples it trains on.
        validation: (v,) int64 indices of the examples it is validated on; may be empty.
        initial: parameters and buffers to start from, by the network's own names; None draws them.
    """

    name: str
    seed: int
    members: np.ndarray
    validation: np.ndarray
    initial: Mapping[str, Tensor] | None = None


@dataclass(frozen=True)
class TrainedModel:
    """One model at the end of its training.

    Attributes:
        state: parameters and buffers by the network's own names; pruned weights are zero.
        masks: bool masks by the name of their parameter.
        history: one list per recorded quantity, one entry per epoch.
        facts: `epochs` trained and `kept_epoch` (from 0), and with DP-SGD `privacy`.
    """

    state: dict[str, Tensor]
    masks: dict[str, Tensor]
    history: dict[str, list[float]]
    facts: dict[str, Any]


def build_network(settings: Mapping[str, Any], data: Data, seed: int) -> nn.Module:
    """The network of a configuration, on the CPU.

    Args:
        settings: of its training: `architecture` and `defense`; of a network of the user's own
            `network`, what it is, and if there is one its `file`.
        data: the data set, for sizes.
        seed: of its initial weights.

    Raises:
        ConfigError: a network of the user's own cannot be built.
    """
    shape, group_norm = data.input_shape, is_per_example(settings["defense"]["name"])
    if "network" in settings:
        network, file = settings["network"], settings.get("file")
        return own.build(network, file, shape, data.num_classes, seed, group_norm=group_norm)
    return architectures.build(
        settings["architecture"], shape, data.num_classes, seed, group_norm=group_norm
    )


def initial_module(spec: ModelSpec, settings: Mapping[str, Any], data: Data) -> nn.Module:
    """The network a model starts as.

    Args:
        spec: of the model.
        settings: of its training.
        data: the data set, for sizes.

    Raises:
        ArtefactError: the initial state has other tensors than the network.
    """
    module = build_network(settings, data, seed_of(spec.seed, "init"))
    if spec.initial is not None:
        try:
            module.load_state_dict(dict(spec.initial))
        except RuntimeError as error:
            raise ArtefactError(
                f"{spec.name}: the model to start from does not fit {settings['architecture']}: "
                f"{' '.join(str(error).split())} Delete it and rerun."
            ) from error
    return module
