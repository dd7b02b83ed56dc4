"""Wide residual networks (Zagoruyko & Komodakis 2016, arXiv:1605.07146)."""

from collections import OrderedDict
from functools import partial

from torch import Tensor, nn

from shadowmill.architectures.layers import GlobalAveragePool, he_initialised


class PreActivationBlock(nn.Module):
    """The block B(3,3): normalisation and activation come before each convolution."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        """Take the widths; where they differ, a 1×1 convolution is the shortcut."""
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.projection = (
            None
            if in_channels == channels
            else nn.Conv2d(in_channels, channels, 1, stride, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block: (B, in_channels, H, W) to (B, channels, H / stride, W / stride)."""
        activated = self.relu(self.bn1(x))
        # Projecting the activated input, not x, follows the authors' code.
        shortcut = x if self.projection is None else self.projection(activated)
        return self.conv2(self.relu(self.bn2(self.conv1(activated)))) + shortcut


def _wide_resnet(input_shape: tuple[int, int, int], num_classes: int, widen: int) -> nn.Module:
    """WRN-28-k of Table 1: three stages of four blocks, 16k, 32k and 64k channels; no dropout.

    Args:
        input_shape: (C, H, W).
        num_classes: K.
        widen: k.
    """
    stages = OrderedDict()
    in_channels = 16
    for stage, channels in enumerate((16 * widen, 32 * widen, 64 * widen), start=1):
        first = PreActivationBlock(in_channels, channels, stride=1 if stage == 1 else 2)
        others = (PreActivationBlock(channels, channels, stride=1) for _ in range(3))
        stages[f"layer{stage}"] = nn.Sequential(first, *others)
        in_channels = channels
    network = nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(input_shape[0], 16, 3, padding=1, bias=False),
            **stages,
            bn=nn.BatchNorm2d(in_channels),
            relu=nn.ReLU(inplace=True),
            avgpool=GlobalAveragePool(),
            flatten=nn.Flatten(),
            fc=nn.Linear(in_channels, num_classes),
        )
    )
    return he_initialised(network)


wrn28_2 = partial(_wide_resnet, widen=2)
wrn28_10 = partial(_wide_resnet, widen=10)


def wide_resnet(
    input_shape: tuple[int, int, int], num_classes: int, depth: int, width: int
) -> nn.Module:
    """WRN-depth-width of any depth 6n + 4: as WRN-28, with n blocks in each stage instead of four.

    Args:
        input_shape: (C, H, W).
        num_classes: K.
        depth: 6n + 4.
        width: k.
    """
    network = _wide_resnet(input_shape, num_classes, widen=width)
    num_blocks = (depth - 4) // 6
    for stage in ("layer1", "layer2", "layer3"):
        blocks = list(getattr(network, stage))[:num_blocks]
        channels = blocks[0].conv2.out_channels
        missing = num_blocks - len(blocks)
        more = [PreActivationBlock(channels, channels, stride=1) for _ in range(missing)]
        setattr(network, stage, nn.Sequential(*blocks, *more))
    return he_initialised(network)
