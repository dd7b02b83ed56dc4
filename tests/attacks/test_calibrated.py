"""Losses against those of reference models, or of a population."""

import math

import numpy as np
import pytest
from banks import looped, score_bank

from shadowmill.attacks.calibrated import (
    LARGEST_LOSS,
    attack_p,
    attack_r,
    sablayrolles,
    watson,
    ye_percentile,
)
from shadowmill.attacks.loss import cross_entropy, loss
from shadowmill.metrics.intervals import auc_interval
from shadowmill.metrics.ranking import auc

REFERENCE = {
    "watson": watson,
    "sablayrolles": sablayrolles,
    "attack_r": attack_r,
    "ye_percentile": ye_percentile,
}


def phi_of(loss):
    """φ with that cross-entropy."""
    return -np.log(np.expm1(loss))


def bank_of_losses(loss_MN, member_MN):
    return score_bank(phi_of(np.array(loss_MN, dtype=float))[:, :, None], np.array(member_MN))


def random_bank(num_models=12, num_examples=100, *, seed=0, shift=1.0, digits=None):
    """Complementary pairs; with `digits`, φ is rounded, so that some are equal."""
    rng = np.random.default_rng(seed)
    half_MN = rng.random((num_models // 2, num_examples)) < 0.5
    member_MN = np.concatenate([half_MN, ~half_MN])
    phi_MNA = rng.normal(size=(num_models, num_examples, 2))
    phi_MNA += rng.normal(0, 2, (num_examples, 1)) + shift * member_MN[:, :, None]
    if digits is not None:
        phi_MNA = phi_MNA.round(digits)
    return score_bank(phi_MNA, member_MN)


def some_unused(bank):
    unused_MN = np.random.default_rng(9).random(bank.member_MN.shape) < 0.1
    return score_bank(bank.phi_MNA, bank.member_MN & ~unused_MN, bank.nonmember_MN & ~unused_MN)


def slow(name, bank, targets):
    """One target and example at a time, with NumPy's own quantile and interpolation."""
    loss_MN, loss_TN = cross_entropy(bank.phi_MNA), cross_entropy(targets.phi_MNA)
    score_TN = np.empty(loss_TN.shape)
    for t, n in np.ndindex(score_TN.shape):
        into, out = loss_MN[bank.member_MN[:, n], n], loss_MN[bank.nonmember_MN[:, n], n]
        own = loss_TN[t, n]
        if name == "watson":
            score_TN[t, n] = out.mean() - own
        elif name == "sablayrolles":
            score_TN[t, n] = (into.mean() + out.mean()) / 2 - own
        elif name == "ye_percentile":
            score_TN[t, n] = np.percentile(out, 0.01) - own
        else:
            knots = np.sort([0, *out, LARGEST_LOSS])
            equal = np.flatnonzero(knots == own)
            heights = np.linspace(0, 1, len(knots))
            height = heights[equal].mean() if len(equal) else np.interp(own, knots, heights)
            score_TN[t, n] = 1 - height
    return score_TN


# OUT losses of the only example: 1, 2, 4, 5, so their mean is 3; IN 0.5 and 1.5, mean 1.
HAND = bank_of_losses([[1], [2], [4], [5], [0.5], [1.5]], [[False]] * 4 + [[True]] * 2)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("watson", [0, 0.5, -1]),
        ("sablayrolles", [2 - 3, 2 - 2.5, 2 - 4]),
        # Knots 0, 1, 2, 4, 5, 1000 at 0, .2, .4, .6, .8, 1: 3 lies halfway, 2.5 a quarter.
        ("attack_r", [1 - 0.5, 1 - 0.45, 1 - 0.6]),
        # The position 1e-4 · (4 - 1) of the sorted losses is 3e-4 of the way from 1 to 2.
        ("ye_percentile", [1.0003 - 3, 1.0003 - 2.5, 1.0003 - 4]),
    ],
)
def test_hand_values(name, expected):
    targets = bank_of_losses([[3], [2.5], [4]], np.zeros((3, 1), dtype=bool))
    score_TN = REFERENCE[name](HAND, targets)
    np.testing.assert_allclose(score_TN[:, 0], expected, rtol=1e-12, atol=1e-12)


def test_attack_r_tells_apart_what_lies_beyond_all_references():
    # A quarter of the way from 0 to the smallest; one and a half of the way behind the largest.
    targets = bank_of_losses([[0.25], [5 + 995 / 2]], [[False], [False]])
    expected = [1 - 0.25 * 0.2, 0.1]
    np.testing.assert_allclose(attack_r(HAND, targets)[:, 0], expected, rtol=1e-12)


def test_attack_r_at_its_ends():
    # Losses of 0 and beyond 1000; all references at 0 make the curve jump to 4/5 there.
    ends = score_bank(np.array([1e4, -1e4])[:, None, None], np.zeros((2, 1), dtype=bool))
    np.testing.assert_array_equal(attack_r(HAND, ends)[:, 0], [1, 0])
    zeros = score_bank(np.full((4, 1, 1), 1e4), np.zeros((4, 1), dtype=bool))
    np.testing.assert_allclose(attack_r(zeros, ends)[:, 0], [1 - 0.4, 0])


