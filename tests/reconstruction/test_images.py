"""Images between storage, networks and reconstructors."""

import numpy as np
import pytest
import torch
from PIL import Image

from shadowmill.reconstruction.images import resized, to_bytes, to_inputs, to_targets


def random_images(channels=3, size=8, count=4):
    random = np.random.default_rng(0)
    return torch.from_numpy(random.integers(0, 256, (count, size, size, channels), np.uint8))


def test_inputs_by_hand():
    images = torch.tensor([0, 51, 255, 102], dtype=torch.uint8).reshape(1, 2, 2, 1)
    inputs = to_inputs(images, 2, (0.2,), (0.4,))
    torch.testing.assert_close(inputs, torch.tensor([[[[-0.5, 0.0], [2.0, 0.5]]]]))
    assert inputs.dtype == torch.float32


def test_channels_come_first_and_keep_their_own_moments():
    images = random_images()
    inputs = to_inputs(images, 8, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    expected = (images[1, 2, 3, 2] / 255 - 0.3) / 0.6
    assert inputs[1, 2, 2, 3].item() == pytest.approx(expected.item())


def test_grey_images_become_as_many_channels_as_there_are_means():
    inputs = to_inputs(random_images(channels=1), 8, (0.5, 0.5, 0.5), (1.0, 0.5, 1.0))
    assert inputs.shape == (4, 3, 8, 8)
    assert torch.equal(inputs[:, 0], inputs[:, 2])
    torch.testing.assert_close(inputs[:, 1], 2 * inputs[:, 0])


@pytest.mark.parametrize("size", [5, 20])
def test_resizing_is_pillows(size):
    images = random_images(size=12) // 2 + 64  # no pixel is cut off
    found = resized(images, size)
    assert found.shape == (4, 3, size, size)
    for image, result in zip(images, found, strict=True):
        expected = Image.fromarray(image.numpy()).resize((size, size), Image.Resampling.BICUBIC)
        # Pillow rounds to bytes after each of two passes.
        difference = 255 * result.movedim(0, -1).numpy() - np.asarray(expected)
        assert np.abs(difference).max() < 1.6


def test_resizing_never_leaves_the_range():
    edges = torch.zeros(1, 8, 8, 1, dtype=torch.uint8)
    edges[:, :, 4:] = 255
    found = resized(edges, 32)
    assert found.min() == 0
    assert found.max() == 1


def test_targets_span_minus_one_to_one():
    images = torch.tensor([0, 255], dtype=torch.uint8).reshape(1, 1, 2, 1).expand(1, 2, 2, 1)
    assert torch.equal(to_targets(images, 2), torch.tensor([[[[-1.0, 1.0], [-1.0, 1.0]]]]))
    assert to_targets(random_images(size=28), 16).shape == (4, 3, 16, 16)


def test_bytes_come_back_from_targets():
    images = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16, 1)
    assert torch.equal(to_bytes(to_targets(images, 16)), images)
    images = random_images()
    assert torch.equal(to_bytes(to_targets(images, 8)), images)


def test_bytes_are_rounded_and_cut_off():
    targets = torch.tensor([-1.5, -1 + 0.4 / 127.5, -1 + 0.6 / 127.5, 1.2]).reshape(1, 1, 2, 2)
    assert to_bytes(targets).flatten().tolist() == [0, 0, 1, 255]
    assert to_bytes(targets.bfloat16()).dtype == torch.uint8
