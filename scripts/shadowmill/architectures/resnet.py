"""Residual networks from torchvision, with a stem for small images."""

import torchvision
from torch import nn


def resnet18(in_channels: int, num_classes: int, image_size: int) -> nn.Module:
    """ResNet-18 (He et al. 2016, arXiv:1512.03385) with the CIFAR stem.

    torchvision's network with a 3×3 stride-1 stem in place of the 7×7 stride-2 one, and without
    the max pooling that follows it, so that small images keep their resolution.
    """
    network = torchvision.models.resnet18(num_classes=num_classes)
    network.conv1 = nn.Conv2d(in_channels, 64, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
    network.maxpool = nn.Identity()
    return network
