"""Residual networks (He et al. 2016, arXiv:1512.03385): those for ImageNet and those for CIFAR."""

from collections import OrderedDict
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import resnet as imagenet

from shadowmill.architectures.layers import (
    GlobalAveragePool,
    adapted_stem,
    has_small_side,
    he_initialised,
)


class BasicBlock(imagenet.BasicBlock):
    """torchvision's block of two convolutions, with the shortcut not added in place.

    The hooks behind per-example gradients forbid to change the output of a layer.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block: (B, C, H, W) to (B, planes, H / stride, W / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(out)) + shortcut)


class Bottleneck(imagenet.Bottleneck):
    """torchvision's block of three convolutions, with the shortcut not added in place."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block: (B, C, H, W) to (B, 4 · planes, H / stride, W / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        return self.relu(self.bn3(self.conv3(out)) + shortcut)


def _imagenet_resnet(
    input_shape: tuple[int, int, int],
    num_classes: int,
    block: type[BasicBlock] | type[Bottleneck],
    num_blocks: list[int],
) -> nn.Module:
    """The networks of Table 1, from torchvision.

    Up to `layers.SMALL_SIDE` pixels a 3×3 stride-1 stem takes the place of the 7×7 stride-2 one and
    of the max pooling that follows it.

    Args:
        input_shape: (C, H, W).
        num_classes: K.
        block: of the four stages.
        num_blocks: of each stage.
    """
    network = imagenet.ResNet(block, num_blocks, num_classes=num_classes)
    network.conv1 = adapted_stem(network.conv1, input_shape)
    if has_small_side(input_shape):
        network.maxpool = nn.Identity()
    network.avgpool = GlobalAveragePool()
    return network


# As torchvision's functions of these names.
resnet18 = partial(_imagenet_resnet, block=BasicBlock, num_blocks=[2, 2, 2, 2])
resnet34 = partial(_imagenet_resnet, block=BasicBlock, num_blocks=[3, 4, 6, 3])
resnet50 = partial(_imagenet_resnet, block=Bottleneck, num_blocks=[3, 4, 6, 3])


class PaddedShortcut(nn.Module):
    """The shortcut without parameters, option A: every second pixel, zeros for the new channels."""

    def __init__(self, num_new: int) -> None:
        """Take the number of channels to add."""
        super().__init__()
        self.num_new = num_new

    def forward(self, x: Tensor) -> Tensor:
        """Apply the shortcut: (B, C, H, W) to (B, C + num_new, ⌈H / 2⌉, ⌈W / 2⌉)."""
        return F.pad(x[..., ::2, ::2], (0, 0, 0, 0, 0, self.num_new))


def _cifar_resnet(
    input_shape: tuple[int, int, int], num_classes: int, num_blocks: int
) -> nn.Module:
    """The network of Sec. 4.2: three stages of basic blocks, 16, 32 and 64 channels wide.

    Args:
        input_shape: (C, H, W).
        num_classes: K.
        num_blocks: n of each stage; the depth is 6n + 2.
    """
    stages = OrderedDict()
    for stage, channels in enumerate((16, 32, 64), start=1):
        first = (
            BasicBlock(16, 16)
            if stage == 1
            else BasicBlock(channels // 2, channels, 2, PaddedShortcut(channels // 2))
        )
        others = (BasicBlock(channels, channels) for _ in range(num_blocks - 1))
        stages[f"layer{stage}"] = nn.Sequential(first, *others)
    network = nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(input_shape[0], 16, 3, padding=1, bias=False),
            bn1=nn.BatchNorm2d(16),
            relu=nn.ReLU(inplace=True),
            **stages,
            avgpool=GlobalAveragePool(),
            flatten=nn.Flatten(),
            fc=nn.Linear(64, num_classes),
        )
    )
    return he_initialised(network)


resnet20 = partial(_cifar_resnet, num_blocks=3)
resnet32 = partial(_cifar_resnet, num_blocks=5)
resnet44 = partial(_cifar_resnet, num_blocks=7)
resnet56 = partial(_cifar_resnet, num_blocks=9)
resnet110 = partial(_cifar_resnet, num_blocks=18)


def cifar_resnet(input_shape: tuple[int, int, int], num_classes: int, depth: int) -> nn.Module:
    """The network of Sec. 4.2 of any depth 6n + 2."""
    return _cifar_resnet(input_shape, num_classes, num_blocks=(depth - 2) // 6)
