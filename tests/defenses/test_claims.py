"""What private training claims, by two accountants."""

import math

import pytest

from shadowmill.defenses import private
from shadowmill.defenses.claims import claim_of, replace_one_epsilon

DP = {"name": "dp_sgd", "strength": "noise_multiplier", "value": 1.0, "delta": 1e-5}


def settings(defense, batch_size=20, epochs=30):
    return {"defense": defense, "recipe": {"batch_size": batch_size, "epochs": epochs}}


def test_replacing_costs_more_than_adding():
    # Worked out with dp_accounting: 1,500 steps at q = 0.02, σ = 1.
    assert replace_one_epsilon(1.0, 0.02, 1500, 1e-5) == pytest.approx(7.9155, abs=1e-3)
    assert private.epsilon(1.0, 0.02, 1500, 1e-5) == pytest.approx(4.814, abs=0.02)


def test_a_single_step_on_everything_is_the_gaussian_mechanism():
    """Replacing moves the sum by up to 2C: noise of half the size."""
    from shadowmill.metrics.epsilon import epsilon_of_gdp

    assert replace_one_epsilon(3.0, 1.0, 1, 1e-5) == pytest.approx(
        epsilon_of_gdp(2 / 3, 1e-5), rel=1e-3
    )


def test_no_noise_claims_nothing():
    assert replace_one_epsilon(0.0, 0.02, 100, 1e-5) == math.inf


def test_a_claim_follows_from_the_settings():
    # 1,000 members in batches of 20: q = 0.02, and 50 steps in each of 30 epochs.
    claim = claim_of(settings(DP), num_members=1000, epoch_size=1000)
    assert claim.delta == 1e-5
    assert claim.epsilon == private.epsilon(1.0, 0.02, 1500, 1e-5)
    assert claim.replace_one == replace_one_epsilon(1.0, 0.02, 1500, 1e-5)
    named = claim_of(settings(DP | {"strength": "epsilon", "value": 8.0}), 1000, 1000)
    assert named.epsilon == pytest.approx(8, rel=0.01)
    assert named.replace_one > 1.3 * named.epsilon


def test_models_without_privacy_claim_nothing():
    assert claim_of(settings({"name": "none"}), 1000, 1000) is None
