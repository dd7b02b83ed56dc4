"""What is recorded about masks, by hand and against sets."""

import pytest
import torch

from shadowmill.pruning.record import overlap, reactivated, sparsities

# Two models, two layers of 4 and 1 entries.
OLD = {
    "a": torch.tensor([[[1, 1], [0, 0]], [[1, 1], [1, 1]]]) > 0,
    "b": torch.tensor([[1], [0]]) > 0,
}
NEW = {
    "a": torch.tensor([[[1, 0], [1, 0]], [[1, 1], [1, 1]]]) > 0,
    "b": torch.tensor([[1], [1]]) > 0,
}


def random_masks(seed, num_models=3):
    random = torch.Generator().manual_seed(seed)
    shapes = {"a": (4, 3, 2, 2), "b": (5,), "c": (1, 1)}
    return {n: torch.rand(num_models, *s, generator=random) < 0.4 for n, s in shapes.items()}


def kept(masks, model):
    return {
        (name, entry)
        for name, mask in masks.items()
        for entry, keep in enumerate(mask[model].flatten().tolist())
        if keep
    }


def test_sparsities_by_hand():
    result = sparsities(OLD)
    assert {name: value.tolist() for name, value in result.items()} == {
        "a": [0.5, 0.0],
        "b": [0.0, 1.0],
        "overall": [0.4, 0.2],
    }
    assert all(value.dtype == torch.float64 for value in result.values())


def test_reactivation_by_hand():
    # Of 5 entries one came back in each model; that another left in the first does not count.
    assert reactivated(OLD, NEW).tolist() == [0.2, 0.2]
    assert reactivated(NEW, OLD).tolist() == [0.2, 0.0]


def test_overlap_by_hand():
    # First: 2 of 4 that either keeps. Second: 4 of 5.
    assert overlap(OLD, NEW).tolist() == [0.5, 0.8]
    assert overlap(OLD, OLD).tolist() == [1.0, 1.0]
    assert overlap(OLD, {name: ~mask for name, mask in OLD.items()}).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("seed", range(3))
def test_against_sets(seed):
    old, new = random_masks(seed), random_masks(seed + 100)
    total = 48 + 5 + 1
    for model in range(3):
        a, b = kept(old, model), kept(new, model)
        assert sparsities(old)["overall"][model] == pytest.approx(1 - len(a) / total, rel=1e-15)
        assert reactivated(old, new)[model] == len(b - a) / total
        assert overlap(old, new)[model] == len(a & b) / len(a | b)
    assert reactivated(old, new).dtype == overlap(old, new).dtype == torch.float64
