"""The prior of variances: known answers, its limits, and what they make of LiRA."""

import numpy as np
import pytest
from banks import score_bank
from scipy.special import polygamma

from shadowmill.attacks import lira
from shadowmill.attacks.prior import Moments, Prior, inverse_trigamma


def bank_of(phi_MN, seed=0):
    """Complementary pairs of one query."""
    half_MN = np.random.default_rng(seed).random((len(phi_MN) // 2, phi_MN.shape[1])) < 0.5
    member_MN = np.stack([half_MN, ~half_MN], axis=1).reshape(phi_MN.shape)
    return score_bank(phi_MN[..., None], member_MN)


@pytest.fixture
def bank():
    rng = np.random.default_rng(3)
    return bank_of(rng.normal(size=(12, 60)) * rng.gamma(2, 1, 60))


@pytest.mark.parametrize("value", [1e-9, 1e-3, 0.1, np.pi**2 / 6, 40.0, 1e9])
def test_the_inverse_of_trigamma(value):
    found = inverse_trigamma(np.array([value, 1.0]))
    np.testing.assert_allclose(polygamma(1, found), [value, 1.0], rtol=1e-9)


@pytest.mark.parametrize("d0", [2.0, 8.0, 20.0])
@pytest.mark.parametrize(("freedom", "tolerance"), [(1, 0.03), (5, 0.004)])
def test_the_prior_that_variances_were_drawn_from_is_found(d0, freedom, tolerance):
    rng = np.random.default_rng(5)
    variance = d0 * 3.0 / rng.chisquare(d0, 400_000)
    moments = Moments()
    for part in np.split(variance * rng.chisquare(freedom, 400_000), 8):
        moments.add(part, freedom, 0)
    prior = moments.prior()
    assert 1 / prior.freedom == pytest.approx(1 / d0, abs=tolerance)
    assert prior.variance == pytest.approx(3.0, rel=0.03)


def test_examples_seen_once_say_nothing():
    some, more = Moments(), Moments()
    some.add(np.array([1.0, 4.0, 0.5]), np.array([1, 2, 3]), 0)
    more.add(np.array([1.0, 0.0, 4.0, 0.5]), np.array([1, 0, 2, 3]), 0)
    np.testing.assert_allclose(more.prior(), some.prior(), rtol=1e-14)


def test_variances_that_are_alike_are_pooled():
    moments = Moments()
    moments.add(np.array([2.0, 2.0, 2.0]), np.array([2, 2, 1]), 0)
    assert moments.prior() == (np.inf, 6 / 5)


@pytest.mark.parametrize("targets", [True, False])
def test_one_variance_for_all_is_lira_fixed(targets):
    """Residuals of every example and side are ±1: no spread between variances."""
    rng = np.random.default_rng(0)
    half_MN = np.repeat([[True], [True], [False], [False]], 50, axis=1)
    member_MN = np.stack([half_MN, ~half_MN], axis=1).reshape(8, 50)
    sign_M = np.array([1, 1, -1, -1, 1, 1, -1, -1.0])
    phi_MN = rng.normal(size=50) + sign_M[:, None] + member_MN
    bank = score_bank(phi_MN[..., None], member_MN)
    against = score_bank(rng.normal(size=(2, 50, 1)), member_MN[:2]) if targets else None
    expected = lira(bank, against, "fixed")
    np.testing.assert_allclose(lira(bank, against, "bayes_n"), expected, rtol=1e-12)


@pytest.mark.parametrize(("freedom", "mode"), [(np.inf, "fixed"), (0.0, "online")])
def test_the_limits_are_lira_with_one_variance_and_with_own_ones(bank, monkeypatch, freedom, mode):
    prior = Moments.prior

    def limit(self):
        pooled = self._sums[5] / self._sums[4]
        return Prior(np.full_like(prior(self).freedom, freedom), pooled)

    monkeypatch.setattr(Moments, "prior", limit)
    for targets in (None, bank.select([4, 7])):
        expected = lira(bank, targets, mode)
        np.testing.assert_allclose(lira(bank, targets, "bayes_n"), expected, rtol=1e-10)


def test_few_degrees_of_freedom_have_heavier_tails_than_many(bank):
    """Far out, a Gaussian's log ratio grows with the square, Student's with the logarithm."""
    far = score_bank(np.full((1, 60, 1), 1e6), bank.member_MN[:1])
    gaussian, student = (np.abs(lira(bank, far, mode)) for mode in ("bayes_n", "bayes_t"))
    assert (student < 300).all()
    assert np.median(gaussian) > 1e9


@pytest.mark.parametrize("mode", ["bayes_n", "bayes_t"])
def test_sides_swapped_is_the_sign_changed(bank, mode):
    swapped = score_bank(bank.phi_MNA, ~bank.member_MN)
    targets = bank.select([0, 5])
    np.testing.assert_allclose(lira(swapped, targets, mode), -lira(bank, targets, mode), rtol=1e-12)
