"""Interrupted and resumed equals uninterrupted, bit for bit, for every kind of training."""

import functools

import pytest
import torch
from jobs_for_tests import (
    PRIVATE,
    PRUNING,
    TRAININGS,
    features,
    make_specs,
    make_stack,
    settings_of,
)

from shadowmill.errors import TrainingError
from shadowmill.training.checkpoint import Checkpoint

DENSE = settings_of(PRUNING["dense"])


def run(stack, stop):
    while stack.step < stop and not stack.is_finished:
        stack.train_step()
    return stack


@pytest.fixture(scope="module")
def uninterrupted(digits):
    """Trainings of a kind to their end, once for all moments at which others stop."""

    @functools.cache
    def trained(kind):
        return run(new_stack(digits, kind), 24)

    return trained


def new_stack(digits, kind):
    settings = TRAININGS.get(kind) or PRIVATE[kind]
    data = features(digits) if settings["architecture"] == "mlp" else digits
    return make_stack(make_specs(1 if kind in PRIVATE else 2), settings, data)


# Before the first step, in the middle of an epoch, at its end, around mask updates, at the end.
@pytest.mark.long
@pytest.mark.parametrize("stop", [0, 4, 6, 7, 13, 23, 24])
@pytest.mark.parametrize("kind", [*TRAININGS, *PRIVATE])
def test_resumed_equals_uninterrupted(digits, uninterrupted, kind, tmp_path, stop):
    whole = uninterrupted(kind)
    assert whole.total_steps == 24
    saved = Checkpoint(tmp_path / "c", "digest")
    saved.save(run(new_stack(digits, kind), stop))
    resumed = new_stack(digits, kind)
    assert saved.restore(resumed)
    run(resumed, 24)
    assert resumed.step == whole.step
    for index in range(1 if kind in PRIVATE else 2):
        found, expected = resumed.final(index), whole.final(index)
        assert all(torch.equal(found.state[n], tensor) for n, tensor in expected.state.items())
        assert all(torch.equal(found.masks[n], mask) for n, mask in expected.masks.items())
        assert found.history == expected.history
        assert found.facts == expected.facts


def test_checkpoint_of_other_settings_is_not_used(digits, tmp_path):
    Checkpoint(tmp_path / "c", "digest").save(run(make_stack(make_specs(2), DENSE, digits), 3))
    fresh = make_stack(make_specs(2), DENSE, digits)
    assert not Checkpoint(tmp_path / "c", "other digest").restore(fresh)
    assert fresh.step == 0


def test_damaged_checkpoint_is_not_used(digits, tmp_path):
    path = tmp_path / "c"
    Checkpoint(path, "digest").save(run(make_stack(make_specs(2), DENSE, digits), 3))
    path.write_bytes(path.read_bytes()[:1000])
    assert not Checkpoint(path, "digest").restore(make_stack(make_specs(2), DENSE, digits))


def test_divergence_before_the_checkpoint_is_not_forgotten(digits, tmp_path):
    stack = run(make_stack(make_specs(2), DENSE, digits), 2)
    stack.history.record_step(1, torch.tensor([1.0, torch.nan]), torch.zeros(2))
    saved = Checkpoint(tmp_path / "c", "digest")
    saved.save(stack)
    resumed = make_stack(make_specs(2), DENSE, digits)
    saved.restore(resumed)
    run(resumed, resumed.steps_per_epoch - 1)
    with pytest.raises(TrainingError, match="shadow-00-1 at step 1"):
        resumed.train_step()


def test_training_time_adds_up_over_sessions(digits, tmp_path):
    stack = run(make_stack(make_specs(2), DENSE, digits), 2)
    stack.seconds = 12.5
    saved = Checkpoint(tmp_path / "c", "digest")
    saved.save(stack)
    resumed = make_stack(make_specs(2), DENSE, digits)
    saved.restore(resumed)
    assert resumed.seconds == 12.5
