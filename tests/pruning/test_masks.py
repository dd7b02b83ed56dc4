"""Masks: exact counts, the same weights as PyTorch prunes, gradients with and without feedback."""

import math

import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from shadowmill.errors import ArtefactError
from shadowmill.pruning.masks import (
    check_sparsity,
    magnitude_masks,
    masked,
    num_pruned,
    prunable,
)

SPARSITIES = [0.1, 0.29, 0.3, 0.5, 0.7, 0.9, 0.95, 0.999]


def random_weights(num_models, seed=0):
    random = torch.Generator().manual_seed(seed)
    shapes = {"0.weight": (8, 1, 3, 3), "2.weight": (16, 8, 3, 3), "5.weight": (5, 16, 1, 1)}
    return {
        name: torch.randn(num_models, *shape, generator=random) for name, shape in shapes.items()
    }


def kept(masks, model=0):
    return torch.cat([mask[model].flatten() for mask in masks.values()])


def slow_masks(weights, sparsity):
    """One model: sort all weights by magnitude, of equals the earlier first; prune from below."""
    flat = torch.cat([weight.abs().flatten() for weight in weights])
    order = sorted(range(len(flat)), key=lambda i: (flat[i].item(), i))
    keep = torch.ones(len(flat), dtype=torch.bool)
    keep[order[: math.floor(len(flat) * sparsity + 1e-9)]] = False
    return keep


@pytest.mark.parametrize("sparsity", SPARSITIES)
def test_the_same_weights_as_pytorch(sparsity):
    weights = random_weights(3)
    masks = magnitude_masks(weights, sparsity)
    for model in range(3):
        layers = []
        for weight in weights.values():
            layer = nn.Conv2d(weight.shape[2], weight.shape[1], weight.shape[3], bias=False)
            layer.weight.data = weight[model].clone()
            layers.append((layer, "weight"))
        # PyTorch rounds to the nearest count; given as a count it prunes what we ask for.
        count = num_pruned(kept(masks).numel(), sparsity)
        prune.global_unstructured(layers, pruning_method=prune.L1Unstructured, amount=count)
        for (layer, _), mask in zip(layers, masks.values(), strict=True):
            assert torch.equal(layer.weight_mask.bool(), mask[model])


@pytest.mark.parametrize("sparsity", SPARSITIES)
@pytest.mark.parametrize("levels", [1, 2, 5])
def test_exact_counts_with_ties_and_zeros(sparsity, levels):
    # Few distinct magnitudes, many of them zero: a threshold alone would prune too much.
    weights = {n: (w * levels / 3).round() for n, w in random_weights(4).items()}
    weights["0.weight"][2] = 0
    masks = magnitude_masks(weights, sparsity)
    for model in range(4):
        assert torch.equal(
            kept(masks, model), slow_masks([w[model] for w in weights.values()], sparsity)
        )


@pytest.mark.parametrize("sparsity", SPARSITIES)
def test_equal_weights_are_pruned_to_the_exact_count(sparsity):
    masks = magnitude_masks({"a": torch.full((2, 7, 13), -0.5)}, sparsity)
    assert (~masks["a"]).flatten(1).sum(dim=1).tolist() == [math.floor(91 * sparsity + 1e-9)] * 2


def test_by_hand_over_two_layers():
    # Magnitudes 4 1 3 | 2 5: of five, 0.6 prunes three: 1, 2 and 3.
    weights = {"a": torch.tensor([[-4.0, 1, 3]]), "b": torch.tensor([[-2.0, 5]])}
    masks = magnitude_masks(weights, 0.6)
    assert masks["a"].tolist() == [[True, False, False]]
    assert masks["b"].tolist() == [[False, True]]


def test_nothing_is_pruned_at_sparsity_0():
    assert all(mask.all() for mask in magnitude_masks(random_weights(2), 0.0).values())


def test_a_models_mask_does_not_depend_on_its_neighbours():
    weights = random_weights(4)
    together = magnitude_masks(weights, 0.9)
    alone = magnitude_masks({n: w[2:3] for n, w in weights.items()}, 0.9)
    assert all(torch.equal(alone[n][0], together[n][2]) for n in weights)


