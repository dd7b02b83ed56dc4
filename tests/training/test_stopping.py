"""Early stopping of each model of a stack, by hand and against training alone."""

import numpy as np
import pytest
import torch
from jobs_for_tests import PRUNING, make_specs, make_stack, settings_of, trained

from shadowmill.training.stopping import EarlyStopping

CPU = torch.device("cpu")


def run(accuracies, patience, first_epoch=0):
    """Feed one column of accuracies per model; weights hold the epoch's number."""
    models = len(accuracies[0])
    stopping = EarlyStopping(patience, first_epoch, {"w": torch.zeros(models, 3)}, CPU)
    for epoch, row in enumerate(accuracies):
        weights = torch.full((models, 3), float(epoch))
        stopping.update(epoch, torch.tensor(row, dtype=torch.float64), {"w": weights})
    return stopping


def test_each_model_keeps_its_own_best_epoch_and_stops_on_its_own():
    columns = {
        "rises": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6],
        "falls": [0.9, 0.8, 0.7, 0.6, 0.5, 0.95],  # the last one comes after the stop
        "late": [0.5, 0.4, 0.4, 0.6, 0.1, 0.1],
    }
    stopping = run(list(zip(*columns.values(), strict=True)), patience=2)
    # More than two epochs without a better one: the third after the best.
    assert [stopping.epochs(k, 6) for k in range(3)] == [(6, 5), (4, 0), (6, 3)]
    assert [float(stopping.best(k)["w"][0]) for k in range(3)] == [5, 0, 3]
    assert stopping.stopped.tolist() == [False, True, False]
    assert not stopping.all_stopped


def test_an_equal_epoch_is_no_better_one():
    stopping = run([[0.5], [0.5], [0.5]], patience=1)
    assert stopping.epochs(0, 3) == (3, 0)
    assert stopping.all_stopped


def test_epochs_before_full_sparsity_do_not_count():
    stopping = run([[0.9], [0.8], [0.3], [0.2]], patience=1, first_epoch=2)
    assert stopping.epochs(0, 4) == (4, 2)


def test_masks_that_come_later_are_kept_too():
    stopping = EarlyStopping(1, 1, {"w": torch.zeros(2, 3)}, CPU)
    accuracy = torch.tensor([0.5, 0.6], dtype=torch.float64)
    stopping.update(0, accuracy, {"w": torch.zeros(2, 3)})
    mask = torch.tensor([[True, False, True], [False, True, True]])
    stopping.update(1, accuracy, {"w": torch.ones(2, 3), "mask/w": mask})
    assert torch.equal(stopping.best(1)["mask/w"], mask[1])


def test_state_round_trip():
    first = [[0.5, 0.1], [0.4, 0.2]]
    rest = [[0.6, 0.1], [0.1, 0.0], [0.2, 0.9]]
    whole = run(first + rest, patience=1)
    half = run(first, patience=1)
    resumed = EarlyStopping(1, 0, {"w": torch.zeros(2, 3)}, CPU)
    resumed.load(half.state())
    for epoch, row in enumerate(rest, start=2):
        weights = torch.full((2, 3), float(epoch))
        resumed.update(epoch, torch.tensor(row, dtype=torch.float64), {"w": weights})
    for index in range(2):
        assert resumed.epochs(index, 5) == whole.epochs(index, 5)
        assert torch.equal(resumed.best(index)["w"], whole.best(index)["w"])


@pytest.mark.long
@pytest.mark.parametrize("method", ["dense", "static", "dpf"])
def test_a_model_of_a_stack_stops_as_it_does_alone(digits, method):
    specs = make_specs(6, num_validation=20)
    settings = settings_of(
        PRUNING[method] | ({} if method == "dense" else {"sparsity": 0.5}),
        epochs=25,
        learning_rate=0.03,
        schedule={"name": "constant"},
        early_stopping={"patience": 1},
    )
    together = trained(specs, settings, digits)
    lengths = set()
    for index, spec in enumerate(specs):
        found, alone = together.final(index), trained([spec], settings, digits).final(0)
        assert found.facts == alone.facts
        np.testing.assert_allclose(found.history["loss"], alone.history["loss"], rtol=1e-2)
        assert len(found.history["validation_accuracy"]) == found.facts["epochs"]
        for name, tensor in alone.state.items():
            torch.testing.assert_close(found.state[name], tensor, rtol=1e-3, atol=1e-3)
        lengths.add(found.facts["epochs"])
    assert len(lengths) > 1, "all models stopped at the same epoch: the test shows nothing"
    assert together.step < together.total_steps


def test_the_kept_model_is_the_best_on_its_validation_examples(digits):
    specs = make_specs(2)
    settings = settings_of(PRUNING["dense"], epochs=8, early_stopping={"patience": 3})
    stack = trained(specs, settings, digits)
    for index, spec in enumerate(specs):
        model = stack.final(index)
        best = int(np.argmax(model.history["validation_accuracy"]))
        assert model.facts["kept_epoch"] == best
        # Score it anew, by a stack that starts from it.
        again = make_stack([spec], settings, digits)
        for name, tensor in again._tensors().items():
            tensor.data.copy_(model.state[name][None])
        accuracy = float(again._validation_accuracy()[0])
        assert accuracy == pytest.approx(model.history["validation_accuracy"][best])
