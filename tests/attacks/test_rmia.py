import importlib
import math
from functools import partial

import numpy as np
import pytest
from banks import looped, replace, score_bank
from scipy.special import expit, logit
from scipy.stats import norm, rankdata
from sklearn.metrics import roc_auc_score

from shadowmill.attacks.rmia import (
    A_GRID,
    MODES,
    count_dominated,
    held_out_nonmembers,
    rmia,
)
from shadowmill.metrics.intervals import auc_interval
from shadowmill.metrics.ranking import auc

module = importlib.import_module("shadowmill.attacks.rmia")


@pytest.fixture
def fix_a(monkeypatch):
    """Take an a instead of the tuned one."""
    return lambda a: monkeypatch.setattr(module, "_tuned_a", lambda shadows: a)


def random_bank(
    num_models, num_examples, num_queries=1, *, population=50, seed=0, shift=1.0, spread=3.0
):
    """Complementary pairs; φ ~ N(μ_i + shift · member, 1), with μ_i ~ N(0, spread²)."""
    rng = np.random.default_rng(seed)
    half_MN = rng.random((num_models // 2, num_examples)) < 0.5
    member_MN = np.stack([half_MN, ~half_MN], axis=1).reshape(num_models, num_examples)
    phi_MNA = rng.normal(size=(num_models, num_examples, num_queries))
    phi_MNA += rng.normal(0, spread, num_examples)[:, None] + shift * member_MN[:, :, None]
    bank = score_bank(phi_MNA, member_MN)
    if not population:
        return bank
    phi_MZ = rng.normal(size=(num_models, population)) + rng.normal(0, spread, population)
    return replace(bank, population_phi=phi_MZ)


def without(bank, model):
    return bank.select(np.delete(np.arange(len(bank.names)), model))


def split(bank):
    """The first model as target, the others as shadows."""
    return without(bank, 0), bank.select([0])


def slow_log_ratios(shadows, target, a, mode):
    """Log ratios of one target, (N,) as x and (N,) as z, example by example."""
    num_examples, num_queries = target.phi_MNA.shape[1:]
    as_x_NA, as_z_NA = np.empty((2, num_examples, num_queries))
    for n in range(num_examples):
        for query in range(num_queries):
            p_M = expit(shadows.phi_MNA[:, n, query])
            p_in = p_M[shadows.member_MN[:, n]].mean()
            p_out = p_M[shadows.nonmember_MN[:, n]].mean()
            offline = 0.5 * ((1 + a) * p_out + 1 - a)
            online = 0.5 * (p_in + p_out)
            p = expit(target.phi_MNA[0, n, query])
            as_x_NA[n, query] = math.log(p / (online if mode == "online" else offline))
            as_z_NA[n, query] = math.log(p / offline)
    return as_x_NA.mean(axis=1), as_z_NA.mean(axis=1)


def slow_rmia(shadows, target, a, mode):
    """Log ratios and number of dominated z, by the N × Z matrix of all pairs."""
    ratio_N, ratio_Z = slow_log_ratios(shadows, target, a, mode)
    if "population_phi" not in target:
        ratio_Z = ratio_Z[held_out_nonmembers(target, 0)]
    else:
        p_out_Z = expit(shadows["population_phi"]).mean(axis=0)
        p_Z = expit(target["population_phi"][0])
        ratio_Z = np.log(p_Z / (0.5 * ((1 + a) * p_out_Z + 1 - a)))
    matrix_NZ = np.exp(ratio_N)[:, None] >= np.exp(ratio_Z)
    return ratio_N, matrix_NZ.sum(axis=1), len(ratio_Z)


# Example 0: IN shadows 0, 1 with p .8 and .6, OUT 2, 3 with .1 and .5; target .75.
# Example 1: IN shadows 2, 3 with p .9 and .9, OUT 0, 1 with .2 and .4; target .3.
HAND_P = np.array([[0.8, 0.2], [0.6, 0.4], [0.1, 0.9], [0.5, 0.9]])
HAND_MEMBER = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], dtype=bool)
# p̄_out = .3 for every z, so with a = ½ p̄(z) = ½ (1.5 · .3 + .5) = .475.
HAND_POPULATION = np.array([[0.1] * 4, [0.2] * 4, [0.4] * 4, [0.5] * 4])
HAND_TARGET_POPULATION = np.array([[0.95, 0.475, 0.19, 0.76]])  # ratios 2, 1, 0.4, 1.6
HAND_SHADOWS = score_bank(
    logit(HAND_P)[:, :, None], HAND_MEMBER, population_phi=logit(HAND_POPULATION)
)
HAND_TARGET = score_bank(
    logit([[[0.75], [0.3]]]),
    np.array([[True, False]]),
    population_phi=logit(HAND_TARGET_POPULATION),
)


