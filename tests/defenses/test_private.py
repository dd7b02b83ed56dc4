"""Private gradients against a loop over examples, and their noise."""

import copy
import math
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import stats
from torch import nn

from shadowmill.defenses.private import PrivateGradients

CLASSES = 3


def linear():
    return nn.Linear(4, CLASSES)


def convolutional():
    return nn.Sequential(
        nn.Conv2d(2, 8, 3, padding=1),
        nn.GroupNorm(4, 8),
        nn.ReLU(),
        nn.Conv2d(8, 6, 3, stride=2, bias=False),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(6 * 2 * 2, CLASSES),
    )


NETWORKS = {"linear": (linear, (4,)), "convolutional": (convolutional, (2, 6, 6))}


@pytest.fixture(params=NETWORKS)
def network(request):
    """A network twice, weights that are not its own, and a batch of 11."""
    build, shape = NETWORKS[request.param]
    random = torch.Generator().manual_seed(4)
    module = build().double()
    weights = {
        name: 0.5 * torch.randn(p.shape, generator=random, dtype=p.dtype)
        for name, p in module.named_parameters()
    }
    inputs = torch.randn(11, *shape, generator=random, dtype=torch.float64)
    labels = torch.randint(CLASSES, (11,), generator=random)
    return module, copy.deepcopy(module), weights, inputs, labels


def private(module, *, norm=0.7, noise=0.0, expected=8, seed=1, physical=64):
    return PrivateGradients(module, norm, noise, expected, seed, physical)


def slow_twin(module, weights, masks, inputs, labels, norm, expected, label_smoothing):
    """One example after the other, with ordinary backward passes."""
    leaves = {name: tensor.clone().requires_grad_() for name, tensor in weights.items()}
    total = {name: torch.zeros_like(tensor) for name, tensor in weights.items()}
    for x, y in zip(inputs, labels, strict=True):
        logits = torch.func.functional_call(module, leaves, (x[None],))
        loss = F.cross_entropy(logits, y[None], label_smoothing=label_smoothing)
        gradients = dict(zip(leaves, torch.autograd.grad(loss, leaves.values()), strict=True))
        gradients = {n: g * masks[n] if n in masks else g for n, g in gradients.items()}
        length = math.sqrt(sum(g.square().sum().item() for g in gradients.values()))
        for name, gradient in gradients.items():
            total[name] += gradient * min(1, norm / length)
    return {name: tensor / expected for name, tensor in total.items()}


def half_masks(weights):
    random = torch.Generator().manual_seed(9)
    names = [name for name, tensor in weights.items() if tensor.dim() > 1]
    return {name: torch.rand(weights[name].shape, generator=random) < 0.5 for name in names[:1]}


def test_a_linear_model_by_hand():
    # Logits are 0: posteriors 1/2, so the gradient to the weights is ±x/2 and to the bias ±1/2.
    # x = (2, 0): norm sqrt(1 + 1 + 1/4 + 1/4) = sqrt(2.5) > 1, clipped. x = (0, 0): norm
    # sqrt(1/2) < 1, kept. Expected batch 4.
    module = nn.Linear(2, 2)
    weights = {"weight": torch.zeros(2, 2), "bias": torch.zeros(2)}
    inputs, labels = torch.tensor([[2.0, 0.0], [0.0, 0.0]]), torch.tensor([0, 1])
    gradients, losses, correct = private(module, norm=1.0, expected=4)(
        weights, {}, inputs, labels, 0, 0.0
    )
    clip = 1 / math.sqrt(2.5)
    expected = torch.tensor([[-clip, 0.0], [clip, 0.0]]) / 4
    torch.testing.assert_close(gradients["weight"], expected)
    bias = torch.tensor([-0.5 * clip + 0.5, 0.5 * clip - 0.5]) / 4
    torch.testing.assert_close(gradients["bias"], bias)
    torch.testing.assert_close(losses, torch.full((2,), math.log(2)))
    assert correct.tolist() == [True, False]  # ties go to class 0


