"""Confidence, entropies and correctness, plain and against a threshold per class."""

import math
from dataclasses import replace

import numpy as np
import pytest

from shadowmill.attacks import ScoreBank
from shadowmill.attacks.loss import loss
from shadowmill.attacks.thresholds import (
    STATISTICS,
    class_thresholds,
    threshold,
    threshold_leave_one_out,
)
from shadowmill.metrics.intervals import auc_interval
from shadowmill.metrics.ranking import auc


def random_bank(num_models=6, num_examples=90, *, num_classes=4, seed=0, shift=1.0, digits=1):
    """Statistics rounded, so that some are equal, and some pairs of neither role."""
    rng = np.random.default_rng(seed)
    role_MN = rng.choice(3, (num_models, num_examples), p=[0.1, 0.45, 0.45])
    labels_N = rng.integers(num_classes, size=num_examples)
    value_MN = rng.normal(shift * (role_MN == 1) + 3 * labels_N).round(digits)
    return ScoreBank(
        value_MN[:, :, None],
        role_MN == 1,
        role_MN == 2,
        labels_N=labels_N,
        correct_MN=rng.random(role_MN.shape) < 0.6 + 0.2 * (role_MN == 1),
        entropy_MN=20 - value_MN,
        modified_entropy_MN=(20 - value_MN).astype(np.float32),
    )


def without(bank, model):
    return bank.select(np.delete(np.arange(len(bank.phi_MNA)), model))


def slow_threshold(value_P, member_P):
    """Every candidate tried; None if there is nothing to choose by."""
    if member_P.all() or not member_P.any():
        return None

    def hits(t):  # twice the balanced accuracy, times both counts
        into, out = value_P[member_P], value_P[~member_P]
        return int((into >= t).sum()) * len(out) + int((out < t).sum()) * len(into)

    return max(value_P, key=lambda t: (hits(t), t))


def slow_thresholds(value_MN, shadows, labels_N):
    pair_MN = shadows.member_MN | shadows.nonmember_MN
    thresholds = []
    for label in labels_N:
        part_MN = pair_MN & (shadows.labels_N == label)
        best = slow_threshold(value_MN[part_MN], shadows.member_MN[part_MN])
        if best is None:
            best = slow_threshold(value_MN[pair_MN], shadows.member_MN[pair_MN])
        thresholds.append(best)
    return np.array([thresholds])


def test_scores_by_hand():
    # p_y = ¾, ½ and ⅕ are φ = log 3, 0 and -log 4.
    targets = ScoreBank(
        np.log([3, 1, 0.25])[None, :, None],
        np.ones((1, 3), dtype=bool),
        correct_MN=np.array([[True, True, False]]),
        entropy_MN=np.array([[0.1, 0.2, 0.3]]),
        modified_entropy_MN=np.array([[1, 0, 3]], dtype=np.float32),
    )
    expected = {
        "confidence": [0.75, 0.5, 0.2],
        "correctness": [1, 1, 0],
        "entropy": [-0.1, -0.2, -0.3],
        "modified_entropy": [-1, 0, -3],
    }
    assert set(expected) == set(STATISTICS)
    for statistic, score_N in expected.items():
        for score_TN in (
            threshold(targets, targets, statistic),
            threshold_leave_one_out(targets, statistic),
        ):
            assert score_TN.dtype == np.float64
            np.testing.assert_allclose(score_TN, [score_N], rtol=1e-14)


def test_confidence_ranks_as_the_loss():
    bank = random_bank()
    order = np.argsort(threshold(bank, bank, "confidence")[0], kind="stable")
    np.testing.assert_array_equal(order, np.argsort(loss(bank, bank)[0], kind="stable"))


def test_thresholds_by_hand():
    # Class 0: members 5, 7, non-members 1, 5, 6. Balanced accuracy at 5: (2/2 + 1/3)/2, at 6:
    # (1/2 + 2/3)/2, at 7: (1/2 + 3/3)/2, the largest.
    # Class 1: members 2, 3, non-members 1, 2. At 2: (2/2 + 1/2)/2, at 3: (1/2 + 2/2)/2; the larger
    # threshold wins. Class 2: one member 4 alone, so all classes together, members 2, 3, 4, 5, 7
    # and non-members 1, 1, 2, 5, 6: at 2: 5/5 + 2/5, at 3: 4/5 + 3/5, the same, at 4: 3/5 + 3/5.
    # Class 3 is not among the shadows.
    value_MN = np.array([[5, 1, 6, 2, 1, 4], [7, 5, 8, 3, 2, 4.0]])
    member_MN = np.array([[1, 0, 0, 1, 0, 1], [1, 0, 0, 1, 0, 0]], dtype=bool)
    neither_MN = np.array([[0, 0, 0, 0, 0, 0], [0, 0, 1, 0, 0, 1]], dtype=bool)
    shadows = ScoreBank(
        value_MN[:, :, None],
        member_MN,
        ~member_MN & ~neither_MN,
        labels_N=np.array([0, 0, 0, 1, 1, 2]),
    )
    found = class_thresholds(value_MN, shadows, np.array([3, 2, 1, 0, 1]), leave_one_out=False)
    np.testing.assert_array_equal(found, [[3, 3, 3, 7, 3]])


