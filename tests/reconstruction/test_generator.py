"""The generator is the published network, and follows from its seed."""

from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from shadowmill.reconstruction.reconstructor.generator import Generator, build_generator


def drawn(network, count=3, seed=0):
    random = torch.Generator().manual_seed(seed)
    num_weights = network.first.in_features - (network.num_groups > 1) * network.num_groups
    weights = torch.randn(count, num_weights, generator=random)
    return network(weights, torch.arange(count) % network.num_groups)


@pytest.mark.parametrize("num_groups", [1, 5])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [8, 16, 32, 64])
def test_draws_images_of_every_size(size, channels, num_groups):
    images = drawn(build_generator(20, num_groups, size, channels, 2, 0))
    assert images.shape == (3, channels, size, size)
    assert images.abs().max() <= 1
    assert images.std() > 0.01


@pytest.mark.parametrize("size", [0, 4, 12, 24, 33])
def test_other_sizes_are_refused(size):
    with pytest.raises(ValueError, match=f"image_size is {size}, expected 8, 16"):
        build_generator(20, 1, size, 1, 2, 0)


@pytest.mark.parametrize(
    ("num_weights", "num_groups", "size", "channels", "width", "millions"),
    [(2570, 10, 32, 1, 256, 53), (12_810, 10, 32, 3, 512, 463), (8201, 1, 64, 3, 512, 317)],
)
def test_as_large_as_published(num_weights, num_groups, size, channels, width, millions):
    with torch.device("meta"):
        network = Generator(num_weights, num_groups, size, channels, width)
    # A whole million at most is due to the bias of each pixel, and rounding.
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(millions, rel=0.01)


class Published(nn.Module):
    """Word by word: a transposed convolution; in skips, the 1×1 convolution comes last."""

    def __init__(self, num_inputs, widths, channels):
        super().__init__()
        self.first = nn.ConvTranspose2d(num_inputs, widths[0], 4)
        self.blocks = nn.ModuleList()
        for before, after in pairwise(widths):
            layers = {
                "norm1": nn.BatchNorm2d(before),
                "conv1": nn.Conv2d(before, after, 3, padding=1),
                "norm2": nn.BatchNorm2d(after),
                "conv2": nn.Conv2d(after, after, 3, padding=1),
            }
            if before != after:
                layers["skip"] = nn.Conv2d(before, after, 1)
            self.blocks.append(nn.ModuleDict(layers))
        self.norm = nn.BatchNorm2d(widths[-1])
        self.last = nn.Conv2d(widths[-1], channels, 3, padding=1)

    def forward(self, inputs):
        x = self.first(inputs[:, :, None, None])
        for block in self.blocks:
            skip = nn.Upsample(scale_factor=2)(x)
            if "skip" in block:
                skip = block["skip"](skip)
            x = nn.Upsample(scale_factor=2)(F.relu(block["norm1"](x)))
            x = block["conv2"](F.relu(block["norm2"](block["conv1"](x)))) + skip
        return torch.tanh(self.last(F.relu(self.norm(x))))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    ("size", "widths"),
    [(8, (12, 6)), (16, (12, 6, 3)), (32, (12, 6, 3, 3)), (64, (12, 6, 3, 3, 3))],
)
def test_is_the_published_network(size, widths, training):
    torch.manual_seed(0)
    published = Published(20 + 5, widths, 2).double().train(training)
    network = build_generator(20, 5, size, 2, 3, 0).double().train(training)
    state = published.state_dict()
    # Rows of the linear layer: 4×4 pixels, then channels.
    weight, bias = state.pop("first.weight"), state.pop("first.bias")
    state["first.weight"] = weight.permute(2, 3, 1, 0).flatten(end_dim=2)
    state["first.bias"] = bias.repeat(16)
    network.load_state_dict(state)
    weights, groups = torch.randn(4, 20).double(), torch.tensor([0, 4, 2, 2])
    expected = published(torch.cat([weights, torch.eye(5)[groups]], dim=1))
    torch.testing.assert_close(network(weights, groups), expected)


def test_first_layer_starts_as_the_published_one():
    network = build_generator(300, 1, 8, 1, 16, 0)
    torch.manual_seed(0)
    published = nn.ConvTranspose2d(300, 64, 4).weight.detach()
    for own in (network.first.weight.detach(), network.first.bias.detach()):
        assert own.abs().max().item() == pytest.approx(published.abs().max().item(), rel=0.01)
        assert own.std().item() == pytest.approx(published.std().item(), rel=0.05)


def test_follows_from_the_seed_alone():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one, again, other = (build_generator(20, 5, 8, 1, 2, seed) for seed in (7, 7, 8))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(drawn(one), drawn(again))
    assert not torch.equal(drawn(one), drawn(other))


def test_only_a_conditional_generator_looks_at_the_group():
    weights = torch.randn(1, 20).expand(2, -1)
    for num_groups in (1, 2):
        network = build_generator(20, num_groups, 8, 1, 2, 0).eval()
        first, second = network(weights, torch.tensor([0, 1]))
        assert torch.equal(first, second) == (num_groups == 1)
