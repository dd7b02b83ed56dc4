"""Protocols, shadows, attacks, the adversary, validation, subsets: what must agree."""

import numpy as np
import pytest

from shadowmill.attacks import ATTACKS
from shadowmill.roles import MEMBER, NON_MEMBER, VALIDATION, draw, load

# The whole line that each change gives.
ONE_FAULT = {
    # Numbers of shadows.
    "odd shadows": (
        {"studies.main.num_shadows": 15},
        "studies.main.num_shadows: 15 is odd; shadows of the protocol half come in complementary "
        "pairs. Use 12 or 16",
    ),
    "odd shadows in odd jobs": (
        {"studies.main.num_shadows": 15, "studies.main.models_per_job": 5},
        "studies.main.num_shadows: 15 is odd; shadows of the protocol half come in complementary "
        "pairs. Use 10 or 20",
    ),
    "shadows that do not fill their jobs": (
        {"studies.main.num_shadows": 18},
        "studies.main.num_shadows: 18 is not a multiple of models_per_job (4). Use 16 or 20",
    ),
    "fewer shadows than one job has": (
        {"studies.main.num_shadows": 6, "studies.main.models_per_job": 8},
        "studies.main.num_shadows: 6 is not a multiple of models_per_job (8). Use 8",
    ),
    "disjoint shadows that do not fill their jobs": (
        {"studies.apart.num_shadows": 12},
        "studies.apart.num_shadows: 12 is not a multiple of models_per_job (5). Use 10 or 15",
    ),
    # Attacks.
    "an attack on each example": (
        {"studies.apart.attacks": ["loss", "lira_offline"]},
        "studies.apart.attacks[1]: lira_offline needs shadows that trained on the target's "
        "examples, which the protocol disjoint rules out. Possible: "
        + ", ".join(name for name, row in ATTACKS.items() if not row.per_example),
    ),
    "an attack on more than there is": (
        {"studies.other.attacks": ["attack_p"]},
        "studies.other.attacks[0]: attack_p needs examples outside the pool: protocol half and "
        "data sets with an official test set",
    ),
    # Validation.
    "validation of disjoint": (
        {"studies.apart.validation": 0.2},
        "studies.apart.validation: 0.2 cannot be chosen, disjoint always sets a tenth aside; "
        "remove this key",
    ),
    "early stopping without validation": (
        {"studies.other.recipe": "stopped"},
        "studies.other.validation: recipes.stopped.early_stopping needs validation examples. Give "
        "a share of the non-members, for example 0.1, or use the protocol disjoint",
    ),
    "early stopping of fine-tuning without validation": (
        {"studies.other.fine_tune": "stopped"},
        "studies.other.validation: recipes.stopped.early_stopping needs validation examples. Give "
        "a share of the non-members, for example 0.1, or use the protocol disjoint",
    ),
    "defences without validation": (
        {
            "studies.other.variants": [
                "dense",
                "dense+adversarial-1",
                "dense+ppb-4",
                "dense+early_stopping-3",
            ]
        },
        "studies.other.validation: dense+adversarial-1, dense+early_stopping-3 needs validation "
        "examples. Give a share of the non-members, for example 0.1, or use the protocol disjoint",
    ),
    # Half of 1,797 leaves 898 to one of a pair: 0.0217 · 898 = 19.5, 0.0216 · 898 = 19.4.
    "too little validation": (
        {"studies.other.validation": 0.0216},
        "studies.other.validation: 0.0216 of the 898 non-members of a model on digits makes 19; at "
        "least 20 must be set aside. Use a larger share",
    ),
    # 1,797 − 1,795 = 2 and 0.2 · 2 = 0.4.
    "no validation beside a large subset": (
        {"studies.prefixes.validation": 0.2, "studies.prefixes.subsets.sizes": [100, 1795]},
        "studies.prefixes.validation: 0.2 of the 2 non-members of a model on digits makes 0; at "
        "least 1 must be set aside. Use a larger share",
    ),
    # Subsets.
    "subsets of disjoint": (
        {"studies.apart.subsets": {"sizes": [100]}},
        "studies.apart.subsets: needs the protocol half; use that, or remove this key",
    ),
    "a subset that is all": (
        {"studies.prefixes.subsets.sizes": [100, 1797]},
        "studies.prefixes.subsets.sizes[1]: 1797 must be less than the 1797 examples of digits",
    ),
    "scores that are not there": (
        {"studies.prefixes.subsets.scores": "curvature.npy"},
        "studies.prefixes.subsets.scores: there is no file curvature.npy. Give a .npy or .csv "
        "file with a score per example, or remove this key for a random order",
    ),
    "an order that is not there": (
        {"studies.prefixes.subsets.order": "sorted.npy"},
        "studies.prefixes.subsets.order: there is no file sorted.npy. Give a .npy file with the "
        "number of each example once, or remove this key for a random order",
    ),
    "two orders": (
        {
            "studies.prefixes.subsets.order": "results/x.npy",
            "studies.prefixes.subsets.scores": "results/x.npy",
        },
        "studies.prefixes.subsets: scores and order both say which examples come first; give one "
        "of them",
    ),
    "scores of two data sets": (
        {
            "studies.prefixes.subsets.scores": "results/x.npy",
            "studies.prefixes.datasets": ["digits", "cifar10"],
        },
        "studies.prefixes.subsets.scores: belongs to one data set, the study has 2. Make a study "
        "of each",
    ),
    # The adversary.
    "no shadows for a non-adaptive adversary": (
        {"studies.prefixes.variants": ["dense+ppb-4"]},
        "studies.prefixes.variants[0]: dense+ppb-4: a non-adaptive adversary has shadows without "
        "the defence; list dense too",
    ),
    "no pruned shadows for a non-adaptive adversary": (
        {
            "studies.apart.adversaries": ["non_adaptive"],
            "studies.apart.variants": ["dense", "slim-0.5+ppb-4"],
        },
        "studies.apart.variants[1]: slim-0.5+ppb-4: a non-adaptive adversary has shadows without "
        "the defence; list slim-0.5 too",
    ),
    "original shadows without dense models": (
        {
            "studies.apart.adversaries": ["original"],
            "studies.apart.variants": ["slim-0.5"],
            "studies.apart.fine_tune": ...,
            "studies.apart.pruning.slim.epoch": 1,
        },
        "studies.apart.adversaries: original shadows are dense; list dense under variants",
    ),
    # Fine-tuning.
    "fine-tuning of nothing": (
        {"studies.apart.variants": ["slim-0.5"]},
        "studies.apart.fine_tune: starts from the dense models; list dense under variants",
    ),
    "fine-tuning with DP-SGD": (
        {"studies.apart.variants": ["dense", "dense+dp_sgd-8"]},
        "studies.apart.variants[1]: dense+dp_sgd-8: dp_sgd promises nothing for a model that "
        "starts from one trained without it. Use a study without fine_tune",
    ),
    # Batches. Half of 1,797 digits are 898; 45 % of half of them, ⌊9 · 898 / 20⌋, are 404.
    "a batch larger than a half": (
        {
            "recipes.cycle.batch_size": 899,
            "studies.prefixes.recipe": "short",
            "studies.apart.fine_tune": "short",
        },
        "recipes.cycle.batch_size: 899 is more than the 898 members of a model on digits "
        "(studies.other). Use a smaller batch or more data",
    ),
    "a batch larger than a disjoint part": (
        {"recipes.cycle.batch_size": 405, "studies.prefixes.recipe": "short"},
        "recipes.cycle.batch_size: 405 is more than the 404 members of a model on digits "
        "(studies.apart). Use a smaller batch or more data",
    ),
    "a private batch larger than the smallest subset": (
        {
            "studies.prefixes.subsets.sizes": [15, 100],
            "studies.prefixes.variants": ["dense", "dense+dp_sgd-8"],
        },
        "recipes.cycle.batch_size: 16 is more than the 15 members of a model on digits "
        "(studies.prefixes). Use a smaller batch or more data",
    ),
}


