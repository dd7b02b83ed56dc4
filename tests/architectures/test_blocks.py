"""The blocks that are written here, against values one can see."""

import torch
from torch import nn

from shadowmill import architectures
from shadowmill.architectures.resnet import PaddedShortcut
from shadowmill.architectures.wide_resnet import PreActivationBlock


def test_padded_shortcut_keeps_every_second_pixel_and_adds_zeros():
    x = torch.arange(9.0).view(1, 1, 3, 3)
    expected = torch.tensor([[[[0.0, 2.0], [6.0, 8.0]], [[0.0, 0.0], [0.0, 0.0]]]])
    torch.testing.assert_close(PaddedShortcut(1)(x), expected)


def test_cifar_resnet_has_as_many_layers_as_its_name_says():
    for depth in (20, 32, 44, 56, 110):
        with torch.device("meta"):
            network = architectures.build(f"resnet{depth}", (3, 32, 32), 10, 0)
        layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
        assert len(layers) == depth


def test_wide_block_adds_to_the_plain_input():
    """Nothing follows the sum: with a silent branch even negative values pass."""
    block = PreActivationBlock(4, 4, stride=1)
    nn.init.zeros_(block.conv2.weight)
    x = torch.randn(2, 4, 5, 5, generator=torch.Generator().manual_seed(0))
    assert torch.equal(block(x), x)


def test_wide_block_projects_the_activated_input():
    block = PreActivationBlock(4, 6, stride=2)
    nn.init.zeros_(block.conv2.weight)
    x = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(0))
    expected = block.projection(torch.relu(block.bn1(x)))
    torch.testing.assert_close(block(x), expected)
