"""Bootstraps of examples that belong together: groups are drawn as a whole."""

import numpy as np
import pytest

from shadowmill.metrics import resampling
from shadowmill.metrics.bootstrap import class_bootstrap, paired_bootstrap, two_way_bootstrap


def test_groups_are_drawn_as_a_whole():
    group_N = np.array([0, 1, 1, 2, 2, 2])
    for weight_M, weight_N in resampling.draw_weights((3, 6), 50, 0, group_N):
        assert weight_M.sum() == 3
        per_group = [{*weight_N[group_N == group].tolist()} for group in range(3)]
        assert all(len(weights) == 1 for weights in per_group)
        assert sum(weights.pop() for weights in per_group) == 3


def test_groups_of_one_are_drawn_as_examples_are():
    plain = list(resampling.draw_weights((4, 7), 5, 3))
    alone = list(resampling.draw_weights((4, 7), 5, 3, np.arange(7)))
    for one, other in zip(plain, alone, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)


def copies(seed, num_models=8, num_groups=30, size=6):
    """Scores of groups whose examples are copies of each other: all that is known is a group."""
    random = np.random.default_rng(seed)
    member_MG = np.zeros((num_models, num_groups), bool)
    for row in member_MG:
        row[random.permutation(num_groups)[: num_groups // 2]] = True
    score_MG = random.normal(size=member_MG.shape) + 0.8 * member_MG
    group_N = np.repeat(np.arange(num_groups), size)
    return score_MG, member_MG, group_N


def width(found):
    return found["auc", "pooled"].high - found["auc", "pooled"].low


def test_copies_add_nothing_to_what_is_known():
    score_MG, member_MG, group_N = copies(0)
    groups = two_way_bootstrap(score_MG, member_MG, [], 400, 0)
    known = two_way_bootstrap(
        score_MG[:, group_N], member_MG[:, group_N], [], 400, 0, group_N=group_N
    )
    taken_alone = two_way_bootstrap(score_MG[:, group_N], member_MG[:, group_N], [], 400, 0)
    assert known["auc", "pooled"].value == pytest.approx(groups["auc", "pooled"].value)
    assert width(known) == pytest.approx(width(groups), rel=1e-6)
    assert width(taken_alone) < 0.8 * width(known)


def test_intervals_of_grouped_noise_cover_chance():
    """Models share the difficulty of a group, which its examples share."""
    hits = hits_alone = 0
    for seed in range(60):
        random = np.random.default_rng(seed)
        _, member_MG, group_N = copies(seed, num_models=2)
        member_MN = member_MG[:, group_N]
        score_MN = random.normal(size=member_MG.shape)[:, group_N] + 0.1 * random.normal(
            size=member_MN.shape
        )
        of_groups, alone = (
            two_way_bootstrap(score_MN, member_MN, [], 100, 0, group_N=groups)["auc", "pooled"]
            for groups in (group_N, None)
        )
        hits += of_groups.low <= 0.5 <= of_groups.high
        hits_alone += alone.low <= 0.5 <= alone.high
    assert hits >= 53  # of 60, at a nominal 95 %
    assert hits_alone < hits


def test_differences_and_classes_know_groups_too():
    score_MG, member_MG, group_N = copies(1)
    member_MN = member_MG[:, group_N]
    other_MG = score_MG + np.random.default_rng(5).normal(size=score_MG.shape)
    both = [each[:, group_N] for each in (score_MG, other_MG)]
    small = paired_bootstrap(score_MG, other_MG, member_MG, [], 200, 0)["auc", "pooled"]
    large = paired_bootstrap(*both, member_MN, [], 200, 0, group_N=group_N)["auc", "pooled"]
    assert large == pytest.approx(small, rel=1e-6)
    labels_G = np.arange(30) % 3
    small = class_bootstrap(score_MG, member_MG, labels_G, [], 200, 0)
    large = class_bootstrap(both[0], member_MN, labels_G[group_N], [], 200, 0, group_N=group_N)
    assert large[1]["auc"].p_value == small[1]["auc"].p_value
    assert large[0]["auc", 1] == pytest.approx(small[0]["auc", 1], rel=1e-6)


def test_classes_of_few_groups_do_not_count_however_many_examples_they_have():
    score_MG, member_MG, group_N = copies(2)
    labels_G = np.where(np.arange(30) < 4, 0, np.arange(30) % 2 + 1)
    both = score_MG[:, group_N], member_MG[:, group_N], labels_G[group_N]
    assert class_bootstrap(*both, [], 20, 0)[1]["auc"].left_out == ()
    assert class_bootstrap(*both, [], 20, 0, group_N=group_N)[1]["auc"].left_out == (0,)
