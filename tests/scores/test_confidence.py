"""The logit-scaled confidence φ = log(p / (1 − p))."""

from decimal import Decimal, localcontext

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from shadowmill.scores.statistics import logit_scaled_confidence


def exact(logits, label):
    """log(p / (1 − p)) with 200 digits, from the definition of the softmax."""
    with localcontext(prec=200):
        powers = [Decimal(float(logit)).exp() for logit in logits]
        p = powers[label] / sum(powers)
        return float((p / (1 - p)).ln())


@pytest.mark.parametrize("scale", [0.1, 3, 30])
@pytest.mark.parametrize("num_classes", [2, 10, 100])
def test_against_the_definition_in_high_precision(scale, num_classes):
    random = np.random.default_rng(num_classes)
    logits = random.normal(0, scale, (12, num_classes)).astype(np.float32)
    labels = random.integers(num_classes, size=12)
    found = logit_scaled_confidence(torch.from_numpy(logits), torch.from_numpy(labels))
    expected = [exact(row, label) for row, label in zip(logits, labels, strict=True)]
    assert found.dtype == torch.float64
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize(
    ("logits", "label", "phi"),
    [
        # Two classes: φ is the difference.
        ([3.0, 1.0], 0, 2.0),
        ([3.0, 1.0], 1, -2.0),
        # Here p rounds to 1 in float64, and 1 − p to 0.
        ([500.0, 0.0], 0, 500.0),
        ([1000.0, -1000.0], 0, 2000.0),
        ([-30_000.0, 30_000.0], 0, -60_000.0),
        # K − 1 equal others: φ = z − log(K − 1).
        ([700.0, 0.0, 0.0, 0.0, 0.0], 0, 700 - np.log(4)),
        ([0.0] * 10, 3, -np.log(9)),
    ],
)
def test_extreme_logits_by_hand(logits, label, phi):
    found = logit_scaled_confidence(torch.tensor(logits), torch.tensor(label))
    assert found.item() == pytest.approx(phi, rel=1e-15)


def test_a_logit_of_another_class_far_below_changes_nothing():
    logits = torch.tensor([[5.0, 1.0, -1e30]])
    assert logit_scaled_confidence(logits, torch.tensor([0])).item() == 4.0


def test_softplus_of_minus_phi_is_the_cross_entropy():
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 50, 10, generator=random, dtype=torch.float64) * 8
    labels = torch.randint(10, (3, 50), generator=random)
    loss = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").view(3, 50)
    # Without the threshold beyond which PyTorch's softplus is the identity.
    softplus = torch.logaddexp(
        -logit_scaled_confidence(logits, labels), torch.zeros((), dtype=torch.float64)
    )
    torch.testing.assert_close(softplus, loss, rtol=1e-12, atol=1e-14)


def test_adding_a_constant_to_all_logits_changes_nothing():
    logits = torch.tensor([[1.0, 2.0, -3.0]], dtype=torch.float64)
    label = torch.tensor([1])
    found, shifted = (logit_scaled_confidence(z, label).item() for z in (logits, logits + 64))
    assert shifted == pytest.approx(found, abs=1e-13)


def test_half_precision_logits_are_summed_in_double_precision():
    logits = torch.zeros(1, 1000, dtype=torch.bfloat16)
    found = logit_scaled_confidence(logits, torch.tensor([0]))
    assert found.item() == pytest.approx(-np.log(999), rel=1e-14)
