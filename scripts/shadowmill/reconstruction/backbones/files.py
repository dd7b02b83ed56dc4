"""Backbones as files, and published weights to start from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from shadowmill import storage
from shadowmill.architectures.structure import check_structure
from shadowmill.errors import ArtefactError
from shadowmill.provenance import file_digest
from shadowmill.reconstruction.backbones import BACKBONES, build, where_from
from shadowmill.reconstruction.backbones.networks import FeatureNetwork
from shadowmill.state_dicts import read_state_dict

# How many names of tensors a message spells out.
_NAMES_SHOWN = 5


@dataclass(frozen=True)
class BackboneFile:
    """A backbone read from its file.

    Attributes:
        state: parameters and buffers under the names of the uncut network.
        channels: of the images it takes.
        image_size: pixels a side.
        num_outputs: number of logits.
        provenance: how it was made; with its `identity` and `settings`.
        history: one list per recorded quantity, one entry per epoch.
    """

    state: dict[str, Tensor]
    channels: int
    image_size: int
    num_outputs: int
    provenance: dict[str, Any]
    history: dict[str, list[float]]

    @property
    def mean(self) -> tuple[float, ...]:
        """Of pixels scaled to 0…1, as `images.to_inputs` takes it."""
        return BACKBONES[self.provenance["settings"]["architecture"]].mean

    @property
    def std(self) -> tuple[float, ...]:
        """Likewise."""
        return BACKBONES[self.provenance["settings"]["architecture"]].std

    def network(self, path: str) -> FeatureNetwork:
        """The network, on the CPU.

        Args:
            path: of the file, for messages.

        Raises:
            ArtefactError: it was trained in another network than the present code builds.
        """
        name = self.provenance["settings"]["architecture"]
        network = build(name, self.channels, self.num_outputs, seed=0)
        shape = (self.channels, self.image_size, self.image_size)
        own = network.whole_state()
        check_structure(path, self.provenance["structure"], self.state, own, network, shape)
        network.load_whole_state(self.state)
        return network


def write_backbone(path: str | Path, file: BackboneFile) -> None:
    """Write a backbone, atomically."""
    metadata = {k: v for k, v in vars(file).items() if k != "state"}
    storage.write_tensors(path, file.state, metadata)


def read_backbone(path: str | Path) -> BackboneFile:
    """Read a backbone.

    Raises:
        ArtefactError: the file is missing, damaged, or no backbone of this workflow.
    """
    state, metadata = storage.read_tensors(path)
    try:
        return BackboneFile(state, **metadata)
    except TypeError as error:
        raise ArtefactError(
            f"{path}: a file of this workflow, but no backbone. Delete it and rerun."
        ) from error


def load_weights(network: FeatureNetwork, path: str, architecture: str) -> None:
    """Give a network weights from a file, but for a last layer of another shape.

    Args:
        network: changed in place.
        path: a state dict of torchvision (.pth, .pt), or a .safetensors file with the same names,
            like our own backbones.
        architecture: row of the table, for messages.

    Raises:
        ArtefactError: the file is missing, damaged, or of another network.
    """
    found, own = read_state_dict(path, where_from(architecture)), network.whole_state()
    # Weights of before 2018 lack these counts, which nothing here uses.
    counts = {n: t for n, t in own.items() if n.endswith("num_batches_tracked")}
    found = counts | found
    last = {n for n in own if n.startswith(f"{BACKBONES[architecture].last}.")}
    odd = [n for n in own.keys() & found.keys() if own[n].shape != found[n].shape]
    faults = {
        "missing": own.keys() - found.keys() - last,
        "unexpected": found.keys() - own.keys(),
        "of another shape": set(odd) - last,
    }
    if any(faults.values()):
        listed = "; ".join(f"{what}: {_listed(names)}" for what, names in faults.items() if names)
        raise ArtefactError(
            f"{path}: these are not weights of {architecture} ({listed}). "
            f"{where_from(architecture)}"
        )
    if last & set(odd) or last - found.keys():
        found = found | {name: own[name] for name in last}
    network.load_whole_state(found)


def _listed(names: set[str]) -> str:
    shown = ", ".join(sorted(names)[:_NAMES_SHOWN])
    return shown if len(names) <= _NAMES_SHOWN else f"{shown} and {len(names) - _NAMES_SHOWN} more"


def weights_digest(path: str | None) -> str | None:
    """Short hexadecimal digest of the content of a file, if there is one."""
    if path is None or not Path(path).exists():
        return None
    return file_digest(path)
