"""Accounting of DP-SGD: a published table, a closed form, and inverses."""

import math
import warnings

import pytest
from scipy.optimize import brentq
from scipy.stats import norm

from shadowmill.defenses.private import epsilon, noise_multiplier
from shadowmill.errors import ConfigError

# Noise multipliers and ε of heads on frozen features, trained on N = 10 c examples for 26 + 6c
# (MNIST) and 38 + 10c (CIFAR) epochs of two steps at q = 1/2, with δ = N^-1.1.
PUBLISHED = {
    ("mnist", 10): {1.82: 5, 1.23: 10, 0.85: 20, 0.60: 40, 0.435: 80},
    ("mnist", 40): {5.21: 2, 2.75: 5, 1.75: 10, 1.15: 20, 0.79: 40},
    ("cifar", 10): {1.48: 10, 1.02: 20, 0.714: 40, 0.514: 80, 0.374: 160},
    ("cifar", 40): {2.15: 10, 1.41: 20, 0.953: 40, 0.666: 80, 0.477: 160},
}


def of_heads(data, num_examples):
    """Sampling rate, steps and δ."""
    c = num_examples // 10
    epochs = 26 + 6 * c if data == "mnist" else 38 + 10 * c
    return 0.5, 2 * epochs, num_examples**-1.1


@pytest.mark.long
@pytest.mark.parametrize(
    ("heads", "sigma", "expected"),
    [(heads, s, e) for heads, row in PUBLISHED.items() for s, e in row.items()],
)
def test_epsilon_against_a_published_table(heads, sigma, expected):
    assert epsilon(sigma, *of_heads(*heads)) == pytest.approx(expected, rel=0.015)


def gaussian_epsilon(sigma, steps, delta):
    """Of a Gaussian mechanism composed, exactly (Balle and Wang 2018, arXiv:1805.06530, Thm 8)."""
    mu = math.sqrt(steps) / sigma

    def excess(e):
        return norm.cdf(mu / 2 - e / mu) - math.exp(e + norm.logcdf(-mu / 2 - e / mu)) - delta

    return brentq(excess, 0, 2000)


@pytest.mark.parametrize("sigma", [20.0, 3.0, 0.5, 0.2, 0.12])
def test_without_sampling_epsilon_is_that_of_the_gaussian_mechanism(sigma):
    exact = gaussian_epsilon(sigma, 10, 1e-5)
    bound = epsilon(sigma, 1.0, 10, 1e-5)
    assert exact <= bound <= exact + max(0.02, 0.002 * exact)


@pytest.mark.long
@pytest.mark.parametrize(
    ("target", "rate", "steps", "delta"),
    [
        (2.0, *of_heads("mnist", 40)),
        (160.0, *of_heads("cifar", 10)),
        (8.0, 0.02, 1000, 1e-5),
        (0.5, 0.02, 1000, 1e-5),
    ],
)
def test_the_noise_multiplier_inverts_epsilon(target, rate, steps, delta):
    sigma = noise_multiplier(target, rate, steps, delta)
    assert epsilon(sigma, rate, steps, delta) == pytest.approx(target, rel=0.002, abs=0.02)


def test_epsilon_grows_with_steps_and_rate_and_falls_with_noise():
    middle = epsilon(1.0, 0.1, 100, 1e-5)
    assert epsilon(1.0, 0.1, 200, 1e-5) > middle
    assert epsilon(1.0, 0.2, 100, 1e-5) > middle
    assert epsilon(1.1, 0.1, 100, 1e-5) < middle


def test_no_noise_is_no_privacy():
    assert epsilon(0.0, 0.5, 10, 1e-5) == math.inf
    assert epsilon(0.01, 0.5, 10, 1e-5) == math.inf


@pytest.mark.long
def test_epsilon_is_never_negative():
    """So much noise that δ alone covers the difference."""
    assert epsilon(1000.0, 0.5, 64, 0.08) == 0


@pytest.mark.parametrize(("target", "advice"), [(0.005, "larger"), (501.0, "smaller")])
def test_epsilons_out_of_reach_are_refused(target, advice):
    with pytest.raises(ConfigError, match=rf"ε = {target:g}.*Choose a {advice} ε"):
        noise_multiplier(target, 0.01, 1000, 1e-5)


def test_a_delta_below_rounding_is_refused():
    with pytest.raises(ConfigError, match=r"σ = 1 .*δ = 1e-18.*larger ε or δ"):
        epsilon(1.0, 0.01, 10_000, 1e-18)


def test_no_warnings_reach_the_log():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        epsilon(20.0, 0.5, 64, 0.08)
        epsilon(1.0, 1.0, 10, 1e-5)
        epsilon(0.1, 0.5, 100, 0.05)
