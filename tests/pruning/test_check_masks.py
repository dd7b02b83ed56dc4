"""The check of finished models: right masks pass, and each way to be wrong is found."""

import pytest
import torch
from torch import nn
from torchvision.models import densenet121, efficientnet_b0, resnet18, vgg11_bn

from shadowmill.errors import ArtefactError
from shadowmill.pruning import CRITERIA
from shadowmill.pruning.masks import _RULES, _companions, check_masks, compute_masks, prunable

DENSE = {"method": "dense", "sparsity": 0.0}


def network():
    module = nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 4, 1, bias=False), nn.Linear(10, 3)
    )
    random = torch.Generator().manual_seed(0)
    for parameter in module.parameters():
        parameter.data = torch.randn(parameter.shape, generator=random)
    return module


def finished(criterion, sparsity=0.5):
    """State, masks and settings of a model that is what it claims."""
    module = network()
    state = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    companions = prunable(module, criterion)
    weights = {name: state[name][None] for name in companions}
    masks = compute_masks(weights, companions, criterion, sparsity)
    masks = {name: mask[0] for name, mask in masks.items()}
    state |= {name: state[name] * mask for name, mask in masks.items()}
    return state, masks, {"method": "x", "sparsity": sparsity, "criterion": criterion}


def refused(state, masks, pruning, match):
    with pytest.raises(ArtefactError, match=rf"x\.safetensors: .*{match}.*Delete the model"):
        check_masks(state, masks, pruning, "x.safetensors")


def flip(state, masks, name, place):
    """Change one entry of a mask, and keep the weights zero under it."""
    masks[name][place] = not masks[name][place]
    state[name] = state[name] * masks[name]


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("sparsity", [0.1, 0.5, 0.9, 0.999])
def test_a_model_of_its_claimed_sparsity_passes(criterion, sparsity):
    check_masks(*finished(criterion, sparsity), "model")


def test_a_dense_model_needs_no_masks_and_may_have_none():
    state, masks, _ = finished("global_magnitude")
    check_masks(state, {}, DENSE, "model")
    refused(state, masks, DENSE, "2 masks in a model of sparsity 0")


@pytest.mark.parametrize("criterion", CRITERIA)
def test_a_model_without_masks_is_not_sparse(criterion):
    state, _, pruning = finished(criterion)
    refused(state, {}, pruning, r"no masks in a model of sparsity 0\.5")


@pytest.mark.parametrize("criterion", CRITERIA)
def test_one_entry_under_a_mask_that_is_not_zero_is_an_error(criterion):
    for name in finished(criterion)[1]:
        state, masks, pruning = finished(criterion)
        if not masks[name].all():
            state[name][tuple((~masks[name]).nonzero()[0])] = 1e-30
            refused(state, masks, pruning, f"{name} has weights other than zero")


@pytest.mark.parametrize("sparsity", [0.3, 0.7])
@pytest.mark.parametrize("criterion", CRITERIA)
def test_another_sparsity_is_an_error(criterion, sparsity):
    state, masks, pruning = finished(criterion)
    refused(state, masks, pruning | {"sparsity": sparsity}, f"sparsity {sparsity} means")


@pytest.mark.parametrize("value", [True, False])
def test_one_mask_entry_too_many_or_too_few_is_an_error(value):
    # 72 + 32 weights of convolutions.
    state, masks, pruning = finished("global_magnitude")
    flip(state, masks, "2.weight", tuple((masks["2.weight"] != value).nonzero()[0]))
    wrong = 51 if value else 53
    refused(state, masks, pruning, rf"{wrong} of 104 weights of all layers .*0\.5 means 52")


def test_a_wrong_division_over_layers_is_an_error_where_it_is_per_layer():
    # One weight more in a layer and one less in another: the same total.
    for criterion in ("global_magnitude", "layer_magnitude"):
        state, masks, pruning = finished(criterion)
        flip(state, masks, "0.weight", tuple(masks["0.weight"].nonzero()[0]))
        flip(state, masks, "2.weight", tuple((~masks["2.weight"]).nonzero()[0]))
        if criterion == "global_magnitude":
            check_masks(state, masks, pruning, "model")
        else:
            refused(state, masks, pruning, r"37 of 72 weights of 0\.weight .* means 36")


def test_a_filter_pruned_in_part_is_an_error():
    state, masks, pruning = finished("filter_l1")
    flip(state, masks, "0.weight", (0, 0, 1, 1))
    refused(state, masks, pruning, r"0\.weight has filters that are pruned in part")


def test_a_whole_filter_too_many_is_an_error():
    state, masks, pruning = finished("filter_l2")
    first = int(masks["0.bias"].nonzero()[0])
    for name in ("0.weight", "0.bias"):
        masks[name][first] = False
        state[name] = state[name] * masks[name]
    refused(state, masks, pruning, r"5 of 8 filters of 0\.weight .* means 4")


@pytest.mark.parametrize(
    ("criterion", "bias"), [("filter_l1", "0.bias"), ("batch_norm_scale", "1.bias")]
)
def test_a_bias_masked_otherwise_than_its_weight_is_an_error(criterion, bias):
    state, masks, pruning = finished(criterion)
    masks[bias] = masks[bias].roll(1)
    state[bias] = state[bias] * masks[bias]
    weight = bias.replace("bias", "weight")
    refused(state, masks, pruning, f"{bias} is not masked as {weight} is")


@pytest.mark.parametrize("criterion", CRITERIA)
def test_a_missing_or_surplus_mask_is_an_error(criterion):
    for name in finished(criterion)[1]:
        state, masks, pruning = finished(criterion)
        total = len(masks)
        del masks[name]
        if masks:
            refused(state, masks, pruning, f"1 of {total} masks are missing, the first is {name}")
    state, masks, pruning = finished(criterion)
    masks["3.bias"] = torch.ones(3, dtype=torch.bool)
    refused(state, masks, pruning, rf"{criterion} does not prune 3\.bias")


def test_a_mask_of_another_shape_is_an_error():
    state, masks, pruning = finished("global_magnitude")
    masks["2.weight"] = masks["2.weight"][:, :1]
    refused(
        state, masks, pruning, r"2\.weight has shape \(4, 1, 1, 1\), its weights \(4, 8, 1, 1\)"
    )


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("build", [network, resnet18, vgg11_bn, densenet121, efficientnet_b0])
def test_layers_are_recognised_by_their_tensors(criterion, build):
    with torch.device("meta"):
        module = nn.Sequential(build(), nn.GroupNorm(1, 4))
    found = _companions(module.state_dict(), _RULES[criterion])
    assert found == prunable(module, criterion)


def test_filters_may_have_a_single_weight():
    pruning = {"method": "x", "sparsity": 0.5, "criterion": "filter_l1"}
    mask = torch.tensor([True, False, True, False])
    masks = {"0.weight": mask.view(4, 1, 1, 1), "0.bias": mask.clone()}
    state = {name: torch.ones(each.shape) * each for name, each in masks.items()}
    check_masks(state, masks, pruning, "model")
    flip(state, masks, "0.bias", 0)
    refused(state, masks, pruning, "bias is not masked as 0.weight is")
