"""Every kind of training: the same in a stack as alone, and what sets it apart."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from jobs_for_tests import (
    ADVERSARIAL,
    DP_SGD,
    PLAIN,
    PRIVATE,
    PRUNING,
    TRAININGS,
    features,
    make_specs,
    make_stack,
    one_shot,
    settings_of,
    trained,
)

from shadowmill.defenses.private import epsilon
from shadowmill.errors import ArtefactError, TrainingError
from shadowmill.pruning.masks import check_masks
from shadowmill.scores.statistics import logit_scaled_confidence
from shadowmill.training.forward import stacked_forward


def data_of(settings, digits):
    return features(digits) if settings["architecture"] == "mlp" else digits


@pytest.mark.long
@pytest.mark.parametrize("kind", TRAININGS)
def test_a_model_of_a_stack_equals_the_model_alone(digits, kind):
    settings = TRAININGS[kind]
    data, specs = data_of(settings, digits), make_specs(3)
    together = trained(specs, settings, data).final(1)
    alone = trained([specs[1]], settings, data).final(0)
    assert together.facts == alone.facts
    for name, tensor in alone.state.items():
        torch.testing.assert_close(together.state[name], tensor, rtol=2e-3, atol=2e-3)
    np.testing.assert_allclose(together.history["loss"], alone.history["loss"], rtol=2e-3)
    check_masks(together.state, together.masks, settings["pruning"], "a test model")


@pytest.mark.long
@pytest.mark.parametrize("kind", [kind for kind in TRAININGS if kind != "dense"] + [*PRIVATE])
def test_it_is_not_the_plain_training(digits, kind):
    settings = TRAININGS.get(kind) or PRIVATE[kind]
    data, specs = data_of(settings, digits), make_specs(1)
    plain = settings_of(PRUNING["dense"], settings["architecture"])
    plain["recipe"] |= {"augmentation": settings["recipe"]["augmentation"]}
    if kind in ("cutout, reflect", "mlp"):
        plain["recipe"] |= {"batch_size": 31} if kind == "mlp" else {"augmentation": PLAIN}
    one = trained(specs, settings, data, 200).final(0)
    other = trained(specs, plain, data, 200).final(0)
    if kind == "early stopping":
        assert one.facts != other.facts
    assert one.history["loss"] != other.history["loss"]


@pytest.mark.parametrize("name", ["label_smoothing", "weight_decay", "early_stopping"])
def test_plain_settings_as_defences_are_those_of_the_recipe(digits, name):
    value = {"label_smoothing": 0.2, "weight_decay": 0.1, "early_stopping": 1.0}[name]
    setting = {"patience": 1} if name == "early_stopping" else value
    specs = make_specs(2)
    defended = settings_of(PRUNING["dense"], defense={"name": name, "value": value})
    by_recipe = settings_of(PRUNING["dense"], **{name: setting})
    one = trained(specs, defended, digits).final(1)
    other = trained(specs, by_recipe, digits).final(1)
    assert one.history == other.history
    assert one.facts == other.facts


def test_a_stack_starts_from_given_models_and_refuses_others(digits):
    specs, settings = make_specs(2), settings_of(PRUNING["dense"])
    dense = trained(specs, settings, digits)
    starts = [
        dataclasses.replace(spec, initial=dense.final(k).state) for k, spec in enumerate(specs)
    ]
    pruned = settings_of(one_shot("global_magnitude", 0.5), epochs=1)
    stack = make_stack(starts, pruned, digits)
    for index in range(2):
        for name, tensor in dense.final(index).state.items():
            assert torch.equal(stack.final(index).state[name], tensor)
    # What is pruned first are the smallest weights of the dense model.
    stack.train_step()
    weight = torch.cat([dense.parameters[n][0].abs().flatten() for n in stack.masks])
    mask = torch.cat([mask[0].flatten() for mask in stack.masks.values()])
    assert weight[~mask].max() <= weight[mask].min()

    lacking = {n: t for n, t in starts[0].initial.items() if n != "7.bias"}
    with pytest.raises(ArtefactError, match=r"shadow-00-0.*7\.bias"):
        make_stack([dataclasses.replace(specs[0], initial=lacking)], pruned, digits)


def test_privacy_is_that_of_the_steps_taken(digits):
    (spec,) = make_specs(1)
    model = trained([spec], PRIVATE["dp_sgd"], digits).final(0)
    privacy = model.facts["privacy"]
    steps, rate = 4 * 6, 32 / 200
    assert privacy["steps"] == steps
    assert privacy["sample_rate"] == pytest.approx(rate)
    assert privacy["epsilon"] == pytest.approx(epsilon(1.0, rate, steps, 1e-3))
    assert privacy["noise_multiplier"] == DP_SGD["value"]
    spread = math.sqrt(steps * 32 * (1 - rate))
    assert abs(privacy["examples_drawn"] - steps * 32) < 4 * spread
    # Early stopping takes fewer steps, which cost less.
    stops = settings_of(PRUNING["dense"], defense=DP_SGD, epochs=30, early_stopping={"patience": 1})
    stopped = trained([spec], stops, digits).final(0)
    taken = stopped.facts["epochs"] * 6
    assert taken < 180
    assert stopped.facts["privacy"]["steps"] == taken
    assert stopped.facts["privacy"]["epsilon"] == pytest.approx(epsilon(1.0, rate, taken, 1e-3))


@pytest.mark.long
def test_noise_from_a_target_epsilon(digits):
    defense = DP_SGD | {"strength": "epsilon", "value": 4.0}
    model = trained(make_specs(1), settings_of(PRUNING["dense"], defense=defense), digits).final(0)
    assert model.facts["privacy"]["epsilon"] == pytest.approx(4.0, rel=0.01)


def test_sampling_that_breaks_the_guarantee_is_noticed(digits):
    stack = trained(make_specs(1), PRIVATE["dp_sgd"], digits)
    stack._privacy.drawn += 300
    with pytest.raises(TrainingError, match="the guarantee would not hold"):
        stack.final(0)


def posterior_gap(stack, specs, data):
    """Mean posterior of the true class of members less that of other examples, per model."""
    stack._module.eval()
    gaps = []
    for index, spec in enumerate(specs):
        state = stack.final(index).state
        parameters = {n: state[n][None] for n in stack.parameters}
        means = []
        for chosen in (spec.members, spec.validation):
            inputs, labels = stack._pool.plain(torch.from_numpy(chosen))
            logits = stacked_forward(stack._module, parameters, {}, inputs[None])
            means.append(float(logit_scaled_confidence(logits[0], labels).sigmoid().mean()))
        gaps.append(means[0] - means[1])
    return gaps


@pytest.fixture(scope="module")
def overfitted(digits):
    """Models trained on few digits for long: nearly sure of members, less of others."""
    specs = make_specs(4, num_members=120, num_validation=400)
    recipe = {"epochs": 60, "batch_size": 30, "augmentation": PLAIN}

    def gap(defense=None):
        settings = settings_of(PRUNING["dense"], defense=defense, **recipe)
        return np.mean(posterior_gap(trained(specs, settings, digits, 120), specs, digits))

    plain = gap()
    assert plain > 0.1, "the models do not overfit: the tests would show nothing"
    return plain, gap


@pytest.mark.long
@pytest.mark.parametrize(
    "defense",
    [
        {"name": "ppb", "value": 4.0},
        {"name": "relaxloss", "value": 0.8},
        pytest.param(ADVERSARIAL | {"value": 10.0}, marks=pytest.mark.slow),
    ],
    ids=lambda defense: defense["name"],
)
def test_a_defence_narrows_the_gap_between_members_and_others(overfitted, defense):
    plain, gap = overfitted
    assert gap(defense) < 0.85 * plain