def test_the_sign_is_the_published_decision():
    bank, targets = random_bank(), random_bank(2, 50, seed=1)
    values_MN, values_TN = -bank.entropy_MN, -targets.entropy_MN
    thresholds = slow_thresholds(values_MN, bank, targets.labels_N)
    score_TN = threshold(bank, targets, "entropy", per_class=True)
    np.testing.assert_array_equal(score_TN >= 0, values_TN >= thresholds)
    assert (score_TN == 0).any()


@pytest.mark.parametrize("statistic", STATISTICS)
@pytest.mark.parametrize("num_classes", [1, 4, 40])
def test_equals_slow_definition(statistic, num_classes):
    """With 40 classes some have no members, or are not among the shadows at all."""
    bank = random_bank(num_classes=num_classes)
    targets = random_bank(2, 50, num_classes=num_classes, seed=1)
    value_MN = threshold(bank, bank, statistic)
    expected_TN = threshold(bank, targets, statistic) - slow_thresholds(
        value_MN, bank, targets.labels_N
    )
    score_TN = threshold(bank, targets, statistic, per_class=True)
    np.testing.assert_array_equal(score_TN, expected_TN)


@pytest.mark.parametrize("statistic", STATISTICS)
@pytest.mark.parametrize("num_classes", [1, 4, 40])
@pytest.mark.parametrize("num_models", [2, 6])
def test_leave_one_out_equals_loop(statistic, num_classes, num_models):
    bank = random_bank(num_models, num_classes=num_classes)
    rows = [
        threshold(without(bank, m), bank.select([m]), statistic, per_class=True)[0]
        for m in range(num_models)
    ]
    score_MN = threshold_leave_one_out(bank, statistic, per_class=True)
    np.testing.assert_array_equal(score_MN, rows)


@pytest.mark.parametrize("statistic", STATISTICS)
def test_permutations_only_permute(statistic):
    bank, rng = random_bank(), np.random.default_rng(2)
    examples = rng.permutation(90)
    by_model_and_example = [
        name
        for name, value in vars(bank).items()
        if name.endswith(("_MN", "_MNA")) and value is not None
    ]
    arrays = {name: getattr(bank, name)[:, examples] for name in by_model_and_example}
    models = rng.permutation(6)
    shuffled = replace(bank, labels_N=bank.labels_N[examples], **arrays).select(models)
    np.testing.assert_array_equal(
        threshold_leave_one_out(shuffled, statistic, per_class=True),
        threshold_leave_one_out(bank, statistic, per_class=True)[models][:, examples],
    )


@pytest.mark.parametrize("statistic", STATISTICS)
@pytest.mark.parametrize("per_class", [False, True])
def test_null_bank_scores_chance(statistic, per_class):
    bank = random_bank(8, 3000, seed=3, shift=0.0)
    bank = replace(bank, correct_MN=np.random.default_rng(4).random((8, 3000)) < 0.7)
    score_MN = threshold_leave_one_out(bank, statistic, per_class=per_class)
    for model in range(4):
        used_N = bank.member_MN[model] | bank.nonmember_MN[model]
        low, high = auc_interval(score_MN[model, used_N], bank.member_MN[model, used_N], 0.999)
        assert low < 0.5 < high


def test_class_thresholds_make_classes_comparable():
    bank = random_bank(8, 3000, seed=5, digits=6)
    used_N = bank.member_MN[0] | bank.nonmember_MN[0]
    plain, per_class = (
        auc(
            threshold_leave_one_out(bank, "entropy", per_class=per_class)[0, used_N],
            bank.member_MN[0, used_N],
        )
        for per_class in (False, True)
    )
    # N(1, 1) against N(0, 1) within a class: Φ(1/√2) = 0.76; the classes lie 3 apart.
    assert plain < 0.65
    assert per_class == pytest.approx(0.5 * (1 + math.erf(0.5)), abs=0.03)


def test_what_is_missing_is_named():
    bank = random_bank()
    bare = ScoreBank(bank.phi_MNA, bank.member_MN, bank.nonmember_MN)
    for statistic in ("entropy", "modified_entropy", "correctness"):
        name = {"correctness": "correct"}.get(statistic, statistic) + "_MN"
        with pytest.raises(ValueError, match=f"^{name} is not in the bank"):
            threshold(bank, bare, statistic)
    for call in (
        lambda: threshold(bare, bank, "confidence", per_class=True),
        lambda: threshold(bank, bare, "confidence", per_class=True),
        lambda: threshold_leave_one_out(bare, "confidence", per_class=True),
    ):
        with pytest.raises(ValueError, match=r"^labels_N is not in the bank"):
            call()


def test_unknown_statistic_lists_the_known():
    bank = random_bank()
    with pytest.raises(ValueError, match=r"unknown statistic 'margin'.*confidence, entropy"):
        threshold(bank, bank, "margin")


def test_shadows_without_members_are_refused():
    bank = random_bank(2)
    lonely = replace(bank, member_MN=bank.member_MN & np.array([[True], [False]]))
    assert np.isfinite(threshold(lonely, bank, "confidence", per_class=True)).all()
    with pytest.raises(ValueError, match="no members or no non-members once a model is left out"):
        threshold_leave_one_out(lonely, "confidence", per_class=True)
    with pytest.raises(ValueError, match="no members or no non-members, expected"):
        threshold(lonely.select([1]), bank, "confidence", per_class=True)