@pytest.mark.parametrize("case", ONE_FAULT)
def test_one_fault_gives_one_line_that_helps(fault, case):
    changes, line = ONE_FAULT[case]
    assert fault(changes) == line


@pytest.mark.parametrize(
    ("attack", "needed"),
    [(name, row.min_shadows) for name, row in ATTACKS.items() if not row.needs_test_set],
)
def test_each_attack_needs_so_many_shadows_and_no_more(raw, read, faults, attack, needed):
    raw["studies"]["other"] |= {"models_per_job": 2, "attacks": [attack]}
    enough = max(2, needed + needed % 2)
    raw["studies"]["other"]["num_shadows"] = enough
    read(raw)
    if enough > 2:
        raw["studies"]["other"]["num_shadows"] = enough - 2
        assert faults(raw) == [
            f"studies.other.num_shadows: {enough - 2} are too few for {attack}, which needs "
            f"{needed}"
        ]


# Pairs take turns in validating on an example: of P pairs at most ⌈P·share⌉ do. So one of three
# does at 0.2 to 0.3, two of four at 0.4 and 0.5, and LiRA online needs two that do not.
@pytest.mark.parametrize(("share", "enough"), [(0.2, 6), (0.25, 6), (0.3, 6), (0.4, 8), (0.5, 8)])
def test_shadows_that_validate_on_an_example_do_not_count(raw, read, faults, share, enough):
    raw["studies"]["other"] |= {"models_per_job": 2, "attacks": ["lira_online"]}
    raw["studies"]["other"] |= {"num_shadows": enough, "validation": share}
    read(raw)
    for shadows in range(2, enough, 2):
        raw["studies"]["other"]["num_shadows"] = shadows
        assert faults(raw) == [
            f"studies.other.num_shadows: {shadows} are too few for lira_online, which needs "
            f"{enough}, as validation takes {enough - 4} of them"
        ]


