"""Lower bounds of ε: published numbers, definitions, and validity where the truth is known."""

import numpy as np
import pytest
from scipy.stats import binom, norm

from shadowmill.metrics.epsilon import (
    epsilon_of_gdp,
    gdp_bound,
    gdp_is_refused,
    one_run_bound,
    one_run_p,
)


# Worked out with jax_privacy, six digits.
@pytest.mark.parametrize(
    ("counts", "delta", "epsilon"),
    [
        ((1000, 100, 100), 0, 3.492965),
        ((1000, 100, 95), 0, 2.172434),
        ((1000, 1000, 750), 0, 0.976667),
        ((1000, 100, 100), 1e-5, 3.465376),
        ((1000, 100, 95), 1e-5, 2.165176),
        ((1000, 1000, 750), 1e-5, 0.976367),
        ((15_000, 1500, 1200), 1e-5, 1.275221),
        ((1000, 100, 50), 1e-5, 0),
        ((100, 0, 0), 1e-5, 0),
    ],
)
def test_bounds_of_one_run(counts, delta, epsilon):
    assert one_run_bound(*counts, delta) == pytest.approx(epsilon, abs=1e-6)


@pytest.mark.parametrize(
    ("counts", "epsilon", "delta", "p"),
    [
        ((1000, 100, 90), 1, 0, 2.735813e-5),
        ((1000, 100, 90), 1, 1e-5, 8.412886e-4),
        ((1000, 100, 80), 1, 1e-3, 0.2168432),
        ((100, 10, 10), 0.5, 1e-3, 0.0431361),
        ((100, 10, 0), 0.5, 1e-3, 1),
    ],
)
def test_p_values_of_one_run(counts, epsilon, delta, p):
    assert one_run_p(*counts, epsilon, delta) == pytest.approx(p, rel=2e-6)


@pytest.mark.parametrize(
    ("counts", "mu", "epsilon"),
    [
        ((1000, 100, 95), 0.786812, 3.3233),
        ((1000, 100, 100), 1.225533, 5.5490),
        ((1000, 1000, 750), 0.460625, 1.8189),
        ((1000, 100, 50), 0, 0),
        ((100, 0, 0), 0, 0),
    ],
)
def test_bounds_of_gaussian_privacy(counts, mu, epsilon):
    found = gdp_bound(*counts)
    assert found == pytest.approx(mu, abs=1e-6)
    assert epsilon_of_gdp(found, 1e-5) == pytest.approx(epsilon, abs=1e-4)


def test_all_right_without_delta_is_a_coin():
    # 0.05 = q^r with q = e^ε / (1 + e^ε).
    for guesses in (10, 64):
        q = 0.05 ** (1 / guesses)
        found = one_run_bound(guesses, guesses, guesses, 0)
        assert found == pytest.approx(np.log(q / (1 - q)), abs=1e-8)


def test_the_bound_has_the_p_value_of_its_confidence():
    for confidence in (0.9, 0.99):
        bound = one_run_bound(500, 80, 66, 1e-4, confidence)
        assert one_run_p(500, 80, 66, bound, 1e-4) == pytest.approx(1 - confidence, rel=1e-5)


def test_p_by_its_definition():
    coins, guesses, right, epsilon, delta = 60, 12, 9, 0.4, 2e-3
    w = binom(guesses, np.exp(epsilon) / (1 + np.exp(epsilon)))
    sizes = range(1, right + 1)
    alpha = max(sum(w.pmf(k) for k in range(right - i, right)) / i for i in sizes)
    expected = w.sf(right - 1) + 2 * coins * delta * alpha
    assert one_run_p(coins, guesses, right, epsilon, delta) == pytest.approx(expected)


@pytest.mark.parametrize("mu", [0.3, 1.0, 4.0])
@pytest.mark.parametrize("delta", [1e-5, 0.01])
def test_epsilon_of_gaussian_privacy_has_its_delta(mu, delta):
    epsilon = epsilon_of_gdp(mu, delta)
    found = norm.cdf(mu / 2 - epsilon / mu) - np.exp(epsilon) * norm.cdf(-mu / 2 - epsilon / mu)
    assert epsilon == 0 or found == pytest.approx(delta, rel=1e-6)


def test_impossible_counts():
    for call in (lambda *c: one_run_p(*c, 1, 0), lambda *c: gdp_is_refused(*c, 1)):
        with pytest.raises(ValueError, match="12 right of 10 guesses of 20 coins"):
            call(20, 10, 12)
