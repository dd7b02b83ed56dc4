"""Attacks on the curvature of the loss, and on it and φ together."""

import importlib
import math
from functools import partial

import numpy as np
import pytest
from banks import looped, replace, score_bank
from scipy.stats import multivariate_normal, norm

from shadowmill.attacks import ATTACKS, attack_shadows, lira
from shadowmill.attacks.curvature import (
    EPSILON,
    NLL_EPSILON,
    PRIOR_SHADOWS,
    curvature_lira,
    likelihood_ratio,
    log_curvature,
)
from shadowmill.attacks.sides import SIGMA_FLOOR
from shadowmill.metrics.intervals import auc_interval
from shadowmill.metrics.ranking import auc

ESTIMATORS = ("finite_difference", "trace", "frobenius")
PUBLISHED = ("published_nll", "published_lr", "published_carlini")
NAMES = ("curvature_nll", "curvature_lr", "curvature_lira", *PUBLISHED)
ARRAY = "curvature_finite_difference"


def bank_of(log_MNA, member_MN, phi_MNA=None, nonmember_MN=None):
    """All curvatures have that logarithm; the logit of the largest probability is minus it."""
    curvature_MNA = np.exp(log_MNA)
    return score_bank(
        np.zeros_like(log_MNA) if phi_MNA is None else phi_MNA,
        member_MN,
        nonmember_MN,
        **{f"curvature_{estimator}": curvature_MNA for estimator in ESTIMATORS},
        max_phi=-log_MNA,
    )


