import importlib
import math
from functools import partial

import numpy as np
import pytest
from banks import looped, score_bank
from lira_by_definition import slow_lira
from scipy.stats import norm

from shadowmill.attacks import lira
from shadowmill.attacks.lira import LOCATIONS, MODES, required_shadows
from shadowmill.attacks.sides import SIGMA_FLOOR, pooled_normal, removal, side_quantile
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
    return score_bank(phi_MNA.astype(dtype), member_MN)


# Where variances are nearly alike, the last digit of a sum moves the tenth of the prior.
TOLERANCE = {"bayes_n": 1e-9, "bayes_t": 1e-9}


def without(bank, model):
    return bank.select(np.delete(np.arange(len(bank.phi_MNA)), model))


def targets_of(phi_TNA):
    """A bank of targets; their roles are nothing that an attack may look at."""
    phi_TNA = np.asarray(phi_TNA)
    return score_bank(phi_TNA, np.zeros(phi_TNA.shape[:2], dtype=bool))


def looped_lira(bank, mode, location=None):
    return looped(partial(lira, mode=mode, location=location), bank)


# Example 0: models 0, 1 IN with φ 1, 3 (μ 2, σ 1); models 2, 3 OUT with -1, 1 (μ 0, σ 1).
# Example 1: models 0, 2 IN with φ 4, 8 (μ 6, σ 2); models 1, 3 OUT with 0, 2 (μ 1, σ 1).
# Example 2: models 1, 3 IN with φ 0, 2 (μ 1, σ 1); models 0, 2 OUT with 2, 4 (μ 3, σ 1).
HAND_PHI = np.array([[1, 4, 2], [3, 0, 0], [-1, 8, 4], [1, 2, 2]], dtype=np.float64)[:, :, None]
HAND_MEMBER = np.array([[1, 1, 0], [1, 0, 1], [0, 1, 0], [0, 0, 1]], dtype=bool)
HAND_TARGET = targets_of([[[2.0], [3.0], [-1.0]]])


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
        # -log N = ½ log 2π + log σ + z²/2, the same for z and -z
        ("two_sided_code", [0.5 * math.log(2 * math.pi) + z * z / 2 for z in (2, 2, -4)]),
        # All IN φ: 1, 3, 4, 8, 0, 2, mean 3, squares 4 + 0 + 1 + 25 + 9 + 1 = 40, σ² = 20/3:
        # ((φ-μ_out)² - (φ-μ_in)²) / 2σ² with (4 - 0), (4 - 9), (16 - 4)
        ("code2021", [4 * 3 / 40, -5 * 3 / 40, 12 * 3 / 40]),
    ],
)
def test_hand_values(mode, expected):
    score_TN = lira(score_bank(HAND_PHI, HAND_MEMBER), HAND_TARGET, mode)
    np.testing.assert_allclose(score_TN, [expected], rtol=1e-14)


def test_median_by_hand():
    # OUT φ 0, 0, 0, 4: median 0, but σ about the mean 1: σ² = (1 + 1 + 1 + 9)/4 = 3. IN φ 2 and 4:
    # median and mean 3, σ 1. Target at 3: -log 1 + log √3 - 0 + 3²/(2·3)
    phi_MNA = np.array([0.0, 0.0, 0.0, 4.0, 2.0, 4.0])[:, None, None]
    bank = score_bank(phi_MNA, np.array([[0]] * 4 + [[1]] * 2, dtype=bool))
    score_TN = lira(bank, targets_of([[[3.0]]]), "online", "median")
    np.testing.assert_allclose(score_TN, [[math.log(3) / 2 + 1.5]], rtol=1e-14)
    # With the mean 1 the last term is 2²/(2·3).
    score_TN = lira(bank, targets_of([[[3.0]]]), "online", "mean")
    np.testing.assert_allclose(score_TN, [[math.log(3) / 2 + 2 / 3]], rtol=1e-14)


@pytest.mark.parametrize(
    ("mode", "location"),
    [
        ("online", "mean"),
        ("fixed", "mean"),
        ("offline", "mean"),
        ("two_sided_code", "median"),
        ("code2021", "median"),
    ],
)
def test_location_is_by_default_that_of_the_source(mode, location):
    bank, other = random_bank(12, 20, 1), (LOCATIONS[location == "mean"])
    for call in (
        lambda *where: lira(bank, bank.select([0, 1]), mode, *where),
        lambda *where: lira(bank, None, mode, *where),
    ):
        np.testing.assert_array_equal(call(), call(location))
        assert not np.allclose(call(), call(other))


