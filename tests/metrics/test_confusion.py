import numpy as np
import pytest
from sklearn import metrics

from shadowmill.metrics.confusion import Confusion, confusion

# 8 members and 12 non-members; 6 and 3 of them are called members.
HAND = Confusion(true_positives=6, false_positives=3, members=8, nonmembers=12)


def test_by_hand():
    assert HAND.true_negatives == 9
    assert HAND.positives == 9
    assert HAND.tpr == 6 / 8
    assert HAND.fpr == 3 / 12
    assert HAND.accuracy == 15 / 20
    assert HAND.balanced_accuracy == 0.75
    assert HAND.advantage == 0.5
    assert HAND.precision == 6 / 9
    assert HAND.f1 == pytest.approx(12 / 17, rel=1e-15)  # 2 · (2/3 · 3/4) / (2/3 + 3/4)


def test_ppv_by_hand():
    assert HAND.ppv(0.5) == pytest.approx(0.75, rel=1e-15)  # 0.375 / (0.375 + 0.125)
    assert HAND.ppv(0.1) == pytest.approx(0.25, rel=1e-15)  # 0.075 / (0.075 + 0.225)
    # With the prior of the data, it is the precision.
    assert HAND.ppv(8 / 20) == pytest.approx(HAND.precision, rel=1e-15)


def test_no_example_called_a_member():
    nothing = Confusion(0, 0, 8, 12)
    assert np.isnan(nothing.precision)
    assert np.isnan(nothing.ppv(0.1))
    assert nothing.f1 == 0
    assert nothing.accuracy == 12 / 20
    assert nothing.balanced_accuracy == 0.5


@pytest.mark.parametrize("threshold", [-0.5, 0.0, 1.5])
def test_against_sklearn(threshold):
    rng = np.random.default_rng(0)
    member = rng.random(300) < 0.3
    scores = np.round(rng.normal(size=300) + member, 1)
    called = scores >= threshold
    found = confusion(scores, member, threshold)
    tn, fp, fn, tp = metrics.confusion_matrix(member, called).ravel()
    assert found == Confusion(tp, fp, tp + fn, tn + fp)
    assert found.accuracy == pytest.approx(metrics.accuracy_score(member, called))
    assert found.precision == pytest.approx(metrics.precision_score(member, called))
    assert found.tpr == pytest.approx(metrics.recall_score(member, called))
    assert found.f1 == pytest.approx(metrics.f1_score(member, called))


def test_scores_at_the_threshold_are_called_members():
    scores, member = np.array([2.0, 1.0, 1.0, 0.0]), np.array([True, True, False, False])
    assert confusion(scores, member, 1.0) == Confusion(2, 1, 2, 2)
    assert confusion(scores, member, np.inf) == Confusion(0, 0, 2, 2)
