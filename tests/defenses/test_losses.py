"""Losses against numbers computed by hand or by an obvious NumPy twin, and finite differences."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from shadowmill.defenses import DEFENSES
from shadowmill.defenses.losses import cross_entropy, objective, ppb, relaxloss

LOSSES = {
    "cross_entropy": partial(cross_entropy, label_smoothing=0.0),
    "cross_entropy, smoothed": partial(cross_entropy, label_smoothing=0.1),
    "ppb": partial(ppb, strength=4.0, label_smoothing=0.1),
    "relaxloss, even": partial(relaxloss, alpha=1.5, epoch=2, label_smoothing=0.0),
    "relaxloss, odd": partial(relaxloss, alpha=1.5, epoch=1, label_smoothing=0.0),
}


@pytest.fixture(params=LOSSES)
def loss(request):
    return LOSSES[request.param]


def drawn(num_models=4, batch=7, classes=5, seed=0):
    """Float64 logits and labels; the models' cross-entropies lie on both sides of 1.5."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, (num_models, batch))
    logits = rng.normal(size=(num_models, batch, classes))
    logits[::2] += 3 * np.eye(classes)[labels[::2]]
    logits[1::2] -= 2 * np.eye(classes)[labels[1::2]]
    return torch.from_numpy(logits), torch.from_numpy(labels)


def from_posteriors(*rows):
    """Logits of one model with the given posteriors."""
    return torch.tensor([rows], dtype=torch.float64).log()


def softmax(z):
    e = np.exp(z - z.max())
    return e / e.sum()


def test_cross_entropy_by_hand():
    logits = from_posteriors([0.5, 0.25, 0.25], [0.1, 0.8, 0.1])
    labels = torch.tensor([[0, 1]])
    assert cross_entropy(logits, labels, 0.0).item() == pytest.approx(
        -(math.log(0.5) + math.log(0.8)) / 2, rel=1e-12
    )


def test_label_smoothing_by_hand():
    # s = 0.3, K = 3: the true class has 0.7 + 0.1, the others 0.1 each.
    expected = -(0.8 * math.log(0.5) + 0.2 * math.log(0.25))
    losses = cross_entropy(from_posteriors([0.5, 0.25, 0.25]), torch.tensor([[0]]), 0.3)
    assert losses.item() == pytest.approx(expected, rel=1e-12)


def test_ppb_by_hand():
    # Sorted: first half [.5 .3 .2], second half [.7 .2 .1]; one pair, KL(second ‖ first).
    logits = from_posteriors([0.3, 0.5, 0.2], [0.1, 0.2, 0.7])
    labels = torch.tensor([[1, 2]])
    divergence = 0.7 * math.log(0.7 / 0.5) + 0.2 * math.log(0.2 / 0.3) + 0.1 * math.log(0.1 / 0.2)
    expected = -(math.log(0.5) + math.log(0.7)) / 2 + 4 * divergence
    assert ppb(logits, labels, 4.0, 0.0).item() == pytest.approx(expected, rel=1e-12)


def ppb_twin(logits, labels, strength):
    posteriors = [softmax(row) for row in logits]
    losses = [-math.log(p[y]) for p, y in zip(posteriors, labels, strict=True)]
    half = len(labels) // 2
    total = 0.0
    for first, second in zip(posteriors[:half], posteriors[half : 2 * half], strict=True):
        p1, p2 = sorted(first, reverse=True), sorted(second, reverse=True)
        total += sum(b * math.log(b / a) for a, b in zip(p1, p2, strict=True))
    return sum(losses) / len(losses) + strength * total / half


@pytest.mark.parametrize("batch", [2, 3, 6, 7])
def test_ppb_equals_a_plain_loop(batch):
    logits, labels = drawn(batch=batch)
    expected = [ppb_twin(z, y, 2.5) for z, y in zip(logits.numpy(), labels.numpy(), strict=True)]
    np.testing.assert_allclose(ppb(logits, labels, 2.5, 0.0).numpy(), expected, rtol=1e-12)


def test_the_last_of_an_odd_batch_is_in_no_pair():
    logits, labels = drawn(batch=5)
    changed = logits.clone()
    changed[:, 4] = torch.randn(changed[:, 4].shape, generator=torch.manual_seed(1))
    for z in (logits, changed):
        balance = ppb(z, labels, 1.0, 0.0) - cross_entropy(z, labels, 0.0)
        even = ppb(z[:, :4], labels[:, :4], 1.0, 0.0) - cross_entropy(z[:, :4], labels[:, :4], 0.0)
        torch.testing.assert_close(balance, even)


def test_nothing_to_balance_where_sorted_posteriors_are_the_same():
    logits, labels = drawn(batch=3)
    permuted = logits[:, :, [3, 0, 4, 1, 2]]
    both, twice = torch.cat([logits, permuted], dim=1), torch.cat([labels, labels], dim=1)
    torch.testing.assert_close(ppb(both, twice, 100.0, 0.0), cross_entropy(both, twice, 0.0))


