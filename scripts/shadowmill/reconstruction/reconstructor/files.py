"""A trained reconstructor as a safetensors file."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from shadowmill import storage
from shadowmill.errors import ArtefactError
from shadowmill.reconstruction.reconstructor.generator import Generator, build_generator


@dataclass(frozen=True)
class Interface:
    """What a reconstructor takes and gives.

    Attributes:
        num_weights: of a head, standardised, that go in.
        num_groups: G; 1 if it is told no group.
        conditional: whether it is told a group.
        image_size: pixels a side of what it draws.
        channels: of these.
        width: g of its network.
        backbone_identity: of the network with whose features the heads were trained.
        statistics_digest: of the statistics that weights are standardised with.
    """

    num_weights: int
    num_groups: int
    conditional: bool
    image_size: int
    channels: int
    width: int
    backbone_identity: str
    statistics_digest: str

    def generator(self, seed: int = 0) -> Generator:
        """The network, initialised from `seed`, on the CPU."""
        return build_generator(
            self.num_weights, self.num_groups, self.image_size, self.channels, self.width, seed
        )


@dataclass(frozen=True)
class ReconstructorFile:
    """A reconstructor read from its file.

    Attributes:
        state: parameters and buffers of the network.
        interface: what it takes and gives.
        provenance: how it was made; with its `identity` and `settings`.
        curve: rows of the learning curve, see `trainer.CURVE_COLUMNS`.
    """

    state: Mapping[str, Tensor]
    interface: Interface
    provenance: dict[str, Any]
    curve: list[list[float]]

    def generator(self) -> Generator:
        """The network in evaluation mode, on the CPU."""
        network = self.interface.generator()
        network.load_state_dict(dict(self.state))
        return network.eval()


def write_reconstructor(path: str | Path, file: ReconstructorFile) -> None:
    """Write a reconstructor, atomically."""
    metadata = {
        "interface": asdict(file.interface),
        "provenance": file.provenance,
        "curve": file.curve,
    }
    storage.write_tensors(path, file.state, metadata)


def read_reconstructor(path: str | Path) -> ReconstructorFile:
    """Read a reconstructor.

    Raises:
        ArtefactError: the file is missing, damaged, or no reconstructor of this workflow.
    """
    state, metadata = storage.read_tensors(path)
    if metadata.keys() != {"interface", "provenance", "curve"}:
        raise ArtefactError(
            f"{path}: a file of this workflow, but no reconstructor. Delete it and rerun."
        )
    interface = Interface(**metadata["interface"])
    return ReconstructorFile(state, interface, metadata["provenance"], metadata["curve"])
