"""Random affine maps and flips of images, one of each for each example of a batch.

Legend: B images, C channels, S × S pixels.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def augmented(
    images: Tensor, augmentation: Mapping[str, Any], random: np.random.Generator
) -> Tensor:
    """Map each image of a batch by its own affine map.

    Args:
        images: (B, C, S, S) float32 pixels of 0…1; what comes in from outside an image is black.
        augmentation: `rotation` and `shear`, largest angles in degrees, either way; `scale`, the
            largest share that an image grows or shrinks by; `flip`, whether images are mirrored
            left to right with probability ½.
        random: all is drawn from this.

    Returns:
        (B, C, S, S) float32, bilinear.
    """
    num = len(images)
    rotation = np.radians(random.uniform(-1, 1, num) * augmentation["rotation"])
    shear = np.radians(random.uniform(-1, 1, num) * augmentation["shear"])
    scale = 1 + random.uniform(-1, 1, num) * augmentation["scale"]
    is_flipped = (random.random(num) < 0.5) & augmentation["flip"]
    if augmentation["rotation"] or augmentation["shear"] or augmentation["scale"]:
        return affine(images, rotation, shear, scale, is_flipped)
    flipped = torch.from_numpy(is_flipped).to(images.device)
    return torch.where(flipped[:, None, None, None], images.flip(-1), images)


def affine(
    images: Tensor,
    rotation: np.ndarray,
    shear: np.ndarray,
    scale: np.ndarray,
    is_flipped: np.ndarray,
) -> Tensor:
    """Map images about their centres: flipped, then scaled, sheared along x, and rotated.

    Args:
        images: (B, C, S, S) float32.
        rotation: (B,) radians, clockwise as the image is seen.
        shear: (B,) radians.
        scale: (B,) factors.
        is_flipped: (B,) bool.

    Returns:
        (B, C, S, S) float32, bilinear, 0 where nothing of the image comes to lie.
    """
    cos, sin, zero = np.cos(rotation), np.sin(rotation), np.zeros(len(images))
    rotate = np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], -2)
    one = zero + 1
    slant = np.stack([np.stack([one, -np.tan(shear)], -1), np.stack([zero, one], -1)], -2)
    mirror = np.stack([np.where(is_flipped, -1.0, 1.0), one], -1)
    forward = rotate @ slant * (scale[:, None] * mirror)[:, None, :]
    # Sampling asks where each pixel of the result comes from.
    backward = np.concatenate([np.linalg.inv(forward), np.zeros((len(images), 2, 1))], axis=2)
    theta = torch.from_numpy(backward).float().to(images.device)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)