@pytest.mark.parametrize(
    ("total", "sparsity", "count"),
    # 100 · 0.29 and 1000 · 0.57 fall short of 29 and 570 in floating point.
    [(100, 0.29, 29), (1000, 0.57, 570), (10, 0.95, 9), (7, 0.5, 3), (10**8, 0.9, 9 * 10**7)],
)
def test_counts_are_rounded_down_but_not_by_floating_point(total, sparsity, count):
    assert num_pruned(total, sparsity) == count


def test_convolutions_are_pruned_and_nothing_else():
    inner = nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2))
    module = nn.Sequential(nn.Conv2d(1, 2, 3), inner, nn.Flatten(), nn.Linear(8, 3))
    assert prunable(module) == ["0.weight", "1.0.weight"]


# The sparse forward pass: y = Σ c w m, so dy/d(w m) = c.

WEIGHT, MASK, COEFFICIENT = [0.3, -2.0, 0.1, 5.0], [1.0, 0.0, 0.0, 1.0], [10.0, 20.0, 30.0, 40.0]


@pytest.mark.parametrize(
    ("feedback", "gradient"), [(False, [10.0, 0.0, 0.0, 40.0]), (True, COEFFICIENT)]
)
def test_forward_and_gradient_by_hand(feedback, gradient):
    weight = torch.tensor(WEIGHT, requires_grad=True)
    sparse = masked(weight, torch.tensor(MASK).bool(), feedback)
    assert sparse.tolist() == pytest.approx([0.3, 0.0, 0.0, 5.0])
    (sparse * torch.tensor(COEFFICIENT)).sum().backward()
    assert weight.grad.tolist() == gradient


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_forward_pass_with_feedback_is_exactly_w_times_m(scale, dtype):
    random = torch.Generator().manual_seed(0)
    weight = (torch.randn(10_000, generator=random) * scale).to(dtype)
    mask = torch.rand(10_000, generator=random) < 0.5
    assert torch.equal(masked(weight, mask, feedback=True), weight * mask)


# The check of finished models.


def finished(sparsity=0.5):
    weights = {name: weight[0] for name, weight in random_weights(1).items()}
    masks = {n: m[0] for n, m in magnitude_masks(random_weights(1), sparsity).items()}
    return {name: weight * masks[name] for name, weight in weights.items()}, masks


def test_a_model_of_its_claimed_sparsity_passes():
    check_sparsity(*finished(), 0.5, "model")
    check_sparsity({"w": torch.ones(3)}, {}, 0.0, "a dense model")


@pytest.mark.parametrize("layer", ["0.weight", "5.weight"])
def test_one_weight_under_the_mask_that_is_not_zero_is_an_error(layer):
    weights, masks = finished()
    place = (~masks[layer]).nonzero()[0]
    weights[layer][tuple(place)] = 1e-30
    with pytest.raises(ArtefactError, match=rf"x\.safetensors: {layer} has weights.*Delete"):
        check_sparsity(weights, masks, 0.5, "x.safetensors")


@pytest.mark.parametrize("value", [True, False])
def test_one_mask_entry_too_many_or_too_few_is_an_error(value):
    weights, masks = finished()
    total = sum(mask.numel() for mask in masks.values())
    place = (masks["2.weight"] != value).nonzero()[0]
    masks["2.weight"][tuple(place)] = value
    weights["2.weight"] *= masks["2.weight"]
    wrong = total // 2 + (-1 if value else 1)
    with pytest.raises(ArtefactError, match=rf"x: {wrong} of {total} .*0\.5 means {total // 2}"):
        check_sparsity(weights, masks, 0.5, "x")


def test_a_model_without_masks_is_not_sparse():
    with pytest.raises(ArtefactError, match="x"):
        check_sparsity(finished()[0], {}, 0.5, "x")


def test_a_pruned_model_is_not_dense():
    with pytest.raises(ArtefactError, match=r"sparsity 0\.0 means 0"):
        check_sparsity(*finished(), 0.0, "x")
