"""When and how far: the table of methods and the schedules."""

import subprocess
import sys
from itertools import pairwise

import pytest
import torch

from shadowmill.pruning import CRITERIA, METHODS, PruningPlan
from shadowmill.pruning.masks import _RULES, masked

DENSE = {"method": "dense", "sparsity": 0.0}


def one_shot(epoch, **settings):
    return {
        "method": "static",
        "sparsity": 0.9,
        "criterion": "global_magnitude",
        "schedule": "one_shot",
        "feedback": False,
        "epoch": epoch,
    } | settings


def cubic(every, target_epoch, **settings):
    return {
        "method": "dpf",
        "sparsity": 0.9,
        "criterion": "global_magnitude",
        "schedule": "cubic",
        "feedback": True,
        "every": every,
        "target_epoch": target_epoch,
    } | settings


def test_dense_models_are_never_pruned():
    plan = PruningPlan.of(DENSE, steps_per_epoch=10)
    assert not any(plan.is_due(step) for step in range(100))
    assert plan.sparsity_at(50) == 0
    assert not plan.feedback_at(0)
    assert plan.full_from_epoch == 0


@pytest.mark.parametrize(("epoch", "step"), [(0, 0), (1, 28), (3, 84)])
def test_one_shot_prunes_once_at_the_start_of_its_epoch(epoch, step):
    plan = PruningPlan.of(one_shot(epoch), steps_per_epoch=28)
    assert [s for s in range(300) if plan.is_due(s)] == [step]
    assert plan.sparsity_at(epoch) == 0.9
    assert not plan.feedback_at(step)


def test_a_cubic_ramp_prunes_periodically_from_the_first_step_to_the_last():
    plan = PruningPlan.of(cubic(every=16, target_epoch=2), steps_per_epoch=28)
    assert [s for s in range(100) if plan.is_due(s)] == [0, 16, 32, 48, 64, 80, 96]
    assert all(plan.feedback_at(step) for step in range(100))


def test_a_period_counts_from_the_first_step():
    plan = PruningPlan(sparsity=0.5, first_step=5, every=3)
    assert [s for s in range(15) if plan.is_due(s)] == [5, 8, 11, 14]


def test_the_cubic_ramp_by_hand():
    # S = 0.8, T = 4: 1 − (1 − e/4)³ is 0, 37/64, 56/64, 63/64, 1.
    plan = PruningPlan(sparsity=0.8, every=1, ramp_epochs=4)
    expected = [0, 0.8 * 37 / 64, 0.8 * 56 / 64, 0.8 * 63 / 64, 0.8, 0.8, 0.8]
    assert [plan.sparsity_at(e) for e in range(7)] == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("sparsity", [0.5, 0.7, 0.9, 0.95])
@pytest.mark.parametrize("length", [1, 3, 75])
def test_the_cubic_ramp_rises_to_exactly_the_sparsity_of_the_name(sparsity, length):
    plan = PruningPlan.of(cubic(1, length, sparsity=sparsity), steps_per_epoch=10)
    ramp = [plan.sparsity_at(epoch) for epoch in range(length + 1)]
    assert ramp[0] == 0
    assert ramp[-1] == sparsity
    assert all(a < b for a, b in pairwise(ramp))


# Freezing.


def test_frozen_masks_no_longer_change_and_feedback_ends():
    plan = PruningPlan.of(cubic(every=8, target_epoch=2, freeze_epoch=4), steps_per_epoch=10)
    # Step 40 is the first of epoch 4, and would be due.
    assert [s for s in range(100) if plan.is_due(s)] == [0, 8, 16, 24, 32]
    assert [s for s in range(100) if plan.feedback_at(s)] == list(range(40))


def test_the_gradient_is_masked_from_the_freeze_on():
    plan = PruningPlan.of(cubic(every=1, target_epoch=1, freeze_epoch=2), steps_per_epoch=3)
    mask = torch.tensor([True, False])
    for step, expected in ((5, [1.0, 1.0]), (6, [1.0, 0.0])):
        weight = torch.tensor([2.0, 3.0], requires_grad=True)
        masked(weight, mask, plan.feedback_at(step)).sum().backward()
        assert weight.grad.tolist() == expected


def test_a_frozen_one_shot_still_prunes():
    plan = PruningPlan.of(one_shot(1, freeze_epoch=2, feedback=True), steps_per_epoch=5)
    assert [s for s in range(50) if plan.is_due(s)] == [5]
    assert [s for s in range(50) if plan.feedback_at(s)] == list(range(10))


def test_a_freeze_at_epoch_0_is_a_freeze():
    assert not PruningPlan(sparsity=0.5, feedback=True, freeze_step=0).feedback_at(0)


# From which epoch on sparsity is full.


def slow_full_from_epoch(plan, steps_per_epoch, epochs):
    """Follow the masks step by step."""
    current = 0.0
    for step in range(epochs * steps_per_epoch):
        epoch = step // steps_per_epoch
        if plan.is_due(step):
            current = plan.sparsity_at(epoch)
        if (step + 1) % steps_per_epoch == 0 and current == plan.sparsity:
            return epoch
    raise AssertionError


@pytest.mark.parametrize("steps", [1, 2, 7, 10])
@pytest.mark.parametrize("every", [1, 3, 7, 16, 40])
@pytest.mark.parametrize("target", [1, 2, 5])
def test_the_first_full_epoch_of_a_ramp_against_brute_force(steps, every, target):
    plan = PruningPlan.of(cubic(every, target), steps)
    assert plan.full_from_epoch == slow_full_from_epoch(plan, steps, 200)


@pytest.mark.parametrize("epoch", [0, 1, 4])
def test_the_first_full_epoch_of_a_one_shot_is_its_own(epoch):
    plan = PruningPlan.of(one_shot(epoch), steps_per_epoch=3)
    assert plan.full_from_epoch == epoch == slow_full_from_epoch(plan, 3, 10)


def test_the_first_full_epoch_by_hand():
    # Epoch 3 of 10 steps starts at step 30; masks are made at 0, 16, 32 and 0, 28, 56.
    assert PruningPlan.of(cubic(every=16, target_epoch=3), 10).full_from_epoch == 3
    assert PruningPlan.of(cubic(every=28, target_epoch=3), 10).full_from_epoch == 5


# The tables.


@pytest.mark.parametrize("method", METHODS)
def test_every_method_of_the_table_has_a_criterion_and_a_plan(method):
    row = METHODS[method]
    assert row.criterion in CRITERIA
    keys = {"one_shot": {"epoch": 1}, "cubic": {"every": 2, "target_epoch": 3}}[row.schedule]
    settings = {"method": method, "sparsity": 0.5, "criterion": row.criterion}
    settings |= {"schedule": row.schedule, "feedback": row.feedback} | keys
    plan = PruningPlan.of(settings, steps_per_epoch=4)
    assert plan.sparsity_at(plan.full_from_epoch) == 0.5
    assert any(plan.is_due(step) for step in range(100))


def test_a_method_the_table_does_not_have_is_a_plan_all_the_same():
    plan = PruningPlan.of(one_shot(1, method="mine", criterion="filter_l1", feedback=True), 4)
    assert plan.is_due(4)
    assert plan.feedback_at(4)


def test_every_criterion_has_a_rule():
    assert _RULES.keys() == CRITERIA.keys()


def test_the_tables_load_without_torch():
    code = "import sys, shadowmill.pruning; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