def test_sigma_floor():
    # IN φ are 5 and 5: σ_in is floored at 1e-6; OUT 0 and 2: μ 1, σ 1. Target at 5:
    # -log 1e-6 - 0 + 4²/2
    phi_MNA = np.array([5.0, 5.0, 0.0, 2.0])[:, None, None]
    member_MN = np.array([[1], [1], [0], [0]], dtype=bool)
    score_TN = lira(score_bank(phi_MNA, member_MN), targets_of([[[5.0]]]), "online")
    assert SIGMA_FLOOR == 1e-6
    np.testing.assert_allclose(score_TN, [[6 * math.log(10) + 8]], rtol=1e-14)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("location", LOCATIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_equals_slow_definition(mode, location, dtype):
    bank = random_bank(8, 12, 3, seed=4, dtype=dtype)
    bank.member_MN[0, 3] = bank.nonmember_MN[1, 5] = False  # held back for validation
    phi_TNA = np.random.default_rng(5).normal(0, 5, (2, 12, 3)).astype(dtype)
    score_TN = lira(bank, targets_of(phi_TNA), mode, location)
    expected_TN = slow_lira(bank, phi_TNA, mode, location)
    np.testing.assert_allclose(score_TN, expected_TN, rtol=TOLERANCE.get(mode, 1e-11))


@pytest.mark.long
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("num_models", [8, 64])
@pytest.mark.parametrize("location", LOCATIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_shadow_in_turn_equals_loop(mode, location, num_models, dtype):
    bank = random_bank(num_models, 301, 3, dtype=dtype)
    looped_MN = looped_lira(bank, mode, location)
    score_MN = lira(bank, None, mode, location)
    tolerance = TOLERANCE.get(mode, 1e-12)
    np.testing.assert_allclose(score_MN, looped_MN, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("location", LOCATIONS)
def test_every_shadow_in_turn_with_unused_examples_equals_loop(mode, location):
    bank = random_bank(20, 200, 2, seed=1)
    unused_MN = np.random.default_rng(2).random((20, 200)) < 0.1
    bank = score_bank(bank.phi_MNA, bank.member_MN & ~unused_MN, bank.nonmember_MN & ~unused_MN)
    score_MN = lira(bank, None, mode, location)
    looped_MN = looped_lira(bank, mode, location)
    np.testing.assert_allclose(score_MN, looped_MN, rtol=1e-12, atol=1e-12)
    everything = score_bank(bank.phi_MNA, bank.member_MN)
    assert not np.allclose(score_MN, lira(everything, None, mode, location))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("location", LOCATIONS)
def test_every_shadow_in_turn_with_fewest_shadows_equals_loop(mode, location):
    bank = random_bank(required_shadows(mode) + 2, 500, 2, seed=3)
    score_MN = lira(bank, None, mode, location)
    looped_MN = looped_lira(bank, mode, location)
    np.testing.assert_allclose(score_MN, looped_MN, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("mode", MODES)
def test_every_shadow_in_turn_with_equal_shadows_equals_loop(mode):
    """Which of the shadows that agree is dropped from a median must not matter."""
    bank = random_bank(12, 60, 2, seed=5)
    bank.phi_MNA[:] = bank.phi_MNA.round()
    np.testing.assert_allclose(
        lira(bank, None, mode, "median"),
        looped_lira(bank, mode, "median"),
        rtol=1e-11,
        atol=1e-11,
    )


@pytest.mark.parametrize("mode", ["online", "offline", "two_sided_code", "code2021"])
def test_every_shadow_in_turn_survives_cancellation(mode):
    """One shadow a million times further off than the rest: its own term is all of the sum."""
    bank = random_bank(8, 40, 1, seed=6)
    bank.phi_MNA[:] *= 1e-3
    bank.phi_MNA[np.arange(40) % 8, np.arange(40)] += 1e3
    np.testing.assert_allclose(lira(bank, None, mode), looped_lira(bank, mode), rtol=1e-9)


@pytest.mark.parametrize("mode", MODES)
def test_chunks_do_not_show(mode, monkeypatch):
    bank = random_bank(10, 50, 2)
    whole = lira(bank, bank.select([3]), mode), lira(bank, None, mode)
    module = importlib.import_module("shadowmill.attacks.sides")
    monkeypatch.setattr(module, "_CHUNK_ELEMENTS", 7 * 10 * 2)  # 50 = 7 × 7 + 1
    parts = lira(bank, bank.select([3]), mode), lira(bank, None, mode)
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one, other, rtol=TOLERANCE.get(mode, 1e-13))


@pytest.mark.parametrize("mode", MODES)
def test_float32_is_computed_in_float64(mode):
    bank = random_bank(10, 50, 2, dtype=np.float32)
    double = score_bank(bank.phi_MNA.astype(np.float64), bank.member_MN)
    score_MN = lira(bank, None, mode)
    assert score_MN.dtype == np.float64
    np.testing.assert_array_equal(score_MN, lira(double, None, mode))


@pytest.mark.parametrize("mode", MODES)
def test_permutations_only_permute(mode):
    bank = random_bank(12, 40, 2)
    rng = np.random.default_rng(0)
    models, examples = rng.permutation(12), rng.permutation(40)
    shuffled = score_bank(bank.phi_MNA[models][:, examples], bank.member_MN[models][:, examples])
    np.testing.assert_allclose(
        lira(shuffled, None, mode),
        lira(bank, None, mode)[models][:, examples],
        rtol=1e-11,
        atol=1e-11,
    )


@pytest.mark.parametrize("mode", ["offline", "two_sided_code"])
def test_offline_reads_no_member(mode):
    bank = random_bank(12, 40, 1)
    other = score_bank(np.where(bank.member_MN[:, :, None], 99.0, bank.phi_MNA), bank.member_MN)
    targets = bank.select([0])
    np.testing.assert_array_equal(lira(bank, targets, mode), lira(other, targets, mode))


def test_only_the_code_calls_a_low_confidence_a_sign_of_membership():
    bank, far = random_bank(32, 1, 1), np.array([[[-50.0]], [[50.0]]])
    mean = bank.phi_MNA[bank.nonmember_MN].mean()
    low, high = lira(bank, targets_of(mean + far), "two_sided_code", "mean")[:, 0]
    assert low == pytest.approx(high)
    low, high = lira(bank, targets_of(mean + far), "offline")[:, 0]
    assert low < high


@pytest.mark.parametrize("mode", MODES)
def test_null_bank_scores_chance(mode):
    bank = random_bank(32, 3000, 2, seed=7, shift=0.0)
    score_MN = lira(bank, None, mode)
    for model in range(4):
        low, high = auc_interval(score_MN[model], bank.member_MN[model], 0.999)
        assert low < 0.5 < high


@pytest.mark.parametrize("mode", ["online", "fixed", "code2021"])
@pytest.mark.parametrize("location", LOCATIONS)
@pytest.mark.parametrize("shift", [0.5, 1.5])
def test_gaussian_bank_reaches_the_best_auc(mode, location, shift):
    """No test beats the likelihood ratio, whose AUC is Φ(d/√2) at equal spread."""
    bank = random_bank(400, 3000, 1, seed=8, shift=shift)
    score_N = lira(without(bank, 0), bank.select([0]), mode, location)[0]
    low, high = auc_interval(score_N, bank.member_MN[0], 0.99)
    assert low < norm.cdf(shift / math.sqrt(2)) < high
    assert high - low < 0.06


def test_offline_is_weaker_than_online_and_two_sided_weaker_still():
    bank = random_bank(100, 3000, 1, seed=9)
    member_N = bank.member_MN[0]
    online, offline, two_sided = (
        auc(lira(bank, None, mode)[0], member_N) for mode in ("fixed", "offline", "two_sided_code")
    )
    assert 0.6 < offline < online + 0.01
    assert 0.5 < two_sided < offline - 0.05


COMPLEMENT_M = np.array([1, 0, 2, 3, 5, 4, 6, 8, 7])


@pytest.mark.parametrize("in_turn", [False, True])
@pytest.mark.parametrize("quantile", [0, 1e-4, 0.3, 0.5, 1])
def test_quantile_of_a_side_is_that_of_numpy(quantile, in_turn):
    rng = np.random.default_rng(0)
    value_AMN = rng.normal(size=(2, 9, 15)).round(1)
    side_MN = rng.random((9, 15)) < 0.6
    side_MN[2:4] = True
    side_MN[[1, 5, 8]] &= ~side_MN[[0, 4, 7]]  # at most one of a pair, for some examples none
    removed = removal(side_MN, COMPLEMENT_M) if in_turn else None
    found = side_quantile(value_AMN, side_MN, quantile, removed)
    assert found.shape == (2, 9 if in_turn else 1, 15)
    for a, t, n in np.ndindex(found.shape):
        out = [t, COMPLEMENT_M[t]] if in_turn else []
        kept_M = side_MN[:, n] & ~np.isin(np.arange(9), out)
        expected = np.quantile(value_AMN[a, kept_M, n], quantile)
        assert found[a, t, n] == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_pooled_normal_is_mean_and_variance_of_what_is_left():
    rng = np.random.default_rng(1)
    value_MN, side_MN = rng.normal(3, 2, (5, 30)), rng.random((5, 30)) < 0.5
    value_MN[2] += 1e6  # all of the variance, until it is left out
    side_MN[3] = False
    mean_T, variance_T = pooled_normal(value_MN, side_MN, None)
    np.testing.assert_allclose(mean_T, [value_MN[side_MN].mean()], rtol=1e-14)
    np.testing.assert_allclose(variance_T, [value_MN[side_MN].var()], rtol=1e-14)
    mean_T, variance_T = pooled_normal(value_MN, side_MN, np.array([4, 1, 2, 3, 0]))
    for t, out in enumerate([[0, 4], [1], [2], [3], [0, 4]]):
        values = np.delete(value_MN, out, 0)[np.delete(side_MN, out, 0)]
        assert mean_T[t] == pytest.approx(values.mean(), rel=1e-14)
        assert variance_T[t] == pytest.approx(values.var(), rel=1e-13)


@pytest.mark.parametrize(
    ("mode", "fewest"),
    [("online", 4), ("fixed", 4), ("offline", 4), ("two_sided_code", 4), ("code2021", 2)],
)
def test_required_shadows_suffice_and_are_needed(mode, fewest):
    assert required_shadows(mode) == fewest
    bank, more = random_bank(fewest, 20, 1), random_bank(fewest + 2, 20, 1)
    targets = targets_of(np.zeros((1, 20, 1)))
    assert np.isfinite(lira(bank, targets, mode)).all()
    assert np.isfinite(lira(more, None, mode)).all()
    with pytest.raises(ValueError, match=f"{mode!r} found .* use (at least|more)"):
        lira(bank, None, mode)
    if fewest > 2:
        with pytest.raises(ValueError, match=f"{mode!r} found .* use (at least|more)"):
            lira(bank.select([0, 1]), targets, mode)


def test_too_few_shadows_names_side_example_and_count():
    member_MN = HAND_MEMBER.copy()
    member_MN[:, 1] = [True, False, False, False]
    bank = score_bank(HAND_PHI, member_MN)
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
        lira(bank, bank.select([0]), "fixed")
    bank = score_bank(np.arange(4.0)[:, None, None], np.array([[1], [1], [0], [0]], dtype=bool))
    assert np.isfinite(lira(bank, targets_of(np.zeros((1, 1, 1))), "fixed")).all()
    with pytest.raises(ValueError, match="one IN shadow for every example once a model is left"):
        lira(bank, None, "fixed")


def test_targets_that_do_not_fit():
    bank = score_bank(HAND_PHI, HAND_MEMBER)
    with pytest.raises(ValueError, match=r"shape \(2, 1\), expected \(3, 1\)"):
        lira(bank, targets_of(HAND_TARGET.phi_MNA[:, :2]))


def test_unknown_mode_lists_the_known():
    bank = score_bank(HAND_PHI, HAND_MEMBER)
    for call in (
        lambda: lira(bank, HAND_TARGET, "global"),
        lambda: lira(bank, None, "global"),
        lambda: required_shadows("global"),
    ):
        with pytest.raises(ValueError, match=r"unknown LiRA mode 'global'.*online, fixed, bayes_n"):
            call()


def test_unknown_location_lists_the_known():
    bank = random_bank(8, 3, 1)
    for call in (
        lambda: lira(bank, HAND_TARGET, location="mode"),
        lambda: lira(bank, None, location="mode"),
    ):
        with pytest.raises(ValueError, match=r"unknown LiRA location 'mode'.*mean, median"):
            call()
