import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from shadowmill.metrics import ranking
from shadowmill.metrics.confusion import confusion


def case(scores, member):
    return np.array(scores, dtype=np.float64), np.array(member, dtype=bool)


def random_case(seed, *, num=400, levels=None):
    """Scores of overlapping classes; ``levels`` rounds them to that many values per unit."""
    rng = np.random.default_rng(seed)
    member = rng.random(num) < 0.4
    scores = rng.normal(size=num) + member
    return (scores if levels is None else np.round(scores * levels) / levels), member


def balanced_accuracy(scores, member, threshold):
    return confusion(scores, member, threshold).balanced_accuracy


def slow_auc(scores, member):
    pairs = [(x > y) + (x == y) / 2 for x in scores[member] for y in scores[~member]]
    return np.mean(pairs)


def slow_tpr_at_fpr(scores, member, fpr):
    """Largest TPR of all thresholds that keep the rate."""
    best = 0.0
    for threshold in scores:
        called = scores >= threshold
        if np.sum(called & ~member) <= fpr * np.sum(~member) + 1e-9:
            best = max(best, np.sum(called & member) / np.sum(member))
    return best


# By falling score: 9 member, 8 non-member, 7 member and non-member (tied), 6 member,
# 5 non-member, 4 non-member. Three members, four non-members.
HAND = case([9, 8, 7, 7, 6, 5, 4], [1, 0, 1, 0, 1, 0, 0])


def test_auc_by_hand():
    # Pairs won: 9 wins 4; 7 beats 5, 4 and ties with 7; 6 beats 5, 4: 4 + 2½ + 2 of 12.
    assert ranking.auc(*HAND) == pytest.approx(8.5 / 12, rel=1e-15)


@pytest.mark.parametrize(
    ("fpr", "threshold", "true_positives", "false_positives"),
    [
        (0.25, 8, 1, 1),  # one allowed: the block of 7s would make two
        (0.49, 8, 1, 1),
        (0.5, 6, 3, 2),  # two allowed: on past the 7s, and the member at 6 costs nothing
        (0.75, 5, 3, 3),
        (1, 4, 3, 4),
    ],
)
def test_operating_point_by_hand(fpr, threshold, true_positives, false_positives):
    point = ranking.operating_point(*HAND, fpr)
    assert point == (threshold, true_positives, false_positives)
    assert ranking.tpr_at_fpr(*HAND, fpr) == true_positives / 3


def test_roc_vertices_by_hand():
    fpr, tpr = ranking.roc_curve(*HAND)
    np.testing.assert_array_equal(fpr, np.array([0, 0, 1, 2, 2, 3, 4]) / 4)
    np.testing.assert_array_equal(tpr, np.array([0, 1, 1, 2, 3, 3, 3]) / 3)


def test_ties_are_taken_whole():
    scores, member = case([9, 9, 5, 5], [1, 0, 1, 0])
    fpr, tpr = ranking.roc_curve(scores, member)
    np.testing.assert_array_equal(fpr, [0, 0.5, 1])
    np.testing.assert_array_equal(tpr, [0, 0.5, 1])
    assert ranking.auc(scores, member) == 0.5


def test_constant_scores_find_nobody():
    scores, member = case([3] * 20, [1, 0] * 10)
    assert ranking.tpr_at_fpr(scores, member, 0.5) == 0
    assert ranking.operating_point(scores, member, 0.5) == (np.inf, 0, 0)
    assert ranking.auc(scores, member) == 0.5
    assert ranking.balanced_accuracy_oracle(scores, member) == 0.5
    assert ranking.best_threshold(scores, member) == np.inf


def test_perfect_and_reversed():
    scores, member = case([4, 3, 2, 1], [1, 1, 0, 0])
    assert ranking.auc(scores, member) == 1
    assert ranking.auc(-scores, member) == 0
    assert ranking.tpr_at_fpr(scores, member, 0.5) == 1
    assert ranking.tpr_at_fpr(-scores, member, 0.5) == 0


