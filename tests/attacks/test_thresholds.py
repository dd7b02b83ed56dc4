"""Confidence, entropies and correctness, plain and against a threshold per class."""

import math
from functools import partial

import numpy as np
import pytest
from banks import looped, replace, score_bank

from shadowmill.attacks import ATTACKS, attack_shadows
from shadowmill.attacks.loss import loss
from shadowmill.attacks.thresholds import (
    STATISTICS,
    class_threshold,
    class_thresholds,
    threshold,
)
from shadowmill.metrics.intervals import auc_interval
from shadowmill.metrics.ranking import auc


def random_bank(num_models=6, num_examples=90, *, num_classes=4, seed=0, shift=1.0, digits=1):
    """Statistics rounded, so that some are equal, and some pairs of neither role."""
    rng = np.random.default_rng(seed)
    role_MN = rng.choice(3, (num_models, num_examples), p=[0.1, 0.45, 0.45])
    labels_N = rng.integers(num_classes, size=num_examples)
    value_MN = rng.normal(shift * (role_MN == 1) + 3 * labels_N).round(digits)
    return score_bank(
        value_MN[:, :, None],
        role_MN == 1,
        role_MN == 2,
        labels=labels_N,
        correct=rng.random(role_MN.shape) < 0.6 + 0.2 * (role_MN == 1),
        entropy=20 - value_MN,
        modified_entropy=(20 - value_MN).astype(np.float32),
    )


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
        part_MN = pair_MN & (shadows["labels"] == label)
        best = slow_threshold(value_MN[part_MN], shadows.member_MN[part_MN])
        if best is None:
            best = slow_threshold(value_MN[pair_MN], shadows.member_MN[pair_MN])
        thresholds.append(best)
    return np.array([thresholds])


def test_scores_by_hand():
    # p_y = ¾, ½ and ⅕ are φ = log 3, 0 and -log 4.
    targets = score_bank(
        np.log([3, 1, 0.25])[None, :, None],
        np.ones((1, 3), dtype=bool),
        correct=np.array([[True, True, False]]),
        entropy=np.array([[0.1, 0.2, 0.3]]),
        modified_entropy=np.array([[1, 0, 3]], dtype=np.float32),
    )
    expected = {
        "confidence": [0.75, 0.5, 0.2],
        "correctness": [1, 1, 0],
        "entropy": [-0.1, -0.2, -0.3],
        "modified_entropy": [-1, 0, -3],
    }
    assert set(expected) == set(STATISTICS)
    for statistic, score_N in expected.items():
        score_TN = threshold(targets, targets, statistic)
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
    shadows = score_bank(
        value_MN[:, :, None],
        member_MN,
        ~member_MN & ~neither_MN,
        labels=np.array([0, 0, 0, 1, 1, 2]),
    )
    found = class_thresholds(value_MN, shadows, np.array([3, 2, 1, 0, 1]), in_turn=False)
    np.testing.assert_array_equal(found, [[3, 3, 3, 7, 3]])


def test_the_sign_is_the_published_decision():
    bank, targets = random_bank(), random_bank(2, 50, seed=1)
    values_MN, values_TN = -bank["entropy"], -targets["entropy"]
    thresholds = slow_thresholds(values_MN, bank, targets["labels"])
    score_TN = class_threshold(bank, targets, "entropy")
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
        value_MN, bank, targets["labels"]
    )
    score_TN = class_threshold(bank, targets, statistic)
    np.testing.assert_array_equal(score_TN, expected_TN)


@pytest.mark.parametrize("statistic", STATISTICS)
@pytest.mark.parametrize("num_classes", [1, 4, 40])
@pytest.mark.parametrize("num_models", [2, 6])
def test_every_shadow_in_turn_equals_loop(statistic, num_classes, num_models):
    bank = random_bank(num_models, num_classes=num_classes)
    score = partial(class_threshold, statistic=statistic)
    np.testing.assert_array_equal(score(bank, None), looped(score, bank))


@pytest.mark.parametrize("statistic", STATISTICS)
def test_permutations_only_permute(statistic):
    bank, rng = random_bank(), np.random.default_rng(2)
    examples = rng.permutation(90)
    fields = ("phi_MNA", "member_MN", "nonmember_MN")
    changes = {name: getattr(bank, name)[:, examples] for name in fields}
    changes |= {name: bank[name][..., examples] for name in bank.arrays}  # N is the last axis
    models = rng.permutation(6)
    shuffled = replace(bank, **changes).select(models)
    np.testing.assert_array_equal(
        class_threshold(shuffled, None, statistic),
        class_threshold(bank, None, statistic)[models][:, examples],
    )


@pytest.mark.parametrize("statistic", STATISTICS)
@pytest.mark.parametrize("ending", ["", "_per_class"])
def test_null_bank_scores_chance(statistic, ending):
    bank = random_bank(8, 3000, seed=3, shift=0.0)
    bank = replace(bank, correct=np.random.default_rng(4).random((8, 3000)) < 0.7)
    score_MN = attack_shadows(ATTACKS[f"{statistic}{ending}"], bank)
    for model in range(4):
        used_N = bank.member_MN[model] | bank.nonmember_MN[model]
        low, high = auc_interval(score_MN[model, used_N], bank.member_MN[model, used_N], 0.999)
        assert low < 0.5 < high


def test_class_thresholds_make_classes_comparable():
    bank = random_bank(8, 3000, seed=5, digits=6)
    used_N = bank.member_MN[0] | bank.nonmember_MN[0]
    plain, per_class = (
        auc(
            attack_shadows(ATTACKS[name], bank)[0, used_N],
            bank.member_MN[0, used_N],
        )
        for name in ("entropy", "entropy_per_class")
    )
    # N(1, 1) against N(0, 1) within a class: Φ(1/√2) = 0.76; the classes lie 3 apart.
    assert plain < 0.65
    assert per_class == pytest.approx(0.5 * (1 + math.erf(0.5)), abs=0.03)


def test_what_is_missing_is_named():
    bank = random_bank()
    bare = score_bank(bank.phi_MNA, bank.member_MN, bank.nonmember_MN)
    for statistic in ("entropy", "modified_entropy", "correctness"):
        name = {"correctness": "correct"}.get(statistic, statistic)
        with pytest.raises(ValueError, match=f"^{name} is not in the bank"):
            threshold(bank, bare, statistic)
    for call in (
        lambda: class_threshold(bare, bank, "confidence"),
        lambda: class_threshold(bank, bare, "confidence"),
        lambda: class_threshold(bare, None, "confidence"),
    ):
        with pytest.raises(ValueError, match=r"^labels is not in the bank"):
            call()


def test_unknown_statistic_lists_the_known():
    bank = random_bank()
    with pytest.raises(ValueError, match=r"unknown statistic 'margin'.*confidence, entropy"):
        threshold(bank, bank, "margin")


def test_shadows_without_members_are_refused():
    bank = random_bank(2)
    lonely = replace(bank, member_MN=bank.member_MN & np.array([[True], [False]]))
    assert np.isfinite(class_threshold(lonely, bank, "confidence")).all()
    with pytest.raises(ValueError, match="no members or no non-members once a model is left out"):
        class_threshold(lonely, None, "confidence")
    with pytest.raises(ValueError, match="no members or no non-members, expected"):
        class_threshold(lonely.select([1]), bank, "confidence")
