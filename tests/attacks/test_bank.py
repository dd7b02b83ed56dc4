import numpy as np
import pytest

from shadowmill.attacks import ScoreBank


@pytest.fixture
def phi_MNA():
    return np.random.default_rng(0).normal(size=(4, 3, 2)).astype(np.float32)


@pytest.fixture
def member_MN():
    return np.array([[1, 0, 1], [0, 1, 0], [1, 1, 0], [0, 0, 1]], dtype=bool)


def test_defaults_and_type_kept(phi_MNA, member_MN):
    bank = ScoreBank(phi_MNA, member_MN)
    assert bank.phi_MNA is phi_MNA
    np.testing.assert_array_equal(bank.nonmember_MN, ~member_MN)
    assert bank.names == ("model 0", "model 1", "model 2", "model 3")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_not_finite_names_model_and_example(phi_MNA, member_MN, value):
    phi_MNA[2, 1, 0] = value
    names = ["shadow-00-0", "shadow-00-1", "shadow-01-0", "shadow-01-1"]
    with pytest.raises(ValueError, match=r"φ of shadow-01-0 at example 1, query 0 is .*expected"):
        ScoreBank(phi_MNA, member_MN, names=names)


@pytest.mark.parametrize("name", ["curvature_finite_difference", "max_phi"])
def test_other_statistics_of_the_queries_are_checked_too(phi_MNA, member_MN, name):
    value_MNA = np.ones_like(phi_MNA)
    bank = ScoreBank(phi_MNA, member_MN, arrays={name: value_MNA})
    assert bank[name] is value_MNA
    assert name in bank
    value_MNA[3, 0, 1] = np.inf
    with pytest.raises(ValueError, match=f"{name} of model 3 at example 0, query 1 is inf"):
        ScoreBank(phi_MNA, member_MN, arrays={name: value_MNA})


@pytest.mark.parametrize(
    ("name", "shape", "expected"),
    [
        ("max_phi", (4, 3, 1), r"\(4, 3, 2\)"),
        ("entropy", (3, 3), r"\(4, 3\)"),
        ("labels", (4,), r"\(3\)"),
        ("labels", (3, 1), r"\(3\)"),
        ("logits", (4, 2, 10), r"\(4, 3, K\)"),
        ("population_phi", (3, 50), r"\(4, Z\)"),
        ("features", (4, 8), r"\(3, D\)"),
    ],
)
def test_arrays_that_do_not_fit(phi_MNA, member_MN, name, shape, expected):
    found = ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "")
    with pytest.raises(ValueError, match=rf"{name} has shape \({found}\), expected {expected}"):
        ScoreBank(phi_MNA, member_MN, arrays={name: np.zeros(shape)})


def test_what_is_not_there(phi_MNA, member_MN):
    bank = ScoreBank(phi_MNA, member_MN)
    assert "labels" not in bank
    with pytest.raises(ValueError, match="labels is not in the bank, and the attack needs it"):
        bank["labels"]


def test_some_of_the_models(phi_MNA, member_MN):
    labels, entropy = np.arange(3), np.arange(12.0).reshape(4, 3)
    bank = ScoreBank(phi_MNA, member_MN, arrays={"labels": labels, "entropy": entropy})
    some = bank.select([3, 1])
    assert some.names == ("model 3", "model 1")
    np.testing.assert_array_equal(some.phi_MNA, phi_MNA[[3, 1]])
    np.testing.assert_array_equal(some.member_MN, member_MN[[3, 1]])
    np.testing.assert_array_equal(some.nonmember_MN, ~member_MN[[3, 1]])
    np.testing.assert_array_equal(some["entropy"], [[9, 10, 11], [3, 4, 5]])
    np.testing.assert_array_equal(some["labels"], labels)


@pytest.mark.parametrize("shape", [(0, 3, 2), (4, 0, 2), (4, 3, 0)])
def test_empty(shape):
    with pytest.raises(ValueError, match="expected at least one model, one example"):
        ScoreBank(np.zeros(shape), np.zeros(shape[:2], dtype=bool))


def test_two_dimensional_phi(phi_MNA, member_MN):
    with pytest.raises(ValueError, match=r"shape \(4, 3\).*last axis of length 1"):
        ScoreBank(phi_MNA[:, :, 0], member_MN)


def test_integer_phi(member_MN):
    with pytest.raises(ValueError, match="type int64, expected a floating"):
        ScoreBank(np.zeros((4, 3, 2), dtype=np.int64), member_MN)


def test_role_matrix_is_not_a_mask(phi_MNA, member_MN):
    with pytest.raises(ValueError, match="member_MN has type int8, expected bool"):
        ScoreBank(phi_MNA, member_MN.astype(np.int8))


def test_masks_of_other_shapes(phi_MNA, member_MN):
    with pytest.raises(ValueError, match=r"member_MN has shape \(4, 2\), expected \(4, 3\)"):
        ScoreBank(phi_MNA, member_MN[:, :2])
    with pytest.raises(ValueError, match=r"nonmember_MN has shape \(3, 3\), expected \(4, 3\)"):
        ScoreBank(phi_MNA, member_MN, ~member_MN[:3])


def test_member_and_nonmember_at_once(phi_MNA, member_MN):
    nonmember_MN = ~member_MN
    nonmember_MN[1, 1] = True
    with pytest.raises(ValueError, match="example 1 is both member and non-member of model 1"):
        ScoreBank(phi_MNA, member_MN, nonmember_MN)


def test_wrong_number_of_names(phi_MNA, member_MN):
    with pytest.raises(ValueError, match="3 names for 4 models"):
        ScoreBank(phi_MNA, member_MN, names=["a", "b", "c"])
