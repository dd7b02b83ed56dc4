"""Halves of the pool: complementary pairs of shadows, and targets."""

import numpy as np
import pytest
from halves import halves

from shadowmill import roles
from shadowmill.roles import MEMBER, NON_MEMBER
from shadowmill.roles.order import random_order
from shadowmill.roles.splits import (
    shadow_half,
    shadow_split,
    target_half,
    target_split,
    with_validation,
)

SIZES = [2, 3, 10, 101]


@pytest.mark.parametrize("num_examples", SIZES)
@pytest.mark.parametrize("num_models", [2, 6, 64])
def test_halves(num_models, num_examples):
    roles_MN = halves(num_models, num_examples, seed=3)
    assert roles_MN.shape == (num_models, num_examples)
    assert roles_MN.dtype == np.int8
    assert set(np.unique(roles_MN)) == {MEMBER, NON_MEMBER}
    # The second of a pair trains on what the first does not, so on the odd example too.
    np.testing.assert_array_equal(roles_MN[::2] == MEMBER, roles_MN[1::2] == NON_MEMBER)
    assert ((roles_MN[::2] == MEMBER).sum(axis=1) == num_examples // 2).all()
    assert ((roles_MN[1::2] == MEMBER).sum(axis=1) == num_examples - num_examples // 2).all()
    assert ((roles_MN == MEMBER).sum(axis=0) == num_models // 2).all()


def test_the_codes_of_the_roles_never_change():
    # They are written in roles.h5.
    assert (roles.UNUSED, roles.MEMBER, roles.VALIDATION, roles.NON_MEMBER) == (0, 1, 2, 3)


def test_the_draw_never_changes():
    assert halves(2, 12, seed=0)[0].tolist() == [3, 1, 3, 1, 3, 1, 3, 3, 3, 1, 1, 1]
    row = target_half(42, 12, seed=0)
    assert row.tolist() == [3, 3, 3, 1, 1, 1, 1, 3, 3, 1, 1, 3]
    row = with_validation(row, 0.5, 0, "target", 42)
    assert row.tolist() == [3, 2, 3, 1, 1, 1, 1, 3, 2, 1, 1, 2]
    assert target_split(42, 12, seed=0).tolist() == [1, 0, 0, 3, 0, 2, 1, 0, 2, 3, 0, 0]
    assert shadow_split(3, 12, seed=0).tolist() == [0, 1, 3, 0, 3, 0, 0, 2, 0, 0, 1, 2]
    assert random_order(12, seed=0).tolist() == [11, 2, 7, 4, 8, 9, 5, 1, 6, 10, 3, 0]


def test_the_first_64_shadows_of_128_are_those_of_64():
    np.testing.assert_array_equal(halves(128, 50, seed=1)[:64], halves(64, 50, seed=1))


def test_pairs_and_studies_differ():
    roles_MN = halves(20, 40, seed=1)
    assert len(np.unique(roles_MN, axis=0)) == 20
    assert (halves(20, 40, seed=2) != roles_MN).any(axis=1).all()


def test_examples_are_members_together_as_often_as_chance_has_it():
    # Of 2000 random halves of 10, two given examples share the first with 5/10 · 4/9 = 2/9.
    member_MN = halves(4000, 10, seed=0)[::2] == MEMBER
    together_NN = np.einsum("mn,mk->nk", member_MN, member_MN, dtype=int) / 2000
    off_diagonal = together_NN[~np.eye(10, dtype=bool)]
    assert np.abs(off_diagonal - 2 / 9).max() < 5 * np.sqrt(2 / 9 * 7 / 9 / 2000)


@pytest.mark.parametrize("num_examples", SIZES)
def test_each_row_of_the_matrix_is_the_half_of_that_shadow_alone(num_examples):
    roles_MN = halves(8, num_examples, seed=4)
    for index in (7, 0, 3):
        row = shadow_half(index, num_examples, seed=4)
        assert row.dtype == np.int8
        np.testing.assert_array_equal(row, roles_MN[index])


@pytest.mark.parametrize("num_examples", SIZES)
def test_the_half_of_a_target(num_examples):
    row = target_half(42, num_examples, seed=0)
    assert row.shape == (num_examples,)
    assert row.dtype == np.int8
    assert (row == MEMBER).sum() == num_examples // 2
    assert (row == NON_MEMBER).sum() == num_examples - num_examples // 2


def test_the_half_of_a_target_depends_on_its_own_seed_and_the_studys():
    rows = [target_half(seed, 100, study) for seed in (42, 7, 123) for study in (0, 1)]
    assert len(np.unique(rows, axis=0)) == 6
    np.testing.assert_array_equal(target_half(7, 100, 0), rows[2])


def test_targets_and_shadows_have_different_streams():
    # A target whose seed is a pair's number must not get that pair's half.
    targets = [target_half(seed, 60, seed=0) for seed in range(8)]
    assert len(np.unique(np.concatenate([targets, halves(16, 60, seed=0)]), axis=0)) == 24