@pytest.mark.parametrize(
    ("mode", "ratios", "counts"),
    [
        # p̄ = ½ (.7 + .3) and ½ (.9 + .3): ratios 1.5 and .5, above {.4, 1} and {.4}
        ("online", [1.5, 0.5], [2, 1]),
        # p̄ = .475 for both: ratios .75 / .475 = 1.58 and .3 / .475 = .63
        ("offline", [0.75 / 0.475, 0.3 / 0.475], [2, 1]),
    ],
)
def test_hand_values(mode, ratios, counts, fix_a):
    fix_a(0.5)
    score_TN = rmia(HAND_SHADOWS, HAND_TARGET, mode)
    # sigmoid(log r) = r / (1 + r)
    expected = [(c + r / (1 + r)) / 5 for c, r in zip(counts, ratios, strict=True)]
    np.testing.assert_allclose(score_TN, [expected], rtol=1e-13)


def test_an_equal_ratio_is_dominated():
    counts = count_dominated(np.array([1.0, 0.0, -1.0]), np.array([0.0, 1.0, 0.0]))
    np.testing.assert_array_equal(counts, [3, 2, 0])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("population", [0, 30])
def test_equals_the_matrix_of_all_pairs(mode, population, fix_a):
    fix_a(0.3)
    shadows, target = split(random_bank(10, 80, 3, population=population))
    ratio_N, count_N, num_z = slow_rmia(shadows, target, 0.3, mode)
    score_N = rmia(shadows, target, mode)[0]
    evaluated = ~np.isnan(score_N)
    expected_N = (count_N + expit(ratio_N)) / (num_z + 1)
    np.testing.assert_allclose(score_N[evaluated], expected_N[evaluated], rtol=1e-12)
    assert 0 < count_N.min() + count_N.max() < 2 * num_z


@pytest.mark.parametrize("mode", MODES)
def test_count_orders_first_and_the_ratio_within(mode, fix_a):
    fix_a(0.3)
    shadows, target = split(random_bank(10, 3000, population=20))
    ratio_N, count_N, _ = slow_rmia(shadows, target, 0.3, mode)
    score_N = rmia(shadows, target, mode)[0]
    assert (np.floor(score_N * 21) == count_N).all()
    assert len(np.unique(count_N)) <= 21 < 2900 < len(np.unique(score_N))
    np.testing.assert_array_equal(rankdata(score_N), rankdata(ratio_N))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("a", [None, 0.6])
@pytest.mark.parametrize("population", [0, 40])
def test_every_shadow_in_turn_equals_loop(mode, a, population, fix_a):
    if a is not None:
        fix_a(a)
    bank = random_bank(8, 300, 2, population=population, seed=1)
    unused_MN = np.random.default_rng(2).random((8, 300)) < 0.05
    bank = replace(
        bank, member_MN=bank.member_MN & ~unused_MN, nonmember_MN=bank.nonmember_MN & ~unused_MN
    )
    score_MN = rmia(bank, None, mode)
    np.testing.assert_allclose(score_MN, looped(partial(rmia, mode=mode), bank), rtol=1e-12)
    assert np.isnan(score_MN).any() == (population == 0)


@pytest.mark.parametrize("mode", MODES)
def test_six_shadows_are_enough(mode):
    bank = random_bank(6, 500, seed=3)
    expected_MN = looped(partial(rmia, mode=mode), bank)
    np.testing.assert_allclose(rmia(bank, None, mode), expected_MN, rtol=1e-12)


def test_every_shadow_in_turn_survives_cancellation(fix_a):
    """One shadow's p is 1e17 times that of the rest; subtracted from the sum, it leaves nothing."""
    bank = random_bank(8, 40, population=5, seed=6)
    bank.phi_MNA[:] -= 45
    bank.phi_MNA[np.arange(40) % 8, np.arange(40)] = 20
    fix_a(1)
    expected_MN = looped(partial(rmia, mode="offline"), bank)
    np.testing.assert_allclose(rmia(bank, None, "offline"), expected_MN, rtol=1e-9)