def random_bank(
    num_models, num_examples, num_queries, *, seed=0, shift=1.0, correlation=-0.6, spread=0.0
):
    """Complementary pairs; φ ~ N(μ_i + shift · member, σ_i²), and log curvature goes down by it."""
    rng = np.random.default_rng(seed)
    half_MN = rng.random((num_models // 2, num_examples)) < 0.5
    member_MN = np.stack([half_MN, ~half_MN], axis=1).reshape(num_models, num_examples)
    noise_2MNA = rng.normal(size=(2, num_models, num_examples, num_queries))
    noise_2MNA[1] *= math.sqrt(1 - correlation**2)
    noise_2MNA[1] += correlation * noise_2MNA[0]
    noise_2MNA *= np.exp(rng.normal(0, spread, (2, 1, num_examples, 1)))
    centre_2N = np.random.default_rng(99).normal(0, 3, (2, num_examples))
    phi_MNA, log_MNA = noise_2MNA + centre_2N[:, None, :, None]
    gap_MN1 = shift * member_MN[:, :, None]
    return bank_of(log_MNA - gap_MN1, member_MN, phi_MNA + gap_MN1)


def without(bank, model):
    return bank.select(np.delete(np.arange(len(bank.names)), model))


def some_unused(bank):
    unused_MN = np.random.default_rng(2).random(bank.member_MN.shape) < 0.1
    return replace(
        bank,
        member_MN=bank.member_MN & ~unused_MN,
        nonmember_MN=bank.nonmember_MN & ~unused_MN,
    )


def area(score_MN, bank):
    return auc(score_MN.ravel(), bank.member_MN.ravel())


def slow_score(name, bank, targets):
    """One target and example at a time, from the definitions; the published ones literally."""
    if name == "published_carlini":
        p_MNA, p_TNA = (1 / (1 + np.exp(-b["max_phi"])) for b in (bank, targets))
        value_MNA, value_TNA = (np.log(p / (1 - p + 1e-22) + 1e-22) for p in (p_MNA, p_TNA))
    else:
        value_MNA, value_TNA = (np.log(b[ARRAY] + 1e-22) for b in (bank, targets))
    score_TN = np.empty(value_TNA.shape[:2])
    for t, n in np.ndindex(score_TN.shape):
        into_MA, out_MA = (
            value_MNA[side_MN[:, n], n] for side_MN in (bank.member_MN, bank.nonmember_MN)
        )
        x_A = value_TNA[t, n]
        mean_in, mean_out = into_MA.mean(axis=0), out_MA.mean(axis=0)
        var_in, var_out = into_MA.var(axis=0), out_MA.var(axis=0)
        if name == "curvature_lr":
            ratio = norm.logpdf(x_A, mean_in, np.sqrt(var_in))
            ratio -= norm.logpdf(x_A, mean_out, np.sqrt(var_out))
            score_TN[t, n] = ratio.mean()
        elif name == "curvature_nll":
            sigma = np.concatenate([into_MA - mean_in, out_MA - mean_out]).std(axis=0)
            ratio = norm.logpdf(x_A, mean_in, sigma) - norm.logpdf(x_A, mean_out, sigma)
            score_TN[t, n] = ratio.mean()
        elif name == "published_nll":
            ratio = norm.logpdf(x_A, mean_in, var_in + 1e-32)
            ratio -= norm.logpdf(x_A, mean_out, var_in + 1e-32)
            score_TN[t, n] = ratio.sum()
        else:
            likelihood_in = norm.pdf(x_A, mean_in, var_in + 1e-22).sum()
            likelihood_out = norm.pdf(x_A, mean_out, var_out + 1e-22).sum()
            score_TN[t, n] = likelihood_in / (likelihood_out + 1e-22)
    return score_TN


def slow_joint_score(bank, targets):
    """Two-dimensional normals with NumPy's covariances and SciPy's densities."""
    pairs_MNA2, pairs_TNA2 = (
        np.stack([b.phi_MNA, np.log(b[ARRAY] + 1e-22)], axis=-1) for b in (bank, targets)
    )
    num_targets, num_examples, num_queries, _ = pairs_TNA2.shape
    score_TNA = np.zeros((num_targets, num_examples, num_queries))
    for sign, side_MN in ((1, bank.member_MN), (-1, bank.nonmember_MN)):
        for a in range(num_queries):
            samples = [pairs_MNA2[side_MN[:, n], n, a] for n in range(num_examples)]
            scatters = [np.cov(s.T, bias=True) * len(s) for s in samples]
            pooled = sum(scatters) / sum(len(s) - 1 for s in samples)
            for n, (sample, scatter) in enumerate(zip(samples, scatters, strict=True)):
                covariance = (scatter + PRIOR_SHADOWS * pooled) / (len(sample) - 1 + PRIOR_SHADOWS)
                normal = multivariate_normal(sample.mean(axis=0), covariance)
                score_TNA[:, n, a] += sign * normal.logpdf(pairs_TNA2[:, n, a])
    return score_TNA.mean(axis=2)


# Log curvatures. IN 1, 3 (μ 2, v 1), OUT 4, 8 (μ 6, v 4).
HAND = bank_of(
    np.array([1.0, 3.0, 4.0, 8.0])[:, None, None], np.array([[1], [1], [0], [0]], dtype=bool)
)


@pytest.mark.parametrize(
    ("form", "at_3", "at_3_and_6"),
    [
        # At 3: log 2 - (3-2)²/2 + (3-6)²/(2·4); at 6: log 2 - (6-2)²/2
        ("lr", math.log(2) + 5 / 8, math.log(2) + (5 / 8 - 8) / 2),
        # Squared residuals 2 + 8 of four: variance 5/2. ((3-6)² - (3-2)²) / (2·5/2)
        ("nll", 8 / 5, (8 / 5 - 16 / 5) / 2),
        # v_in² = 1: (9 - 1) / 2, and (0 - 16) / 2 is added
        ("published_nll", 4, 4 - 8),
        # exp(-1/2)/1 over exp(-9/(2·16))/4; of each the sum
        (
            "published_lr",
            4 * math.exp(-1 / 2 + 9 / 32),
            4 * (math.exp(-1 / 2) + math.exp(-8)) / (math.exp(-9 / 32) + 1),
        ),
    ],
)
def test_hand_values(form, at_3, at_3_and_6):
    twice = bank_of(np.log(HAND["curvature_trace"]).repeat(2, axis=2), HAND.member_MN)
    for bank, log_A, expected in ((HAND, (3.0,), at_3), (twice, (3.0, 6.0), at_3_and_6)):
        target = bank_of(np.array([[log_A]]), np.zeros((1, 1), dtype=bool))
        found = likelihood_ratio(bank, target, form=form, array=ARRAY)
        np.testing.assert_allclose(found, [[expected]], rtol=1e-13)


def test_joint_hand_value():
    # IN (φ, s) (±1, ∓2), OUT (5 ± 1, 3 ± 1): Σ r² 2, 2, Σ s² 8, 2, Σ rs -4, 2. One example, so
    # that S = P and the shrunk covariance is S: φ and s say the same, and the variance of what s
    # adds is 0, floored. Target (1, -2): IN deviation (1, -2), rest -2 + 2·1 = 0;
    # OUT deviation (-4, -5), rest -5 + 4 = -1.
    phi_MNA = np.array([1.0, -1.0, 6.0, 4.0])[:, None, None]
    log_MNA = np.array([-2.0, 2.0, 4.0, 2.0])[:, None, None]
    bank = bank_of(log_MNA, HAND.member_MN, phi_MNA)
    target = bank_of(log_MNA[:1], HAND.member_MN[:1], phi_MNA[:1])
    expected = (16 / 2 - 1 / 2) / 2 + 1 / (2 * SIGMA_FLOOR**2)
    found = curvature_lira(bank, target, array=ARRAY)
    np.testing.assert_allclose(found, [[expected]], rtol=1e-10)


def test_constants_are_those_of_the_code():
    assert (EPSILON, NLL_EPSILON) == (1e-22, 1e-32)


@pytest.mark.parametrize("name", NAMES)
def test_equals_slow_definition(name):
    bank = some_unused(random_bank(16, 20, 3, seed=4, spread=0.3))
    targets = random_bank(2, 20, 3, seed=5)
    slow = slow_joint_score if name == "curvature_lira" else partial(slow_score, name)
    found_TN = ATTACKS[name].score(bank, targets)
    np.testing.assert_allclose(found_TN, slow(bank, targets), rtol=1e-8)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("num_models", [6, 20])
def test_every_shadow_in_turn_equals_loop(name, num_models):
    bank = random_bank(num_models, 80, 2, seed=1, spread=0.3)
    bank = some_unused(bank) if num_models > 6 else bank
    found_MN = attack_shadows(ATTACKS[name], bank)
    # Published widths are variances of two shadows, some next to 0, and stand in exponents.
    tolerance = 1e-6 if name.startswith("published") else 1e-9
    expected_MN = looped(ATTACKS[name].score, bank)
    np.testing.assert_allclose(found_MN, expected_MN, rtol=tolerance, atol=1e-12)
    assert np.isfinite(found_MN).all()
    everything = replace(bank, nonmember_MN=~bank.member_MN)
    same = np.allclose(found_MN, attack_shadows(ATTACKS[name], everything))
    assert same == (num_models == 6)


@pytest.mark.parametrize("name", ["curvature_nll", "curvature_lr", "curvature_lira"])
def test_every_shadow_in_turn_survives_cancellation(name):
    """One shadow a million times further off than the rest: its own term is all of the sum."""
    rng = np.random.default_rng(6)
    half_MN = rng.random((4, 40)) < 0.5
    member_MN = np.concatenate([half_MN, ~half_MN])
    phi_MNA, log_MNA = 1e-3 * rng.normal(size=(2, 8, 40, 1))
    phi_MNA[3, 20:] -= 1e3
    log_MNA[3, 20:] -= 1e3 / 40
    bank = bank_of(log_MNA, member_MN, phi_MNA)
    np.testing.assert_allclose(
        attack_shadows(ATTACKS[name], bank), looped(ATTACKS[name].score, bank), rtol=1e-6, atol=1e-5
    )


@pytest.mark.parametrize("name", NAMES)
def test_chunks_do_not_show(name, monkeypatch):
    bank = random_bank(10, 50, 2)
    attack, targets = ATTACKS[name], bank.select([3])
    whole = attack.score(bank, targets), attack_shadows(attack, bank)
    module = importlib.import_module("shadowmill.attacks.sides")
    monkeypatch.setattr(module, "_CHUNK_ELEMENTS", 7 * 10 * 2)  # 50 = 7 × 7 + 1
    parts = attack.score(bank, targets), attack_shadows(attack, bank)
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10)


@pytest.mark.parametrize("name", NAMES)
def test_null_scores_chance(name):
    bank = random_bank(48, 4000, 2, seed=7, shift=0.0)
    targets = random_bank(4, 4000, 2, seed=8, shift=0.0)
    for score_N, member_N in zip(
        ATTACKS[name].score(bank, targets), targets.member_MN, strict=True
    ):
        low, high = auc_interval(score_N, member_N, 0.999)
        assert low < 0.5 < high
    low, high = auc_interval(attack_shadows(ATTACKS[name], bank)[0], bank.member_MN[0], 0.999)
    assert low < 0.5 < high


@pytest.mark.parametrize("name", NAMES)
def test_members_score_higher_and_permuted_memberships_score_chance(name):
    bank, targets = random_bank(32, 4000, 2, seed=9), random_bank(2, 4000, 2, seed=10)
    score_TN = ATTACKS[name].score(bank, targets)
    assert area(score_TN, targets) > 0.7
    assert area(attack_shadows(ATTACKS[name], bank), bank) > 0.7
    permuted_N = np.random.default_rng(0).permutation(targets.member_MN[0])
    low, high = auc_interval(score_TN[0], permuted_N, 0.999)
    assert low < 0.5 < high
    # Nor do shadows whose roles say nothing of their curvatures tell anything.
    mixed_MN = np.random.default_rng(1).random(bank.member_MN.shape) < 0.5
    mixed = replace(bank, member_MN=mixed_MN, nonmember_MN=~mixed_MN)
    score_TN = ATTACKS[name].score(mixed, targets)
    low, high = auc_interval(score_TN[0], targets.member_MN[0], 0.999)
    assert low < 0.5 < high


@pytest.mark.parametrize("name", ["curvature_nll", "curvature_lr"])
def test_normal_log_curvatures_reach_the_best_auc(name):
    """No test beats the likelihood ratio, whose AUC is Φ(d/√2) at equal spread."""
    bank = random_bank(400, 3000, 1, seed=8, shift=1.0)
    score_N = ATTACKS[name].score(without(bank, 0), bank.select([0]))[0]
    low, high = auc_interval(score_N, bank.member_MN[0], 0.99)
    assert low < norm.cdf(1 / math.sqrt(2)) < high
    assert high - low < 0.06


@pytest.mark.parametrize("correlation", [-0.5, 0.0, 0.7])
def test_joint_normals_reach_the_best_auc(correlation):
    """At equal covariances it is Φ(d/√2) with d² = Δᵀ Σ⁻¹ Δ."""
    bank = random_bank(400, 3000, 1, seed=8, correlation=correlation)
    score_N = ATTACKS["curvature_lira"].score(without(bank, 0), bank.select([0]))[0]
    low, high = auc_interval(score_N, bank.member_MN[0], 0.99)
    gap = np.array([1.0, -1.0])
    separation = math.sqrt(gap @ np.linalg.solve([[1, correlation], [correlation, 1]], gap))
    assert low < norm.cdf(separation / math.sqrt(2)) < high


def test_joint_beats_either_alone():
    bank = random_bank(24, 3000, 1, seed=13, correlation=0.0)
    targets = random_bank(2, 3000, 1, seed=14, correlation=0.0)
    both, curvature, phi = (
        area(ATTACKS[name].score(bank, targets), targets)
        for name in ("curvature_lira", "curvature_lr", "lira_online")
    )
    assert both > max(curvature, phi) + 0.04


def test_constant_curvature_adds_nothing_to_lira():
    """What remains is LiRA on φ with shrunk variances."""
    bank = random_bank(32, 500, 2, seed=15)
    zero, one = (
        replace(bank, curvature_finite_difference=np.full_like(bank.phi_MNA, constant))
        for constant in (0.0, 1.0)
    )
    found_MN = curvature_lira(zero, None, array=ARRAY)
    np.testing.assert_allclose(found_MN, curvature_lira(one, None, array=ARRAY), rtol=1e-9)
    expected_MN = lira(bank, None, "online")
    assert np.corrcoef(found_MN.ravel(), expected_MN.ravel())[0, 1] > 0.95


def test_likelihood_ratio_is_lira_of_another_statistic():
    bank, targets = random_bank(12, 50, 2), random_bank(2, 50, 2, seed=1)
    other, other_targets = (
        score_bank(-np.log(b["curvature_trace"]), b.member_MN) for b in (bank, targets)
    )
    np.testing.assert_allclose(
        ATTACKS["curvature_lr_trace"].score(bank, targets), lira(other, other_targets), rtol=1e-9
    )


@pytest.mark.parametrize("name", ["curvature_nll", "curvature_lr", "curvature_lira"])
def test_each_name_reads_its_own_estimator(name):
    bank, targets = random_bank(12, 50, 2), random_bank(2, 50, 2, seed=1)
    expected = ATTACKS[name].score(bank, targets)
    noise_MNA = np.ones_like(bank.phi_MNA)
    for ending, estimator in zip(("", "_trace", "_frobenius"), ESTIMATORS, strict=True):
        others = {f"curvature_{e}": noise_MNA for e in ESTIMATORS if e != estimator}
        attack = ATTACKS[name + ending]
        assert attack.needs == {f"curvature_{estimator}"}
        found = attack.score(replace(bank, **others), targets)
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(
            attack_shadows(attack, replace(bank, **others)), attack_shadows(ATTACKS[name], bank)
        )


def test_log_curvature_of_any_sign():
    found = log_curvature(np.array([1.0, 0.0, -1.0, np.e, -np.e, 1e-44], dtype=np.float32))
    assert found.dtype == np.float64
    expected = [0, math.log(1e-22), 0, 1, 1, math.log(1e-22)]
    np.testing.assert_allclose(found, expected, atol=1e-7)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [0.0, -1e-6])