def test_a_batch_of_one_has_no_pairs():
    logits, labels = drawn(batch=1)
    torch.testing.assert_close(ppb(logits, labels, 4.0, 0.0), cross_entropy(logits, labels, 0.0))


def test_ppb_sends_gradients_to_both_of_a_pair():
    logits, labels = drawn(num_models=1, batch=2)
    logits.requires_grad_()
    (ppb(logits, labels, 1.0, 0.0) - cross_entropy(logits, labels, 0.0)).backward()
    assert (logits.grad.abs().sum(dim=2) > 1e-3).all()


def test_relaxloss_in_even_epochs_by_hand():
    # L = log 2 = 0.693 and L = log 4 = 1.386, around α = 1.
    logits = torch.cat([from_posteriors([0.5, 0.5]), from_posteriors([0.25, 0.75])])
    logits.requires_grad_()
    losses = relaxloss(logits, torch.tensor([[0], [0]]), 1.0, 0, 0.0)
    assert losses.tolist() == pytest.approx([1 - math.log(2), math.log(4) - 1], rel=1e-12)
    losses.sum().backward()
    # The gradient of L is posterior − one-hot; below α it is turned round.
    expected = torch.tensor([[[0.5, -0.5]], [[-0.75, 0.75]]], dtype=torch.float64)
    torch.testing.assert_close(logits.grad, expected)


def test_relaxloss_in_odd_epochs_by_hand():
    # Model 0: L = log 2 < α; targets (.5, .25, .25). Model 1: L = log 10 > α.
    logits = torch.cat([from_posteriors([0.5, 0.4, 0.1]), from_posteriors([0.1, 0.4, 0.5])])
    logits.requires_grad_()
    losses = relaxloss(logits, torch.tensor([[0], [0]]), 1.0, 1, 0.0)
    flattened = -(0.5 * math.log(0.5) + 0.25 * math.log(0.4) + 0.25 * math.log(0.1))
    assert losses.tolist() == pytest.approx([flattened, math.log(10)], rel=1e-12)
    losses.sum().backward()
    # Posterior − target: nothing for the true class; the others move to their mean.
    expected = torch.tensor([[[0, 0.15, -0.15]], [[-0.9, 0.4, 0.5]]], dtype=torch.float64)
    torch.testing.assert_close(logits.grad, expected)


def test_relaxloss_smooths_the_labels_of_its_loss():
    logits, labels = drawn()
    expected = (cross_entropy(logits, labels, 0.2) - 1.0).abs()
    torch.testing.assert_close(relaxloss(logits, labels, 1.0, 4, 0.2), expected)


def test_relaxloss_stays_finite_for_certain_predictions():
    logits = torch.tensor([[[800.0, 0.0, -800.0]]], requires_grad=True)
    for epoch in (0, 1):
        losses = relaxloss(logits, torch.tensor([[0]]), 1.0, epoch, 0.0)
        assert torch.isfinite(losses).all()
        assert torch.isfinite(*torch.autograd.grad(losses.sum(), logits)).all()


def test_each_model_of_a_stack_is_as_alone(loss):
    logits, labels = drawn()
    alone = torch.cat([loss(logits[[e]], labels[[e]]) for e in range(len(logits))])
    torch.testing.assert_close(loss(logits, labels), alone, rtol=1e-12, atol=0)


def test_gradients_stay_within_a_model(loss):
    logits, labels = drawn()
    logits.requires_grad_()
    (gradient,) = torch.autograd.grad(loss(logits, labels)[1], logits)
    assert gradient[1].abs().sum() > 0
    assert not gradient[[0, 2, 3]].any()


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "relaxloss, odd"])
def test_gradients_against_finite_differences(name):
    # Not of posterior flattening: its targets are constants only to the gradient.
    logits, labels = drawn(num_models=2)
    assert gradcheck(lambda z: LOSSES[name](z, labels), logits.requires_grad_())


def test_the_drawn_models_take_both_branches_of_relaxloss():
    losses = cross_entropy(*drawn(), 0.0)
    assert (losses > 1.5).tolist() == [False, True, False, True]


@pytest.mark.parametrize("name", ["none", *DEFENSES])
@pytest.mark.parametrize("epoch", [0, 1])
def test_the_objective_of_every_defence(name, epoch):
    logits, labels = drawn()
    expected = {
        "ppb": ppb(logits, labels, 1.5, 0.1),
        "relaxloss": relaxloss(logits, labels, 1.5, epoch, 0.1),
    }.get(name, cross_entropy(logits, labels, 0.1))
    loss = objective({"name": name, "value": 1.5}, {"label_smoothing": 0.1})
    torch.testing.assert_close(loss(logits, labels, epoch), expected, rtol=0, atol=0)
