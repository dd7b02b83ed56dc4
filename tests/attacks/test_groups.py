"""Scores of groups: means over their examples, with the role that all of them have."""

import numpy as np
import pytest

from shadowmill.attacks.groups import by_group
from shadowmill.attacks.run import AttackScores
from shadowmill.roles import MEMBER, NON_MEMBER, UNUSED

GROUP_N = np.array([1, 0, 1, 2, 1])


def scores(group_N=GROUP_N):
    score = np.array([[1.0, 5.0, 2.0, 7.0, 6.0], [0.5, 4.0, 0.0, 8.0, 100.0]])
    in_, out, no = MEMBER, NON_MEMBER, UNUSED
    shadow_roles = np.array([[in_, out, in_, no, in_], [out, in_, out, in_, no]], np.int8)
    return AttackScores(
        ("target-1",), ("shadow-00-0", "shadow-00-1"), score[:1], shadow_roles[:1], score,
        shadow_roles, "adaptive", "shadows", group_N,
    )  # fmt: skip


def test_groups_have_the_mean_of_what_was_evaluated():
    found = by_group(scores())
    # Group 1: (1 + 2 + 6) / 3, and without the example that was not evaluated (0.5 + 0) / 2.
    np.testing.assert_array_equal(found.shadow_score_MN, [[5, 3, 0], [4, 0.25, 8]])
    assert found.shadow_roles_MN.tolist() == [
        [NON_MEMBER, MEMBER, UNUSED],
        [MEMBER, NON_MEMBER, MEMBER],
    ]
    np.testing.assert_array_equal(found.score_TN, [[5, 3, 0]])
    assert found.target_roles_TN.tolist() == [[NON_MEMBER, MEMBER, UNUSED]]
    assert found.group_N is None
    assert (found.targets, found.judged_by) == (("target-1",), "shadows")


def test_data_without_groups_are_a_defect():
    with pytest.raises(ValueError, match="without groups"):
        by_group(scores(None))
