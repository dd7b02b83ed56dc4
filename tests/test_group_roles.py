"""Roles of examples that belong together: drawn among groups, whole groups in or out."""

import numpy as np
import pytest

from shadowmill import roles
from shadowmill.errors import ConfigError, DataError
from shadowmill.roles import MEMBER, NON_MEMBER, UNUSED, VALIDATION

# Forty groups of one to four examples, in no order.
GROUP_N = np.random.default_rng(0).permutation(np.repeat(np.arange(40), np.arange(40) % 4 + 1))
SHADOWS = {f"shadow-00-{k}": ["shadow", k] for k in range(8)}


def drawn(tmp_path, models=SHADOWS, group_N=GROUP_N, **options):
    roles.draw(tmp_path / "roles.h5", models, len(group_N), 0, group_N=group_N, **options)
    return roles.load(tmp_path / "roles.h5")


@pytest.mark.parametrize(
    "options",
    [{}, {"validation": 0.2}, {"protocol": "disjoint"}],
    ids=["half", "validation", "disjoint"],
)
def test_all_examples_of_a_group_have_one_role_in_each_model(tmp_path, options):
    roles_MN = drawn(tmp_path, **options).roles_MN
    for group in range(40):
        of_group = roles_MN[:, group == GROUP_N]
        assert (of_group == of_group[:, :1]).all()


def test_half_of_the_groups_are_members_and_pairs_are_complementary(tmp_path):
    matrix = drawn(tmp_path)
    first = np.unique(GROUP_N, return_index=True)[1]
    assert (matrix.roles_MN[:, first] == MEMBER).sum(axis=1).tolist() == [20] * 8
    for pair in range(4):
        one, other = matrix.roles_MN[2 * pair : 2 * pair + 2]
        assert ((one == MEMBER) == (other == NON_MEMBER)).all()
    assert matrix.epoch_size == len(GROUP_N) // 2


def test_groups_of_one_are_examples(tmp_path):
    alone = drawn(tmp_path, group_N=np.arange(50)).roles_MN
    roles.draw(tmp_path / "plain.h5", SHADOWS, 50, 0)
    np.testing.assert_array_equal(alone, roles.load(tmp_path / "plain.h5").roles_MN)


def test_validation_takes_turns_among_groups(tmp_path):
    roles_MN = drawn(tmp_path, validation=0.25).roles_MN
    first = np.unique(GROUP_N, return_index=True)[1]
    # Four pairs of stretches of a quarter: each group is in one, and validates one shadow of it.
    assert ((roles_MN[:, first] == VALIDATION).sum(axis=0) == 1).all()


def test_sides_of_disjoint_share_no_group(tmp_path):
    used = drawn(tmp_path, SHADOWS, protocol="disjoint").roles_MN != UNUSED
    roles.draw(
        tmp_path / "target.h5", {"target-7": ["target", 7]}, len(GROUP_N), 0,
        protocol="disjoint", group_N=GROUP_N,
    )  # fmt: skip
    target = roles.load(tmp_path / "target.h5")
    assert not {*GROUP_N[used[0]]} & {*GROUP_N[target.roles_MN[0] != UNUSED]}
    assert (used == used[0]).all()
    assert target.epoch_size == 9 * int((target.roles_MN[0] != UNUSED).sum()) // 20


def test_blocks_of_disjoint_shadows_have_one_epoch_size(tmp_path):
    sizes = {
        drawn(tmp_path, {f"shadow-00-{k}": ["shadow", k]}, protocol="disjoint").epoch_size
        for k in range(6)
    }
    assert len(sizes) == 1


def test_too_few_groups_are_refused(tmp_path):
    with pytest.raises(DataError, match="3 groups are too few"):
        drawn(tmp_path, group_N=np.arange(30) % 3)


def test_prefixes_of_groups_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="would cut groups"):
        drawn(tmp_path, {"target-1-9": ["prefix", 1, 9]})


def test_other_numbers_of_examples_are_a_defect(tmp_path):
    with pytest.raises(ValueError, match="100 examples have a group, of 7"):
        roles.draw(tmp_path / "roles.h5", SHADOWS, 7, 0, group_N=GROUP_N)
