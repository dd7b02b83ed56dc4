"""Learning rates by hand."""

import pytest

from shadowmill.training.recipe import learning_rate


def rates(schedule, steps, per_epoch):
    recipe = {"learning_rate": 0.1, "schedule": schedule}
    return [learning_rate(recipe, step, steps, per_epoch) for step in range(steps)]


def test_multistep_multiplies_at_each_milestone():
    found = rates({"name": "multistep", "milestones": [2, 3], "gamma": 0.1}, 8, 2)
    assert found == pytest.approx([0.1] * 4 + [0.01] * 2 + [0.001] * 2)


def test_one_cycle_rises_linearly_and_falls_along_a_cosine():
    found = rates({"name": "one_cycle", "warmup": 0.25}, 8, 2)
    # Rise over 2 of 8 steps: 1/3 and 2/3 of the peak; then ½(1 + cos(π k/6)), k = 0 … 5.
    falling = [1, 0.9330127, 0.75, 0.5, 0.25, 0.0669873]
    assert found == pytest.approx([0.1 / 3, 0.2 / 3] + [0.1 * f for f in falling], rel=1e-6)
