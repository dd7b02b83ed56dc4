"""Views of an example: all of them, each once, the identity first."""

from itertools import product

import numpy as np
import pytest
import torch

from shadowmill.scores.queries import num_queries, views

SETTINGS = [{"mirror": m, "shift": s} for m, s in product((False, True), (0, 1, 2, 4))]
# Not square, and large enough that no two reflections look the same.
IMAGES = torch.arange(2 * 3 * 12 * 11, dtype=torch.float32).view(2, 3, 12, 11)


def reflected(index, size):
    """Index of the pixel that a reflecting border shows: … 2 1 | 0 1 2 … n−1 | n−2 n−3 …"""
    if index < 0:
        return -index
    return 2 * (size - 1) - index if index >= size else index


def slow_view(images, down, right, mirror):
    """Pixel by pixel."""
    view = np.empty_like(images)
    height, width = images.shape[-2:]
    for row, column in product(range(height), range(width)):
        source = images[..., reflected(row + down, height), reflected(column + right, width)]
        view[..., row, width - 1 - column if mirror else column] = source
    return view


@pytest.mark.parametrize("settings", SETTINGS)
def test_all_mirrored_and_shifted_views_and_no_other(settings):
    found = {view.numpy().tobytes() for view in views(IMAGES, settings)}
    reach = range(-settings["shift"], settings["shift"] + 1)
    expected = {
        slow_view(IMAGES.numpy(), down, right, mirror).tobytes()
        for down, right, mirror in product(reach, reach, (False, True)[: 1 + settings["mirror"]])
    }
    assert found == expected


@pytest.mark.parametrize("settings", SETTINGS)
def test_counts_shapes_and_no_view_twice(settings):
    found = list(views(IMAGES, settings))
    assert len(found) == num_queries(settings)
    assert {view.shape for view in found} == {IMAGES.shape}
    assert len({view.numpy().tobytes() for view in found}) == len(found)


@pytest.mark.parametrize("settings", SETTINGS)
def test_the_identity_is_first(settings):
    assert torch.equal(next(views(IMAGES, settings)), IMAGES)


@pytest.mark.parametrize(
    ("mirror", "shift", "count"), [(False, 0, 1), (True, 0, 2), (False, 1, 9), (True, 1, 18)]
)
def test_known_numbers_of_queries(mirror, shift, count):
    assert num_queries({"mirror": mirror, "shift": shift}) == count


def test_features_have_the_identity_alone():
    features = torch.arange(6.0).view(2, 3)
    (view,) = views(features, {"mirror": False, "shift": 0})
    assert torch.equal(view, features)


def test_borders_are_reflections_by_hand():
    row = torch.tensor([[[[1.0, 2, 3], [4, 5, 6], [7, 8, 9]]]])
    shifted = {tuple(view[0, 0, 1].tolist()) for view in views(row, {"mirror": False, "shift": 1})}
    # The middle row, shifted by one to either side, and the rows above and below likewise.
    assert {(4, 5, 6), (5, 4, 5), (5, 6, 5), (1, 2, 3), (8, 9, 8)} <= shifted
