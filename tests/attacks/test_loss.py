"""The loss attack: minus the cross-entropy of the identity query."""

import math
from decimal import Decimal, localcontext

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from banks import score_bank

from shadowmill.attacks import ATTACKS, attack_shadows
from shadowmill.attacks.loss import loss
from shadowmill.scores.statistics import logit_scaled_confidence


def bank_of(phi_MNA):
    phi_MNA = np.asarray(phi_MNA)
    return score_bank(phi_MNA, np.zeros(phi_MNA.shape[:2], dtype=bool))


def loss_of(phi_NA):
    """The score of a single target; the shadows do not matter."""
    (score_N,) = loss(bank_of(np.zeros((1, 1, 1))), bank_of(phi_NA[None]))
    return score_N


def exact(phi):
    """log p with p = 1 / (1 + exp(−φ)), with 400 digits."""
    with localcontext(prec=400):
        return float(-(1 + (-Decimal(float(phi))).exp()).ln())


@pytest.mark.parametrize(
    ("p", "score"), [(0.5, -math.log(2)), (0.25, -math.log(4)), (0.99, math.log(0.99))]
)
def test_hand_values(p, score):
    phi_NA = np.array([[math.log(p / (1 - p))]])
    np.testing.assert_allclose(loss_of(phi_NA), [score], rtol=1e-13)


@pytest.mark.parametrize("sign", [-1, 1])
def test_exact_for_large_and_small_confidence(sign):
    # Far up, p rounds to 1 and −log p to 0; far down, exp(−φ) overflows.
    phi_N = sign * np.array([0.0, 1e-9, 1.0, 20, 36, 37, 50, 300, 700])
    expected = [exact(phi) for phi in phi_N]
    np.testing.assert_allclose(loss_of(phi_N[:, None]), expected, rtol=1e-14)


def test_far_down_it_is_the_confidence_itself():
    phi_NA = np.array([[-1e3], [-1e5], [-1e30]])
    np.testing.assert_array_equal(loss_of(phi_NA), phi_NA[:, 0])


def test_confident_examples_keep_their_order():
    """In single precision all of these losses would be zero, or one number."""
    phi_NA = np.linspace(20, 600, 100, dtype=np.float32)[:, None]
    score_N = loss_of(phi_NA)
    assert score_N.dtype == np.float64
    assert (np.diff(score_N) > 0).all()
    assert (score_N < 0).all()


def test_minus_the_cross_entropy_of_the_logits():
    logits = 5 * torch.randn(40, 10, generator=torch.Generator().manual_seed(0)).double()
    labels = torch.arange(40) % 10
    phi_NA = logit_scaled_confidence(logits, labels).numpy()[:, None]
    expected = -F.cross_entropy(logits, labels, reduction="none").numpy()
    np.testing.assert_allclose(loss_of(phi_NA), expected, rtol=1e-12)


def test_the_identity_query_alone_counts():
    phi_NA = np.random.default_rng(0).normal(size=(20, 3))
    np.testing.assert_array_equal(loss_of(phi_NA), loss_of(phi_NA[:, :1]))


def test_every_shadow_in_turn_is_each_by_itself():
    phi_MNA = np.random.default_rng(0).normal(0, 10, (4, 30, 2)).astype(np.float32)
    score_MN = attack_shadows(ATTACKS["loss"], bank_of(phi_MNA))
    assert score_MN.shape == (4, 30)
    assert score_MN.dtype == np.float64
    for phi_NA, score_N in zip(phi_MNA, score_MN, strict=True):
        np.testing.assert_array_equal(score_N, loss_of(phi_NA))
        np.testing.assert_allclose(score_N, [exact(phi) for phi in phi_NA[:, 0]], rtol=1e-14)
