"""The pooled two-Gaussian attack of the pruning repositories."""

import math

import numpy as np
import pytest
from banks import looped, score_bank
from scipy.stats import norm

from shadowmill.attacks.legacy import global_gaussian
from shadowmill.attacks.sides import SIGMA_FLOOR
from shadowmill.metrics.intervals import auc_interval


def phi_of(loss):
    """φ with that cross-entropy."""
    return -np.log(np.expm1(loss))


def bank_of_losses(loss_MN, member_MN, nonmember_MN=None):
    return score_bank(phi_of(np.asarray(loss_MN))[:, :, None], np.array(member_MN), nonmember_MN)


def random_bank(seed=0, shift=0.5, num_models=6, num_examples=200):
    rng = np.random.default_rng(seed)
    member_MN = rng.random((num_models, num_examples)) < 0.5
    loss_MN = rng.normal(5 - shift * member_MN, 0.5)
    return bank_of_losses(loss_MN, member_MN)


def test_hand_values():
    # Member losses 1, 3 (μ 2, σ² 1), non-member 2, 6 (μ 4, σ² 4); the fifth example is neither.
    member_MN = np.array([[True, True, False], [False, False, False]])
    nonmember_MN = np.array([[False, False, True], [True, False, False]])
    shadows = bank_of_losses([[1, 3, 2], [6, 9, 9.0]], member_MN, nonmember_MN)
    # ½ log(4/1) + (ℓ-4)²/8 - (ℓ-2)²/2 at 2, 4 and 6
    targets = bank_of_losses([[2, 4, 6.0]], [[True] * 3])
    expected = [math.log(2) + 0.5, math.log(2) - 2, math.log(2) + 0.5 - 8]
    np.testing.assert_allclose(global_gaussian(shadows, targets), [expected], rtol=1e-13)


def test_equals_normals_fitted_to_the_pool():
    bank, targets = random_bank(), random_bank(1, num_models=2, num_examples=30)
    loss_MN, loss_TN = (np.log1p(np.exp(-b.phi_MNA[..., 0])) for b in (bank, targets))
    into, out = (
        norm(*norm.fit(loss_MN[side_MN])) for side_MN in (bank.member_MN, bank.nonmember_MN)
    )
    expected_TN = into.logpdf(loss_TN) - out.logpdf(loss_TN)
    np.testing.assert_allclose(global_gaussian(bank, targets), expected_TN, rtol=1e-11)


def test_every_shadow_in_turn_equals_loop():
    bank = random_bank()
    unused_MN = np.random.default_rng(2).random(bank.member_MN.shape) < 0.2
    bank = score_bank(bank.phi_MNA, bank.member_MN & ~unused_MN, bank.nonmember_MN & ~unused_MN)
    expected_MN = looped(global_gaussian, bank)
    np.testing.assert_allclose(global_gaussian(bank, None), expected_MN, rtol=1e-12, atol=1e-12)


def test_permutations_only_permute():
    bank, rng = random_bank(), np.random.default_rng(3)
    models, examples = rng.permutation(6), rng.permutation(200)
    shuffled = score_bank(bank.phi_MNA[models][:, examples], bank.member_MN[models][:, examples])
    np.testing.assert_allclose(
        global_gaussian(shuffled, None),
        global_gaussian(bank, None)[models][:, examples],
        rtol=1e-11,
    )


def test_only_the_identity_query_counts():
    bank = random_bank()
    more = score_bank(np.concatenate([bank.phi_MNA, -bank.phi_MNA], axis=2), bank.member_MN)
    np.testing.assert_array_equal(global_gaussian(more, None), global_gaussian(bank, None))


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_auc_of_normal_losses(shift):
    """Of N(5 - shift, ½) against N(5, ½) it is Φ(shift / ½√2)."""
    bank = random_bank(4, shift=shift, num_models=8, num_examples=4000)
    low, high = auc_interval(global_gaussian(bank, None)[0], bank.member_MN[0], 0.99)
    # Without a shift the two fitted normals are almost one, and their order is chance.
    assert low < norm.cdf(shift / (0.5 * math.sqrt(2))) < high
    assert high - low < 0.06


def test_shadows_that_agree_give_a_finite_score():
    shadows = bank_of_losses([[1, 1, 2, 3.0]], [[True, True, False, False]])
    score_TN = global_gaussian(shadows, bank_of_losses([[1.0]], [[True]]))
    # log σ_out - log floor + (1 - 2.5)²/(2·¼)
    np.testing.assert_allclose(score_TN, [[math.log(0.5 / SIGMA_FLOOR) + 1.5**2 / 0.5]], rtol=1e-13)


def test_shadows_of_one_kind_are_refused():
    bank = bank_of_losses([[1, 2.0], [3, 4.0]], [[True, True], [True, False]])
    assert np.isfinite(global_gaussian(bank, bank)).all()
    with pytest.raises(ValueError, match="no non-members of the shadows once a model is left out"):
        global_gaussian(bank, None)
    with pytest.raises(ValueError, match="no non-members of the shadows, expected"):
        global_gaussian(bank.select([0]), bank)
