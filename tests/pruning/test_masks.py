"""Masks: exact counts, the same weights as PyTorch prunes, gradients with and without feedback."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn.utils import prune
from torchvision.models import densenet121, efficientnet_b0, resnet18, vgg11_bn

from shadowmill.errors import ConfigError
from shadowmill.pruning import CRITERIA
from shadowmill.pruning.masks import _kth_smallest, compute_masks, masked, num_pruned, prunable

SPARSITIES = [0.1, 0.29, 0.3, 0.5, 0.7, 0.9, 0.95, 0.999]


def network(seed=0):
    """Layers of every kind, tiny ones among them, with values that differ everywhere."""
    layers = [
        nn.Conv2d(1, 8, 3),
        nn.BatchNorm2d(8),
        nn.Sequential(nn.Conv2d(8, 16, 3, bias=False), nn.BatchNorm2d(16)),
        nn.Conv2d(16, 16, 3, groups=16),
        nn.Conv2d(16, 1, 1),
        nn.BatchNorm2d(1),
        nn.Flatten(),
        nn.Linear(40, 7),
        nn.Linear(7, 1),
    ]
    module = nn.Sequential(*layers)
    random = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        parameter.data = torch.randn(parameter.shape, generator=random)
    return module


def stack(modules, criterion):
    """Weights of the modules, stacked, and their companions."""
    companions = prunable(modules[0], criterion)
    states = [module.state_dict() for module in modules]
    return {name: torch.stack([s[name] for s in states]) for name in companions}, companions


def rounded(modules, levels):
    """The same modules with few distinct values, many of them zero."""
    for module in modules:
        for parameter in module.parameters():
            parameter.data = (parameter.data * levels / 3).round()
    return modules


# Which parameters.


def test_parameters_that_each_criterion_prunes():
    none = ()
    convolutions = {"0.weight": none, "2.0.weight": none, "3.weight": none, "4.weight": none}
    linear = {"7.weight": none, "8.weight": none}
    filters = {
        "0.weight": ("0.bias",),
        "2.0.weight": none,
        "3.weight": ("3.bias",),
        "4.weight": ("4.bias",),
    }
    channels = {"1.weight": ("1.bias",), "2.1.weight": ("2.1.bias",), "5.weight": ("5.bias",)}
    assert {criterion: prunable(network(), criterion) for criterion in CRITERIA} == {
        "global_magnitude": convolutions,
        "layer_magnitude": convolutions | linear,
        "filter_l1": filters,
        "filter_l2": filters,
        "batch_norm_scale": channels,
    }


def test_batch_norm_without_scales_is_not_prunable():
    module = nn.Sequential(nn.BatchNorm2d(2, affine=False), nn.BatchNorm2d(2))
    assert prunable(module, "batch_norm_scale") == {"1.weight": ("1.bias",)}


@pytest.mark.parametrize(
    ("criterion", "layer"),
    [(c, "Conv2d") for c in ("global_magnitude", "filter_l1", "filter_l2")]
    + [("layer_magnitude", "Conv2d or Linear"), ("batch_norm_scale", "BatchNorm2d")],
)
def test_a_network_with_nothing_to_prune_is_an_error(criterion, layer):
    module = nn.Sequential(nn.GroupNorm(1, 4), nn.BatchNorm1d(4))
    with pytest.raises(
        ConfigError, match=f"criterion {criterion} .* no {layer} layer .*Sequential"
    ):
        prunable(module, criterion)


def test_a_tabular_network_has_linear_layers_only():
    module = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    assert prunable(module, "layer_magnitude") == {"0.weight": (), "2.weight": ()}
    with pytest.raises(ConfigError, match="global_magnitude"):
        prunable(module, "global_magnitude")


# PyTorch's own pruning as the oracle. It rounds to the nearest count; given as a count, it prunes
# what we ask for.


def count(weight, sparsity):
    return num_pruned(len(weight.flatten()), sparsity)


def prune_globally(layers, sparsity):
    total = sum(count(layer.weight, 1) for layer in layers)
    prune.global_unstructured(
        [(layer, "weight") for layer in layers],
        pruning_method=prune.L1Unstructured,
        amount=num_pruned(total, sparsity),
    )


def prune_each(layers, sparsity):
    for layer in layers:
        prune.l1_unstructured(layer, "weight", amount=count(layer.weight, sparsity))


def prune_filters(order):
    def apply(layers, sparsity):
        for layer in layers:
            amount = num_pruned(len(layer.weight), sparsity)
            prune.ln_structured(layer, "weight", amount=amount, n=order, dim=0)

    return apply


ORACLES = {
    "global_magnitude": prune_globally,
    "layer_magnitude": prune_each,
    "filter_l1": prune_filters(1),
    "filter_l2": prune_filters(2),
    "batch_norm_scale": prune_globally,
}


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("sparsity", SPARSITIES)
def test_the_same_weights_as_pytorch(criterion, sparsity):
    modules = [network(seed) for seed in range(3)]
    weights, companions = stack(modules, criterion)
    masks = compute_masks(weights, companions, criterion, sparsity)
    for model, module in enumerate(modules):
        layers = [module.get_submodule(name.removesuffix(".weight")) for name in weights]
        ORACLES[criterion](layers, sparsity)
        for name, layer in zip(weights, layers, strict=True):
            assert torch.equal(layer.weight_mask.bool(), masks[name][model])


# Slow twins, which also say what happens to equal values.


def slow_keep(scores, sparsity):
    """Sort, of equals the earlier first; prune from below."""
    order = sorted(range(len(scores)), key=lambda i: (scores[i], i))
    pruned = set(order[: math.floor(len(scores) * sparsity + 1e-9)])
    return [i not in pruned for i in range(len(scores))]


def slow_masks(module, criterion, sparsity):
    """One model; filter norms are compared as exact sums, squares instead of roots."""
    state = module.state_dict()
    weights = {name: state[name].double() for name in prunable(module, criterion)}
    power = {"filter_l1": 1, "filter_l2": 2}.get(criterion)
    scores = {
        name: [sum(abs(x) ** power for x in f.flatten().tolist()) for f in weight]
        if power
        else weight.abs().flatten().tolist()
        for name, weight in weights.items()
    }
    if criterion in ("global_magnitude", "batch_norm_scale"):
        keep = iter(slow_keep([x for score in scores.values() for x in score], sparsity))
        kept = {name: [next(keep) for _ in score] for name, score in scores.items()}
    else:
        kept = {name: slow_keep(score, sparsity) for name, score in scores.items()}
    masks = {}
    for name, weight in weights.items():
        keep = torch.tensor(kept[name])
        filters = keep.view(-1, 1, 1, 1).repeat(1, *weight.shape[1:]) if power else keep
        masks[name] = filters.view(weight.shape)
        masks |= {companion: keep for companion in prunable(module, criterion)[name]}
    return masks


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("sparsity", SPARSITIES)
@pytest.mark.parametrize("levels", [1, 2, 5, 1000])
def test_exact_counts_with_ties_and_zeros(criterion, sparsity, levels):
    modules = rounded([network(seed) for seed in range(3)], levels)
    modules[2][0].weight.data.zero_()
    modules[2][2][1].weight.data.fill_(-1)
    weights, companions = stack(modules, criterion)
    masks = compute_masks(weights, companions, criterion, sparsity)
    for model, module in enumerate(modules):
        expected = slow_masks(module, criterion, sparsity)
        assert masks.keys() == expected.keys()
        for name, mask in masks.items():
            assert mask.dtype == torch.bool
            assert torch.equal(mask[model], expected[name])


@pytest.mark.parametrize("sparsity", SPARSITIES)
def test_equal_weights_are_pruned_to_the_exact_count_from_the_front(sparsity):
    weights = {"a": torch.full((2, 7, 13), -0.5)}
    masks = compute_masks(weights, {"a": ()}, "global_magnitude", sparsity)
    pruned = math.floor(91 * sparsity + 1e-9)
    assert masks["a"].flatten(1).tolist() == [[False] * pruned + [True] * (91 - pruned)] * 2


@pytest.mark.parametrize("criterion", CRITERIA)
def test_the_last_of_a_layers_units_is_never_pruned(criterion):
    weights = {"a": torch.zeros(2, 1, 1, 1, 1)}
    weights = {"a": torch.zeros(2, 1)} if criterion == "batch_norm_scale" else weights
    masks = compute_masks(weights, {"a": ("b",)}, criterion, 0.999)
    assert masks["a"].all()
    assert masks["b"].tolist() == [[True], [True]]


@pytest.mark.parametrize(
    ("criterion", "a", "b"),
    # Magnitudes 4 1 3 | 2 5. Of all five, 0.6 prunes three: 1, 2 and 3. Of three and of two, it
    # prunes one each: 1 and 2.
    [
        ("global_magnitude", [True, False, False], [False, True]),
        ("layer_magnitude", [True, False, True], [False, True]),
    ],
)
def test_magnitudes_by_hand_over_two_layers(criterion, a, b):
    weights = {"a": torch.tensor([[-4.0, 1, 3]]), "b": torch.tensor([[-2.0, 5]])}
    masks = compute_masks(weights, {"a": (), "b": ()}, criterion, 0.6)
    assert masks["a"].tolist() == [a]
    assert masks["b"].tolist() == [b]


@pytest.mark.parametrize(
    ("criterion", "keep"),
    # L1 norms 4, 3, 5: the second filter goes. L2 norms √8, 3, √13: the first goes.
    [("filter_l1", [True, False, True]), ("filter_l2", [False, True, True])],
)
def test_filters_by_hand(criterion, keep):
    weights = {"a": torch.tensor([[[2.0, -2], [0, 3], [2, -3]]]).view(1, 3, 2, 1, 1)}
    masks = compute_masks(weights, {"a": ("b",)}, criterion, 0.5)
    assert masks["b"].tolist() == [keep]
    assert masks["a"].flatten(2).tolist() == [[[k, k] for k in keep]]


@pytest.mark.parametrize("seed", range(5))
def test_filters_of_the_same_values_in_another_order_are_equal(seed):
    # Multiples of 2⁻²⁰: the sum of magnitudes is exact in float64, in float32 it is not.
    random = torch.Generator().manual_seed(seed)
    values = (torch.randn(576, generator=random) * 2**20).round() / 2**20
    order = torch.randperm(576, generator=random)
    filters = torch.stack([values, values[order]]).view(2, 64, 3, 3)
    weights = {"a": torch.stack([filters, filters.flip(0)])}
    masks = compute_masks(weights, {"a": ("b",)}, "filter_l1", 0.5)
    assert masks["b"].tolist() == [[False, True], [False, True]]


def test_batch_norm_scales_by_hand():
    # Of |γ| = 4 1 3 | 2 5 1, 0.5 prunes three, over both layers: 1, 2 and the other 1. The shifts
    # β go with them.
    weights = {"a.weight": torch.tensor([[-4.0, 1, 3]]), "b.weight": torch.tensor([[2.0, 5, -1]])}
    companions = {"a.weight": ("a.bias",), "b.weight": ("b.bias",)}
    masks = compute_masks(weights, companions, "batch_norm_scale", 0.5)
    assert {name: mask.tolist() for name, mask in masks.items()} == {
        "a.weight": [[True, False, True]],
        "a.bias": [[True, False, True]],
        "b.weight": [[False, True, False]],
        "b.bias": [[False, True, False]],
    }


@pytest.mark.parametrize("criterion", CRITERIA)
def test_nothing_is_pruned_at_sparsity_0(criterion):
    masks = compute_masks(*stack([network(), network(1)], criterion), criterion, 0.0)
    assert all(mask.all() for mask in masks.values())


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("levels", [2, None])
def test_a_models_mask_does_not_depend_on_its_neighbours(criterion, levels):
    modules = [network(seed) for seed in range(4)]
    weights, companions = stack(rounded(modules, levels) if levels else modules, criterion)
    together = compute_masks(weights, companions, criterion, 0.7)
    alone = compute_masks({n: w[2:3] for n, w in weights.items()}, companions, criterion, 0.7)
    assert all(torch.equal(alone[n][0], together[n][2]) for n in together)


@pytest.mark.parametrize("criterion", CRITERIA)
def test_masks_share_no_memory(criterion):
    weights, companions = stack([network()], criterion)
    masks = compute_masks(weights, companions, criterion, 0.5)
    before = {name: mask.clone() for name, mask in masks.items()}
    changed = next(name for name in masks if name.endswith("weight"))
    masks[changed].logical_not_()
    assert all(torch.equal(masks[n], before[n]) for n in masks if n != changed)


@pytest.mark.parametrize(
    ("total", "sparsity", "count"),
    # 100 · 0.29 and 1000 · 0.57 fall short of 29 and 570 in floating point.
    [(100, 0.29, 29), (1000, 0.57, 570), (10, 0.95, 9), (7, 0.5, 3), (10**8, 0.9, 9 * 10**7)],
)
def test_counts_are_rounded_down_but_not_by_floating_point(total, sparsity, count):
    assert num_pruned(total, sparsity) == count


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("build", [resnet18, vgg11_bn, densenet121, efficientnet_b0])
def test_all_criteria_find_their_layers_in_common_networks(criterion, build):
    with torch.device("meta"):
        module = build()
    kind = {"layer_magnitude": (nn.Conv2d, nn.Linear), "batch_norm_scale": nn.BatchNorm2d}
    wanted = kind.get(criterion, nn.Conv2d)
    names = prunable(module, criterion)
    assert len(names) == sum(isinstance(layer, wanted) for layer in module.modules())
    parameters = dict(module.named_parameters())
    assert all(set(others) < parameters.keys() for others in names.values())


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


def test_a_pruned_batch_norm_channel_is_silent_whatever_goes_in():
    module = network()[:2].eval()
    weights, companions = stack([module], "batch_norm_scale")
    masks = compute_masks(weights, companions, "batch_norm_scale", 0.5)
    state = module.state_dict()
    state |= {name: masked(state[name], mask[0], False) for name, mask in masks.items()}
    random = torch.Generator().manual_seed(1)
    images = torch.randn(3, 1, 6, 6, generator=random)
    active = torch.func.functional_call(module, state, (images,)).abs().amax(dim=(0, 2, 3)) > 0
    assert torch.equal(active, masks["1.weight"][0])
    assert active.sum() == 4


def test_sorting_as_on_a_gpu_finds_the_same_threshold():
    scores = torch.rand(3, 50, generator=torch.Generator().manual_seed(0))
    as_on_a_gpu = SimpleNamespace(is_cuda=True, sort=scores.sort)
    for k in (1, 20, 50):
        expected = torch.tensor([[sorted(row)[k - 1]] for row in scores.tolist()])
        assert torch.equal(_kth_smallest(as_on_a_gpu, k), expected)
        assert torch.equal(_kth_smallest(scores, k), expected)
