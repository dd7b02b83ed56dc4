"""Promises that all attacks of the table keep."""

import dataclasses
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
from banks import looped, replace, score_bank

from shadowmill.attacks import (
    ATTACKS,
    NETWORK_ATTACKS,
    Attack,
    attack_shadows,
    has_enough,
    lira,
    networks,
)
from shadowmill.metrics.ranking import auc

NUM_CLASSES = 4


def make_bank(num_models, num_examples=120, shift=0.0, seed=0, queries=2, population=80):
    """Random statistics with all fields; members' φ is higher by `shift`."""
    rng = np.random.default_rng(seed)
    half_MN = rng.random((num_models // 2, num_examples)) < 0.5
    member_MN = np.concatenate([half_MN, ~half_MN])
    gap_MN1 = shift * member_MN[..., None]
    phi_MNA = rng.normal(size=(num_models, num_examples, queries)) + gap_MN1
    logits_MNK = rng.normal(size=(*member_MN.shape, NUM_CLASSES)).astype(np.float32)
    labels_N = rng.integers(0, NUM_CLASSES, num_examples)
    labels_N[:NUM_CLASSES] = range(NUM_CLASSES)
    logits_MNK[:, np.arange(num_examples), labels_N] += shift * member_MN
    return score_bank(
        phi_MNA,
        member_MN,
        names=tuple(f"shadow-{k}" for k in range(num_models)),
        labels=labels_N,
        correct=phi_MNA[..., 0] > 0,
        entropy=rng.random(member_MN.shape) - 0.3 * shift * member_MN,
        modified_entropy=rng.random(member_MN.shape) - 0.3 * shift * member_MN,
        logits=logits_MNK,
        sensitivity=rng.random(logits_MNK.shape).astype(np.float32),
        population_phi=rng.normal(size=(num_models, population)),
        population_labels=rng.integers(0, NUM_CLASSES, population),
        features=rng.normal(size=(num_examples, 6)).astype(np.float32),
        population_features=rng.normal(size=(population, 6)).astype(np.float32),
        **{
            f"curvature_{estimator}": np.exp(rng.normal(-gap_MN1, size=phi_MNA.shape))
            for estimator in ("finite_difference", "trace", "frobenius")
        },
        max_phi=rng.normal(gap_MN1, size=phi_MNA.shape),
    )


def quick(attack):
    """Networks with few epochs: what is tested here does not depend on them."""
    if not attack.is_network:
        return attack
    return dataclasses.replace(attack, score=partial(attack.score, device="cpu"))


@pytest.fixture(autouse=True)
def few_epochs(monkeypatch):
    monkeypatch.setattr(networks, "EPOCHS", 3)


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name, attack in ATTACKS.items() if not attack.max_folds])
def test_every_shadow_as_target_is_the_loop(name):
    attack, bank = ATTACKS[name], make_bank(8)
    np.testing.assert_allclose(
        attack_shadows(attack, bank), looped(attack.score, bank), rtol=1e-9, atol=1e-11
    )


def test_an_attack_needs_no_more_than_its_function():
    """Nothing is said of shadows left out: the loop sees to it."""
    attack = Attack(
        "φ less that of the shadows", lambda shadows, targets: mean_gap(shadows, targets)
    )
    bank = make_bank(6)
    phi_MN = bank.phi_MNA.mean(axis=2)
    pair_MN = phi_MN + np.roll(phi_MN, 3, axis=0)  # models 0 and 3, 1 and 4, 2 and 5
    expected_MN = phi_MN - (phi_MN.sum(axis=0) - pair_MN) / 4
    np.testing.assert_allclose(attack_shadows(attack, bank), expected_MN, rtol=1e-12, atol=1e-12)


def mean_gap(shadows, targets):
    return targets.phi_MNA.mean(axis=2) - shadows.phi_MNA.mean(axis=(0, 2))


def test_titles_differ():
    assert len({attack.title for attack in ATTACKS.values()}) == len(ATTACKS)


@pytest.mark.parametrize("mode", ["online", "fixed", "offline", "two_sided_code", "code2021"])
def test_entries_run_the_mode_they_name(mode):
    bank, targets = make_bank(8), make_bank(2, seed=1)
    attack = ATTACKS[f"lira_{mode}"]
    np.testing.assert_array_equal(attack.score(bank, targets), lira(bank, targets, mode))
    np.testing.assert_array_equal(attack_shadows(attack, bank), lira(bank, None, mode))


@pytest.mark.parametrize("name", ATTACKS)
def test_smallest_bank_that_the_table_promises(name):
    attack = quick(ATTACKS[name])
    count = attack.min_shadows + attack.min_shadows % 2
    bank, targets = make_bank(count), make_bank(2, seed=1)
    assert has_enough(attack, bank)
    larger = make_bank(count + 2)
    for score, models in (
        (attack.score(bank, targets), 2),
        (attack_shadows(attack, larger), count + 2),
    ):
        assert score.shape == (models, 120)
        assert score.dtype == np.float64
        assert np.isfinite(score).mean() > 0.8
        assert not np.isinf(score).any()