def test_several_targets_are_scored_one_by_one(fix_a):
    fix_a(0.2)
    bank = random_bank(12, 60, 2)
    shadows, targets = bank.select(range(8)), bank.select([8, 9, 11])
    each = [rmia(shadows, bank.select([m]), "online")[0] for m in (8, 9, 11)]
    np.testing.assert_array_equal(rmia(shadows, targets, "online"), each)


@pytest.mark.parametrize("mode", MODES)
def test_permutations_only_permute(mode):
    bank = random_bank(12, 200, 2)
    rng = np.random.default_rng(0)
    models, examples = rng.permutation(12), rng.permutation(200)
    shuffled = replace(
        bank.select(models),
        phi_MNA=bank.phi_MNA[models][:, examples],
        member_MN=bank.member_MN[models][:, examples],
        nonmember_MN=bank.nonmember_MN[models][:, examples],
        population_phi=bank["population_phi"][models][:, rng.permutation(50)],
    )
    np.testing.assert_allclose(
        rmia(shuffled, None, mode),
        rmia(bank, None, mode)[models][:, examples],
        rtol=1e-11,
    )


def test_offline_reads_no_member(fix_a):
    fix_a(0.3)
    shadows, target = split(random_bank(12, 40))
    other = replace(shadows, phi_MNA=np.where(shadows.member_MN[:, :, None], 99.0, shadows.phi_MNA))
    np.testing.assert_array_equal(rmia(shadows, target, "offline"), rmia(other, target, "offline"))


def brute_force_a(shadows):
    mean_auc = []
    for a in A_GRID:
        values = []
        for m in range(len(shadows.names)):
            stand_in = shadows.select([m])
            ratio_N, _ = slow_log_ratios(without(shadows, m), stand_in, a, "offline")
            values.append(roc_auc_score(stand_in.member_MN[0], ratio_N))
        mean_auc.append(np.mean(values))
    return A_GRID[np.argmax(mean_auc)]


@pytest.mark.parametrize(("shift", "spread"), [(0.5, 3.0), (3.0, 1.0), (1.5, 2.0)])
def test_a_is_the_best_for_shadows_as_stand_ins(shift, spread, fix_a):
    shadows, target = split(random_bank(9 + 1, 120, shift=shift, spread=spread, seed=4))
    best = brute_force_a(shadows)
    tuned = rmia(shadows, target, "offline")
    for a in A_GRID:
        fix_a(a)
        assert np.array_equal(tuned, rmia(shadows, target, "offline")) == (a == best)


def test_the_cases_above_differ_in_a():
    chosen = {
        brute_force_a(split(random_bank(10, 120, shift=shift, spread=spread, seed=4))[0])
        for shift, spread in [(0.5, 3.0), (3.0, 1.0), (1.5, 2.0)]
    }
    assert len(chosen) > 1


def test_a_of_a_large_pool_is_tuned_on_part_of_it(monkeypatch):
    """A draw: the same for every call, and with an AUC next to that of the whole."""
    shadows, target = split(random_bank(20, 4000, shift=1.5, spread=2.0))
    monkeypatch.setattr(module, "_TUNING_PAIRS", 19 * 500)
    part = rmia(shadows, target, "offline")
    np.testing.assert_array_equal(part, rmia(shadows, target, "offline"))
    monkeypatch.setattr(module, "_TUNING_PAIRS", 19 * 4000)
    whole = rmia(shadows, target, "offline")
    is_member = target.member_MN[0]
    assert abs(auc(part[0], is_member) - auc(whole[0], is_member)) < 0.01


def test_held_out_nonmembers_are_not_evaluated():
    bank = random_bank(6, 403, population=0)
    score_MN = rmia(bank, None, "online")
    for m in range(6):
        held_out = held_out_nonmembers(bank, m)
        np.testing.assert_array_equal(np.flatnonzero(np.isnan(score_MN[m])), held_out)
        assert bank.nonmember_MN[m, held_out].all()
        assert len(held_out) == bank.nonmember_MN[m].sum() // 4
        # By the name, wherever in a bank the model is.
        np.testing.assert_array_equal(held_out, held_out_nonmembers(bank.select([5, m]), 1))
    renamed = replace(bank, names=("other", *bank.names[1:]))
    assert not np.array_equal(held_out_nonmembers(bank, 0), held_out_nonmembers(renamed, 0))


def test_nothing_is_held_out_where_there_is_a_population():
    assert np.isfinite(rmia(random_bank(6, 403), None, "online")).all()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("population", [0, 100])
