"""Deep features of all examples of a data set: results/backbones/{backbone}/features/{dataset}.h5.

Legend: n examples of the data set, d features.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from shadowmill import devices, progress, storage
from shadowmill.data.store import Data
from shadowmill.data.store import load as load_data
from shadowmill.errors import ArtefactError
from shadowmill.provenance import array_digest, differing, provenance
from shadowmill.reconstruction.backbones.files import BackboneFile, read_backbone
from shadowmill.reconstruction.backbones.networks import FeatureNetwork
from shadowmill.reconstruction.images import to_inputs

# On CPUs more would only take memory; a GPU wants hundreds to be busy.
_IMAGES_PER_PASS = {"cpu": 64, "cuda": 512}


@dataclass(frozen=True)
class Features:
    """Deep features in memory.

    Attributes:
        values_nd: (n, d) float32, in the order of the data set: the pool, then the official test
            set.
        data_digest: of the data set they are of.
        digest: of `values_nd`.
        backbone_identity: of the network that gave them.
        backbone_settings: how that network came about.
    """

    values_nd: np.ndarray
    data_digest: str
    digest: str
    backbone_identity: str
    backbone_settings: dict[str, Any]


def extract(
    *,
    data_path: str,
    backbone_path: str,
    settings: Mapping[str, Any],
    output: str,
    execution: Mapping[str, Any],
    threads: int,
) -> None:
    """Compute the features of all examples of a data set.

    The network runs in evaluation mode and float32, on images resized and normalised as in its own
    training.

    Args:
        data_path: the prepared data set, of images.
        backbone_path: the network, as `backbones.training.pretrain` writes it.
        settings: with which the configuration has it made.
        output: HDF5 file to write: `features` (n, d) float32, and the attributes `data_digest`,
            `digest`, `backbone_identity` and `backbone_settings`.
        execution: the `execution` part of the configuration.
        threads: CPU threads.

    Raises:
        ArtefactError: a file is missing or damaged, the network was made with other settings or
            takes images of more or fewer channels, or its features are no finite numbers.
    """
    start = time.monotonic()
    device = devices.claim(execution["device"], threads)
    data, backbone = load_data(data_path), read_backbone(backbone_path)
    if fields := differing(backbone.provenance["settings"], settings):
        raise ArtefactError(
            f"{backbone_path}: this backbone was made with other settings than the configuration "
            f"has: {', '.join(fields)}. It was copied here, or the configuration was changed. "
            "Delete it to make it again, or restore the configuration."
        )
    _check_channels(data, backbone, backbone_path)
    values_nd = _features(data, backbone.network(backbone_path), backbone, device)
    if not np.isfinite(values_nd).all():
        raise ArtefactError(
            f"{backbone_path}: some features of {data.name} are no finite numbers: the network "
            "diverged. Lower the learning rates of its phases."
        )
    identity, settings = backbone.provenance["identity"], backbone.provenance["settings"]
    facts = {"dataset": data.name, "backbone": identity}
    storage.write_hdf5(
        output,
        {"features": values_nd},
        provenance(facts, time.monotonic() - start, device=devices.describe(device)),
        data_digest=data.digest,
        digest=array_digest(values_nd),
        backbone_identity=identity,
        backbone_settings=settings,
    )


def _check_channels(data: Data, backbone: BackboneFile, path: str) -> None:
    channels = data.inputs.shape[-1]
    if channels not in (1, backbone.channels):  # grey images fit any network
        raise ArtefactError(
            f"{path}: this network takes images of {backbone.channels} channels, but those of "
            f"{data.name} have {channels}. Choose a backbone for images like these."
        )


@torch.no_grad()
def _features(
    data: Data, network: FeatureNetwork, backbone: BackboneFile, device: torch.device
) -> np.ndarray:
    network = network.to(device, memory_format=torch.channels_last).eval()
    images = torch.from_numpy(data.inputs)
    parts = []
    for chunk in progress.bar(images.split(_IMAGES_PER_PASS[device.type]), desc="features"):
        inputs = to_inputs(chunk.to(device), backbone.image_size, backbone.mean, backbone.std)
        inputs = inputs.expand(-1, backbone.channels, -1, -1)
        inputs = inputs.contiguous(memory_format=torch.channels_last)
        parts.append(network.features(inputs).cpu().numpy())
    return np.concatenate(parts)


def read_features(path: str) -> Features:
    """Read what `extract` wrote.

    Raises:
        ArtefactError: the file is missing or damaged.
    """
    with storage.open_hdf5(path) as file:
        return Features(
            values_nd=file["features"],
            data_digest=storage.attribute(file, "data_digest"),
            digest=storage.attribute(file, "digest"),
            backbone_identity=storage.attribute(file, "backbone_identity"),
            backbone_settings=storage.attribute(file, "backbone_settings"),
        )
