"""Faults of sense, several faults at once, odd types, and what is filled in."""

import math

import pytest

from shadowmill.config.validation import RESERVED
from shadowmill.errors import ConfigError


@pytest.mark.parametrize("shadows", [2, 4])
def test_too_few_shadows_for_an_attack_are_refused_with_the_number_it_needs(raw, faults, shadows):
    raw["studies"]["main"] |= {"num_shadows": shadows, "models_per_job": 2}
    raw["studies"]["main"]["attacks"] = ["lira_online"]
    assert faults(raw) == [
        f"studies.main.num_shadows: {shadows} are too few for lira_online, which needs 6"
    ]


@pytest.mark.parametrize("name", RESERVED)
def test_a_study_may_not_be_named_like_a_target_of_the_workflow(raw, faults, name):
    raw["studies"][name] = raw["studies"]["other"]
    (fault,) = faults(raw)
    assert fault.startswith(f"studies.{name}: this name is taken")


@pytest.mark.parametrize("name", ["Study", "9lives", "a-b", "a.b", "a b", "", "é", "a\n"])
def test_names_of_studies_that_would_make_bad_folders_are_refused(raw, faults, name):
    raw["studies"][name] = raw["studies"]["other"]
    (fault,) = faults(raw)
    assert "a study's name is a lower-case letter" in fault


def test_several_faults_of_form_are_all_listed(raw, change, faults):
    change("studies.main.num_shadow", 1)
    change("studies.other.recipe", ...)
    change("recipes.short.epochs", "8")
    change("keep_models", "yes")
    listed = faults(raw)
    assert len(listed) == 4
    for key in ("keep_models", "recipes.short.epochs", "studies.main.num_shadow", "studies.other"):
        assert sum(line.startswith(key) for line in listed) == 1


def test_several_missing_keys_of_one_place_are_all_listed(raw, change, faults):
    for key in ("datasets", "variants", "attacks"):
        change(f"studies.main.{key}", ...)
    listed = faults(raw)
    assert sorted(line.split(":")[0] for line in listed) == [
        "studies.main.attacks",
        "studies.main.datasets",
        "studies.main.variants",
    ]


def test_several_faults_of_sense_are_all_listed(raw, change, faults):
    change("studies.main.num_shadows", 18)
    change("studies.main.variants[1]", "static-2")
    change("studies.other.datasets[0]", "digit")
    change("recipes.short.schedule.milestones", [9])
    change("build", ["nothing"])
    assert sorted(line.split(": ")[0] for line in faults(raw)) == [
        "build[0]",
        "recipes.short.schedule.milestones",
        "studies.main.num_shadows",
        "studies.main.variants[1]",
        "studies.other.datasets[0]",
    ]


@pytest.mark.parametrize("whole", [None, [], "text", 3])
def test_a_configuration_that_is_no_mapping_is_refused(faults, whole):
    (fault,) = faults(whole)
    assert fault.startswith(f"the whole: {whole!r} is not of type object")


# What YAML makes of an unquoted name: 30, 0.5, yes, null.
@pytest.mark.parametrize("name", [30, 0.5, True, None])
def test_a_study_whose_name_is_no_text_is_refused(raw, faults, name):
    raw["studies"][name] = raw["studies"]["other"]
    assert any(f"studies.{name}" in fault for fault in faults(raw))


@pytest.mark.parametrize("name", [30, 0.5, True, None])
def test_a_study_to_build_is_looked_for_among_names_that_are_no_text(raw, faults, name):
    raw["studies"][name] = raw["studies"].pop("main")
    assert faults(raw)


@pytest.mark.parametrize("name", [30, 0.5, True, None])
def test_a_recipe_whose_name_is_no_text_is_refused(raw, faults, name):
    raw["recipes"][name] = raw["recipes"].pop("cycle")
    raw["studies"]["other"]["recipe"] = str(name)
    assert faults(raw)


