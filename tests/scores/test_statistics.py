"""Entropy, modified entropy and sensitivity of posteriors against hand-computed and plain ways."""

import math

import numpy as np
import pytest
import scipy.stats
import torch

from shadowmill.scores.statistics import entropy, modified_entropy, sensitivity
from shadowmill.seeds import seed_of


def logits_of(*probabilities):
    return torch.tensor(probabilities, dtype=torch.float64).log()


def test_entropy_is_scipys():
    logits = torch.from_numpy(np.random.default_rng(0).normal(0, 3, (2, 50, 7)))
    expected = scipy.stats.entropy(logits.softmax(dim=-1).numpy(), axis=-1)
    np.testing.assert_allclose(entropy(logits).numpy(), expected, rtol=1e-12)


def test_modified_entropy_by_hand():
    # p = (0.7, 0.2, 0.1), label 0: −0.3 log 0.7 − 0.2 log 0.8 − 0.1 log 0.9
    expected = -0.3 * math.log(0.7) - 0.2 * math.log(0.8) - 0.1 * math.log(0.9)
    found = modified_entropy(logits_of(0.7, 0.2, 0.1)[None], torch.tensor([0]))
    assert float(found[0]) == pytest.approx(expected, rel=1e-12)
    # label 2: −0.9 log 0.1 − 0.7 log 0.3 − 0.2 log 0.8
    expected = -0.9 * math.log(0.1) - 0.7 * math.log(0.3) - 0.2 * math.log(0.8)
    found = modified_entropy(logits_of(0.7, 0.2, 0.1)[None], torch.tensor([2]))
    assert float(found[0]) == pytest.approx(expected, rel=1e-12)


def test_modified_entropy_is_the_plain_formula_where_that_is_exact():
    random = np.random.default_rng(1)
    logits = random.normal(0, 2, (200, 5))
    labels = random.integers(0, 5, 200)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    own = p[np.arange(200), labels]
    terms = -p * np.log1p(-p)
    others = terms.sum(axis=1) - terms[np.arange(200), labels]
    expected = -(1 - own) * np.log(own) + others
    found = modified_entropy(torch.from_numpy(logits), torch.from_numpy(labels))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9)


@pytest.mark.parametrize("margin", [50.0, 200.0, 700.0])
def test_modified_entropy_of_the_very_sure(margin):
    logits = torch.tensor([[margin, 0.0, 0.0]], dtype=torch.float64)
    right = float(modified_entropy(logits, torch.tensor([0]))[0])
    # (1 − p) ≈ 2 e^−m: 1 − p_y times −log p_y is of second order, the others p_j² each.
    assert right == pytest.approx(6 * math.exp(-2 * margin), rel=1e-6)
    wrong = float(modified_entropy(logits, torch.tensor([1]))[0])
    # −log p_y = m for the true class, −p_top log(1 − p_top) = m − log 2 for the other.
    assert wrong == pytest.approx(2 * margin - math.log(2), rel=1e-9)


def test_sensitivity_of_a_linear_model_is_that_of_its_derivative():
    weight = torch.from_numpy(np.random.default_rng(2).normal(0, 0.3, (6, 4))).float()
    inputs = torch.randn(5, 6, generator=torch.Generator().manual_seed(0))

    def ask(batch):
        return (batch @ weight)[None]

    posterior = ask(inputs).double().softmax(dim=-1)
    found = sensitivity(ask, inputs, posterior)[0].numpy()
    directions = np.stack(
        [
            torch.randn(6, generator=torch.Generator().manual_seed(seed_of("sensitivity", t)))
            for t in range(10)
        ]
    )
    p = posterior[0].numpy()
    change = directions @ weight.numpy()  # of the logits, per unit of ε
    expected = np.mean(
        [np.abs(p * (c - (p * c).sum(axis=1, keepdims=True))) for c in change], axis=0
    )
    np.testing.assert_allclose(found, expected, rtol=0.02, atol=2e-4)
