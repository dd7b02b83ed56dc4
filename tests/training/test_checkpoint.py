"""Interrupted and resumed equals uninterrupted, bit for bit."""

import pytest
import torch
from jobs_for_tests import PRUNING, make_specs, settings_of

from shadowmill.errors import TrainingError
from shadowmill.training.checkpoint import Checkpoint
from shadowmill.training.lockstep import Stack


def stack_of(digits, pruning):
    return Stack(make_specs(2), settings_of(pruning), digits, 200, torch.device("cpu"))


def run(stack, stop):
    while stack.step < stop:
        stack.train_step()
    return stack


# Before the first step, in the middle of an epoch, at its end, around mask updates, at the end.
@pytest.mark.parametrize("stop", [0, 4, 6, 7, 13, 23, 24])
def test_resumed_equals_uninterrupted(digits, pruning, tmp_path, stop):
    whole = run(stack_of(digits, pruning), 24)
    assert whole.total_steps == 24
    saved = Checkpoint(tmp_path / "c", "digest")
    saved.save(run(stack_of(digits, pruning), stop))
    resumed = stack_of(digits, pruning)
    assert saved.restore(resumed)
    assert resumed.step == stop
    run(resumed, 24)
    for index in range(2):
        (state, masks, history), expected = resumed.final(index), whole.final(index)
        assert all(torch.equal(state[name], tensor) for name, tensor in expected[0].items())
        assert all(torch.equal(masks[name], mask) for name, mask in expected[1].items())
        assert history == expected[2]


def test_checkpoint_of_other_settings_is_not_used(digits, tmp_path):
    Checkpoint(tmp_path / "c", "digest").save(run(stack_of(digits, PRUNING["dense"]), 3))
    fresh = stack_of(digits, PRUNING["dense"])
    assert not Checkpoint(tmp_path / "c", "other digest").restore(fresh)
    assert fresh.step == 0


def test_damaged_checkpoint_is_not_used(digits, tmp_path):
    path = tmp_path / "c"
    Checkpoint(path, "digest").save(run(stack_of(digits, PRUNING["dense"]), 3))
    path.write_bytes(path.read_bytes()[:1000])
    assert not Checkpoint(path, "digest").restore(stack_of(digits, PRUNING["dense"]))


def test_divergence_before_the_checkpoint_is_not_forgotten(digits, tmp_path):
    stack = run(stack_of(digits, PRUNING["dense"]), 2)
    stack.first_bad_step[1] = 1
    saved = Checkpoint(tmp_path / "c", "digest")
    saved.save(stack)
    resumed = stack_of(digits, PRUNING["dense"])
    saved.restore(resumed)
    run(resumed, resumed.steps_per_epoch - 1)
    with pytest.raises(TrainingError, match="shadow-00-1 at step 1"):
        resumed.train_step()


def test_training_time_adds_up_over_sessions(digits, tmp_path):
    stack = run(stack_of(digits, PRUNING["dense"]), 2)
    stack.seconds = 12.5
    saved = Checkpoint(tmp_path / "c", "digest")
    saved.save(stack)
    resumed = stack_of(digits, PRUNING["dense"])
    saved.restore(resumed)
    assert resumed.seconds == 12.5