def test_shadows_that_agree_give_a_finite_score(name, value):
    """Losses that round to 0 have a curvature of 0, in all shadows, some, or all but one."""
    bank = random_bank(8, 30, 2)
    value_MNA = np.full_like(bank.phi_MNA, value)
    value_MNA[:, 10:20] *= bank.member_MN[:, 10:20, None]
    value_MNA[0, 20:] = 1e30
    flat = replace(bank, curvature_finite_difference=value_MNA, max_phi=value_MNA)
    for score in (ATTACKS[name].score(flat, bank), attack_shadows(ATTACKS[name], flat)):
        assert np.isfinite(score).all()


def test_probabilities_of_one_are_as_far_as_the_published_code_takes_them():
    bank, array = random_bank(8, 30, 1), "max_phi"
    targets = [replace(bank, max_phi=np.full_like(bank.phi_MNA, phi)) for phi in (60, 600)]
    first, second = (
        likelihood_ratio(bank, target, form="published_nll", array=array) for target in targets
    )
    np.testing.assert_allclose(first, second, rtol=1e-5)


def calls(bank, targets):
    for form in ("nll", "lr", "published_nll", "published_lr"):
        options = {"form": form, "array": ARRAY}
        yield lambda options=options: likelihood_ratio(bank, targets, **options)
        yield lambda options=options: likelihood_ratio(bank, None, **options)
    yield lambda: curvature_lira(bank, targets, array=ARRAY)
    yield lambda: curvature_lira(bank, None, array=ARRAY)


def test_a_missing_curvature_is_named():
    bank = random_bank(8, 5, 1)
    bare = replace(bank, curvature_finite_difference=None)
    for call in (*calls(bare, bank), *list(calls(bank, bare))[::2]):
        with pytest.raises(ValueError, match="curvature_finite_difference is not in the bank"):
            call()


def test_too_few_shadows_names_side_example_and_count():
    bank = random_bank(4, 5, 1)
    for call in list(calls(bank, bank))[1::2]:
        with pytest.raises(ValueError, match=r"on curvature_finite_.* found 1 IN .* is left out"):
            call()
    for call in list(calls(random_bank(2, 5, 1), bank))[::2]:
        with pytest.raises(ValueError, match="found 1 IN shadows for example 0, expected"):
            call()


def test_targets_that_do_not_fit():
    for call in list(calls(random_bank(8, 5, 1), random_bank(2, 4, 1)))[::2]:
        with pytest.raises(ValueError, match=r"shape \(4, 1\), expected \(5, 1\)"):
            call()
