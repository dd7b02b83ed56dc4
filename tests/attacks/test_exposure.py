import numpy as np
import pytest
from banks import score_bank
from scipy.stats import norm, ttest_ind
from scipy.stats import t as student

from shadowmill.attacks.exposure import exposure, halves, most_vulnerable

# Two queries a tenth to either side of the φ below, so that the mean over queries is the φ.
# Example 0: IN models 0, 1 with 1, 3 (μ 2, σ 1); OUT models 2, 3 with 0, 0 (μ 0, σ 0).
# Example 1: IN models 0, 2 with 4, 8 (μ 6, σ 2); OUT model 1 with 5; model 3 unused.
# Example 2: IN models 2, 3 with 0, 0 (μ 0, σ 0); OUT models 0, 1 with 1, 3 (μ 2, σ 1).
PHI = np.array([[1, 4, 1], [3, 5, 3], [0, 8, 0], [0, 77, 0]])[:, :, None] + np.array([-0.1, 0.1])
MEMBER = np.array([[1, 1, 0], [1, 0, 0], [0, 1, 1], [0, 0, 1]], dtype=bool)
NONMEMBER = ~MEMBER
NONMEMBER[3, 1] = False
SCORE = np.arange(12.0).reshape(4, 3)


def test_hand_values():
    table = exposure(score_bank(PHI, MEMBER, NONMEMBER), SCORE)
    expected = {
        "phi_in": [2, 6, 0],
        "phi_out": [0, 5, 2],
        "sigma_in": [1, 2, 0],
        "sigma_out": [0, 0, 1],
        # 2 / sqrt(1/2);  1 / sqrt(4/2);  -2 / sqrt(1/2)
        "separation": [np.sqrt(8), np.sqrt(0.5), -np.sqrt(8)],
        # SCORE rows are 0 1 2, 3 4 5, 6 7 8, 9 10 11: means over the models named above.
        "score_in": [1.5, 4, 9.5],
        "score_out": [7.5, 4, 3.5],
        "rank": [1, 2, 3],
    }
    assert set(expected) < set(table)
    for name, value in expected.items():
        np.testing.assert_allclose(table[name], value, atol=1e-12, err_msg=name)
    assert table["rank"].dtype == np.int64


def test_interval_and_p_value_by_hand():
    # IN φ 3, 5, 7 (mean 5, variance 4), OUT 0, 1, 2 (mean 1, variance 1): squared errors of the
    # means 4/3 and 1/3, so t = 4 / √(5/3), ν = (5/3)² / ((4/3)²/2 + (1/3)²/2) = 50/17.
    phi_MNA = np.array([3.0, 5, 7, 0, 1, 2])[:, None, None]
    bank = score_bank(phi_MNA, np.array([[1]] * 3 + [[0]] * 3, dtype=bool))
    table = exposure(bank, np.zeros((6, 1)))
    t, freedom = 4 / np.sqrt(5 / 3), 50 / 17
    assert table["p_value"][0] == pytest.approx(student.sf(t, freedom))
    assert ttest_ind(phi_MNA[:3, 0, 0], phi_MNA[3:, 0, 0], equal_var=False, alternative="greater")[
        1
    ] == pytest.approx(table["p_value"][0])
    assert table["q_value"][0] == table["p_value"][0]  # of a single example
    d = 4 / np.sqrt(2.5)
    reach = norm.ppf(0.975) * np.sqrt(5 / 3 / 2.5 + d**2 / (2 * freedom))
    found = table["separation_low"][0], table["separation_high"][0]
    assert found == pytest.approx((d - reach, d + reach))


