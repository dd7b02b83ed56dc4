"""Reconstructions: what their settings lead to, and the faults they can have."""

import pytest

from shadowmill.config.reconstruction import VALIDATION_SHARD
from shadowmill.errors import ConfigError


def test_a_sweep_gives_a_setting_each(reconstruction):
    one, two = reconstruction("drawn").settings
    assert (one.name, one.parameter, one.value, one.class_size) == (
        "class_size-1",
        "class_size",
        1,
        1,
    )
    assert (two.name, two.class_size) == ("class_size-2", 2)
    assert reconstruction("drawn").folder(two.name) == "drawn/class_size-2"


def test_without_sweep_there_is_one_setting(reconstruction):
    (setting,) = reconstruction("home").settings
    assert (setting.name, setting.parameter, setting.value) == ("default", "", "")


def test_epochs_grow_with_the_class_size(reconstruction):
    study = reconstruction("drawn")
    assert [study.head_settings(s)["epochs"] for s in study.settings] == [7, 9]


def test_as_many_heads_in_all_whatever_the_class_size(reconstruction):
    study = reconstruction("drawn")
    one, two = study.settings
    assert study.train_shards(one) == ["train-0000", "train-0001", "train-0002"]
    assert len(study.train_shards(two)) == 6
    assert [study.shard_size(s, "train") for s in study.settings] == [8, 4]
    assert [study.shard_size(s, "test") for s in study.settings] == [5, 2]


def test_persons_are_not_used_up_by_larger_sets(reconstruction):
    study = reconstruction("person")
    one, four = study.settings
    assert study.train_shards(one) == study.train_shards(four)
    assert study.shard_size(four, "train") == 8
    assert [study.set_size(s) for s in study.settings] == [10, 40]


def test_what_sets_are_drawn_from(reconstruction):
    study = reconstruction("odd")
    assert study.set_settings(study.settings[0]) == {
        "task": "binary",
        "classes": list(range(10)),
        "positive": [1, 3, 5, 7, 9],
        "random_labels": None,
        "class_size": 1,
        "test_fraction": None,
        "seed": 0,
    }


def test_how_heads_are_trained(reconstruction):
    study = reconstruction("odd")
    assert study.head_settings(study.settings[0]) == {
        "outputs": 1,
        "hidden": 4,
        "epochs": 5,
        "learning_rate": 0.1,
        "weight_decay": 0,
        "init_std": 0.01,
        "optimizer": "sgd",
        "positive_weight": 1,
        "restart": None,
        "privacy": {
            "noise_multiplier": 1,
            "max_grad_norm": 1,
            "sample_rate": 0.5,
            "delta": pytest.approx(10**-1.1),
        },
    }


def test_outputs_are_the_classes_or_the_random_labels(reconstruction):
    for name, outputs in (("drawn", 3), ("away", 10), ("home", 10), ("person", 1)):
        study = reconstruction(name)
        assert study.head_settings(study.settings[0])["outputs"] == outputs


def test_noise_is_swept_within_privacy(raw, reconstruction):
    raw["reconstructions"]["odd"]["sweep"] = {"noise_multiplier": [0.5, 2]}
    study = reconstruction("odd")
    assert [s.name for s in study.settings] == ["noise_multiplier-0.5", "noise_multiplier-2"]
    noises = [study.head_settings(s)["privacy"]["noise_multiplier"] for s in study.settings]
    assert noises == [0.5, 2]


def test_shards_of_the_membership_attack(reconstruction):
    assert reconstruction("drawn").membership_shards() == ["test-0000", "test-0001", "test-0002"]
    assert reconstruction("home").membership_shards() == []


def test_more_test_heads_do_not_change_the_learning_curve(raw, reconstruction):
    sizes = []
    for number in (60, 300, 500):
        raw["reconstructions"]["home"]["test_heads"] = number
        study = reconstruction("home")
        sizes.append(study.shard_size(study.settings[0], VALIDATION_SHARD))
    assert sizes == [60, 100, 100]


def test_unknown_setting(reconstruction):
    with pytest.raises(ConfigError, match="class_size-1, class_size-2"):
        reconstruction("drawn").setting("class_size-3")


def test_phases_get_their_defaults(raw, read):
    (phase,) = read(raw).backbones["low"]["phases"]
    assert phase["layers"] == "all"
    assert phase["freeze_batch_norm"] is False


def test_a_reconstruction_can_be_built(raw, read):
    raw["build"] = ["main", "drawn"]
    assert read(raw).build == ("main", "drawn")


