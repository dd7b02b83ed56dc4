"""The table of backbones: networks whose deep features heads are trained on.

To add one, write a builder in `networks` and a row below. Snakemake imports this while it parses:
builders are named, not imported.
"""

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from shadowmill.errors import ConfigError

if TYPE_CHECKING:
    from shadowmill.reconstruction.backbones.networks import FeatureNetwork

_IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
_TORCHVISION = "https://download.pytorch.org/models"


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """A row of the table.

    Attributes:
        title: for figures.
        builder: function of `networks`, called with (in_channels, num_outputs).
        last: name of its last linear layer; what goes into that layer are the features.
        num_features: d.
        channels: of the images it takes; None stands for those of the data set it is trained on.
            Grey images are repeated.
        mean: of pixels scaled to 0…1, taken off from every channel.
        std: divides them then, likewise.
        weights_url: where published weights for it can be had, or "".
    """

    title: str
    builder: str
    last: str
    num_features: int
    channels: int | None = None
    mean: tuple[float, ...] = (0.5,)
    std: tuple[float, ...] = (0.5,)
    weights_url: str = ""

    def num_channels(self, data_channels: int) -> int:
        """Channels of a network that is trained on images of so many."""
        return self.channels or data_channels


BACKBONES: dict[str, Backbone] = {
    "tiny_cnn": Backbone(
        title="Tiny CNN", builder="tiny_cnn", last="classifier.last", num_features=64
    ),
    "tiny_vgg": Backbone(
        title="Tiny VGG", builder="tiny_vgg", last="classifier.last", num_features=256
    ),
    "efficientnet_b0": Backbone(
        title="EfficientNet-B0",
        builder="efficientnet_b0",
        last="classifier.1",
        num_features=1280,
        channels=3,
        weights_url=f"{_TORCHVISION}/efficientnet_b0_rwightman-7f5810bc.pth",
        **_IMAGENET,
    ),
    "wide_resnet50_2": Backbone(
        title="WRN-50-2",
        builder="wide_resnet50_2",
        last="fc",
        num_features=2048,
        channels=3,
        weights_url=f"{_TORCHVISION}/wide_resnet50_2-9ba9bcbe.pth",
        **_IMAGENET,
    ),
}


def where_from(architecture: str) -> str:
    """Where weights of a network are to be had, and what else to do."""
    url = BACKBONES[architecture].weights_url
    published = f"Download {url} and name the file" if url else "Name a backbone of this workflow"
    return f"{published} under `weights`, or leave `weights` out to start afresh."


def require_weights(path: str, architecture: str) -> None:
    """Refuse weights that are not there.

    Raises:
        ConfigError: there is no such file.
    """
    if not Path(path).exists():
        raise ConfigError(f"{path}: no such file. {where_from(architecture)}")


def build(name: str, in_channels: int, num_outputs: int, seed: int) -> "FeatureNetwork":
    """Build a network with weights initialised from `seed` alone.

    Args:
        name: row of the table.
        in_channels: C of the images (B, C, H, W) it takes.
        num_outputs: number of logits K.
        seed: of the initialisation; the global generators are left as they were.

    Returns:
        A network in training mode, float32.

    Raises:
        ConfigError: the table has no such row, or its network takes other images.
    """
    import torch

    if name not in BACKBONES:
        raise ConfigError(f"there is no backbone {name!r}. Choose one of {', '.join(BACKBONES)}.")
    row = BACKBONES[name]
    if row.num_channels(in_channels) != in_channels:
        raise ConfigError(
            f"backbone {name} takes images of {row.channels} channels, not {in_channels}. "
            "Choose another for such images, like tiny_vgg."
        )
    networks = import_module("shadowmill.reconstruction.backbones.networks")
    with torch.random.fork_rng(devices=[]):
        # Not torch.manual_seed, which would seed the generators of the GPUs too.
        torch.default_generator.manual_seed(seed)
        network = getattr(networks, row.builder)(in_channels, num_outputs)
    return networks.FeatureNetwork(network, row.last)
