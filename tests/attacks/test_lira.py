import importlib
import math

import numpy as np
import pytest
from scipy.stats import norm

from shadowmill.attacks import ATTACKS, ScoreBank, lira, lira_leave_one_out
from shadowmill.attacks.lira import MODES, SIGMA_FLOOR, required_shadows
from shadowmill.metrics.intervals import auc_interval
from shadowmill.metrics.ranking import auc


def random_bank(num_models, num_examples, num_queries, *, seed=0, shift=1.0, dtype=np.float64):
    """Complementary pairs; φ ~ N(μ_i + shift · member, 1), with μ_i ~ N(0, 5²)."""
    rng = np.random.default_rng(seed)
    half_MN = rng.random((num_models // 2, num_examples)) < 0.5
    member_MN = np.stack([half_MN, ~half_MN], axis=1).reshape(num_models, num_examples)
    centre_N = rng.normal(0, 5, num_examples)
    phi_MNA = rng.normal(size=(num_models, num_examples, num_queries)) + centre_N[:, None]
    phi_MNA += shift * member_MN[:, :, None]
    return ScoreBank(phi_MNA.astype(dtype), member_MN)


def without(bank, model):
    return ScoreBank(
        np.delete(bank.phi_MNA, model, axis=0),
        np.delete(bank.member_MN, model, axis=0),
        np.delete(bank.nonmember_MN, model, axis=0),
    )


def looped_leave_one_out(bank, mode):
    models = range(len(bank.phi_MNA))
    return np.stack([lira(without(bank, m), bank.phi_MNA[m], mode) for m in models])


def slow_lira(bank, target_phi_NA, mode):
    """One example and one query at a time, straight from the definitions."""
    phi_MNA = bank.phi_MNA.astype(np.float64)
    num_examples, num_queries = target_phi_NA.shape
    score_NA = np.empty((num_examples, num_queries))
    for a in range(num_queries):
        sides = []
        for side_MN in (bank.member_MN, bank.nonmember_MN):
            samples = [phi_MNA[side_MN[:, n], n, a] for n in range(num_examples)]
            pooled = sum(((s - s.mean()) ** 2).sum() for s in samples)
            pooled /= sum(len(s) - 1 for s in samples)
            sigmas = [math.sqrt(pooled) if mode == "fixed" else s.std() for s in samples]
            sides.append(
                [(s.mean(), max(sigma, 1e-6)) for s, sigma in zip(samples, sigmas, strict=True)]
            )
        for n in range(num_examples):
            into, out = (norm(*side[n]) for side in sides)
            phi = float(target_phi_NA[n, a])
            score_NA[n, a] = (
                out.logcdf(phi) if mode == "offline" else into.logpdf(phi) - out.logpdf(phi)
            )
    return score_NA.mean(axis=1)


# Example 0: models 0, 1 IN with φ 1, 3 (μ 2, σ 1); models 2, 3 OUT with -1, 1 (μ 0, σ 1).
# Example 1: models 0, 2 IN with φ 4, 8 (μ 6, σ 2); models 1, 3 OUT with 0, 2 (μ 1, σ 1).
# Example 2: models 1, 3 IN with φ 0, 2 (μ 1, σ 1); models 0, 2 OUT with 2, 4 (μ 3, σ 1).
HAND_PHI = np.array([[1, 4, 2], [3, 0, 0], [-1, 8, 4], [1, 2, 2]], dtype=np.float64)[:, :, None]
HAND_MEMBER = np.array([[1, 1, 0], [1, 0, 1], [0, 1, 0], [0, 0, 1]], dtype=bool)
HAND_TARGET = np.array([[2.0], [3.0], [-1.0]])


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        # -log σ_in + log σ_out - (φ-μ_in)²/2σ_in² + (φ-μ_out)²/2σ_out²:
        # 0 - 0 + 2²/2;   -log 2 - 3²/(2·4) + 2²/2;   0 - 2²/2 + 4²/2
        ("online", [2, 7 / 8 - math.log(2), 6]),
        # Squared residuals IN 2 + 8 + 2 = 12 and OUT 2 + 2 + 2 = 6, each with 3 degrees of
        # freedom: σ_in² = 4, σ_out² = 2, so -½ log 2 - (φ-μ_in)²/8 + (φ-μ_out)²/4 with
        # 0/8 + 4/4;   -9/8 + 4/4;   -4/8 + 16/4
        ("fixed", [1 - math.log(2) / 2, -1 / 8 - math.log(2) / 2, 3.5 - math.log(2) / 2]),
        # z = 2/1, 2/1, -4/1 and Φ(z) = erfc(-z/√2)/2
        ("offline", [math.log(math.erfc(-z / math.sqrt(2)) / 2) for z in (2, 2, -4)]),
    ],
)
def test_hand_values(mode, expected):
    score_N = lira(ScoreBank(HAND_PHI, HAND_MEMBER), HAND_TARGET, mode)
    np.testing.assert_allclose(score_N, expected, rtol=1e-14)


