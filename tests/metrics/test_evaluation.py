"""All metrics of a target, at thresholds that others fixed."""

import numpy as np
import pytest

from shadowmill.metrics import ranking
from shadowmill.metrics.evaluation import FPRS, Thresholds, evaluate, fix_thresholds
from shadowmill.metrics.intervals import clopper_pearson

# Ten members and ten non-members; the threshold of 5 finds 6 of the ones and 2 of the others.
SCORES = np.array([9, 8, 7, 6, 5, 5, 4, 3, 2, 1, 7, 5, 4, 4, 3, 3, 2, 2, 1, 1], dtype=np.float64)
MEMBER = np.arange(20) < 10
AT_FIVE = Thresholds(balanced=5.0, at_fpr={0.1: 8.0})


def shadows(num_models=8, num_examples=500, seed=0):
    rng = np.random.default_rng(seed)
    member_MN = rng.random((num_models, num_examples)) < 0.5
    return rng.normal(size=member_MN.shape) + 1.5 * member_MN, member_MN


def test_metrics_by_hand():
    found = {row.metric: row for row in evaluate(SCORES, MEMBER, AT_FIVE)}
    values = {name: row.value for name, row in found.items()}
    assert values["balanced_accuracy"] == pytest.approx(0.7)
    assert values["accuracy"] == pytest.approx(0.7)
    assert values["precision"] == pytest.approx(6 / 8)
    assert values["recall"] == pytest.approx(0.6)
    assert values["f1"] == pytest.approx(12 / 18)
    assert values["advantage"] == pytest.approx(0.4)
    assert values["ppv_at_prior_0.5"] == pytest.approx(0.75)
    assert values["ppv_at_prior_0.01"] == pytest.approx(0.006 / (0.006 + 0.99 * 0.2))
    # One false positive is allowed at 0.1: that at 7, so thresholds down to 6 do.
    assert found["tpr_at_fpr_0.1"][1:2] == (0.4,)
    assert found["tpr_at_fpr_0.1"].false_positives == 1
    # The shadows' threshold for 0.1 is 8 here, which no non-member reaches.
    assert values["achieved_fpr_at_0.1"] == 0
    assert found["achieved_fpr_at_0.1"].high == pytest.approx(clopper_pearson(0, 10)[1])
    assert found["recall"][2:4] == pytest.approx(clopper_pearson(6, 10))
    assert found["precision"][2:4] == pytest.approx(clopper_pearson(6, 8))
    assert found["accuracy"][2:4] == pytest.approx(clopper_pearson(14, 20))
    balanced, advantage = found["balanced_accuracy"], found["advantage"]
    assert advantage.low == pytest.approx(2 * balanced.low - 1)
    assert advantage.high == pytest.approx(2 * balanced.high - 1)
    undefined = {name for name, value in values.items() if np.isnan(value)}
    assert undefined == {
        f"{metric}_{fpr:g}" for metric in ("tpr_at_fpr", "achieved_fpr_at") for fpr in FPRS[1:]
    }


def test_false_positives_are_those_of_tprs_alone():
    for row in evaluate(SCORES, MEMBER, AT_FIVE):
        assert np.isfinite(row.false_positives) == (row.metric == "tpr_at_fpr_0.1")


def test_metrics_are_always_the_same_ones():
    scores_MN, member_MN = shadows()
    thresholds = fix_thresholds(scores_MN, member_MN, ~member_MN)
    large = [row.metric for row in evaluate(scores_MN[0], member_MN[0], thresholds)]
    assert large == [row.metric for row in evaluate(SCORES, MEMBER, AT_FIVE)]
    assert len(set(large)) == len(large)


def test_thresholds_of_the_shadows():
    scores_MN, member_MN = shadows()
    aside_MN = np.random.default_rng(1).random(member_MN.shape) < 0.2
    used = ~aside_MN
    expected = scores_MN[used], member_MN[used]
    scores_MN[aside_MN] = np.nan
    found = fix_thresholds(scores_MN, member_MN & used, ~member_MN & used)
    assert found.balanced == ranking.best_threshold(*expected)
    # 1,600 non-members or so: an FPR of 0.001 is the smallest within reach.
    assert list(found.at_fpr) == [0.1, 0.01, 0.001]
    for fpr, threshold in found.at_fpr.items():
        assert threshold == ranking.operating_point(*expected, fpr).threshold


def test_achieved_fpr_is_near_the_nominal_one():
    scores_MN, member_MN = shadows(num_models=20, num_examples=2000)
    thresholds = fix_thresholds(scores_MN[1:], member_MN[1:], ~member_MN[1:])
    found = {row.metric: row for row in evaluate(scores_MN[0], member_MN[0], thresholds)}
    for fpr in (0.1, 0.01):
        row = found[f"achieved_fpr_at_{fpr:g}"]
        assert row.low < fpr < row.high
        assert row.value != fpr


def test_without_shadows_their_metrics_are_undefined():
    nobody_MN = np.zeros((3, 20), dtype=bool)
    assert fix_thresholds(np.full((3, 20), np.nan), nobody_MN, nobody_MN) is None
    with_them = {row.metric: row for row in evaluate(SCORES, MEMBER, AT_FIVE)}
    without = {row.metric: row for row in evaluate(SCORES, MEMBER, None)}
    assert list(without) == list(with_them)
    own = {"auc", "balanced_accuracy_oracle", *(f"tpr_at_fpr_{fpr:g}" for fpr in FPRS)}
    for name, row in without.items():
        expected = with_them[name] if name in own else (name, *[np.nan] * 4)
        np.testing.assert_array_equal(row[1:], expected[1:])


def test_null_scores_have_no_metric_beyond_chance():
    rng = np.random.default_rng(0)
    member_MN = rng.random((20, 1000)) < 0.5
    scores_MN = rng.normal(size=member_MN.shape)
    thresholds = fix_thresholds(scores_MN, member_MN, ~member_MN)
    rows = [
        {row.metric: row for row in evaluate(score_N, member_N, thresholds)}
        for score_N, member_N in zip(scores_MN, member_MN, strict=True)
    ]
    for metric, chance in (("auc", 0.5), ("balanced_accuracy", 0.5), ("advantage", 0.0)):
        assert np.mean([row[metric].value for row in rows]) == pytest.approx(chance, abs=0.015)
        covered = sum(row[metric].low <= chance <= row[metric].high for row in rows)
        assert covered >= 17


def test_the_order_of_the_examples_changes_nothing():
    scores_MN, member_MN = shadows()
    thresholds = fix_thresholds(scores_MN, member_MN, ~member_MN)
    order_N = np.random.default_rng(3).permutation(500)
    first = list(evaluate(scores_MN[0], member_MN[0], thresholds))
    other = list(evaluate(scores_MN[0][order_N], member_MN[0][order_N], thresholds))
    for one, two in zip(first, other, strict=True):
        assert one.metric == two.metric
        assert one[1:] == pytest.approx(two[1:], rel=1e-12, nan_ok=True)
    shuffled = fix_thresholds(scores_MN[:, order_N], member_MN[:, order_N], ~member_MN[:, order_N])
    assert shuffled == thresholds