@pytest.mark.parametrize("name", REFERENCE)
@pytest.mark.parametrize("digits", [None, 0])
def test_equals_slow_definition(name, digits):
    bank, targets = random_bank(digits=digits), random_bank(4, seed=1, digits=digits)
    bank = some_unused(bank)
    score_TN = REFERENCE[name](bank, targets)
    assert score_TN.shape == (4, 100)
    np.testing.assert_allclose(score_TN, slow(name, bank, targets), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("name", REFERENCE)
@pytest.mark.parametrize("digits", [None, 0])
@pytest.mark.parametrize("num_models", [4, 20])
def test_every_shadow_in_turn_equals_loop(name, digits, num_models):
    bank = random_bank(num_models, digits=digits)
    if num_models == 20:
        bank = some_unused(bank)
    score = REFERENCE[name]
    np.testing.assert_allclose(score(bank, None), looped(score, bank), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", REFERENCE)
def test_permutations_only_permute(name):
    bank, rng = random_bank(digits=1), np.random.default_rng(2)
    models, examples = rng.permutation(12), rng.permutation(100)
    shuffled = score_bank(bank.phi_MNA[models][:, examples], bank.member_MN[models][:, examples])
    expected_MN = REFERENCE[name](bank, None)[models][:, examples]
    np.testing.assert_allclose(REFERENCE[name](shuffled, None), expected_MN, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("name", REFERENCE)
def test_null_bank_scores_chance(name):
    bank = random_bank(32, 3000, seed=3, shift=0.0)
    score_MN = REFERENCE[name](bank, None)
    for model in range(4):
        low, high = auc_interval(score_MN[model], bank.member_MN[model], 0.999)
        assert low < 0.5 < high


@pytest.mark.parametrize("name", REFERENCE)
def test_references_help(name):
    """The spread between examples hides members from the loss attack, and not from these."""
    bank = random_bank(32, 3000, seed=4)
    score_N = REFERENCE[name](bank, None)[0]
    member_N = bank.member_MN[0]
    assert auc(score_N, member_N) > auc(loss(bank, bank)[0], member_N) + 0.02


@pytest.mark.parametrize("name", ["watson", "attack_r", "ye_percentile"])
def test_only_sablayrolles_reads_members(name):
    bank = random_bank()
    other = score_bank(np.where(bank.member_MN[:, :, None], 9.0, bank.phi_MNA), bank.member_MN)
    score = REFERENCE[name]
    np.testing.assert_array_equal(score(bank, bank), score(other, bank))
    assert not np.allclose(sablayrolles(bank, bank), sablayrolles(other, bank))


@pytest.mark.parametrize("name", REFERENCE)
def test_too_few_references_and_other_examples_are_refused(name):
    score = REFERENCE[name]
    bank = random_bank(2)
    assert np.isfinite(score(bank, bank)).all()
    pattern = f"attack '{name}' found 0 .* shadows for example 0 once .* at least 4 shadows"
    with pytest.raises(ValueError, match=pattern):
        score(bank, None)
    with pytest.raises(ValueError, match=r"shape \(50, 2\), expected \(100, 2\)"):
        score(bank, random_bank(2, 50))


def with_population(phi_MN, population_phi_MZ):
    phi_MNA = np.array(phi_MN, dtype=np.float32)[:, :, None]
    return score_bank(
        phi_MNA,
        np.zeros(phi_MNA.shape[:2], dtype=bool),
        population_phi=np.array(population_phi_MZ, dtype=np.float32),
    )


def test_attack_p_by_hand():
    # A larger loss is a smaller φ: of -1, 0, 0, 3 none is below -1, one equal; one below 0 and two
    # equal; three below 2; all below 4. Ties count half.
    bank = with_population([[-1, 0, 2, 4], [1, 1, 1, 1]], [[0, 3, -1, 0], [2, 2, 2, 1]])
    expected = [[0.5 / 4, 2 / 4, 3 / 4, 1], [0.5 / 4] * 4]
    np.testing.assert_array_equal(attack_p(bank, bank), expected)
    shadows = with_population([[9]], [[9]])  # shadows do not matter
    np.testing.assert_array_equal(attack_p(shadows, bank), expected)


def test_attack_p_equals_the_comparison_of_every_pair():
    rng = np.random.default_rng(5)
    bank = with_population(rng.normal(size=(3, 200)).round(1), rng.normal(size=(3, 50)).round(1))
    for phi_N, population_Z, found in zip(
        bank.phi_MNA[..., 0], bank["population_phi"], attack_p(bank, bank), strict=True
    ):
        own_N1 = np.logaddexp(0, -phi_N.astype(float))[:, None]
        population_Z = np.logaddexp(0, -population_Z.astype(float))
        pairs_NZ = (population_Z > own_N1) + 0.5 * (population_Z == own_N1)
        np.testing.assert_allclose(found, pairs_NZ.mean(axis=1), rtol=1e-14)


def test_attack_p_is_uniform_where_examples_are_like_the_population():
    rng = np.random.default_rng(6)
    bank = with_population(rng.normal(size=(1, 4000)), rng.normal(size=(1, 4000)))
    share = np.mean(attack_p(bank, bank) > 0.9)
    assert abs(share - 0.1) < 4 * math.sqrt(2 * 0.1 * 0.9 / 4000)


def test_attack_p_needs_a_population():
    bank = random_bank(2)
    with pytest.raises(ValueError, match="population_phi is not in the bank"):
        attack_p(bank, bank)