def test_null_bank_scores_chance(mode, population):
    bank = random_bank(16, 3000, 2, population=population, seed=7, shift=0.0)
    score_MN = rmia(bank, None, mode)
    for model in range(4):
        kept = ~np.isnan(score_MN[model])
        low, high = auc_interval(score_MN[model, kept], bank.member_MN[model, kept], 0.999)
        assert low < 0.5 < high


def test_counts_of_left_out_shadows_do_not_give_their_roles_away(fix_a):
    """Shadow 0 knows nothing, the other three do: one more OUT than IN where 0 was IN."""
    bank = random_bank(4, 20_000, shift=2.0, spread=0.5, seed=9)
    bank.phi_MNA[0] = np.random.default_rng(1).normal(size=(20_000, 1))
    fix_a(0.3)
    assert abs(auc(rmia(bank, None, "online")[0], bank.member_MN[0]) - 0.5) < 0.03


@pytest.mark.parametrize("mode", MODES)
def test_equal_examples_reach_the_closed_form(mode, fix_a):
    """With the same mean for all examples p̄ tends to a constant: AUC Φ(d/√2) of φ itself."""
    shadows, target = split(random_bank(300, 4000, shift=1.0, spread=0.0, seed=8))
    fix_a(0.5)
    low, high = auc_interval(rmia(shadows, target, mode)[0], target.member_MN[0], 0.99)
    assert low < norm.cdf(1 / math.sqrt(2)) < high
    assert high - low < 0.06


def test_it_beats_the_loss_where_examples_differ():
    shadows, target = split(random_bank(32, 4000, shift=1.5, spread=3.0))
    by_loss = auc(target.phi_MNA[0, :, 0], target.member_MN[0])
    for mode in MODES:
        assert auc(rmia(shadows, target, mode)[0], target.member_MN[0]) > by_loss + 0.05


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("a", [0.0, 1.0])
def test_extreme_confidences(mode, a, fix_a):
    fix_a(a)
    bank = random_bank(8, 100)
    bank.phi_MNA[:, :50] *= 1e5
    bank.phi_MNA[:, 99] = -1e6
    bank.phi_MNA[0, 98], bank.phi_MNA[1:, 98] = 1e6, -1e6  # ratio 1e300, next to which 1 is nothing
    score_MN = rmia(bank, None, mode)
    assert (score_MN >= 0).all()
    assert (score_MN <= 1).all()


def test_confident_examples_keep_their_order(fix_a):
    """All these p round to 1; in single precision the log ratios would be one number."""
    phi_N = np.linspace(20, 30, 50)
    shadows = score_bank(
        np.zeros((4, 50, 1)),
        np.repeat([[True], [False]], 2, axis=0).repeat(50, axis=1),
        population_phi=np.zeros((4, 3)),
    )
    target = score_bank(
        phi_N[None, :, None], np.ones((1, 50), dtype=bool), population_phi=np.zeros((1, 3))
    )
    fix_a(0.5)
    assert (np.diff(rmia(shadows, target, "online")[0]) > 0).all()


def test_unknown_mode():
    shadows, target = split(random_bank(6, 20))
    for targets in (target, None):
        with pytest.raises(ValueError, match="unknown RMIA mode 'both', expected one of online"):
            rmia(shadows, targets, "both")


def test_targets_that_do_not_fit():
    shadows, target = split(random_bank(6, 20))
    with pytest.raises(ValueError, match=r"shape \(20, 2\) per model, expected \(20, 1\)"):
        rmia(shadows, split(random_bank(6, 20, 2))[1])
    with pytest.raises(ValueError, match="targets has None examples, that of the shadows 50"):
        rmia(shadows, replace(target, population_phi=None))


def test_too_few_shadows(fix_a):
    bank = random_bank(2, 20)
    with pytest.raises(ValueError, match=r"'online' found 0 OUT shadows .* once a model is left"):
        rmia(bank, None, "online")
    with pytest.raises(ValueError, match="'online' found 0 IN shadows for example 0, expected"):
        rmia(replace(bank, member_MN=bank.member_MN & False), bank.select([0]), "online")
    with pytest.raises(ValueError, match="2 shadows are too few to choose RMIA's a"):
        rmia(bank, bank.select([0]), "offline")
    fix_a(0.3)
    assert np.isfinite(rmia(bank, bank.select([0]), "offline")).all()


def test_too_few_nonmembers_to_hold_out():
    bank = score_bank(np.zeros((1, 5, 1)), np.array([[True, True, False, False, False]]))
    with pytest.raises(ValueError, match="model 0 has 3 non-members, expected at least 4"):
        held_out_nonmembers(bank, 0)