@pytest.mark.parametrize("name", [name for name, attack in ATTACKS.items() if attack.learns])
def test_too_few_shadows_say_nothing_of_each_other(name):
    attack = quick(ATTACKS[name])
    bank = make_bank(attack.min_shadows + attack.min_shadows % 2)
    assert has_enough(attack, bank)
    assert not has_enough(attack, bank, in_turn=True)
    assert np.isnan(attack_shadows(attack, bank)).all()
    if attack.min_shadows > 1:
        assert not has_enough(attack, bank.select(range(attack.min_shadows - 1)))


@pytest.mark.long
@pytest.mark.parametrize("name", ATTACKS)
def test_all_code_that_runs_is_in_the_digest_of_the_attacks_file(name, executed, hangs_on):
    attack, bank, targets = quick(ATTACKS[name]), make_bank(8), make_bank(2, seed=1)
    ran = executed(lambda: (attack.score(bank, targets), attack_shadows(attack, bank)))
    assert len(ran) >= 2
    assert ran <= hangs_on(name)


@pytest.mark.long
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] if name == "samia" else []) for name in ATTACKS],
)
def test_null_gives_one_half(name):
    attack, bank = quick(ATTACKS[name]), make_bank(32, 400)
    score_MN = attack_shadows(attack, bank)
    used_MN = ~np.isnan(score_MN)
    assert auc(score_MN[used_MN], bank.member_MN[used_MN]) == pytest.approx(0.5, abs=0.025)


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name, row in ATTACKS.items() if row.fast])
def test_null_gives_one_half_with_few_shadows(name):
    """Leave-one-out gives LiRA 0.43 here, and Watson's attack 0.41."""
    attack = ATTACKS[name]
    areas = []
    for draw in range(3):
        bank = make_bank(8, 4000, seed=draw, population=400)
        score_MN = attack_shadows(attack, bank)
        used_MN = ~np.isnan(score_MN)
        areas.append(auc(score_MN[used_MN], bank.member_MN[used_MN]))
    # 96,000 scores would be sure to 0.002; those of an example have their shadows in common.
    assert np.mean(areas) == pytest.approx(0.5, abs=0.01)


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in ATTACKS if name not in NETWORK_ATTACKS])
def test_members_score_higher(name):
    bank, targets = make_bank(16, 400, shift=1.5), make_bank(2, 400, shift=1.5, seed=1)
    for score_MN, of in (
        (ATTACKS[name].score(bank, targets), targets),
        (attack_shadows(ATTACKS[name], bank), bank),
    ):
        used_MN = ~np.isnan(score_MN)
        assert auc(score_MN[used_MN], of.member_MN[used_MN]) > 0.6


@pytest.mark.parametrize("name", ATTACKS)
def test_what_is_not_needed_is_not_read(name):
    attack = quick(ATTACKS[name])
    count = attack.min_shadows + attack.min_shadows % 2
    bank, targets = make_bank(count), make_bank(2, seed=1)
    bare = {name: None for name in bank.arrays if name not in attack.needs | {"correct"}}
    expected = attack.score(bank, targets)
    found = attack.score(replace(bank, **bare), replace(targets, **bare))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", [name for name, row in ATTACKS.items() if row.per_example])
def test_attacks_on_single_examples_refuse_shadows_that_never_saw_them(name):
    bank = make_bank(8)
    nobody_MN = np.zeros_like(bank.member_MN)
    blind = replace(bank, member_MN=nobody_MN, nonmember_MN=nobody_MN)
    with pytest.raises(ValueError, match=r"found 0 .* shadows for example 0"):
        ATTACKS[name].score(blind, make_bank(2, seed=1))


@pytest.mark.parametrize("name", [n for n, row in ATTACKS.items() if not row.per_example])
def test_other_attacks_learn_from_shadows_of_other_examples(name):
    """The disjoint protocol: shadows use one half of the examples, targets the other."""
    attack, bank, targets = quick(ATTACKS[name]), make_bank(8), make_bank(2, seed=1)
    first_N = np.arange(120) < 60
    bank = replace(
        bank, member_MN=bank.member_MN & first_N, nonmember_MN=bank.nonmember_MN & first_N
    )
    targets = replace(
        targets,
        member_MN=targets.member_MN & ~first_N,
        nonmember_MN=targets.nonmember_MN & ~first_N,
    )
    assert np.isfinite(attack.score(bank, targets)[:, ~first_N]).mean() > 0.7


def test_import_is_light():
    """The workflow reads the names while it is parsed."""
    code = (
        "import sys, shadowmill.attacks, shadowmill.metrics.ranking;"
        "names = ('scipy', 'sklearn', 'pandas', 'torch', 'matplotlib');"
        "print([m for m in names if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