def test_sigma_floor():
    # IN φ are 5 and 5: σ_in is floored at 1e-6; OUT 0 and 2: μ 1, σ 1. Target at 5:
    # -log 1e-6 - 0 + 4²/2
    phi_MNA = np.array([5.0, 5.0, 0.0, 2.0])[:, None, None]
    member_MN = np.array([[1], [1], [0], [0]], dtype=bool)
    score_N = lira(ScoreBank(phi_MNA, member_MN), np.array([[5.0]]), "online")
    assert SIGMA_FLOOR == 1e-6
    np.testing.assert_allclose(score_N, 6 * math.log(10) + 8, rtol=1e-14)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_equals_slow_definition(mode, dtype):
    bank = random_bank(8, 12, 3, seed=4, dtype=dtype)
    bank.member_MN[0, 3] = bank.nonmember_MN[1, 5] = False  # held back for validation
    target_phi_NA = np.random.default_rng(5).normal(0, 5, (12, 3)).astype(dtype)
    expected_N = slow_lira(bank, target_phi_NA, mode)
    np.testing.assert_allclose(lira(bank, target_phi_NA, mode), expected_N, rtol=1e-11)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("num_models", [8, 64])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_leave_one_out_equals_loop(mode, num_models, dtype):
    bank = random_bank(num_models, 301, 3, dtype=dtype)
    np.testing.assert_allclose(
        lira_leave_one_out(bank, mode), looped_leave_one_out(bank, mode), rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize("mode", MODES)
def test_leave_one_out_with_unused_examples_equals_loop(mode):
    bank = random_bank(20, 200, 2, seed=1)
    unused_MN = np.random.default_rng(2).random((20, 200)) < 0.1
    bank = ScoreBank(bank.phi_MNA, bank.member_MN & ~unused_MN, bank.nonmember_MN & ~unused_MN)
    score_MN = lira_leave_one_out(bank, mode)
    np.testing.assert_allclose(score_MN, looped_leave_one_out(bank, mode), rtol=1e-12, atol=1e-12)
    assert not np.allclose(
        score_MN, lira_leave_one_out(ScoreBank(bank.phi_MNA, bank.member_MN), mode)
    )


@pytest.mark.parametrize("mode", MODES)
def test_leave_one_out_with_fewest_shadows_equals_loop(mode):
    bank = random_bank(required_shadows(mode), 500, 2, seed=3)
    np.testing.assert_allclose(
        lira_leave_one_out(bank, mode), looped_leave_one_out(bank, mode), rtol=1e-11, atol=1e-11
    )


@pytest.mark.parametrize("mode", ["online", "offline"])
def test_leave_one_out_survives_cancellation(mode):
    """One shadow a million times further off than the rest: its own term is all of the sum."""
    bank = random_bank(8, 40, 1, seed=6)
    bank.phi_MNA[:] *= 1e-3
    bank.phi_MNA[np.arange(40) % 8, np.arange(40)] += 1e3
    np.testing.assert_allclose(
        lira_leave_one_out(bank, mode), looped_leave_one_out(bank, mode), rtol=1e-9
    )


@pytest.mark.parametrize("mode", MODES)
def test_chunks_do_not_show(mode, monkeypatch):
    bank = random_bank(10, 50, 2)
    whole = lira(bank, bank.phi_MNA[3], mode), lira_leave_one_out(bank, mode)
    module = importlib.import_module("shadowmill.attacks.lira")  # the package's lira is a function
    monkeypatch.setattr(module, "_CHUNK_ELEMENTS", 7 * 10 * 2)  # 50 = 7 × 7 + 1
    parts = lira(bank, bank.phi_MNA[3], mode), lira_leave_one_out(bank, mode)
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-13)


@pytest.mark.parametrize("mode", MODES)
def test_float32_is_computed_in_float64(mode):
    bank = random_bank(10, 50, 2, dtype=np.float32)
    double = ScoreBank(bank.phi_MNA.astype(np.float64), bank.member_MN)
    score_MN = lira_leave_one_out(bank, mode)
    assert score_MN.dtype == np.float64
    np.testing.assert_array_equal(score_MN, lira_leave_one_out(double, mode))


@pytest.mark.parametrize("mode", MODES)
def test_permutations_only_permute(mode):
    bank = random_bank(12, 40, 2)
    rng = np.random.default_rng(0)
    models, examples = rng.permutation(12), rng.permutation(40)
    shuffled = ScoreBank(bank.phi_MNA[models][:, examples], bank.member_MN[models][:, examples])
    np.testing.assert_allclose(
        lira_leave_one_out(shuffled, mode),
        lira_leave_one_out(bank, mode)[models][:, examples],
        rtol=1e-11,
        atol=1e-11,
    )


