"""Recipes: optimisers, schedules with their keys and numbers, what is filled in."""

import math

import pytest
import torch

from shadowmill.training.recipe import learning_rate, optimizer

# A schedule for the recipe `cycle` of five epochs, then the one line that is expected, from below
# `recipes.cycle`.
ONE_FAULT = {
    "no milestones": (
        {"name": "multistep", "gamma": 0.1},
        "schedule.milestones: missing; multistep needs it",
    ),
    "no gamma": (
        {"name": "multistep", "milestones": [2]},
        "schedule.gamma: missing; multistep needs it",
    ),
    "no rise": ({"name": "one_cycle"}, "schedule.warmup: missing; one_cycle needs it"),
    "gamma of one_cycle": (
        {"name": "one_cycle", "warmup": 0.2, "gamma": 0.5},
        "schedule.gamma: one_cycle has no such key; it has warmup",
    ),
    "a second warm-up": (
        {"name": "one_cycle", "warmup": 0.2, "warmup_epochs": 1},
        "schedule.warmup_epochs: one_cycle has no such key; it has warmup",
    ),
    "warmup of cosine": (
        {"name": "cosine", "warmup": 0.2},
        "schedule.warmup: cosine has no such key; it has warmup_epochs, warmup_start",
    ),
    "milestones of constant": (
        {"name": "constant", "milestones": [1]},
        "schedule.milestones: constant has no such key; it has warmup_epochs, warmup_start",
    ),
    "warmup of multistep": (
        {"name": "multistep", "milestones": [2], "gamma": 0.1, "warmup": 0.2},
        "schedule.warmup: multistep has no such key; it has gamma, milestones, warmup_epochs, "
        "warmup_start",
    ),
    "milestones beyond the end": (
        {"name": "multistep", "milestones": [4, 5], "gamma": 0.1},
        "schedule.milestones: [4, 5] must rise and stay below epochs (5)",
    ),
    "falling milestones": (
        {"name": "multistep", "milestones": [4, 2], "gamma": 0.1},
        "schedule.milestones: [4, 2] must rise and stay below epochs (5)",
    ),
    "a milestone twice": (
        {"name": "multistep", "milestones": [4, 4], "gamma": 0.1},
        "schedule.milestones: [4, 4] must rise and stay below epochs (5)",
    ),
    "nothing but warm-up": (
        {"name": "cosine", "warmup_epochs": 5},
        "schedule.warmup_epochs: 5 must stay below epochs (5)",
    ),
    "a start of no warm-up": (
        {"name": "constant", "warmup_start": 0.1},
        "schedule.warmup_start: has no meaning without warmup_epochs; give that, or remove this",
    ),
}


@pytest.mark.parametrize("case", ONE_FAULT)
def test_one_fault_of_a_schedule_gives_one_line_that_helps(fault, case):
    schedule, line = ONE_FAULT[case]
    assert fault({"recipes.cycle.schedule": schedule}) == f"recipes.cycle.{line}"


@pytest.mark.parametrize(
    ("name", "momentum"), [("sgd", 0), ("adam", 0.9), ("rmsprop", 0.9), ("rmsprop", 0)]
)
def test_nesterov_is_of_sgd_with_momentum(fault, name, momentum):
    line = fault(
        {
            "recipes.short.optimizer": name,
            "recipes.short.momentum": momentum,
            "recipes.short.nesterov": True,
        }
    )
    assert line == (
        "recipes.short.nesterov: needs the optimizer sgd with a momentum above 0, found "
        f"{name} with {momentum}"
    )


@pytest.mark.parametrize(
    "schedule",
    [
        {"name": "constant"},
        {"name": "constant", "warmup_epochs": 4},
        {"name": "cosine"},
        {"name": "cosine", "warmup_epochs": 1, "warmup_start": 0.5},
        {"name": "multistep", "milestones": [], "gamma": 0.1},
        {"name": "multistep", "milestones": [1, 4], "gamma": 1, "warmup_epochs": 2},
        {"name": "one_cycle", "warmup": 0},
    ],
)
def test_what_is_allowed_the_trainer_understands(raw, study, schedule):
    raw["recipes"]["cycle"]["schedule"] = schedule
    recipe = study("other").recipe
    rates = [learning_rate(recipe, step, 50, 10) for step in range(50)]
    assert all(0 <= rate <= recipe["learning_rate"] and math.isfinite(rate) for rate in rates)


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({}, torch.optim.SGD),
        ({"momentum": 0.5, "nesterov": True}, torch.optim.SGD),
        ({"optimizer": "adam"}, torch.optim.Adam),
        ({"optimizer": "rmsprop", "momentum": 0}, torch.optim.RMSprop),
    ],
)
def test_each_optimizer_finds_all_it_needs(raw, study, settings, kind):
    raw["recipes"]["cycle"] |= settings
    assert type(optimizer(study("other").recipe, [torch.zeros(1, 2)])) is kind


def test_an_unused_recipe_is_checked_too(fault):
    line = fault(
        {
            "recipes.unused": {
                "learning_rate": 0.1,
                "epochs": 1,
                "batch_size": 8,
                "schedule": {"name": "one_cycle"},
            }
        }
    )
    assert line == "recipes.unused.schedule.warmup: missing; one_cycle needs it"


def test_early_stopping_is_off_unless_asked_for(study):
    assert "early_stopping" not in study("other").recipe
    assert study("features").recipe["early_stopping"] == {"patience": 2}
