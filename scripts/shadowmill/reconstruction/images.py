"""Images as networks take them and as reconstructors give them.

Legend: B images, C channels, H × W pixels as stored, S × S pixels as wanted.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor


def resized(images: Tensor, size: int) -> Tensor:
    """Stored images as numbers, at another size.

    Args:
        images: (B, H, W, C) uint8.
        size: S, pixels a side.

    Returns:
        (B, C, S, S) float32, 0…1: bicubic, and smoothed where the image shrinks, as Pillow does.
    """
    scaled = images.movedim(-1, -3).float() / 255
    if scaled.shape[-2:] != (size, size):
        # Bicubic interpolation overshoots at edges.
        scaled = F.interpolate(scaled, (size, size), mode="bicubic", antialias=True).clamp(0, 1)
    return scaled


def normalised(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Images (B, C, S, S) of 0…1, less the mean of each channel, divided by its deviation.

    Grey images become as many channels as there are means.
    """
    mean_C11, std_C11 = (
        torch.tensor(values, device=images.device)[:, None, None] for values in (mean, std)
    )
    return (images - mean_C11) / std_C11


def to_inputs(images: Tensor, size: int, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Stored images as a network takes them.

    Args:
        images: (B, H, W, C) uint8.
        size: S, pixels a side.
        mean: of pixels scaled to 0…1, for each channel or one for all.
        std: likewise.

    Returns:
        (B, C, S, S) float32. Grey images become as many channels as there are means.
    """
    return normalised(resized(images, size), mean, std)


def to_targets(images: Tensor, size: int) -> Tensor:
    """Stored images (B, H, W, C) uint8 as a reconstructor gives them: (B, C, S, S), −1…1."""
    return 2 * resized(images, size) - 1


def to_bytes(targets: Tensor) -> Tensor:
    """Images (B, C, S, S) of −1…1 as they are stored: (B, S, S, C) uint8, rounded."""
    return ((targets.float() + 1) * 127.5).round().clamp(0, 255).byte().movedim(-3, -1)


class ExampleImages:
    """The images of a data set on a device, as a reconstructor gives them."""

    def __init__(
        self, images: NDArray[np.uint8], image_size: int, device: torch.device | str
    ) -> None:
        """Move images to the device.

        Args:
            images: (n, H, W, C).
            image_size: S.
            device: where to.
        """
        self._images = torch.from_numpy(images).to(device)
        self._size = image_size

    @property
    def num_channels(self) -> int:
        """C."""
        return self._images.shape[-1]

    def targets(self, indices: NDArray[np.int64]) -> Tensor:
        """Images (…, C, S, S) of −1…1, of the examples with these indices (…)."""
        chosen = self._images[torch.from_numpy(indices.ravel()).to(self._images.device)]
        return to_targets(chosen, self._size).unflatten(0, indices.shape)
