import math

import numpy as np
import pytest
from banks import replace, score_bank
from scipy.stats import norm

from shadowmill.attacks import ATTACKS, attack_shadows
from shadowmill.attacks.quantile import (
    interpolated_level,
    quantile_gaussian,
    quantile_pinball,
)
from shadowmill.attacks.rmia import held_out_nonmembers
from shadowmill.metrics.intervals import auc_interval
from shadowmill.metrics.ranking import auc

BOTH = [quantile_gaussian, quantile_pinball]


def planted(num_examples, num_population=0, *, num_models=1, shift=1.5, seed=0, num_features=6):
    """φ ~ N(μ, σ²) + shift · σ · member, μ linear in feature 0 and the class, log σ in feature 1.

    Returns the bank, and the standard score (M, N) that is known to nature alone.
    """
    rng = np.random.default_rng(seed)
    total = num_examples + num_population
    feature = rng.normal(size=(total, num_features)).astype(np.float32)
    feature[:, :2] *= 3  # what matters is among the principal components
    label = rng.integers(0, 4, total)
    mean, sigma = feature[:, 0] + 2 * label, np.exp(feature[:, 1] / 6)
    z = rng.normal(size=(num_models, total))
    member_MN = rng.random((num_models, num_examples)) < 0.5
    z[:, :num_examples] += shift * member_MN
    phi = (mean + sigma * z).astype(np.float32)
    bank = score_bank(
        phi[:, :num_examples, None],
        member_MN,
        labels=label[:num_examples],
        features=feature[:num_examples],
    )
    if num_population:
        bank = replace(
            bank,
            population_phi=phi[:, num_examples:],
            population_labels=label[num_examples:],
            population_features=feature[num_examples:],
        )
    return bank, z[:, :num_examples]


@pytest.mark.parametrize(
    ("phi", "expected"),
    [
        (-1, math.log(2) - 1),  # 1 nat below the first quantile
        (0, math.log(2)),
        (0.5, 1.5 * math.log(2)),  # half way from log 2 to log 4
        (1, math.log(4)),
        (2, (math.log(4) + math.log(10)) / 2),
        (3, math.log(10)),
        (5, math.log(10) + 2),
    ],
)
def test_interpolated_level_by_hand(phi, expected):
    level = interpolated_level(
        np.array([phi], dtype=float), np.array([[0.0, 1, 3]]), np.array([0.5, 0.75, 0.9])
    )
    np.testing.assert_allclose(level, [expected], rtol=1e-14)


def test_interpolated_level_equals_interpolation_and_increases():
    rng = np.random.default_rng(0)
    quantile_L, level_L = np.sort(rng.normal(size=6)), np.sort(rng.random(6))
    phi_N = np.linspace(quantile_L[0] - 2, quantile_L[-1] + 2, 1001)
    found_N = interpolated_level(phi_N, np.tile(quantile_L, (1001, 1)), level_L)
    inside_N = (phi_N >= quantile_L[0]) & (phi_N <= quantile_L[-1])
    expected_N = np.interp(phi_N, quantile_L, -np.log1p(-level_L))
    np.testing.assert_allclose(found_N[inside_N], expected_N[inside_N], rtol=1e-12)
    assert (np.diff(found_N) > 0).all()


@pytest.mark.filterwarnings("error")
def test_quantiles_that_coincide():
    levels = np.array([0.5, 0.75, 0.9])
    quantile_NL = np.array([[1.0, 1, 3], [1, 3, 3], [2, 2, 2]])
    found_N = interpolated_level(np.array([1.0, 3, 2]), quantile_NL, levels)
    np.testing.assert_allclose(found_N, np.log([4, 10, 10]), rtol=1e-14)


@pytest.mark.parametrize("num_population", [0, 4000])
def test_gaussian_recovers_the_standard_score(num_population):
    bank, z_MN = planted(20_000 if not num_population else 4000, num_population)
    score_N = quantile_gaussian(bank, bank)[0]
    out_N = bank.nonmember_MN[0] & ~np.isnan(score_N)
    assert abs(score_N[out_N].mean()) < 0.1
    assert 0.95 < score_N[out_N].std() < 1.25
    assert np.corrcoef(score_N[out_N], z_MN[0, out_N])[0, 1] > 0.85


def test_gaussian_divides_by_the_spread():
    """Half of the non-members have twenty times the spread; their scores do not."""
    bank, _ = planted(6000, 6000)
    rng = np.random.default_rng(1)
    for feature_ND, phi in (
        (bank["features"], bank.phi_MNA[0, :, 0]),
        (bank["population_features"], bank["population_phi"][0]),
    ):
        phi[:] = np.where(feature_ND[:, 0] > 0, 20, 1) * rng.normal(size=len(phi))
    score_N = quantile_gaussian(bank, bank)[0]
    wide_N = bank["features"][:, 0] > 0
    assert 0.5 < score_N[wide_N].std() / score_N[~wide_N].std() < 2


@pytest.mark.long
@pytest.mark.parametrize("level", [0.5, 0.9, 0.97])
def test_pinball_levels_are_those_of_nonmembers(level):
    bank, _ = planted(6000, 6000)
    score_N = quantile_pinball(bank, bank)[0, bank.nonmember_MN[0]]
    above = (score_N > -math.log(1 - level)).mean()
    assert abs(above - (1 - level)) < 0.3 * (1 - level)


