"""Orders of examples and augmentation."""

from collections import Counter

import numpy as np
import torch
from jobs_for_tests import RECIPE

from shadowmill.training.batches import BatchSource, example_order

MEMBERS = np.array([3, 5, 8, 13, 21, 34, 55])


def test_stretches_of_the_order_fit_together():
    whole = example_order(7, MEMBERS, 0, 40)
    pieces = [example_order(7, MEMBERS, start, 8) for start in range(0, 40, 8)]
    np.testing.assert_array_equal(np.concatenate(pieces), whole)


def test_every_member_is_seen_equally_often():
    order = example_order(7, MEMBERS, 0, 5 * len(MEMBERS))
    assert Counter(order.tolist()) == dict.fromkeys(MEMBERS.tolist(), 5)
    counts = Counter(example_order(7, MEMBERS, 0, 40).tolist())
    assert max(counts.values()) - min(counts.values()) == 1


def test_passes_and_models_are_shuffled_differently():
    first, second = example_order(7, MEMBERS, 0, 7), example_order(7, MEMBERS, 7, 7)
    assert first.tolist() != second.tolist()
    assert first.tolist() != example_order(8, MEMBERS, 0, 7).tolist()


def source(digits, **augmentation):
    recipe = RECIPE | {"batch_size": 16, "augmentation": {"crop": 0, "flip": False} | augmentation}
    members = [np.arange(0, 50), np.arange(50, 100)]
    return BatchSource(digits, [1, 2], members, recipe, 3, torch.device("cpu"))


def pixels(digits, images):
    """Back from normalised (E, B, C, H, W) to bytes (E, B, H, W, C)."""
    values = images.movedim(2, -1).double().numpy() * digits.std + digits.mean
    return (values * 255).round().astype(np.uint8)


def test_batches_hold_the_members_own_images_and_labels(digits):
    images, labels = source(digits).batch(0)
    assert images.shape == (2, 16, 1, 8, 8)
    found = pixels(digits, images)
    for model, members in enumerate((range(50), range(50, 100))):
        for image, label in zip(found[model], labels[model], strict=True):
            twins = [m for m in members if np.array_equal(digits.images[m], image)]
            assert any(digits.labels[m] == label for m in twins)


def test_augmentation_crops_padded_images_and_flips_half_of_them(digits):
    plain, augmented = source(digits), source(digits, crop=1, flip=True)
    flips = 0
    for step in range(12):
        originals, augmented_images = plain.batch(step)[0], augmented.batch(step)[0]
        before, after = pixels(digits, originals), pixels(digits, augmented_images)
        for original, image in zip(before.reshape(-1, 8, 8), after.reshape(-1, 8, 8), strict=True):
            padded = np.pad(original, 1)
            crops = [padded[i : i + 8, j : j + 8] for i in range(3) for j in range(3)]
            mirrored = [np.array_equal(crop[:, ::-1], image) for crop in crops]
            assert any(mirrored) or any(np.array_equal(crop, image) for crop in crops)
            flips += any(mirrored)
    assert 0.4 < flips / (12 * 32) < 0.6