@pytest.mark.parametrize("levels", [None, 1, 4])
@pytest.mark.parametrize("seed", range(3))
def test_against_slow_and_sklearn(seed, levels):
    scores, member = random_case(seed, levels=levels)
    assert ranking.auc(scores, member) == pytest.approx(slow_auc(scores, member), rel=1e-12)
    assert ranking.auc(scores, member) == pytest.approx(roc_auc_score(member, scores), rel=1e-12)
    for fpr in (0.005, 0.01, 0.1, 0.5):
        assert ranking.tpr_at_fpr(scores, member, fpr) == slow_tpr_at_fpr(scores, member, fpr)


def test_order_and_monotone_maps_change_nothing():
    scores, member = random_case(1, levels=4)
    order = np.random.default_rng(0).permutation(len(scores))
    for other in ((scores[order], member[order]), (np.exp(scores), member)):
        assert ranking.auc(*other) == ranking.auc(scores, member)
        assert ranking.tpr_at_fpr(*other, 0.01) == ranking.tpr_at_fpr(scores, member, 0.01)


def test_infinite_scores_are_ranked():
    scores, member = case([np.inf, 1, -np.inf, 0], [1, 1, 0, 0])
    assert ranking.auc(scores, member) == 1


def test_float_error_in_the_allowance():
    assert 0.29 * 100 < 29
    assert ranking.allowed_false_positives(0.29, 100) == 29
    assert ranking.allowed_false_positives(0.2899, 100) == 28


def test_fpr_below_resolution_is_refused():
    scores, member = random_case(0, num=1000)
    nonmembers = np.sum(~member)
    ranking.tpr_at_fpr(scores, member, 1 / nonmembers)
    with pytest.raises(ValueError, match=f"FPR 0.001 is below 1/{nonmembers}, expected"):
        ranking.tpr_at_fpr(scores, member, 0.001)
    with pytest.raises(ValueError, match=r"FPR 1\.5 is above 1"):
        ranking.tpr_at_fpr(scores, member, 1.5)


def test_balanced_accuracy_by_hand():
    # At 6: TPR 3/3, TNR 2/4; at 9: TPR 1/3, TNR 4/4; at 7: TPR 2/3, TNR 2/4.
    assert balanced_accuracy(*HAND, 6) == 0.75
    assert balanced_accuracy(*HAND, 9) == pytest.approx(2 / 3, rel=1e-15)
    assert balanced_accuracy(*HAND, 7) == pytest.approx(7 / 12, rel=1e-15)
    assert ranking.best_threshold(*HAND) == 6
    assert ranking.balanced_accuracy_oracle(*HAND) == 0.75


@pytest.mark.parametrize("levels", [None, 2])
def test_balanced_accuracy_against_sklearn(levels):
    scores, member = random_case(5, levels=levels)
    values = [balanced_accuracy_score(member, scores >= threshold) for threshold in scores]
    assert balanced_accuracy(scores, member, scores[7]) == pytest.approx(values[7])
    assert ranking.balanced_accuracy_oracle(scores, member) == pytest.approx(max(values))


def test_transferred_threshold_is_below_the_oracle():
    threshold = ranking.best_threshold(*random_case(10))
    target = random_case(11)
    transferred = balanced_accuracy(*target, threshold)
    assert 0.6 < transferred <= ranking.balanced_accuracy_oracle(*target)


CALLS = [
    ranking.auc,
    ranking.roc_curve,
    ranking.best_threshold,
    ranking.balanced_accuracy_oracle,
    lambda scores, member: ranking.tpr_at_fpr(scores, member, 0.5),
    lambda scores, member: balanced_accuracy(scores, member, 0.0),
]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("scores", "member", "message"),
    [
        ([], [], "expected the same non-empty"),
        ([1, 2], [True, False, True], r"shape \(2,\) and labels \(3,\)"),
        ([[1, 2]], [[True, False]], "one-dimensional"),
        ([1, 2], [True, True], "found 2 members and 0 non-members"),
        ([1, 2], [False, False], "found 0 members and 2 non-members"),
        ([1, np.nan], [True, False], "score 1 of 2 is NaN"),
    ],
)
def test_undefined_input(call, scores, member, message):
    with pytest.raises(ValueError, match=message):
        call(np.array(scores, dtype=np.float64), np.array(member, dtype=bool))


def test_role_matrix_is_not_a_label():
    with pytest.raises(ValueError, match="type int8, expected bool"):
        ranking.auc(np.array([1.0, 2.0]), np.array([1, 3], dtype=np.int8))
