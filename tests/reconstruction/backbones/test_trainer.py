"""Training of backbones, step by step: examples, phases, going on from a checkpoint."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from jobs_for_backbones import (
    CPU,
    NONE,
    PHASE,
    SETTINGS,
    TWO_PHASES,
    assert_equal_states,
    few,
    taken,
    trainer_of,
)

from shadowmill import storage
from shadowmill.reconstruction.backbones.examples import Examples


def test_only_the_chosen_classes_of_the_pool_are_trained_on(digits):
    data = dataclasses.replace(digits, pool_size=1500)
    examples = Examples.of(data, "unused", SETTINGS | {"classes": [7, 2]}, CPU)
    chosen = np.isin(digits.labels, [7, 2])
    assert np.array_equal(examples.train_R, np.flatnonzero(chosen[:1500]))
    assert np.array_equal(examples.test, 1500 + np.flatnonzero(chosen[1500:]))
    # Outputs are in the order of `classes`.
    assert examples.num_outputs == 2
    expected = (digits.labels[examples.train_R] == 2).astype(int)
    assert np.array_equal(examples.targets[examples.train_R].numpy(), expected)


def test_all_classes_unless_some_are_chosen(digits):
    examples = Examples.of(digits, "unused", SETTINGS | {"classes": None}, CPU)
    assert examples.num_outputs == 10
    assert np.array_equal(examples.targets.numpy(), digits.labels)
    assert len(examples.train_R) == 1797


def test_test_set_is_asked_each_epoch_without_augmentation(digits):
    data = dataclasses.replace(digits, pool_size=1500)
    trainer = trainer_of(data)
    taken(trainer, trainer.total_steps)
    file = trainer.final({"settings": SETTINGS, "structure": trainer.structure()})
    rows = np.flatnonzero((np.arange(1797) >= 1500) & (digits.labels >= 5))
    inputs = torch.from_numpy(digits.inputs[rows]).movedim(-1, 1) / 255
    logits = file.network("b").eval()((inputs - 0.5) / 0.5)
    labels = torch.from_numpy(digits.labels[rows]) - 5
    accuracy = (logits.argmax(1) == labels).float().mean().item()
    assert trainer.history["test_accuracy"][-1] == pytest.approx(accuracy)
    loss = torch.nn.functional.cross_entropy(logits, labels).item()
    assert trainer.history["test_loss"][-1] == pytest.approx(loss, rel=1e-5)
    assert len(trainer.history["test_loss"]) == 2


def test_a_step_is_adams(digits):
    """The first steps of a phase, by a plain loop over the same batches."""
    phase = PHASE | {"weight_decay": 0.1, "batch_size": 300}
    trainer = trainer_of(digits, phases=[phase], augmentation=NONE)
    network = copy.deepcopy(trainer._network)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, weight_decay=0.1)
    images, targets = trainer._examples.images, trainer._examples.targets
    for within in range(2):
        rows = trainer._rows(0, 0, within)
        inputs = (images[rows].movedim(-1, 1) / 255 - 0.5) / 0.5
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(inputs), targets[rows]).backward()
        optimizer.step()
        trainer.train_step()
    for own, expected in zip(trainer._network.parameters(), network.parameters(), strict=True):
        torch.testing.assert_close(own, expected, rtol=1e-4, atol=1e-6)


def test_an_epoch_sees_each_example_once(digits):
    phase = PHASE | {"batch_size": 128}  # 7 · 128 = 896 = number of examples
    trainer = trainer_of(digits, phases=[phase])
    assert len(trainer._examples.train_R) == 896
    first, second = (torch.cat([trainer._rows(0, e, w) for w in range(7)]) for e in range(2))
    assert sorted(first.tolist()) == trainer._examples.train_R.tolist()
    assert sorted(second.tolist()) == sorted(first.tolist())
    assert first.tolist() != second.tolist()


def test_phase_of_the_last_layer_changes_it_alone(digits):
    settings = {"architecture": "efficientnet_b0", "phases": [PHASE | {"layers": "last"}]}
    trainer = trainer_of(digits, **settings)
    for layer in trainer._network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = 1.0
    # With the initial statistics of BatchNorm, features come to 1e-15 and gradients to nothing.
    trainer._network(trainer._inputs(torch.arange(32)))
    before = {n: t.clone() for n, t in trainer._network.whole_state().items()}
    taken(trainer, 2)
    changed = {
        n for n, t in trainer._network.whole_state().items() if not torch.equal(t, before[n])
    }
    assert changed == {"classifier.1.weight", "classifier.1.bias"}


@pytest.mark.parametrize("is_frozen", [True, False])
def test_frozen_batch_norm_stays_as_it_is(digits, is_frozen):
    phase = PHASE | {"freeze_batch_norm": is_frozen, "batch_size": 16}
    trainer = trainer_of(digits, architecture="efficientnet_b0", phases=[phase])
    before = {n: t.clone() for n, t in trainer._network.whole_state().items()}
    taken(trainer, 2)
    changed = {
        n for n, t in trainer._network.whole_state().items() if not torch.equal(t, before[n])
    }
    # features.0.1 is the first BatchNorm, features.0.0 the convolution before it.
    norm = {f"features.0.1.{part}" for part in ("weight", "bias", "running_mean", "running_var")}
    assert "features.0.0.weight" in changed
    assert (changed & norm) == (set() if is_frozen else norm)


@pytest.mark.parametrize("is_frozen", [True, False])
def test_modes_come_back_after_the_test_set(digits, is_frozen):
    data = few(digits, 40, pool_size=32)
    phase = PHASE | {"freeze_batch_norm": is_frozen, "batch_size": 32}
    trainer = trainer_of(data, architecture="efficientnet_b0", classes=None, phases=[phase])
    norm = trainer._network.body.features[0][1]
    assert trainer.steps_per_epoch == 1
    taken(trainer, 1)
    before = norm.running_mean.clone()
    taken(trainer, 1)
    assert torch.equal(norm.running_mean, before) == is_frozen
    assert trainer._network.training


def test_phases_follow_each_other_with_their_own_settings(digits):
    phases = [
        PHASE | {"layers": "last", "epochs": 1, "batch_size": 448},
        PHASE | {"epochs": 2, "learning_rate": 1e-2, "batch_size": 224},
    ]
    trainer = trainer_of(digits, phases=phases)
    assert trainer.total_steps == 2 + 2 * 4
    assert trainer.steps_per_epoch == 2
    first = trainer._network.whole_state()["classifier.0.weight"].clone()
    taken(trainer, 2)
    assert torch.equal(trainer._network.whole_state()["classifier.0.weight"], first)
    taken(trainer, 8)
    assert not torch.equal(trainer._network.whole_state()["classifier.0.weight"], first)
    assert trainer.is_finished
    assert trainer.steps_per_epoch == 4
    assert len(trainer.history["loss"]) == 3
    assert trainer._optimizer.param_groups[0]["lr"] == 1e-2
    # Adam of the second phase has taken the steps of this phase alone.
    assert {float(s["step"]) for s in trainer._optimizer.state.values()} == {8.0}


def resumed(make, stop_at, tmp_path):
    """A training that goes on from a checkpoint, to its end."""
    tensors, facts = taken(make(), stop_at).state()
    storage.write_tensors(tmp_path / "c.safetensors", tensors, {"facts": facts})
    tensors, metadata = storage.read_tensors(tmp_path / "c.safetensors")
    trainer = make()
    trainer.load(tensors, metadata["facts"])
    assert trainer.step == stop_at
    return taken(trainer, trainer.total_steps - stop_at)


def assert_equal_trainings(one, other):
    assert one.is_finished
    assert other.is_finished
    assert_equal_states(one._network.whole_state(), other._network.whole_state())
    np.testing.assert_array_equal(  # a NaN equals a NaN
        list(one.history.values()), list(other.history.values())
    )
    assert one.history.keys() == other.history.keys()


@pytest.mark.parametrize("stop_at", [1, 2, 3, 4, 6])
def test_resumed_equals_uninterrupted(digits, tmp_path, stop_at):
    def make():
        return trainer_of(digits, phases=TWO_PHASES)

    undisturbed = taken(make(), 6)
    assert_equal_trainings(resumed(make, stop_at, tmp_path), undisturbed)


@pytest.mark.long
def test_resumed_equals_uninterrupted_with_batch_norm_and_random_layers(digits, tmp_path):
    data = few(digits, 60, pool_size=48)
    phase = PHASE | {"batch_size": 16}
    settings = {"architecture": "efficientnet_b0", "classes": None, "phases": [phase]}

    def make():
        return trainer_of(data, **settings)

    undisturbed = taken(make(), 6)
    assert_equal_trainings(resumed(make, 2, tmp_path), undisturbed)


def test_random_layers_do_not_hang_on_the_global_generator(digits):
    phase = PHASE | {"batch_size": 8, "freeze_batch_norm": True}
    trainers = []
    for seed in (1, 2):
        trainer = trainer_of(digits, architecture="efficientnet_b0", phases=[phase])
        torch.manual_seed(seed)
        trainers.append(taken(trainer, 2))
    one, other = (trainer._network.whole_state() for trainer in trainers)
    assert_equal_states(one, other)
    keys = [layer.key.item() for layer in trainers[0]._noise]
    assert len(set(keys)) == len(keys) > 1
