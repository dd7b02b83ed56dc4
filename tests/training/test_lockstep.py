"""The lock-step trainer against a plain loop over one module, and its promises."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from jobs_for_tests import PRUNING, make_specs, make_stack, settings_of, trained

from shadowmill import architectures
from shadowmill.errors import TrainingError
from shadowmill.pruning import PruningPlan
from shadowmill.pruning.masks import check_masks, compute_masks, num_pruned
from shadowmill.seeds import seed_of
from shadowmill.training.batches import BatchSource, Pool
from shadowmill.training.recipe import learning_rate

CPU = torch.device("cpu")
EPOCH = 200


def plain_loop(spec, settings, data):
    """One model the obvious way: a module, hand-written SGD, masks multiplied into the weights.

    The gradient is taken at the sparse weights; static pruning masks it, DPF does not.
    """
    recipe = settings["recipe"]
    steps = round(EPOCH / recipe["batch_size"])
    module = architectures.build(
        settings["architecture"], data.input_shape, data.num_classes, seed_of(spec.seed, "init")
    ).train()
    plan = PruningPlan.of(settings["pruning"], steps)
    pool = Pool(data, 1797, CPU)
    source = BatchSource(pool, [spec.seed], [spec.members], recipe, steps)
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
            sparsity = plan.sparsity_at(step // steps)
            new = compute_masks(stacked, dict.fromkeys(stacked, ()), "global_magnitude", sparsity)
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
    state = trained(specs, settings, digits).final(1).state
    expected = plain_loop(specs[1], settings, digits)
    assert_same({name: state[name] for name in expected}, expected, 1e-4)


def test_model_in_a_stack_equals_the_model_alone(digits, pruning):
    specs, settings = make_specs(4), settings_of(pruning)
    stacked = trained(specs, settings, digits).final(2)
    alone = trained([specs[2]], settings, digits).final(0)
    assert_same(stacked.state, alone.state, 1e-4)
    for name, mask in stacked.masks.items():
        assert (mask == alone.masks[name]).float().mean() > 0.995
    np.testing.assert_allclose(stacked.history["loss"], alone.history["loss"], rtol=1e-3)


@pytest.mark.long
@pytest.mark.parametrize("method", ["dense", "dpf"])
def test_batchnorm_statistics_of_a_stack_equal_those_alone(digits, method):
    specs = make_specs(2, num_members=16)
    settings = settings_of(PRUNING[method], "resnet18", batch_size=8, epochs=3, learning_rate=0.01)
    stacks = []
    for chosen in (specs, specs[1:]):
        stack = make_stack(chosen, settings, digits, 16)
        for _ in range(2):
            stack.train_step()
        stacks.append(stack)
    together, alone = stacks[0].final(1).state, stacks[1].final(0).state
    assert together["bn1.num_batches_tracked"] == 2
    assert together["bn1.running_mean"].abs().sum() > 0
    assert_same(together, alone, 2e-3)


def test_models_of_a_stack_differ(digits):
    stack = trained(make_specs(2), settings_of(PRUNING["dense"]), digits)
    first, second = stack.final(0).state, stack.final(1).state
    assert not torch.allclose(first["0.weight"], second["0.weight"])


def test_training_learns(digits):
    history = (
        trained(make_specs(2), settings_of(PRUNING["dense"], epochs=60), digits).final(0).history
    )
    assert history["loss"][-1] < history["loss"][0] / 2
    assert history["accuracy"][-1] > 0.7


@pytest.mark.parametrize("method", ["static", "dpf"])
def test_final_sparsity_is_exact(digits, method):
    stack = trained(make_specs(2), settings_of(PRUNING[method]), digits)
    for index in range(2):
        model = stack.final(index)
        check_masks(model.state, model.masks, PRUNING[method], "a test model")
        total = sum(mask.numel() for mask in model.masks.values())
        assert model.history["sparsity"][-1] == pytest.approx(num_pruned(total, 0.9) / total)
        # Convolutions, not the head.
        assert set(model.masks) == {"0.weight", "2.weight", "4.weight"}


def test_static_prunes_once_at_its_epoch_and_never_lets_a_weight_back(digits):
    stack = make_stack(make_specs(1), settings_of(PRUNING["static"]), digits)
    for _ in range(stack.steps_per_epoch):
        assert not stack.masks
        stack.train_step()
    stack.train_step()
    first = {name: mask.clone() for name, mask in stack.masks.items()}
    while stack.step < stack.total_steps:
        stack.train_step()
    assert all(torch.equal(first[name], mask) for name, mask in stack.masks.items())
    history = stack.final(0).history
    assert history["reactivated"] == [0.0] * 4
    assert history["mask_overlap"] == pytest.approx([1.0, 0.1, 1.0, 1.0], abs=1e-3)


def test_dpf_lets_weights_back(digits):
    stack = trained(make_specs(1), settings_of(PRUNING["dpf"]), digits)
    history = stack.final(0).history
    assert sum(history["reactivated"]) > 0
    # The ramp begins at sparsity 0, with all weights kept.
    assert history["mask_overlap"][0] == 1
    assert all(0 < overlap < 1 for overlap in history["mask_overlap"][1:])
    sparsity = history["sparsity"]
    assert sparsity == sorted(sparsity)
    assert sparsity[-1] == pytest.approx(0.9, abs=1e-3)


def test_divergence_names_model_and_step(digits):
    specs = make_specs(2)
    settings = settings_of(PRUNING["dense"], learning_rate=1e30)
    stack = make_stack(specs, settings, digits)
    for _ in range(stack.steps_per_epoch - 1):
        stack.train_step()
    with pytest.raises(TrainingError, match=r"shadow-00-0 at step \d, shadow-00-1 at step \d"):
        stack.train_step()


def test_epochs_do_not_depend_on_the_siblings_member_counts(digits):
    short, long = make_specs(1, 199) + make_specs(1, 200)
    settings = settings_of(PRUNING["dense"])
    together = make_stack([short, long], settings, digits, 199)
    alone = make_stack([long], settings, digits, 199)
    assert together.total_steps == alone.total_steps