R = "reconstructions"
FAULTS = {
    "backbone's data": ({"backbones.letters.dataset": "mnst"}, "Did you mean mnist?"),
    "backbone's architecture": (
        {"backbones.letters.architecture": "tiny_vg"},
        "backbones.letters.architecture: there is no backbone architecture 'tiny_vg'",
    ),
    "backbone on tables": (
        {"backbones.letters.dataset": "location"},
        "backbones.letters.dataset: location has no images",
    ),
    "backbone's classes": (
        {"backbones.low.classes": [0, 11]},
        "backbones.low.classes[1]: 11 is no label of digits, which has 0 to 9",
    ),
    "attributes of digits": (
        {"backbones.low.labels": "attributes", "backbones.low.classes": ...},
        "backbones.low.labels: only celeba has attributes",
    ),
    "classes of attributes": (
        {"backbones.faces.classes": [0, 1]},
        "backbones.faces.classes: has no meaning",
    ),
    "backbone from nothing": (
        {"backbones.low.phases": []},
        "backbones.low.phases: give at least one",
    ),
    "unknown backbone": (
        {f"{R}.drawn.backbone": "lower"},
        f"{R}.drawn.backbone: there is no backbone 'lower'. Did you mean low?",
    ),
    "unknown data": ({f"{R}.home.dataset": "nist", f"{R}.away.test_on": ...}, "Did you mean mnist"),
    "name of a study": ({f"{R}.main": None}, f"{R}.main: a study has this name"),
    "positive missing": ({f"{R}.odd.positive": ...}, f"{R}.odd.positive: missing"),
    "positive unasked": ({f"{R}.home.positive": [1]}, f"{R}.home.positive: is for the task binary"),
    "all positive": (
        {f"{R}.odd.positive": list(range(10))},
        f"{R}.odd.positive: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9] must be some",
    ),
    "random binary labels": (
        {f"{R}.odd.random_labels": 2},
        f"{R}.odd.random_labels: is for the task multiclass",
    ),
    "persons of digits": (
        {f"{R}.person.dataset": "mnist"},
        f"{R}.person.task: identity needs to know who",
    ),
    "classes of persons": (
        {f"{R}.person.classes": [0, 1]},
        f"{R}.person.classes: the task identity",
    ),
    "conditional on a person": (
        {f"{R}.person.reconstructor.conditional": True},
        f"{R}.person.reconstructor.conditional: the task identity has one person",
    ),
    "membership of persons": (
        {f"{R}.person.membership_seeds": 3},
        f"{R}.person.membership_seeds: permutations of persons",
    ),
    "hidden layer of many classes": (
        {f"{R}.home.heads.hidden": 4, f"{R}.away.test_on": ...},
        f"{R}.home.heads.hidden: is for the tasks binary and identity",
    ),
    "restart of many classes": (
        {f"{R}.home.heads.restart": {"above": 0.1, "times": 3}},
        f"{R}.home.heads.restart: is for the tasks",
    ),
    "private Adam": ({f"{R}.odd.heads.optimizer": "adam"}, f"{R}.odd.heads.privacy: needs"),
    "private Adam in a sweep": (
        {f"{R}.odd.sweep": {"optimizer": ["sgd", "adam"]}},
        f"{R}.odd.heads.privacy: needs the optimizer sgd",
    ),
    "private restarts": (
        {f"{R}.odd.heads.restart": {"above": 0.1, "times": 3}},
        f"{R}.odd.heads.restart: looks at the loss",
    ),
    "noise without privacy": (
        {f"{R}.home.sweep": {"noise_multiplier": [1]}, f"{R}.away.test_on": ...},
        f"{R}.home.heads.privacy: missing",
    ),
    "two sweeps": (
        {f"{R}.drawn.sweep": {"class_size": [1], "epochs": [1]}},
        f"{R}.drawn.sweep: has 2; give at most 1",
    ),
    "one class": ({f"{R}.drawn.classes": [5]}, f"{R}.drawn.classes: has 1; give at least 2"),
    "test share of data with a test set": (
        {f"{R}.home.test_fraction": 0.5},
        f"{R}.home.test_fraction: mnist has an official test set",
    ),
    "no test share": ({f"{R}.drawn.test_fraction": ...}, f"{R}.drawn.test_fraction: missing"),
    "classes of the backbone": (
        {f"{R}.drawn.classes": [2, 5, 6]},
        f"{R}.drawn.classes: [2] are what the backbone low was trained on",
    ),
    "more examples than features": (
        {
            f"{R}.drawn.sweep": {"class_size": [1, 3, 30]},
            f"{R}.drawn.train_heads.per_seed": 90,
            f"{R}.drawn.test_heads": 60,
        },
        f"{R}.drawn.heads: heads of 90 examples (class_size-30) need more features",
    ),
    "as many examples as features": (
        {
            f"{R}.drawn.classes": [5, 6],
            f"{R}.drawn.sweep": {"class_size": [1, 32]},
            f"{R}.drawn.train_heads.per_seed": 90,
            f"{R}.drawn.test_heads": 64,
        },
        f"{R}.drawn.heads: heads of 64 examples (class_size-32) need more features than that, the "
        "backbone low has 64",
    ),
    "too few heads": (
        {f"{R}.drawn.test_heads": 3},
        f"{R}.drawn.test_heads: leaves 1 heads a permutation at a class size of 2",
    ),
    "one membership seed": (
        {f"{R}.drawn.membership_seeds": 1},
        f"{R}.drawn.membership_seeds: 1 is too few",
    ),
    "more heads than examples": (
        {f"{R}.home.train_heads.per_seed": 6001, f"{R}.away.test_on": ...},
        f"{R}.home.train_heads.per_seed: 6001 heads of 10 examples each (class size 1) need 60010 "
        "different ones, and mnist has 60000 for train heads. Give fewer",
    ),
    "more heads than test heads leave": (
        {f"{R}.drawn.train_heads.per_seed": 400, f"{R}.drawn.sweep": ...},
        f"{R}.drawn.train_heads.per_seed: 400 heads of 3 examples each (class size 1) need 1200 "
        "different ones, and digits has 1078 for train heads. Give fewer",
    ),
    "more test heads than set aside": (
        {f"{R}.drawn.test_heads": 400, f"{R}.drawn.sweep": ...},
        f"{R}.drawn.test_heads: 400 heads of 3 examples each (class size 1) need 1200 different "
        "ones, and digits has 719 for test heads. Give fewer",
    ),
    "perception of small images": (
        {f"{R}.drawn.reconstructor.perceptual": {"vgg16": "/dev/null", "linear": "/dev/null"}},
        f"{R}.drawn.reconstructor.perceptual: needs images of 16 pixels or more",
    ),
    "no file for perception": (
        {f"{R}.home.reconstructor.perceptual": {"vgg16": "none.pth", "linear": "/dev/null"}},
        f"{R}.home.reconstructor.perceptual.vgg16: there is no file none.pth",
    ),
    "membership of other heads": (
        {f"{R}.away.membership_seeds": 3},
        f"{R}.away.membership_seeds: with test_on there is no membership attack",
    ),
    "other hidden units": (
        {f"{R}.odd.test_on": "even", f"{R}.even": None},
        f"{R}.odd.test_on: heads of even are of another kind, hidden units 8 instead of 4",
    ),
    "test examples that were trained on": (
        {f"{R}.again": None},
        f"{R}.again.test_on: base has seed 0, and this reconstruction 1",
    ),
    "tested on itself": ({f"{R}.away.test_on": "away"}, f"{R}.away.test_on: there is no other"),
    "tested on a sweep": ({f"{R}.away.test_on": "drawn"}, f"{R}.away.test_on: is for"),
    "tested on another kind": (
        {f"{R}.away.random_labels": 5},
        f"{R}.away.test_on: heads of home are of another kind, classes 10 instead of 5",
    ),
}


@pytest.mark.parametrize(("changes", "message"), FAULTS.values(), ids=FAULTS)
def test_fault(raw, fault, changes, message):
    # Further reconstructions, each much like another one.
    odd = raw[R]["odd"]
    base = {key: value for key, value in raw[R]["drawn"].items() if key != "sweep"}
    more = {
        f"{R}.main": raw[R]["home"],
        f"{R}.even": odd | {"heads": odd["heads"] | {"hidden": 8}},
        f"{R}.again": base | {"seed": 1, "test_on": "base", "membership_seeds": 0},
    }
    changes = {key: more[key] if value is None else value for key, value in changes.items()}
    if f"{R}.again" in changes:
        changes[f"{R}.base"] = base
    assert message in fault(changes)


def test_another_seed_is_no_fault_where_the_test_set_is_official(raw, reconstruction):
    raw[R]["again"] = raw[R]["home"] | {"seed": 1, "test_on": "home"}
    assert reconstruction("again").test_on == "home"
