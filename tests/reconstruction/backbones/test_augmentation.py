"""Random maps of images."""

import numpy as np
import torch
from jobs_for_backbones import NONE
from torchvision.transforms import functional as published

from shadowmill.reconstruction.backbones.augmentation import affine, augmented
from shadowmill.seeds import generator


def images(count=3, size=9):
    return torch.rand(count, 2, size, size, generator=torch.Generator().manual_seed(0))


def test_no_augmentation_changes_nothing():
    assert torch.equal(augmented(images(), NONE, generator(0)), images())


def test_the_affine_map_of_nothing_is_the_identity():
    zeros = np.zeros(3)
    found = affine(images(), zeros, zeros, zeros + 1, zeros.astype(bool))
    torch.testing.assert_close(found, images(), rtol=0, atol=1e-5)


def test_affine_maps_are_those_of_torchvision():
    rotation, shear, scale = [10.0, -20.0, 0.0], [5.0, 0.0, -9.0], [1.1, 0.9, 1.0]
    found = affine(
        images(), np.radians(rotation), np.radians(shear), np.array(scale), np.zeros(3, bool)
    )
    for index, image in enumerate(images()):
        expected = published.affine(
            image,
            rotation[index],
            [0, 0],
            scale[index],
            [shear[index], 0.0],
            published.InterpolationMode.BILINEAR,
        )
        torch.testing.assert_close(found[index], expected, rtol=0, atol=1e-5)


def test_flips_come_before_everything_else():
    angle, zeros = np.radians([20.0, 0.0, 7.0]), np.zeros(3)
    found = affine(images(), angle, zeros, zeros + 1, np.array([True, True, False]))
    flipped = images()
    flipped[:2] = flipped[:2].flip(-1)
    expected = affine(flipped, angle, zeros, zeros + 1, zeros.astype(bool))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_half_of_the_images_are_flipped():
    many = images(400, 3)
    found = augmented(many, NONE | {"flip": True}, generator(1))
    is_flipped = torch.isclose(found, many.flip(-1)).all(dim=(1, 2, 3))
    is_same = torch.isclose(found, many).all(dim=(1, 2, 3))
    assert torch.equal(is_flipped, ~is_same)
    assert 160 < is_flipped.sum() < 240


def test_maps_stay_within_their_bounds():
    # A white disc about the centre keeps its place and its brightness under a rotation; its area
    # tells the scale.
    line = torch.linspace(-1, 1, 41)
    disc = ((line[:, None] ** 2 + line**2) < 0.25).float().expand(200, 1, 41, 41)
    turned = augmented(disc, NONE | {"rotation": 180}, generator(1))
    torch.testing.assert_close(turned.sum((1, 2, 3)), disc.sum((1, 2, 3)), rtol=0.02, atol=0)
    scaled = augmented(disc, NONE | {"scale": 0.2}, generator(1))
    ratio = (scaled.sum((1, 2, 3)) / disc.sum((1, 2, 3))).sqrt()
    assert 0.79 < ratio.min() < 0.83
    assert 1.17 < ratio.max() < 1.21