@pytest.mark.parametrize("name", [30, True, None])
@pytest.mark.parametrize("place", ["", "studies.main", "recipes.short", "studies.main.pruning"])
def test_a_key_that_is_no_text_is_refused(raw, faults, place, name):
    inner = raw
    for part in place.split(".") if place else []:
        inner = inner[part]
    inner[name] = 1
    (fault,) = faults(raw)
    assert fault.startswith(f"{place}.{name}: " if place else f"{name}: ")
    assert "is not text" in fault


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("studies.main.num_shadows", 16.0),
        ("studies.main.models_per_job", 4.0),
        ("studies.main.target_seeds[0]", 42.0),
        ("studies.main.pruning.static.epoch", 3.0),
        ("studies.main.seed", 1.0),
        ("recipes.short.epochs", 8.0),
        ("recipes.short.batch_size", 32.0),
    ],
)
def test_whole_numbers_written_with_a_point_mean_the_same(raw, change, read, key, value):
    """JSON Schema calls 16.0 an integer; then it must work as one, or be refused."""
    change(key, value)
    try:
        study = read(raw).studies["main"]
    except ConfigError as error:
        assert key in str(error)  # noqa: PT017
        return
    assert sum(len(study.models(block)) for block in study.shadow_blocks) == 16
    assert all(name in ("target-42", "target-7") for name in study.targets)
    settings = study.training_settings("small_convnet", "static-0.9")
    numbers = [settings["recipe"]["epochs"], settings["recipe"]["batch_size"], settings["seed"]]
    numbers += [settings["pruning"]["epoch"], study.models_per_job]
    assert {type(number) for number in numbers} == {int}


@pytest.mark.parametrize("key", ["learning_rate", "momentum", "weight_decay"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_numbers_that_are_not_finite_are_refused(raw, change, faults, key, value):
    change(f"recipes.short.{key}", value)
    (fault,) = faults(raw)
    assert fault.startswith(f"recipes.short.{key}: {value}")


def test_a_sparsity_that_cannot_be_written_is_not_given_a_wrong_name(raw, change, faults):
    change("studies.main.variants[1]", "static-0.9999999")
    (fault,) = faults(raw)
    # Following "write it static-1" would only lead to the next refusal.
    assert "static-1" not in fault


def test_masks_that_never_reach_their_sparsity_are_refused(raw, change, faults):
    # Steps per epoch on digits: round(898 / 32) = 28; from epoch 4 to the end at 8 there are 112,
    # 112…223, and no multiple of 300 among them: the last mask would be that of step 0.
    change("studies.main.pruning.dpf.every", 300)
    (fault,) = faults(raw)
    assert fault.startswith("studies.main.pruning.dpf.every: 300")


# What is filled in.


def test_the_shipped_configuration_is_valid(shipped, read):
    config = read(shipped)
    assert set(config.build) <= config.studies.keys()


def test_defaults_are_filled_into_the_raw_configuration(raw, read):
    read(raw)
    assert raw["keep_models"] is True
    assert raw["data"] == {"root": "data", "roots": {}}
    assert raw["execution"] == {"device": "auto", "stacking": "auto", "checkpoint_minutes": 5}
    assert raw["recipes"]["short"] == {
        "optimizer": "sgd",
        "learning_rate": 0.1,
        "momentum": 0.9,
        "nesterov": False,
        "weight_decay": 0,
        "epochs": 8,
        "batch_size": 32,
        "schedule": {"name": "multistep", "milestones": [4, 6], "gamma": 0.1},
        "augmentation": {"crop": 0, "flip": False},
    }
    other = raw["studies"]["other"]
    assert (other["description"], other["protocol"], other["seed"]) == ("", "half", 0)
    assert other["pruning"] == {}
    assert other["queries"] == {"mirror": False, "shift": 0}


def test_defaults_are_not_shared(raw, read):
    read(raw)
    recipes = raw["recipes"]
    assert recipes["short"]["augmentation"] is not recipes["cycle"]["augmentation"]
    assert raw["studies"]["main"]["queries"] is not raw["studies"]["other"]["queries"]


def test_given_values_are_not_overwritten_by_defaults(raw, read):
    raw |= {"keep_models": False, "data": {"roots": {"cifar10": "/data/cifar"}}}
    raw["recipes"]["short"] |= {"momentum": 0, "augmentation": {"crop": 4}}
    config = read(raw)
    assert config.keep_models is False
    assert raw["data"] == {"root": "data", "roots": {"cifar10": "/data/cifar"}}
    assert config.studies["main"].recipe["momentum"] == 0
    assert config.studies["main"].recipe["augmentation"] == {"crop": 4, "flip": False}


def test_a_second_reading_changes_nothing(raw, read):
    # Snakemake hands the filled-in configuration on to its jobs, which read it again.
    once = read(raw)
    assert read(raw) == once
