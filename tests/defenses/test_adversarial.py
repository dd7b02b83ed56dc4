"""The attack networks of adversarial regularisation: what they learn and what they let through."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from shadowmill.defenses.adversarial import AttackNetworks

CPU = torch.device("cpu")
CLASSES = 4


def batch(num_models, size, seed, confidence):
    """Logits (E, B, K) that favour the true class by `confidence`, and labels."""
    random = torch.Generator().manual_seed(seed)
    labels = torch.randint(CLASSES, (num_models, size), generator=random)
    logits = torch.randn(num_models, size, CLASSES, generator=random)
    return logits + confidence * F.one_hot(labels, CLASSES), labels


def trained(seeds, steps, networks=None, start=0):
    """Attack networks of models that are far more certain on members; each sees its own data."""
    networks = networks or AttackNetworks(seeds, CLASSES, CPU)
    for step in range(start, start + steps):
        members = [batch(1, 32, 1000 * seed + step, 5.0) for seed in seeds]
        others = [batch(1, 32, 1000 * seed + step + 500, 0.0) for seed in seeds]
        networks.train_step(
            *map(torch.cat, zip(*members, strict=True)), *map(torch.cat, zip(*others, strict=True))
        )
    return networks


@pytest.fixture(scope="module")
def networks():
    return trained([1, 2], 120)


@pytest.mark.long
def test_they_learn_to_separate_members(networks):
    fresh = AttackNetworks([1, 2], CLASSES, CPU)
    member, other = batch(2, 200, 77, 5.0), batch(2, 200, 78, 0.0)
    # Nothing learnt: h is about 1/2 for all. Learnt: h is near 1 for members and near 0 for others.
    torch.testing.assert_close(fresh.gain(*member), torch.full((2,), 0.5).log(), atol=0.1, rtol=0)
    assert (networks.gain(*member) > -0.4).all()
    assert (networks.gain(*other) < -1.5).all()


@pytest.mark.long
def test_the_label_counts():
    """Members are certain of their labels, others of another: posteriors alone do not tell."""
    stack = AttackNetworks([1], CLASSES, CPU)
    for step in range(150):
        (members, labels), (others, wrong) = batch(1, 64, step, 5.0), batch(1, 64, -step - 1, 5.0)
        stack.train_step(members, labels, others, (wrong + 1) % CLASSES)
    logits, labels = batch(1, 200, 999, 5.0)
    assert stack.gain(logits, labels) > -0.25
    assert stack.gain(logits, (labels + 1) % CLASSES) < -1.5


def test_descending_the_gain_makes_members_look_like_others(networks):
    logits, labels = batch(2, 50, 79, 5.0)
    logits.requires_grad_()
    (gradient,) = torch.autograd.grad(networks.gain(logits, labels).sum(), logits)
    step = 0.1 * gradient / gradient.norm()
    with torch.no_grad():
        assert (networks.gain(logits - step, labels) < networks.gain(logits, labels)).all()
    # Less certainty of the true class, on the whole.
    assert gradient.gather(2, labels.unsqueeze(2)).sum() > 0


def test_the_gain_by_a_plain_network():
    """A network of the published sizes, with the parameters of model 1 put in by hand."""
    stack = trained([1, 2], 3)
    parameters = {
        name.removeprefix("parameter/"): tensor[1]
        for name, tensor in stack.state().items()
        if name.startswith("parameter/")
    }
    relu = nn.ReLU()

    def apply(branch, positions, x):
        for position in positions:
            x = relu(
                F.linear(
                    x,
                    parameters[f"{branch}.{position}.weight"],
                    parameters[f"{branch}.{position}.bias"],
                )
            )
        return x

    logits, labels = batch(2, 10, 5, 2.0)
    seen = apply("posterior", (0, 2, 4), logits[1].softmax(dim=1))
    said = apply("label", (0, 2), F.one_hot(labels[1], CLASSES).float())
    joint = apply("joint", (0, 2), torch.cat([seen, said], dim=1))
    h = torch.sigmoid(F.linear(joint, parameters["joint.4.weight"], parameters["joint.4.bias"]))
    torch.testing.assert_close(stack.gain(logits, labels)[1], h.log().mean())
    widths = {name: tuple(tensor.shape) for name, tensor in parameters.items() if "weight" in name}
    assert widths == {
        "posterior.0.weight": (1024, CLASSES),
        "posterior.2.weight": (512, 1024),
        "posterior.4.weight": (64, 512),
        "label.0.weight": (512, CLASSES),
        "label.2.weight": (64, 512),
        "joint.0.weight": (256, 128),
        "joint.2.weight": (64, 256),
        "joint.4.weight": (1, 64),
    }


def test_the_first_step_by_hand():
    """Of the last bias, whose gradient is ½ E[1 − h] over members less ½ E[h] over the others."""
    stack = AttackNetworks([3], CLASSES, CPU)
    before = stack.state()["parameter/joint.4.bias"]
    members, others = [batch(1, 1, seed, 5.0) for seed in (1, 2)], [batch(1, 1, 3, 0.0)]
    # With one example, h is what the gain is the logarithm of.
    h_members = [stack.gain(*example).exp().item() for example in members]
    h_others = [stack.gain(*example).exp().item() for example in others]
    gradient = 0.5 * (1 - sum(h_members) / 2) - 0.5 * h_others[0]
    joined = [torch.cat(tensors, dim=1) for tensors in zip(*members, strict=True)]
    stack.train_step(*joined, *others[0])
    after = stack.state()
    # Adam minimises the negative: first moment 0.1 · (−g), first step lr · sign(g).
    assert after["exp_avg/joint.4.bias"].item() == pytest.approx(-0.1 * gradient, rel=1e-4)
    moved = (after["parameter/joint.4.bias"] - before).item()
    assert moved == pytest.approx(math.copysign(1e-3, gradient), rel=1e-3)


def test_the_gain_gives_no_gradient_to_the_attack():
    stack = AttackNetworks([1, 2], CLASSES, CPU)
    logits, labels = batch(2, 5, 1, 5.0)
    logits.requires_grad_()
    stack.gain(logits, labels).sum().backward()
    assert logits.grad.any()
    assert all(parameter.grad is None for parameter in stack._parameters.values())


def test_training_the_attack_gives_no_gradient_to_the_models():
    (members, labels), (others, other_labels) = batch(1, 4, 1, 5.0), batch(1, 4, 2, 0.0)
    members.requires_grad_(), others.requires_grad_()
    AttackNetworks([1], CLASSES, CPU).train_step(members, labels, others, other_labels)
    assert members.grad is None
    assert others.grad is None


def test_gradients_of_the_gain_stay_within_a_model(networks):
    logits, labels = batch(2, 5, 1, 5.0)
    logits.requires_grad_()
    (gradient,) = torch.autograd.grad(networks.gain(logits, labels)[0], logits)
    assert gradient[0].any()
    assert not gradient[1].any()


def test_gradients_of_the_gain_against_finite_differences():
    stack = trained([1], 3)
    state = {name: tensor.double() for name, tensor in stack.state().items()}
    stack._parameters = {
        name.removeprefix("parameter/"): tensor
        for name, tensor in state.items()
        if name.startswith("parameter/")
    }
    logits, labels = batch(1, 3, 1, 5.0)
    assert torch.autograd.gradcheck(
        lambda z: stack.gain(z, labels), logits.double().requires_grad_()
    )


@pytest.mark.parametrize("steps", [0, 3])
def test_state_round_trip_continues_bit_for_bit(steps):
    unbroken = trained([1, 2], steps)
    saved = unbroken.state()
    resumed = trained([8, 9], 2)  # whatever it was before must not matter
    resumed.load(saved)
    for stack in (unbroken, resumed):
        trained([1, 2], 4, stack, start=steps)
    one, other = unbroken.state(), resumed.state()
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_state_is_a_copy():
    stack = trained([1], 1)
    saved = stack.state()
    kept = {name: tensor.clone() for name, tensor in saved.items()}
    other = AttackNetworks([5], CLASSES, CPU)
    other.load(saved)
    for changed in (stack, other):
        trained([1], 1, changed, start=1)
    assert all(torch.equal(saved[name], kept[name]) for name in kept)


def test_a_model_in_a_stack_is_as_alone():
    logits, labels = batch(1, 20, 5, 2.0)
    alone = trained([2], 10).gain(logits, labels)
    stacked = trained([1, 2, 3], 10).gain(logits.expand(3, -1, -1), labels.expand(3, -1))
    torch.testing.assert_close(stacked[[1]], alone, rtol=1e-4, atol=1e-5)
    assert (stacked[[0, 2]] - alone).abs().min() > 1e-4


def test_initialisation_follows_from_the_seed_alone():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    one = AttackNetworks([1, 2], CLASSES, CPU).state()
    assert torch.equal(torch.rand(3), expected)
    other = AttackNetworks([2, 3], CLASSES, CPU).state()
    for name in one:
        assert torch.equal(one[name][1], other[name][0])
    weight = one["parameter/posterior.2.weight"]
    assert not torch.equal(weight[0], weight[1])


def test_certain_attacks_stay_finite():
    stack = AttackNetworks([1], CLASSES, CPU)
    state = stack.state()
    state["parameter/joint.4.bias"] = torch.full((1, 1), -500.0)
    stack.load(state)
    logits, labels = batch(1, 4, 1, 5.0)
    assert stack.gain(logits, labels).item() == pytest.approx(-500, rel=1e-4)
    stack.train_step(logits, labels, logits, labels)
    assert all(torch.isfinite(tensor).all() for tensor in stack.state().values())