@pytest.mark.parametrize("norm", [0.05, 0.7, 1e6])
@pytest.mark.parametrize("masked", [False, True])
def test_clipped_gradients_equal_a_loop_over_examples(network, norm, masked):
    module, plain, weights, inputs, labels = network
    masks = half_masks(weights) if masked else {}
    expected = slow_twin(plain, weights, masks, inputs, labels, norm, 8, 0.1)
    gradients, losses, correct = private(module, norm=norm)(weights, masks, inputs, labels, 0, 0.1)
    assert gradients.keys() == expected.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-9, atol=1e-12)
    logits = torch.func.functional_call(plain, weights, (inputs,))
    twin = F.cross_entropy(logits, labels, reduction="none", label_smoothing=0.1)
    torch.testing.assert_close(losses, twin)
    assert torch.equal(correct, logits.argmax(dim=1) == labels)
    assert correct.dtype == torch.bool


def test_masks_come_before_clipping():
    # x = (3, 4), logits 0: without a mask the norm is sqrt((9 + 16 + 1)/2) > 1. With all weights
    # masked only the bias is left, of norm sqrt(1/2) < 1: nothing is clipped.
    module = nn.Linear(2, 2)
    weights = {"weight": torch.zeros(2, 2), "bias": torch.zeros(2)}
    masks = {"weight": torch.zeros(2, 2, dtype=torch.bool)}
    gradients, _, _ = private(module, norm=1.0, expected=1)(
        weights, masks, torch.tensor([[3.0, 4.0]]), torch.tensor([0]), 0, 0.0
    )
    torch.testing.assert_close(gradients["bias"], torch.tensor([-0.5, 0.5]))
    assert not gradients["weight"].any()


def test_no_example_moves_the_sum_by_more_than_the_norm(network):
    module, _, weights, inputs, labels = network
    compute = private(module, norm=0.3, expected=1)
    whole, _, _ = compute(weights, {}, 100 * inputs, labels, 0, 0.0)
    for left_out in range(len(labels)):
        keep = torch.arange(len(labels)) != left_out
        rest, _, _ = compute(weights, {}, 100 * inputs[keep], labels[keep], 0, 0.0)
        moved = math.sqrt(sum((whole[n] - rest[n]).square().sum().item() for n in whole))
        assert moved <= 0.3 * (1 + 1e-9)


@pytest.mark.parametrize("physical", [1, 4, 11])
def test_parts_change_nothing(network, physical):
    module, other, weights, inputs, labels = network
    arguments = weights, {}, inputs, labels, 3, 0.0
    in_parts, losses, correct = private(module, noise=1.1, physical=physical)(*arguments)
    at_once, other_losses, other_correct = private(other, noise=1.1)(*arguments)
    for name in at_once:
        torch.testing.assert_close(in_parts[name], at_once[name], rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(losses, other_losses)
    assert torch.equal(correct, other_correct)


def test_memory_for_a_few_examples_changes_nothing(network, monkeypatch):
    module, other, weights, inputs, labels = network
    arguments = weights, {}, inputs, labels, 3, 0.0
    compute, sizes = private(module, noise=1.1), []
    clipped_sums = compute._clipped_sums

    def short(masks):
        sizes.append(len(next(iter(compute._parameters.values())).grad_sample))
        if sizes[-1] > 3:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return clipped_sums(masks)

    monkeypatch.setattr(compute, "_clipped_sums", short)
    found, losses, _ = compute(*arguments)
    assert sizes == [11, 5, 2, 2, 2, 2, 2, 1]
    expected, other_losses, _ = private(other, noise=1.1)(*arguments)
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(losses, other_losses)
    compute(*arguments)
    assert sizes[8:] == [2, 2, 2, 2, 2, 1]  # it need not be tried again


def test_calls_do_not_remember_each_other(network):
    module, _, weights, inputs, labels = network
    compute = private(module, noise=0.5)
    first, _, _ = compute(weights, {}, inputs, labels, 3, 0.0)
    compute({n: -w for n, w in weights.items()}, {}, inputs[:5], labels[:5], 4, 0.0)
    again, _, _ = compute(weights, {}, inputs, labels, 3, 0.0)
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_an_empty_batch_is_noise_alone(network):
    module, _, weights, inputs, labels = network
    quiet, losses, correct = private(module)(weights, {}, inputs[:0], labels[:0], 0, 0.0)
    assert not any(gradient.any() for gradient in quiet.values())
    assert losses.shape == correct.shape == (0,)


def test_noise_is_added_to_the_sum_of_clipped_gradients(network):
    module, plain, weights, inputs, labels = network
    compute = private(module, norm=0.7, noise=2.0)
    masks = half_masks(weights)
    gradients, _, _ = compute(weights, masks, inputs, labels, 5, 0.0)
    noise, _, _ = compute(weights, masks, inputs[:0], labels[:0], 5, 0.0)
    clipped = slow_twin(plain, weights, masks, inputs, labels, 0.7, 8, 0.0)
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, clipped[name] + noise[name], rtol=1e-9, atol=1e-12)