def test_offline_reads_no_member():
    bank = random_bank(12, 40, 1)
    other = ScoreBank(np.where(bank.member_MN[:, :, None], 99.0, bank.phi_MNA), bank.member_MN)
    target_phi_NA = bank.phi_MNA[0]
    np.testing.assert_array_equal(
        lira(bank, target_phi_NA, "offline"), lira(other, target_phi_NA, "offline")
    )


@pytest.mark.parametrize("name", ATTACKS)
def test_null_bank_scores_chance(name):
    bank = random_bank(32, 3000, 2, seed=7, shift=0.0)
    score_MN = ATTACKS[name].leave_one_out(bank)
    for model in range(4):
        low, high = auc_interval(score_MN[model], bank.member_MN[model], 0.999)
        assert low < 0.5 < high


@pytest.mark.parametrize("name", ["lira_online", "lira_fixed"])
@pytest.mark.parametrize("shift", [0.5, 1.5])
def test_gaussian_bank_reaches_the_best_auc(name, shift):
    """No test beats the likelihood ratio, whose AUC is Φ(d/√2) at equal spread."""
    bank = random_bank(400, 3000, 1, seed=8, shift=shift)
    score_N = ATTACKS[name].score(without(bank, 0), bank.phi_MNA[0])
    low, high = auc_interval(score_N, bank.member_MN[0], 0.99)
    assert low < norm.cdf(shift / math.sqrt(2)) < high
    assert high - low < 0.06


def test_offline_is_weaker_than_online_but_not_blind():
    bank = random_bank(100, 3000, 1, seed=9)
    member_N = bank.member_MN[0]
    online, offline = (
        auc(lira_leave_one_out(bank, mode)[0], member_N) for mode in ("fixed", "offline")
    )
    assert 0.6 < offline < online + 0.01


@pytest.mark.parametrize(("mode", "fewest"), [("online", 6), ("fixed", 4), ("offline", 6)])
def test_required_shadows_suffice_and_are_needed(mode, fewest):
    assert required_shadows(mode) == fewest
    assert np.isfinite(lira_leave_one_out(random_bank(fewest, 20, 1), mode)).all()
    with pytest.raises(ValueError, match=f"{mode!r} found .* use at least {fewest} shadows"):
        lira_leave_one_out(random_bank(fewest - 2, 20, 1), mode)


def test_too_few_shadows_names_side_example_and_count():
    member_MN = HAND_MEMBER.copy()
    member_MN[:, 1] = [True, False, False, False]
    bank = ScoreBank(HAND_PHI, member_MN)
    with pytest.raises(
        ValueError, match="'online' found 1 IN shadows for example 1, expected at least 2"
    ):
        lira(bank, HAND_TARGET, "online")
    assert np.isfinite(lira(bank, HAND_TARGET, "offline")).all()
    bank.nonmember_MN[:, 2] = [True, False, False, False]
    with pytest.raises(ValueError, match="'offline' found 1 OUT shadows for example 2"):
        lira(bank, HAND_TARGET, "offline")


def test_fixed_needs_a_residual():
    bank = random_bank(2, 20, 1)  # one IN and one OUT each: means, but no spread
    with pytest.raises(ValueError, match="'fixed' found one IN shadow for every example"):
        lira(bank, bank.phi_MNA[0], "fixed")
    bank = ScoreBank(np.arange(4.0)[:, None, None], np.array([[1], [1], [0], [0]], dtype=bool))
    assert np.isfinite(lira(bank, np.zeros((1, 1)), "fixed")).all()
    with pytest.raises(ValueError, match="one IN shadow for every example once a model is left"):
        lira_leave_one_out(bank, "fixed")


def test_target_that_does_not_fit():
    bank = ScoreBank(HAND_PHI, HAND_MEMBER)
    with pytest.raises(ValueError, match=r"shape \(2, 1\), expected \(3, 1\)"):
        lira(bank, HAND_TARGET[:2])
    with pytest.raises(ValueError, match="φ of the target at example 1, query 0 is nan"):
        lira(bank, np.array([[0.0], [np.nan], [0.0]]))


def test_unknown_mode_lists_the_known():
    bank = ScoreBank(HAND_PHI, HAND_MEMBER)
    for call in (
        lambda: lira(bank, HAND_TARGET, "global"),
        lambda: lira_leave_one_out(bank, "global"),
        lambda: required_shadows("global"),
    ):
        with pytest.raises(ValueError, match=r"unknown LiRA mode 'global'.*online, fixed, offline"):
            call()