@pytest.mark.parametrize("attack", BOTH)
def test_nearly_the_best_auc(attack):
    """Knowing μ and σ would give Φ(d/√2) = 0.856; φ alone does much worse."""
    bank, _ = planted(8000, 8000)
    member_N = bank.member_MN[0]
    reached = auc(attack(bank, bank)[0], member_N)
    assert auc(bank.phi_MNA[0, :, 0], member_N) < 0.68
    assert 0.82 < reached < norm.cdf(1.5 / math.sqrt(2)) + 0.015


@pytest.mark.parametrize("attack", BOTH)
def test_the_class_alone_helps(attack):
    bank, _ = planted(4000, 4000)
    rng = np.random.default_rng(2)
    phi_N = 20.0 * bank["labels"] + rng.normal(size=4000) + 1.5 * bank.member_MN[0]
    phi_Z = 20.0 * bank["population_labels"] + rng.normal(size=4000)
    bank = replace(bank, phi_MNA=phi_N[None, :, None], population_phi=phi_Z[None])
    assert auc(attack(bank, bank)[0], bank.member_MN[0]) > 0.8 > 0.6 > auc(phi_N, bank.member_MN[0])


@pytest.mark.long
@pytest.mark.parametrize("attack", BOTH)
@pytest.mark.parametrize("num_population", [0, 1000])
def test_null_bank_scores_chance(attack, num_population):
    """Held-out non-members are learnt from but not judged; judged, they would lie too near 0."""
    bank, _ = planted(4000, num_population, num_models=3, shift=0.0, seed=5)
    for score_N, member_N in zip(attack(bank, bank), bank.member_MN, strict=True):
        kept = ~np.isnan(score_N)
        low, high = auc_interval(score_N[kept], member_N[kept], 0.999)
        assert low < 0.5 < high


@pytest.mark.parametrize("attack", BOTH)
def test_held_out_nonmembers_are_learnt_from_and_not_evaluated(attack):
    bank, _ = planted(1000)
    score_N = attack(bank, bank)[0]
    held_out = held_out_nonmembers(bank, 0)
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(score_N)), held_out)
    # Every other example's φ moves its own score alone.
    phi_MNA = bank.phi_MNA.copy()
    others = np.setdiff1d(np.arange(1000), held_out)
    phi_MNA[0, others[::2]] += 3
    moved_N = attack(bank, replace(bank, phi_MNA=phi_MNA))[0]
    np.testing.assert_array_equal(moved_N[others[1::2]], score_N[others[1::2]])
    assert (moved_N[others[::2]] > score_N[others[::2]]).all()
    phi_MNA[0, held_out] += 3
    assert (attack(bank, replace(bank, phi_MNA=phi_MNA))[0, others] < moved_N[others]).all()


@pytest.mark.parametrize("attack", BOTH)
def test_with_a_population_the_pool_is_not_learnt_from(attack):
    bank, _ = planted(500, 500)
    score_N = attack(bank, bank)[0]
    assert np.isfinite(score_N).all()
    phi_MNA = bank.phi_MNA.copy()
    phi_MNA[0, ::2] += 3
    moved = replace(bank, phi_MNA=phi_MNA, member_MN=~bank.member_MN, nonmember_MN=bank.member_MN)
    np.testing.assert_array_equal(attack(bank, moved)[0, 1::2], score_N[1::2])


@pytest.mark.long
@pytest.mark.parametrize("name", ["quantile_gaussian", "quantile_pinball"])
@pytest.mark.parametrize("num_population", [0, 300])
def test_every_shadow_in_turn_is_each_by_itself(name, num_population):
    bank, _ = planted(400, num_population, num_models=3)
    score_MN = attack_shadows(ATTACKS[name], bank)
    assert score_MN.dtype == np.float64
    for m in range(3):
        alone = bank.select([m])
        np.testing.assert_array_equal(score_MN[m], ATTACKS[name].score(alone, alone)[0])
    assert not np.array_equal(score_MN[0], score_MN[1], equal_nan=True)


@pytest.mark.parametrize("attack", BOTH)
def test_the_identity_query_alone_counts(attack):
    bank, _ = planted(400)
    more = replace(bank, phi_MNA=np.concatenate([bank.phi_MNA, bank.phi_MNA + 9], axis=2))
    np.testing.assert_array_equal(attack(more, more), attack(bank, bank))


@pytest.mark.parametrize("attack", BOTH)
def test_more_features_than_components(attack):
    bank, _ = planted(3000, 3000, num_features=60)
    assert auc(attack(bank, bank)[0], bank.member_MN[0]) > 0.8


@pytest.mark.parametrize("attack", BOTH)
def test_missing_inputs_are_named(attack):
    bank, _ = planted(100, 100)
    for name in ("features", "labels", "population_features", "population_labels"):
        lacking = replace(bank, **{name: None})
        with pytest.raises(ValueError, match=f"{name} is not in the bank"):
            attack(lacking, lacking)


@pytest.mark.parametrize("attack", BOTH)
def test_too_few_to_learn_from(attack):
    bank, _ = planted(100, 19)
    with pytest.raises(ValueError, match=r"model 0 has 19 non-members .*, expected at least 20"):
        attack(bank, bank)
    enough, _ = planted(100, 20)
    assert np.isfinite(attack(enough, enough)).all()