def test_attacks_without_examples_of_their_own_count_all_shadows(raw, study):
    raw["studies"]["other"] |= {"num_shadows": 2, "models_per_job": 2}
    raw["studies"]["other"] |= {"attacks": ["loss"], "validation": 0.5}
    assert study("other").num_shadows == 2


@pytest.mark.parametrize(("shadows", "share"), [(6, 0.2), (6, 0.25), (6, 0.3), (8, 0.4), (8, 0.5)])
def test_the_roles_leave_as_many_shadows_as_are_counted_on(tmp_path, shadows, share):
    models = {f"shadow-{k}": ["shadow", k] for k in range(shadows)}
    draw(tmp_path / "roles.h5", models, 200, 0, validation=share)
    roles_MN = load(tmp_path / "roles.h5").roles_MN
    validating_PN = (roles_MN.reshape(shadows // 2, 2, 200) == VALIDATION).any(axis=1)
    assert (shadows - 2 * validating_PN.sum(axis=0)).min() >= 4


def test_at_least_one_attack_needs_several_pairs():
    # Or most of the tests above would be empty.
    assert ATTACKS["lira_online"].min_shadows == 4


def test_shadows_may_be_too_few_for_several_attacks(raw, faults):
    raw["studies"]["other"] |= {"num_shadows": 2, "models_per_job": 2}
    raw["studies"]["other"]["attacks"] = ["lira_online", "loss", "lira_fixed"]
    assert [line.split(", ")[0] for line in faults(raw)] == [
        "studies.other.num_shadows: 2 are too few for lira_online",
        "studies.other.num_shadows: 2 are too few for lira_fixed",
    ]


def test_what_does_not_need_validation_goes_without(raw, study):
    raw["studies"]["other"]["variants"] = ["dense", "dense+relaxloss-1", "dense+weight_decay-0.1"]
    assert study("other").validation == 0


def test_with_validation_all_defences_go(raw, study):
    raw["studies"]["other"] |= {"validation": 0.1, "variants": ["dense+adversarial-1"]}
    assert study("other").validation == 0.1


def test_disjoint_has_validation_for_early_stopping(raw, study):
    raw["studies"]["apart"]["variants"] += ["slim-0.5+adversarial-1"]
    assert study("apart").recipe["early_stopping"] == {"patience": 2}


def test_dp_sgd_goes_without_fine_tuning(raw, study):
    raw["studies"]["other"]["variants"] = ["dense", "dense+dp_sgd-8"]
    assert study("other").variant("dense+dp_sgd-8").strength == 8


@pytest.mark.parametrize("make", [True, False])
def test_scores_may_be_there_or_be_made(raw, study, tmp_path, make):
    path = tmp_path / "scores.npy"
    if make:
        np.save(path, np.zeros(1797))
    raw["studies"]["prefixes"]["subsets"]["scores"] = str(path) if make else "results/later.npy"
    assert study("prefixes").subsets["scores"] == (str(path) if make else "results/later.npy")


def test_sizes_of_data_that_only_files_know_are_not_judged(raw, study):
    raw["datasets"] = {"skin": {"images": "skin", "size": 16}}
    raw["studies"]["prefixes"] |= {"datasets": ["skin"], "validation": 0.0001}
    raw["studies"]["prefixes"]["subsets"]["sizes"] = [10**9]
    raw["recipes"]["cycle"]["batch_size"] = 16
    assert study("prefixes").num_examples("skin") is None


# The checks know the numbers of members that the roles have.


@pytest.mark.parametrize(
    ("name", "block", "members", "others"),
    [
        # The second of a pair has the odd example more.
        ("other", "target-1", {898}, 899),
        ("other", "shadow-00", {898, 899}, 898),
        ("apart", "target-1", {404}, 404),
        ("apart", "shadow-00", {404}, 404),
        ("prefixes", "target-1-100", {100}, 1697),
    ],
)
def test_members_of_the_roles(study, tmp_path, name, block, members, others):
    drawn = study(name)
    size = drawn.num_examples("digits")
    draw(tmp_path / "roles.h5", drawn.keys(block), size, drawn.seed, protocol=drawn.protocol)
    roles_MN = load(tmp_path / "roles.h5").roles_MN
    assert set((roles_MN == MEMBER).sum(axis=1)) == members
    assert (roles_MN == NON_MEMBER).sum(axis=1).min() == others


def test_at_the_smallest_share_every_shadow_has_validation(raw, study, tmp_path):
    raw["studies"]["other"] |= {"validation": 0.0218, "num_shadows": 64}
    other = study("other")
    keys = {name: key for b in other.shadow_blocks for name, key in other.keys(b).items()}
    draw(tmp_path / "roles.h5", keys, 1797, 0, validation=other.validation)
    counts_M = (load(tmp_path / "roles.h5").roles_MN == VALIDATION).sum(axis=1)
    assert counts_M.min() > 0
    assert counts_M.mean() == pytest.approx(20, abs=1)


def test_a_batch_may_be_larger_than_the_smallest_subset(raw, study):
    raw["studies"]["prefixes"]["subsets"]["sizes"] = [15, 100]
    assert study("prefixes").subsets["sizes"] == [15, 100]
