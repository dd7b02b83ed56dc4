"""Learning rates by hand; optimisers over stacks against PyTorch's own on each model."""

import pytest
import torch

from shadowmill.training.recipe import learning_rate, optimizer


def rates(schedule, steps, per_epoch):
    recipe = {"learning_rate": 0.1, "schedule": schedule}
    return [learning_rate(recipe, step, steps, per_epoch) for step in range(steps)]


def test_constant():
    assert rates({"name": "constant"}, 5, 2) == [0.1] * 5


def test_multistep_multiplies_at_each_milestone():
    found = rates({"name": "multistep", "milestones": [2, 3], "gamma": 0.1}, 8, 2)
    assert found == pytest.approx([0.1] * 4 + [0.01] * 2 + [0.001] * 2)


def test_cosine_falls_from_the_peak_to_zero():
    # ½(1 + cos(π k/6)), k = 0 … 5; k = 6 would be 0.
    falling = [1, 0.9330127, 0.75, 0.5, 0.25, 0.0669873]
    assert rates({"name": "cosine"}, 6, 2) == pytest.approx([0.1 * f for f in falling], rel=1e-6)


def test_one_cycle_rises_linearly_and_falls_along_a_cosine():
    found = rates({"name": "one_cycle", "warmup": 0.25}, 8, 2)
    # Rise over 2 of 8 steps: 1/3 and 2/3 of the peak; then ½(1 + cos(π k/6)), k = 0 … 5.
    falling = [1, 0.9330127, 0.75, 0.5, 0.25, 0.0669873]
    assert found == pytest.approx([0.1 / 3, 0.2 / 3] + [0.1 * f for f in falling], rel=1e-6)


WARMUP = {"warmup_epochs": 2, "warmup_start": 0.5}


def test_constant_after_a_rise_from_half():
    found = rates({"name": "constant"} | WARMUP, 6, 2)
    assert found == pytest.approx([0.05, 0.0625, 0.075, 0.0875, 0.1, 0.1])


def test_a_rise_starts_from_zero_unless_told():
    found = rates({"name": "constant", "warmup_epochs": 1}, 5, 4)
    assert found == pytest.approx([0, 0.025, 0.05, 0.075, 0.1])


def test_a_cosine_begins_where_the_rise_ends():
    found = rates({"name": "cosine"} | WARMUP, 8, 2)
    # Steps 4 … 7 are ½(1 + cos(π k/4)), k = 0 … 3.
    falling = [1, 0.8535534, 0.5, 0.1464466]
    expected = [0.05, 0.0625, 0.075, 0.0875] + [0.1 * f for f in falling]
    assert found == pytest.approx(expected, rel=1e-6)


def test_milestones_count_from_the_first_epoch():
    found = rates({"name": "multistep", "milestones": [3], "gamma": 0.1} | WARMUP, 8, 2)
    assert found == pytest.approx([0.05, 0.0625, 0.075, 0.0875, 0.1, 0.1, 0.01, 0.01])


def test_a_rise_ends_at_what_the_schedule_has_there():
    # The milestone lies within the rise, which goes from 0.05 to 0.02.
    found = rates({"name": "multistep", "milestones": [1], "gamma": 0.2} | WARMUP, 6, 2)
    assert found == pytest.approx([0.05, 0.0425, 0.035, 0.0275, 0.02, 0.02])


