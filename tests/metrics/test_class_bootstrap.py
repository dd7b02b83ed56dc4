"""Classes one by one, and how far they lie apart."""

import numpy as np
import pytest

from shadowmill.metrics import ranking
from shadowmill.metrics.bootstrap import class_bootstrap, two_way_bootstrap

FPRS = [0.1, 0.01]


def case(leak_C, seed=0, num_models=6, per_class=50):
    rng = np.random.default_rng(seed)
    labels_N = np.repeat(np.arange(len(leak_C)), per_class)
    rng.shuffle(labels_N)
    member_MN = rng.random((num_models, len(labels_N))) < 0.5
    scores_MN = rng.normal(size=member_MN.shape) + member_MN * np.array(leak_C)[labels_N]
    return scores_MN, member_MN, labels_N


def test_each_class_is_a_ranking_of_its_own():
    scores_MN, member_MN, labels_N = case([0, 1, 3])
    classes, disparity = class_bootstrap(scores_MN, member_MN, labels_N, FPRS, 20, seed=0)
    assert len(classes) == 3 * 3
    for label in range(3):
        of = np.broadcast_to(labels_N == label, member_MN.shape)
        ranked = scores_MN[of], member_MN[of]
        assert classes["auc", label].value == pytest.approx(ranking.auc(*ranked), rel=1e-12)
        tpr = ranking.tpr_at_fpr(*ranked, 0.1)
        assert classes["tpr_at_fpr_0.1", label].value == pytest.approx(tpr, rel=1e-12)
    values = [classes["auc", label].value for label in range(3)]
    assert disparity["auc"].value == pytest.approx(max(values) - min(values), rel=1e-12)


def test_a_single_class_is_the_whole_pool():
    scores_MN, member_MN, labels_N = case([1, 1])
    classes, disparity = class_bootstrap(scores_MN, member_MN, 0 * labels_N + 7, FPRS, 20, seed=3)
    pooled = two_way_bootstrap(scores_MN, member_MN, FPRS, 20, seed=3)
    for name in ("auc", "tpr_at_fpr_0.1"):
        assert classes[name, 7] == pooled[name, "pooled"]
    assert np.isnan(disparity["auc"][:2]).all()
    assert disparity["auc"].left_out == ()


def test_unequal_classes_are_told_apart_and_equal_ones_are_not():
    _, unequal = class_bootstrap(*case([0, 2, 2]), FPRS, 99, seed=0)
    assert unequal["auc"].p_value == 1 / 100
    # Chance makes some disparity of equal classes too; its p-values are not small too often.
    p_values = [
        class_bootstrap(*case([1, 1, 1, 1], seed), [], 59, seed)[1]["auc"].p_value
        for seed in range(60)
    ]
    assert np.mean(np.array(p_values) <= 0.05) <= 0.1
    assert 0.3 < np.median(p_values) < 0.95


def test_names_and_order_of_classes_change_nothing():
    scores_MN, member_MN, labels_N = case([0, 1, 2])
    classes, disparity = class_bootstrap(scores_MN, member_MN, labels_N, FPRS, 20, seed=0)
    renamed, same = class_bootstrap(scores_MN, member_MN, 10 - labels_N, FPRS, 20, seed=0)
    for name, found in same.items():
        assert found[:2] == pytest.approx(disparity[name][:2], nan_ok=True)
    for (name, label), estimate in classes.items():
        assert renamed[name, 10 - label] == pytest.approx(estimate, nan_ok=True)


def test_a_class_without_members_or_too_small_for_an_fpr_has_no_value():
    scores_MN, member_MN, labels_N = case([1, 1, 1], per_class=20, num_models=2)
    member_MN[:, labels_N == 1] = False
    classes, disparity = class_bootstrap(scores_MN, member_MN, labels_N, FPRS, 20, seed=0)
    assert np.isnan(classes["auc", 1]).all()
    assert np.isfinite(classes["auc", 0]).all()
    assert np.isnan(classes["tpr_at_fpr_0.01", 0]).all()
    values = classes["auc", 0].value, classes["auc", 2].value
    assert disparity["auc"].value == pytest.approx(max(values) - min(values))
    assert disparity["auc"].left_out == (1,)
    assert np.isnan(disparity["tpr_at_fpr_0.01"][:2]).all()
    assert disparity["tpr_at_fpr_0.01"].left_out == (0, 1, 2)


def test_classes_of_a_few_examples_do_not_count_as_different():
    scores_MN, member_MN, labels_N = case([0, 0, 9], per_class=30)
    few_N = np.flatnonzero(labels_N == 2)[4:]
    member_MN, nonmember_MN = member_MN.copy(), ~member_MN
    member_MN[:, few_N] = nonmember_MN[:, few_N] = False
    classes, disparity = class_bootstrap(
        scores_MN, member_MN, labels_N, [0.1], 20, seed=0, nonmember_MN=nonmember_MN
    )
    assert classes["auc", 2].value > 0.9
    assert disparity["auc"].value == abs(classes["auc", 0].value - classes["auc", 1].value)
    assert disparity["auc"].left_out == (2,)


def test_pairs_that_are_neither_are_left_out():
    scores_MN, member_MN, labels_N = case([1, 2])
    aside_MN = np.random.default_rng(1).random(member_MN.shape) < 0.3
    roles = {"member_MN": member_MN & ~aside_MN, "nonmember_MN": ~member_MN & ~aside_MN}
    scores_MN[aside_MN] = np.nan
    classes, _ = class_bootstrap(
        scores_MN, labels_N=labels_N, fprs=[], replicates=5, seed=0, **roles
    )
    used_MN = ~aside_MN & (labels_N == 1)
    expected = ranking.auc(scores_MN[used_MN], member_MN[used_MN])
    assert classes["auc", 1].value == pytest.approx(expected, rel=1e-12)


def test_labels_of_other_examples():
    scores_MN, member_MN, labels_N = case([1, 2])
    with pytest.raises(ValueError, match=r"labels have shape \(99,\), expected \(100,\)"):
        class_bootstrap(scores_MN, member_MN, labels_N[1:], [], 5, 0)
