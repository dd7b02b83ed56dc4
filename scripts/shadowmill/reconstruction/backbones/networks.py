"""The networks of the table of backbones."""

from collections import OrderedDict
from itertools import pairwise

from torch import Tensor, nn

from shadowmill.architectures.noise import replace_random_layers


class FeatureNetwork(nn.Module):
    """A network cut before its last linear layer.

    Attributes:
        body: images (B, C, H, W) to features (B, d).
        last: features to logits (B, K).
    """

    def __init__(self, network: nn.Module, last: str) -> None:
        """Cut a network.

        Args:
            network: whole; it becomes the body.
            last: name of its last linear layer.
        """
        super().__init__()
        layer = network.get_submodule(last)
        network.set_submodule(last, nn.Identity())
        self.body, self.last, self._last_name = network, layer, last

    def features(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) float32 to (B, d); in evaluation mode, the deep features."""
        return self.body(images)

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) float32 to logits (B, K)."""
        return self.last(self.body(images))

    def whole_state(self) -> dict[str, Tensor]:
        """The state under the names of the uncut network, as published weights have them."""
        last = {f"{self._last_name}.{n}": t for n, t in self.last.state_dict().items()}
        return self.body.state_dict() | last

    def load_whole_state(self, state: dict[str, Tensor]) -> None:
        """Take what `whole_state` returned."""
        prefix = f"{self._last_name}."
        body = {n: t for n, t in state.items() if not n.startswith(prefix)}
        last = {n.removeprefix(prefix): t for n, t in state.items() if n.startswith(prefix)}
        self.body.load_state_dict(body)
        self.last.load_state_dict(last)


def tiny_cnn(in_channels: int, num_outputs: int) -> nn.Module:
    """Two convolutions and a hidden layer of 64, for images of 8×8 pixels."""
    convolutions = [*_convolution(in_channels, 16), *_convolution(16, 32, stride=2)]
    return _initialised(_tiny(convolutions, (32 * _GRID**2, 64), num_outputs))


def tiny_vgg(in_channels: int, num_outputs: int) -> nn.Module:
    """Eight convolutions of at most 32 channels and two hidden layers of 256.

    The network that reconstruction from heads was published with for MNIST, at 32×32 pixels.
    """
    widths = ((4, 8), (16, 16, 32, 32), (32, 32))
    convolutions: list[nn.Module] = []
    for block in widths:
        for width in block:
            convolutions += _convolution(in_channels, width)
            in_channels = width
        convolutions.append(nn.MaxPool2d(2))
    return _initialised(_tiny(convolutions, (32 * _GRID**2, 256, 256), num_outputs))


# Side of the last feature map of the tiny networks; images of other sizes than theirs are pooled
# to it, so that the hidden layers fit.
_GRID = 4


def _convolution(in_channels: int, width: int, stride: int = 1) -> list[nn.Module]:
    return [nn.Conv2d(in_channels, width, 3, stride, padding=1), nn.ReLU(inplace=True)]


def _tiny(convolutions: list[nn.Module], widths: tuple[int, ...], num_outputs: int) -> nn.Module:
    hidden: list[nn.Module] = []
    for before, after in pairwise(widths):
        hidden += [nn.Linear(before, after), nn.ReLU(inplace=True)]
    named = OrderedDict((str(index), layer) for index, layer in enumerate(hidden))
    named["last"] = nn.Linear(widths[-1], num_outputs)
    return nn.Sequential(
        OrderedDict(
            convolutions=nn.Sequential(*convolutions),
            pool=nn.AdaptiveAvgPool2d(_GRID),
            flatten=nn.Flatten(),
            classifier=nn.Sequential(named),
        )
    )


def _initialised(network: nn.Module) -> nn.Module:
    # He et al. (2015, arXiv:1502.01852): ten layers without BatchNorm shrink the signal to nothing
    # with torch's own initialisation.
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
    return network


def efficientnet_b0(in_channels: int, num_outputs: int) -> nn.Module:
    """EfficientNet-B0 (Tan & Le 2019, arXiv:1905.11946) as in torchvision, for 224×224 pixels.

    Its dropout and stochastic depth are drawn from keys.
    """
    from torchvision.models import efficientnet_b0

    network = efficientnet_b0(num_classes=num_outputs)
    replace_random_layers(network)
    return network


def wide_resnet50_2(in_channels: int, num_outputs: int) -> nn.Module:
    """WRN-50-2 (Zagoruyko & Komodakis 2016, arXiv:1605.07146) as in torchvision, for 224×224."""
    from torchvision.models import wide_resnet50_2

    return wide_resnet50_2(num_classes=num_outputs)