@pytest.mark.parametrize(
    "schedule",
    [
        {"name": "constant"},
        {"name": "cosine"},
        {"name": "multistep", "milestones": [20, 30], "gamma": 0.1},
    ],
    ids=lambda schedule: schedule["name"],
)
def test_a_rise_equals_pytorchs_schedulers_in_sequence(schedule):
    own = [torch.nn.Parameter(torch.zeros(1))]
    sgd = torch.optim.SGD(own, lr=0.1)
    after = {
        "constant": lambda: torch.optim.lr_scheduler.ConstantLR(sgd, factor=1.0),
        "cosine": lambda: torch.optim.lr_scheduler.CosineAnnealingLR(sgd, T_max=35 * 3),
        "multistep": lambda: torch.optim.lr_scheduler.MultiStepLR(sgd, [15 * 3, 25 * 3], 0.1),
    }[schedule["name"]]()
    rise = torch.optim.lr_scheduler.LinearLR(sgd, start_factor=0.25, total_iters=5 * 3)
    both = torch.optim.lr_scheduler.SequentialLR(sgd, [rise, after], milestones=[5 * 3])
    expected = []
    for _ in range(40 * 3):
        expected.append(sgd.param_groups[0]["lr"])
        sgd.step()
        both.step()
    found = rates(schedule | {"warmup_epochs": 5, "warmup_start": 0.25}, 40 * 3, 3)
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-12)


OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.02, momentum=0.8, weight_decay=0.03),
    "nesterov": lambda p: torch.optim.SGD(
        p, lr=0.02, momentum=0.8, weight_decay=0.03, nesterov=True
    ),
    "adam": lambda p: torch.optim.Adam(p, lr=0.02, betas=(0.9, 0.999), weight_decay=0.03),
    "rmsprop": lambda p: torch.optim.RMSprop(
        p, lr=0.02, alpha=0.99, momentum=0.8, weight_decay=0.03
    ),
}


def trained(parameters, build):
    """Minimise the sum over i of (i + 1)·cos(p_i) of each model, with steps of changing size."""
    chosen = build(parameters)
    for step in range(6):
        chosen.param_groups[0]["lr"] = 0.02 / (1 + step)
        chosen.zero_grad()
        scale = torch.arange(1.0, 1 + parameters[0].shape[-1])
        sum((scale * p.cos()).sum() for p in parameters).backward()
        chosen.step()
    return [p.detach() for p in parameters]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_step_on_a_stack_is_a_step_on_each_model(name):
    recipe = {
        "optimizer": "sgd" if name == "nesterov" else name,
        "learning_rate": 0.02,
        "momentum": 0.8,
        "nesterov": name == "nesterov",
        "weight_decay": 0.03,
    }
    random = torch.Generator().manual_seed(0)
    # Two tensors of three models, the models of very different sizes.
    stacks = [torch.randn(3, *shape, generator=random) for shape in ((4,), (2, 4))]
    stacks = [
        stack * torch.tensor([0.1, 1.0, 3.0]).view(3, *[1] * (stack.dim() - 1)) for stack in stacks
    ]
    together = trained(
        [stack.clone().requires_grad_() for stack in stacks], lambda p: optimizer(recipe, iter(p))
    )
    for model in range(3):
        alone = trained(
            [stack[model].clone().requires_grad_() for stack in stacks], OPTIMIZERS[name]
        )
        for stacked, single in zip(together, alone, strict=True):
            torch.testing.assert_close(stacked[model], single, rtol=1e-6, atol=1e-8)


def test_adam_takes_no_momentum_and_decays_by_the_penalty():
    # At a gradient of zero the penalty's gradient alone remains: Adam's first step is the whole
    # learning rate, towards zero (AdamW would shrink the weight by lr·wd only).
    weight = torch.tensor([[2.0]], requires_grad=True)
    recipe = {"optimizer": "adam", "learning_rate": 0.1, "momentum": 0.9, "weight_decay": 0.5}
    chosen = optimizer(recipe, [weight])
    weight.grad = torch.zeros_like(weight)
    chosen.step()
    assert weight.item() == pytest.approx(1.9, rel=1e-6)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_optimizers_are_fused_on_a_gpu(name):
    recipe = {"learning_rate": 0.1, "momentum": 0.9, "nesterov": False, "weight_decay": 0.0}
    weight = torch.ones(2, 3, device="cuda", requires_grad=True)
    assert optimizer(recipe | {"optimizer": name}, [weight]).defaults["fused"]
