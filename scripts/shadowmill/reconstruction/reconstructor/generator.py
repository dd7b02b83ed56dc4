"""The network that draws an image from the weights of a head.

The generator published with "Vulnerability of Transfer-Learned Neural Networks to Data
Reconstruction Attacks in Small-Data Regime": residual blocks that double the resolution, from 4×4
pixels on.

Legend: B images, E standardised weights of a head, G groups, C channels, S × S pixels, g width.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_FIRST_SIZE = 4  # pixels a side before the first block


class Generator(nn.Module):
    """Standardised weights of heads to images.

    A linear layer to 4g channels of 4×4 pixels; blocks of widths 2g, g, g, … until the size is
    reached; BatchNorm, ReLU, a 3×3 convolution and tanh. With several groups, a one-hot group goes
    in beside the weights.

    The linear layer is the published transposed convolution of one pixel, with the same
    distribution of initial weights, but for a bias of its own for each pixel; it is faster.
    Convolutions are in the layout "channels last", which is faster on CPUs and GPUs.
    """

    def __init__(
        self, num_weights: int, num_groups: int, image_size: int, channels: int, width: int
    ) -> None:
        """Initialise from torch's global generator.

        Args:
            num_weights: E.
            num_groups: G; 1 if the reconstructor is told no group.
            image_size: S, 4·2^k with k at least 1.
            channels: C.
            width: g.

        Raises:
            ValueError: no such size can be reached by doubling.
        """
        super().__init__()
        num_blocks = (image_size // _FIRST_SIZE).bit_length() - 1
        if num_blocks < 1 or _FIRST_SIZE << num_blocks != image_size:
            raise ValueError(f"image_size is {image_size}, expected 8, 16, 32, 64, …")
        self.num_groups = num_groups
        widths = [4 * width, 2 * width, *[width] * (num_blocks - 1)]
        self.first = nn.Linear(
            num_weights + (num_groups if num_groups > 1 else 0), _FIRST_SIZE**2 * widths[0]
        )
        bound = self.first.out_features**-0.5
        nn.init.uniform_(self.first.weight, -bound, bound)
        nn.init.uniform_(self.first.bias, -bound, bound)
        self.blocks = nn.Sequential(*[_UpsamplingBlock(*pair) for pair in pairwise(widths)])
        self.norm = nn.BatchNorm2d(widths[-1])
        self.last = nn.Conv2d(widths[-1], channels, 3, padding=1)
        self.to(memory_format=torch.channels_last)

    def forward(self, weights_BE: Tensor, groups_B: Tensor) -> Tensor:
        """Draw one image for each head.

        Args:
            weights_BE: (B, E) float32, standardised.
            groups_B: (B,) int64, the group whose example is asked for; not looked at with one
                group.

        Returns:
            (B, C, S, S) of −1…1, float32.
        """
        inputs = weights_BE
        if self.num_groups > 1:
            one_hot_BG = F.one_hot(groups_B, self.num_groups).to(weights_BE.dtype)
            inputs = torch.cat([weights_BE, one_hot_BG], dim=1)
        # In float32 even where the rest is in bfloat16: what a head knows of its examples is a
        # small part of its weights, and for one batch converting this layer would take longer.
        with torch.autocast(weights_BE.device.type, enabled=False):
            pixels = self.first(inputs)
        # Channels last: the view needs no copy.
        x = pixels.view(len(pixels), _FIRST_SIZE, _FIRST_SIZE, -1).permute(0, 3, 1, 2)
        x = self.last(F.relu(self.norm(self.blocks(x))))
        return torch.tanh(x.to(weights_BE.dtype))  # bfloat16 knows few numbers near −1 and 1


class _UpsamplingBlock(nn.Module):
    """BatchNorm, ReLU, twice the size, 3×3, BatchNorm, ReLU, 3×3, beside a skip connection.

    The skip doubles the size too, and has a 1×1 convolution if the number of channels changes.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.norm2 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.skip = (
            nn.Identity()
            if in_channels == out_channels
            else nn.Conv2d(in_channels, out_channels, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, h, h) to (B, out_channels, 2h, 2h)."""
        change = self.conv1(_doubled(F.relu(self.norm1(x))))
        change = self.conv2(F.relu(self.norm2(change)))
        # A 1×1 convolution may as well come before pixels are repeated: a quarter of the work.
        return change + _doubled(self.skip(x))


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="nearest")


def build_generator(
    num_weights: int, num_groups: int, image_size: int, channels: int, width: int, seed: int
) -> Generator:
    """A generator with weights initialised from `seed` alone; see `Generator`."""
    with torch.random.fork_rng(devices=[]):
        # Not torch.manual_seed, which would seed the generators of the GPUs too.
        torch.default_generator.manual_seed(seed)
        return Generator(num_weights, num_groups, image_size, channels, width)
