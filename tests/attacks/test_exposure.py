import numpy as np
import pytest
from banks import score_bank

from shadowmill.attacks.exposure import exposure

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
    assert set(table) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(table[name], value, atol=1e-12, err_msg=name)
    assert table["rank"].dtype == np.int64


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
    np.testing.assert_allclose(exposure(bank, SCORE[:, :1])["separation"], 1e6)


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