def random_bank(num_models, num_examples, shift_N, spread=1.0, seed=0):
    """Complementary pairs; φ ~ N(0, 1) of non-members, N(shift, spread²) of members."""
    rng = np.random.default_rng(seed)
    half_MN = rng.random((num_models // 2, num_examples)) < 0.5
    member_MN = np.concatenate([half_MN, ~half_MN])
    phi_MN = rng.normal(size=member_MN.shape)
    phi_MN = np.where(member_MN, shift_N + spread * phi_MN, phi_MN)
    return score_bank(phi_MN[:, :, None], member_MN)


@pytest.mark.parametrize("num_models", [8, 64])
@pytest.mark.parametrize(("shift", "spread"), [(0, 1), (3, 1), (4, 3)])
def test_the_interval_covers(num_models, shift, spread):
    bank = random_bank(num_models, 2000, shift, spread)
    table = exposure(bank, np.zeros(bank.member_MN.shape))
    true = shift / np.sqrt((1 + spread**2) / 2)
    covered = (table["separation_low"] <= true) & (true <= table["separation_high"])
    assert 0.93 < covered.mean() < 0.98


def test_few_of_noise_are_found_and_many_of_the_exposed():
    bank = random_bank(32, 2000, np.where(np.arange(2000) < 200, 3.0, 0.0))
    table = exposure(bank, np.zeros(bank.member_MN.shape))
    found_N = table["q_value"] <= 0.05
    assert found_N[:200].mean() > 0.9
    assert found_N[200:].sum() <= 0.1 * found_N.sum()
    noise = exposure(random_bank(32, 2000, 0.0), np.zeros(bank.member_MN.shape))
    assert (noise["q_value"] <= 0.05).sum() <= 2
    assert 0.03 < (noise["p_value"] <= 0.05).mean() < 0.07


def test_one_model_on_a_side_says_nothing_of_spread():
    bank = score_bank(PHI, MEMBER, NONMEMBER)
    table = exposure(bank, SCORE)
    for name in ("separation_low", "separation_high", "p_value", "q_value"):
        assert np.isnan(table[name][1])  # example 1 has one OUT model
        assert np.isfinite(table[name][[0, 2]]).all()


def test_rates_at_the_threshold_of_all():
    # 150 pairs of non-members: one may be wrong. The highest scores 8, the next 7: at 7 two are.
    rng = np.random.default_rng(0)
    member_MN = np.zeros((10, 30), dtype=bool)
    member_MN[::2] = rng.random((5, 30)) < 0.5
    member_MN[1::2] = ~member_MN[::2]
    score_MN = np.where(member_MN, 1.0, 0.0) + rng.random((10, 30))
    out = [tuple(at) for at in np.argwhere(~member_MN[:, :2])]
    score_MN[out[0]], score_MN[out[1]] = 8.0, 7.0
    into = next(tuple(at) for at in np.argwhere(member_MN) if at[1] == out[0][1])
    score_MN[into] = 7.5
    table = exposure(score_bank(np.zeros((10, 30, 1)), member_MN), score_MN)
    for name, roles_MN in (("tpr_at_0.01", member_MN), ("fpr_at_0.01", ~member_MN)):
        expected = ((score_MN >= 7.5) & roles_MN).sum(axis=0) / roles_MN.sum(axis=0)
        np.testing.assert_array_equal(table[name], expected)
    assert table["fpr_at_0.01"].max() > 0.1
    few = exposure(score_bank(PHI, MEMBER, NONMEMBER), SCORE)
    assert np.isnan(few["fpr_at_0.01"]).all()


def test_rates_are_of_the_models_that_were_evaluated():
    rng = np.random.default_rng(1)
    half_MN = rng.random((5, 60)) < 0.5
    member_MN = np.concatenate([half_MN, ~half_MN])
    score_MN = rng.normal(size=(10, 60)) + 2 * member_MN
    score_MN[0] = np.nan
    table = exposure(score_bank(np.zeros((10, 60, 1)), member_MN), score_MN)
    fewer = exposure(score_bank(np.zeros((9, 60, 1)), member_MN[1:]), score_MN[1:])
    for name in ("tpr_at_0.01", "fpr_at_0.01"):
        np.testing.assert_array_equal(table[name], fewer[name])
    assert table["tpr_at_0.01"].max() > 0


def test_at_least_one_example_is_the_most_vulnerable():
    bank = random_bank(8, 30, np.where(np.arange(30) == 17, 9.0, 0.0))
    assert most_vulnerable(bank).tolist() == [17]


def test_halves_keep_pairs_and_share_no_model():
    bank = random_bank(12, 20, 0.0)
    drawn = list(halves(bank, 4))
    for one, other in drawn:
        assert set(one.names) | set(other.names) == set(bank.names)
        assert not set(one.names) & set(other.names)
        assert one.is_paired_M.all()
        assert other.is_paired_M.all()
    assert len({tuple(one.names) for one, _ in drawn}) > 1


def test_the_top_is_stable_where_there_is_one():
    bank = random_bank(32, 300, np.where(np.arange(300) < 3, 9.0, 0.0))
    table = exposure(bank, np.zeros(bank.member_MN.shape))
    assert (table["top_share"][:3] == 1).all()
    assert (table["top_share"][3:] == 0).all()
    assert set(most_vulnerable(bank)) == {0, 1, 2}
    noise = exposure(random_bank(32, 300, 0.0), np.zeros(bank.member_MN.shape))
    assert noise["top_share"].max() < 0.8
    assert noise["top_share"].sum() == pytest.approx(3)


def test_scores_that_are_not_evaluated_do_not_count():
    score_MN = SCORE.copy()
    score_MN[0, 0] = score_MN[[0, 2], 1] = np.nan  # one member of example 0, all of example 1
    table = exposure(score_bank(PHI, MEMBER, NONMEMBER), score_MN)
    np.testing.assert_array_equal(table["score_in"], [3, np.nan, 9.5])
    np.testing.assert_array_equal(table["score_out"], [7.5, 4, 3.5])
    np.testing.assert_array_equal(table["phi_in"], [2, 6, 0])


def test_equal_separation_shares_a_rank():
    bank = score_bank(PHI[:, [2, 0, 0, 2]], MEMBER[:, [2, 0, 0, 2]])
    np.testing.assert_array_equal(exposure(bank, SCORE[:, [2, 0, 0, 2]])["rank"], [3, 1, 1, 3])


def test_no_spread_stays_finite():
    phi_MNA = np.array([1.0, 1.0, 0.0, 0.0])[:, None, None]
    bank = score_bank(phi_MNA, np.array([[1], [1], [0], [0]], dtype=bool))
    table = exposure(bank, SCORE[:, :1])
    np.testing.assert_allclose(table["separation"], 1e6)
    # d = 1 over a spread of 1e-6, whose standard error is 1 of these: nothing is left to chance.
    assert table["p_value"][0] < 1e-12
    found = table["separation_low"][0], table["separation_high"][0]
    assert found == pytest.approx((1e6 - 1.96, 1e6 + 1.96), abs=0.01)


def test_float32_is_averaged_in_float64():
    bank = score_bank(PHI.astype(np.float32), MEMBER)
    double = score_bank(bank.phi_MNA.astype(np.float64), MEMBER)
    np.testing.assert_array_equal(
        exposure(bank, SCORE)["sigma_in"], exposure(double, SCORE)["sigma_in"]
    )


def test_errors():
    bank = score_bank(PHI, MEMBER, NONMEMBER)
    with pytest.raises(ValueError, match=r"score_MN has shape \(4, 2\), expected \(4, 3\)"):
        exposure(bank, SCORE[:, :2])
    bank.nonmember_MN[:, 1] = False
    with pytest.raises(ValueError, match="example 1 has no OUT model"):
        exposure(bank, SCORE)