def noise_of(seed, steps, masks=None, norm=0.5, sigma=3.0, expected=6):
    """Noise of several steps, (steps, weights), of a layer of 100 × 100."""
    compute = private(nn.Linear(100, 100), norm=norm, noise=sigma, expected=expected, seed=seed)
    weights = {"weight": torch.zeros(100, 100), "bias": torch.zeros(100)}
    empty = torch.zeros(0, 100), torch.zeros(0, dtype=torch.int64)
    drawn = [compute(weights, masks or {}, *empty, step, 0.0)[0] for step in steps]
    return np.stack([np.append(g["weight"].numpy(), g["bias"].numpy()) for g in drawn])


def test_noise_is_normal_with_the_stated_deviation():
    values = noise_of(1, range(5)).ravel() / (3.0 * 0.5 / 6)
    # 50,500 values: the deviation is known to 0.3 %, so 2 % is six of its errors.
    assert values.std() == pytest.approx(1, rel=0.02)
    assert abs(values.mean()) < 6 / math.sqrt(values.size)
    assert stats.kstest(values, "norm").pvalue > 1e-4


def test_noise_of_steps_seeds_and_parameters_is_independent():
    values = np.concatenate([noise_of(1, [0, 1]), noise_of(2, [0])])
    correlations = np.corrcoef(values)[np.triu_indices(3, 1)]
    assert np.abs(correlations).max() < 6 / math.sqrt(values.shape[1])
    assert abs(np.corrcoef(values[0][:100], values[0][-100:])[0, 1]) < 0.6


def test_noise_is_the_same_whenever_its_step_is_taken():
    np.testing.assert_array_equal(noise_of(1, [0, 1, 2])[2], noise_of(1, [2])[0])


def test_noise_is_masked_too():
    mask = torch.zeros(100, 100)
    mask[:50] = 1
    masked = noise_of(1, [0], {"weight": mask})[0]
    plain = noise_of(1, [0])[0]
    np.testing.assert_array_equal(masked[:5000], plain[:5000])
    assert not masked[5000:10_000].any()
    np.testing.assert_array_equal(masked[10_000:], plain[10_000:])


def test_the_global_generator_is_left_alone():
    module = linear()
    before = torch.get_rng_state()
    weights = {"weight": torch.zeros(3, 4), "bias": torch.zeros(3)}
    inputs, labels = torch.zeros(2, 4), torch.tensor([0, 1])
    private(module, noise=1.0)(weights, {}, inputs, labels, 0, 0.0)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_step_gives_no_warnings():
    weights = {name: tensor.detach() for name, tensor in convolutional().named_parameters()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        private(convolutional())(weights, {}, torch.ones(2, 2, 6, 6), torch.tensor([0, 1]), 0, 0.0)
