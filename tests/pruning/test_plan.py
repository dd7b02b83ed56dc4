"""When and how far: the schedules of the pruning methods."""

from itertools import pairwise

import pytest

from shadowmill.pruning import METHODS, PruningPlan


def test_dense_models_are_never_pruned():
    plan = PruningPlan.of({"method": "dense", "sparsity": 0.0}, steps_per_epoch=10)
    assert not any(plan.is_due(step) for step in range(100))
    assert plan.sparsity_at(50) == 0


@pytest.mark.parametrize(("epoch", "step"), [(0, 0), (1, 28), (3, 84)])
def test_one_shot_prunes_once_at_the_start_of_its_epoch(epoch, step):
    settings = {"method": "static", "sparsity": 0.9, "epoch": epoch}
    plan = PruningPlan.of(settings, steps_per_epoch=28)
    assert [s for s in range(300) if plan.is_due(s)] == [step]
    assert plan.sparsity_at(epoch) == 0.9
    assert not plan.feedback


def test_dpf_prunes_periodically_from_the_first_step_to_the_last():
    settings = {"method": "dpf", "sparsity": 0.9, "every": 16, "target_epoch": 2}
    plan = PruningPlan.of(settings, steps_per_epoch=28)
    assert [s for s in range(100) if plan.is_due(s)] == [0, 16, 32, 48, 64, 80, 96]
    assert plan.feedback


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
    settings = {"method": "dpf", "sparsity": sparsity, "every": 1, "target_epoch": length}
    plan = PruningPlan.of(settings, steps_per_epoch=10)
    ramp = [plan.sparsity_at(epoch) for epoch in range(length + 1)]
    assert ramp[0] == 0
    assert ramp[-1] == sparsity
    assert all(a < b for a, b in pairwise(ramp))


@pytest.mark.parametrize("method", METHODS)
def test_every_method_of_the_table_has_a_plan(method):
    settings = {"method": method, "sparsity": 0.5, "epoch": 1, "every": 2, "target_epoch": 3}
    plan = PruningPlan.of(settings, steps_per_epoch=4)
    assert plan.sparsity_at(100) == 0.5
    assert any(plan.is_due(step) for step in range(100))
