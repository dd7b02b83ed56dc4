"""The lock-step trainer against a plain loop over one module, and its promises."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from jobs_for_tests import PRUNING, make_specs, settings_of

from shadowmill import architectures
from shadowmill.errors import TrainingError
from shadowmill.pruning import PruningPlan
from shadowmill.pruning.masks import check_sparsity, magnitude_masks, num_pruned
from shadowmill.seeds import seed_of
from shadowmill.training.batches import BatchSource
from shadowmill.training.lockstep import Stack
from shadowmill.training.recipe import learning_rate

CPU = torch.device("cpu")
EPOCH = 200


def trained(specs, settings, data):
    stack = Stack(specs, settings, data, EPOCH, CPU)
    while stack.step < stack.total_steps:
        stack.train_step()
    return stack


def plain_loop(spec, settings, data):
    """One model the obvious way: a module, hand-written SGD, masks multiplied into the weights.

    The gradient is taken at the sparse weights; static pruning masks it, DPF does not.
    """
    recipe = settings["recipe"]
    steps = round(EPOCH / recipe["batch_size"])
    height, _, channels = data.images.shape[1:]
    module = architectures.build(
        settings["architecture"], channels, data.num_classes, height, seed_of(spec.seed, "init")
    ).train()
    plan = PruningPlan.of(settings["pruning"], steps)
    source = BatchSource(data, [spec.seed], [spec.members], recipe, steps, CPU)
    dense = {name: p.detach().clone() for name, p in module.named_parameters()}
    convolutions = [
        f"{n}.weight" for n, m in module.named_modules() if isinstance(m, torch.nn.Conv2d)
    ]
    velocity = {name: torch.zeros_like(p) for name, p in dense.items()}
    masks = {}
    total = recipe["epochs"] * steps
    for step in range(total):
        if plan.is_due(step):
            stacked = {name: dense[name][None] for name in convolutions}
            new = magnitude_masks(stacked, plan.sparsity_at(step // steps))
            masks = {name: mask[0] for name, mask in new.items()}
        with torch.no_grad():
            for name, p in module.named_parameters():
                p.copy_(dense[name] * masks[name] if name in masks else dense[name])
        images, labels = source.batch(step)
        module.zero_grad()
        F.cross_entropy(module(images[0]), labels[0]).backward()
        rate = learning_rate(recipe, step, total, steps)
        for name, p in module.named_parameters():
            gradient = p.grad
            if name in masks and not plan.feedback:
                gradient = gradient * masks[name]
            gradient = gradient + recipe["weight_decay"] * dense[name]
            velocity[name] = recipe["momentum"] * velocity[name] + gradient
            dense[name] = dense[name] - rate * velocity[name]
    return {n: w * masks[n] if n in masks else w for n, w in dense.items()}


def assert_same(one, other, tolerance):
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(one[name], other[name], rtol=tolerance, atol=tolerance)


def test_model_in_a_stack_equals_a_plain_loop(digits, pruning):
    specs, settings = make_specs(3), settings_of(pruning)
    state, _, _ = trained(specs, settings, digits).final(1)
    expected = plain_loop(specs[1], settings, digits)
    assert_same({name: state[name] for name in expected}, expected, 1e-4)


def test_model_in_a_stack_equals_the_model_alone(digits, pruning):
    specs, settings = make_specs(4), settings_of(pruning)
    stacked, masks, history = trained(specs, settings, digits).final(2)
    alone, alone_masks, alone_history = trained([specs[2]], settings, digits).final(0)
    assert_same(stacked, alone, 1e-4)
    assert all((masks[name] == alone_masks[name]).float().mean() > 0.995 for name in masks)
    np.testing.assert_allclose(history["loss"], alone_history["loss"], rtol=1e-3)


@pytest.mark.parametrize("method", ["dense", "dpf"])
def test_batchnorm_statistics_of_a_stack_equal_those_alone(digits, method):
    specs = make_specs(2, num_members=16)
    settings = settings_of(PRUNING[method], "resnet18", batch_size=8, epochs=3, learning_rate=0.01)
    stacks = []
    for chosen in (specs, specs[1:]):
        stack = Stack(chosen, settings, digits, 16, CPU)
        for _ in range(2):
            stack.train_step()
        stacks.append(stack)
    together, alone = stacks[0].final(1)[0], stacks[1].final(0)[0]
    assert together["bn1.num_batches_tracked"] == 2
    assert together["bn1.running_mean"].abs().sum() > 0
    assert_same(together, alone, 2e-3)


def test_models_of_a_stack_differ(digits):
    stack = trained(make_specs(2), settings_of(PRUNING["dense"]), digits)
    first, second = stack.final(0)[0], stack.final(1)[0]
    assert not torch.allclose(first["0.weight"], second["0.weight"])


def test_training_learns(digits):
    history = trained(make_specs(2), settings_of(PRUNING["dense"], epochs=60), digits).final(0)[2]
    assert history["loss"][-1] < history["loss"][0] / 2
    assert history["accuracy"][-1] > 0.7


@pytest.mark.parametrize("method", ["static", "dpf"])
def test_final_sparsity_is_exact(digits, method):
    stack = trained(make_specs(2), settings_of(PRUNING[method]), digits)
    for index in range(2):
        state, masks, history = stack.final(index)
        check_sparsity(state, masks, 0.9, "a test model")
        total = sum(mask.numel() for mask in masks.values())
        assert history["sparsity"][-1] == pytest.approx(num_pruned(total, 0.9) / total)
        assert set(masks) == {"0.weight", "2.weight", "4.weight"}  # convolutions, not the head


def test_static_prunes_once_at_its_epoch_and_never_lets_a_weight_back(digits):
    stack = Stack(make_specs(1), settings_of(PRUNING["static"]), digits, EPOCH, CPU)
    for _ in range(stack.steps_per_epoch):
        assert not stack.masks
        stack.train_step()
    stack.train_step()
    first = {name: mask.clone() for name, mask in stack.masks.items()}
    while stack.step < stack.total_steps:
        stack.train_step()
    assert all(torch.equal(first[name], mask) for name, mask in stack.masks.items())
    assert stack.history["reactivated"] == [[0.0]] * 4


def test_dpf_lets_weights_back(digits):
    stack = trained(make_specs(1), settings_of(PRUNING["dpf"]), digits)
    assert sum(epoch[0] for epoch in stack.history["reactivated"]) > 0
    sparsity = [epoch[0] for epoch in stack.history["sparsity"]]
    assert sparsity == sorted(sparsity)
    assert sparsity[-1] == pytest.approx(0.9, abs=1e-3)


def test_divergence_names_model_and_step(digits):
    specs = make_specs(2)
    settings = settings_of(PRUNING["dense"], learning_rate=1e30)
    stack = Stack(specs, settings, digits, EPOCH, CPU)
    for _ in range(stack.steps_per_epoch - 1):
        stack.train_step()
    with pytest.raises(TrainingError, match=r"shadow-00-0 at step \d, shadow-00-1 at step \d"):
        stack.train_step()


def test_epochs_do_not_depend_on_the_siblings_member_counts(digits):
    short, long = make_specs(1, 199) + make_specs(1, 200)
    settings = settings_of(PRUNING["dense"])
    together = Stack([short, long], settings, digits, 199, CPU)
    alone = Stack([long], settings, digits, 199, CPU)
    assert together.total_steps == alone.total_steps
