"""Wrong settings: one line for each, with the key, what was found and what is allowed."""

import math
import re

import pytest

from shadowmill.config.validation import RESERVED
from shadowmill.errors import ConfigError

DELETE = object()


def change(raw, key, value):
    """Set `a.b[0].c` to a value, or delete it."""
    parts = re.findall(r"[^.\[\]]+", key)
    *parents, last = [int(part) if part.isdigit() else part for part in parts]
    place = raw
    for part in parents:
        place = place[part]
    if value is DELETE:
        del place[last]
    else:
        place[last] = value


# Key to change, value, then parts of the one line that is expected: its key first.
ONE_FAULT = {
    # Keys that nobody knows.
    "unknown key at the top": ("recipies", {}, "recipies: unknown key. Did you mean recipes?"),
    "unknown key of data": ("data", {"rot": "x"}, "data.rot: unknown key. Did you mean root"),
    "unknown key of execution": (
        "execution",
        {"devise": "cpu"},
        "execution.devise: unknown key. Did you mean device?",
    ),
    "unknown key of a study": (
        "studies.main.num_shadow",
        8,
        "studies.main.num_shadow: unknown key. Did you mean num_shadows?",
        "target_seeds",
    ),
    "unknown key of a recipe": (
        "recipes.short.epoch",
        8,
        "recipes.short.epoch: unknown key. Did you mean epochs?",
        "weight_decay",
    ),
    "unknown key of a schedule": (
        "recipes.short.schedule.milestone",
        [1],
        "recipes.short.schedule.milestone: unknown key. Did you mean milestones?",
    ),
    "unknown key of an augmentation": (
        "recipes.short.augmentation",
        {"flips": True},
        "recipes.short.augmentation.flips: unknown key. Did you mean flip?",
        "crop",
    ),
    "unknown pruning method": (
        "studies.main.pruning.statics",
        {"epoch": 1},
        "studies.main.pruning.statics: unknown key. Did you mean static?",
        "dpf",
    ),
    "unknown key of a pruning method": (
        "studies.main.pruning.dpf.target_epochs",
        1,
        "studies.main.pruning.dpf.target_epochs: unknown key. Did you mean target_epoch?",
        "every",
    ),
    "unknown key of the queries": (
        "studies.main.queries",
        {"miror": True},
        "studies.main.queries.miror: unknown key. Did you mean mirror?",
        "shift",
    ),
    "unknown key unlike any other": ("xyz", 1, "xyz: unknown key. Allowed here: build"),
    # Keys that are not there.
    "missing build": ("build", DELETE, "build: missing", "Studies that"),
    "missing recipe of a study": ("studies.main.recipe", DELETE, "studies.main.recipe: missing"),
    "missing epochs": ("recipes.short.epochs", DELETE, "recipes.short.epochs: missing"),
    "missing name of a schedule": (
        "recipes.short.schedule.name",
        DELETE,
        "recipes.short.schedule.name: missing",
    ),
    "missing epoch of a method": (
        "studies.main.pruning.static.epoch",
        DELETE,
        "studies.main.pruning.static.epoch: missing",
    ),
    "missing milestones": (
        "recipes.short.schedule.milestones",
        DELETE,
        "recipes.short.schedule.milestones: missing; multistep needs it",
    ),
    "missing warmup": (
        "recipes.cycle.schedule.warmup",
        DELETE,
        "recipes.cycle.schedule.warmup: missing; one_cycle needs it",
    ),
    "missing settings of a method in use": (
        "studies.main.pruning.dpf",
        DELETE,
        "studies.main.pruning.dpf: missing",
    ),
    # Values of another type.
    "text for a number": (
        "studies.main.num_shadows",
        "many",
        "studies.main.num_shadows: 'many'",
        "integer",
    ),
    "a number that YAML reads as text": (
        "recipes.short.learning_rate",
        "1e-3",
        "recipes.short.learning_rate: '1e-3'",
        "number",
    ),
    "a fraction for a count": ("recipes.short.epochs", 7.5, "recipes.short.epochs: 7.5", "integer"),
    "a truth value for a count": (
        "recipes.short.epochs",
        True,
        "recipes.short.epochs: True",
        "integer",
    ),
    "a count for a truth value": ("keep_models", 1, "keep_models: 1", "boolean"),
    "a truth value for a name": (
        "studies.main.datasets[0]",
        False,
        "studies.main.datasets[0]: False",
        "string",
    ),
    "a number for a variant": (
        "studies.main.variants[1]",
        0.9,
        "studies.main.variants[1]: 0.9",
        "string",
    ),
    "a list in the variants": (
        "studies.main.variants[1]",
        ["static-0.9"],
        "studies.main.variants[1]: ['static-0.9']",
        "string",
    ),
    "a name for a list": ("build", "main", "build: 'main'", "array"),
    "a number for a recipe's name": ("studies.main.recipe", 1, "studies.main.recipe: 1", "string"),
    "no studies": ("studies", None, "studies: None", "object"),
    "no build": ("build", None, "build: None", "array"),
    "a study without content": ("studies.other", None, "studies.other: None", "object"),
    "a list of recipes": ("recipes", [], "recipes: []", "object"),
    "a recipe that is a list": ("recipes.cycle", [1, 2], "recipes.cycle: [1, 2]", "object"),
    "a schedule that is a name": (
        "recipes.cycle.schedule",
        "one_cycle",
        "recipes.cycle.schedule: 'one_cycle'",
        "object",
    ),
    "pruning without content": (
        "studies.other.pruning",
        None,
        "studies.other.pruning: None",
        "object",
    ),
    "data without content": ("data", None, "data: None", "object"),
    # Values out of range.
    "a learning rate of 0": (
        "recipes.short.learning_rate",
        0,
        "recipes.short.learning_rate: 0 must be more than 0",
    ),
    "a momentum of 1": (
        "recipes.short.momentum",
        1,
        "recipes.short.momentum: 1 must be less than 1",
    ),
    "no epochs": ("recipes.cycle.epochs", 0, "recipes.cycle.epochs: 0 must be at least 1"),
    "a shift too far": (
        "studies.main.queries",
        {"shift": 5},
        "studies.main.queries.shift: 5 must be at most 4",
    ),
    "a negative seed": (
        "studies.main.target_seeds[1]",
        -1,
        "studies.main.target_seeds[1]: -1 must be at least 0",
    ),
    "a device that does not exist": (
        "execution",
        {"device": "gpu"},
        "execution.device: 'gpu' is not allowed",
        "auto, cpu, cuda",
    ),
    "models_per_job that is no power of 2": (
        "studies.main.models_per_job",
        6,
        "studies.main.models_per_job: 6 is not allowed",
        "1, 2, 4, 8, 16, 32, 64",
    ),
    "a true models_per_job": (
        "studies.main.models_per_job",
        True,
        "studies.main.models_per_job: True is not allowed",
    ),
    "an unknown schedule": (
        "recipes.cycle.schedule.name",
        "onecycle",
        "recipes.cycle.schedule.name: 'onecycle' is not allowed. Did you mean one_cycle?",
        "multistep, one_cycle",
    ),
    # Empty lists and mappings.
    "nothing to build": ("build", [], "build: is empty; give at least 1"),
    "no data sets": ("studies.main.datasets", [], "studies.main.datasets: is empty"),
    "no architectures": ("studies.main.architectures", [], "studies.main.architectures: is empty"),
    "no variants": ("studies.main.variants", [], "studies.main.variants: is empty"),
    "no targets": ("studies.main.target_seeds", [], "studies.main.target_seeds: is empty"),
    "no attacks": ("studies.main.attacks", [], "studies.main.attacks: is empty"),
    "an empty studies": ("studies", {}, "studies: is empty"),
    "an empty recipes": ("recipes", {}, "recipes: is empty"),
    # Names.
    "a study's name in capitals": ("studies.Main", {}, "studies.Main: a study's name is"),
    "a study that is a path": ("studies.a/b", {}, "studies.a/b: a study's name is"),
    "an unknown study to build": (
        "build",
        ["mian"],
        "build[0]: there is no study 'mian'. Did you mean main?",
        "Known: main, other",
    ),
    "a study to build twice": ("build", ["main", "main"], "build: ['main', 'main'] names", "twice"),
    "an unknown data set": (
        "studies.main.datasets[1]",
        "cifar",
        "studies.main.datasets[1]: there is no data set 'cifar'. Did you mean cifar10",
        "digits, fashion_mnist, cifar10, cifar100",
    ),
    "an unknown architecture": (
        "studies.main.architectures[1]",
        "resnet19",
        "studies.main.architectures[1]: there is no architecture 'resnet19'. Did you mean resnet18",
        "small_convnet",
    ),
    "an unknown attack": (
        "studies.main.attacks[0]",
        "lira",
        "studies.main.attacks[0]: there is no attack 'lira'.",
        "lira_online, lira_fixed, lira_offline",
    ),
    "an unknown recipe": (
        "studies.main.recipe",
        "shrot",
        "studies.main.recipe: there is no recipe 'shrot'. Did you mean short?",
        "cycle",
    ),
    "a folder for an unknown data set": (
        "data",
        {"roots": {"mnist": "x"}},
        "data.roots.mnist: there is no data set 'mnist'.",
        "fashion_mnist",
    ),
    # Names given twice.
    "a data set twice": (
        "studies.main.datasets",
        ["digits", "cifar10", "digits"],
        "studies.main.datasets[2]: digits is listed twice",
    ),
    "an architecture twice": (
        "studies.main.architectures",
        ["resnet18", "resnet18"],
        "studies.main.architectures[1]: resnet18 is listed twice",
    ),
    "a variant twice": (
        "studies.main.variants",
        ["dense", "static-0.9", "dpf-0.5", "dense"],
        "studies.main.variants[3]: dense is listed twice",
    ),
    "a seed twice": (
        "studies.main.target_seeds",
        [42, 7, 42],
        "studies.main.target_seeds[2]: 42 is listed twice",
    ),
    "an attack twice": (
        "studies.main.attacks",
        ["lira_online", "lira_online"],
        "studies.main.attacks[1]: lira_online is listed twice",
    ),
    # Variants.
    "sparsity 0": ("studies.main.variants[1]", "static-0", "[1]: 'static-0': sparsity 0 must"),
    "sparsity 1": ("studies.main.variants[1]", "static-1", "[1]: 'static-1': sparsity 1 must"),
    "sparsity 1.5": ("studies.main.variants[1]", "static-1.5", "sparsity 1.5 must", "0 and 1"),
    "a negative sparsity": ("studies.main.variants[1]", "static--0.5", "sparsity -0.5 must"),
    "no finite sparsity": ("studies.main.variants[1]", "static-nan", "sparsity nan must"),
    "a sparsity that is no number": (
        "studies.main.variants[1]",
        "static-abc",
        "studies.main.variants[1]: 'static-abc': 'abc' is not a sparsity",
        "static-0.9",
    ),
    "a method without sparsity": (
        "studies.main.variants[1]",
        "static",
        "studies.main.variants[1]: 'static': unknown variant",
        "dense, static-SPARSITY, dpf-SPARSITY",
    ),
    "an unknown method": (
        "studies.main.variants[1]",
        "magic-0.9",
        "studies.main.variants[1]: 'magic-0.9': unknown variant",
        "static-SPARSITY",
    ),
    "a sparse dense": (
        "studies.main.variants[0]",
        "dense-0.5",
        "[0]: 'dense-0.5': unknown variant",
    ),
    "a second name for a variant": (
        "studies.main.variants[1]",
        "static-0.90",
        "studies.main.variants[1]: 'static-0.90': write it static-0.9",
    ),
    "a space within a variant": (
        "studies.main.variants[1]",
        "static- 0.9",
        "'static- 0.9': write it static-0.9",
    ),
    # Shadows.
    "odd shadows": ("studies.main.num_shadows", 15, "studies.main.num_shadows: 15 is odd", "pairs"),
    "shadows that do not fill their jobs": (
        "studies.main.num_shadows",
        18,
        "studies.main.num_shadows: 18 is not a multiple of models_per_job (4)",
    ),
    # Numbers that must agree.
    "milestones beyond the end": (
        "recipes.short.epochs",
        6,
        "recipes.short.schedule.milestones: [4, 6] must rise and stay below epochs (6)",
    ),
    "falling milestones": (
        "recipes.short.schedule.milestones",
        [6, 4],
        "recipes.short.schedule.milestones: [6, 4] must rise",
    ),
    "a milestone twice": (
        "recipes.short.schedule.milestones",
        [4, 4],
        "recipes.short.schedule.milestones: [4, 4] must rise",
    ),
    "a key of the other schedule": (
        "recipes.cycle.schedule.gamma",
        0.5,
        "recipes.cycle.schedule.gamma: one_cycle has no such key",
    ),
    "Nesterov without momentum": (
        "recipes.short",
        {
            "learning_rate": 0.1,
            "momentum": 0,
            "nesterov": True,
            "schedule": {"name": "one_cycle", "warmup": 0},
            "epochs": 8,
            "batch_size": 32,
        },
        "recipes.short.nesterov: needs a momentum",
    ),
    "pruning after the last epoch": (
        "studies.main.pruning.static.epoch",
        8,
        "studies.main.pruning.static.epoch: 8 must be less than the recipe's epochs (8)",
    ),
    "a ramp beyond the last epoch": (
        "studies.main.pruning.dpf.target_epoch",
        9,
        "studies.main.pruning.dpf.target_epoch: 9 must be less than the recipe's epochs (8)",
    ),
    # Half of the 1,797 digits are 898 members.
    "a batch larger than the members": (
        "recipes.cycle.batch_size",
        899,
        "recipes.cycle.batch_size: 899 is more than the 898 members of a model on digits",
        "studies.other",
    ),
}


@pytest.mark.parametrize("case", ONE_FAULT)
def test_one_fault_gives_one_line_that_helps(raw, faults, case):
    key, value, *parts = ONE_FAULT[case]
    change(raw, key, value)
    found = [fault for fault in faults(raw) if parts[0] in fault]
    assert len(found) == 1, faults(raw)
    assert all(part in found[0] for part in parts)


@pytest.mark.parametrize("case", [case for case in ONE_FAULT if not case.startswith("a study")])
def test_one_fault_is_not_reported_as_several(raw, faults, case):
    key, value, *_ = ONE_FAULT[case]
    change(raw, key, value)
    assert len(faults(raw)) == 1


@pytest.mark.parametrize("case", ONE_FAULT)
def test_lines_are_complete(raw, faults, case):
    key, value, *_ = ONE_FAULT[case]
    change(raw, key, value)
    for line in faults(raw):
        # "…: missing. " and nothing after it leaves the reader alone.
        assert not line.endswith(" ")


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


def test_several_faults_of_form_are_all_listed(raw, faults):
    change(raw, "studies.main.num_shadow", 1)
    change(raw, "studies.other.recipe", DELETE)
    change(raw, "recipes.short.epochs", "8")
    change(raw, "keep_models", "yes")
    listed = faults(raw)
    assert len(listed) == 4
    for key in ("keep_models", "recipes.short.epochs", "studies.main.num_shadow", "studies.other"):
        assert sum(line.startswith(key) for line in listed) == 1


def test_several_missing_keys_of_one_place_are_all_listed(raw, faults):
    for key in ("datasets", "variants", "attacks"):
        change(raw, f"studies.main.{key}", DELETE)
    listed = faults(raw)
    assert sorted(line.split(":")[0] for line in listed) == [
        "studies.main.attacks",
        "studies.main.datasets",
        "studies.main.variants",
    ]


def test_several_faults_of_sense_are_all_listed(raw, faults):
    change(raw, "studies.main.num_shadows", 18)
    change(raw, "studies.main.variants[1]", "static-2")
    change(raw, "studies.other.datasets[0]", "digit")
    change(raw, "recipes.short.schedule.milestones", [9])
    change(raw, "build", ["nothing"])
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
def test_whole_numbers_written_with_a_point_mean_the_same(raw, read, key, value):
    """JSON Schema calls 16.0 an integer; then it must work as one, or be refused."""
    change(raw, key, value)
    try:
        study = read(raw).studies["main"]
    except ConfigError as error:
        assert key in str(error)  # noqa: PT017
        return
    assert len(study.shadows) == 16
    assert all(name in ("target-42", "target-7") for name in study.targets)
    settings = study.training_settings("small_convnet", "static-0.9")
    numbers = [settings["recipe"]["epochs"], settings["recipe"]["batch_size"], settings["seed"]]
    numbers += [settings["pruning"]["epoch"], study.models_per_job]
    assert {type(number) for number in numbers} == {int}


@pytest.mark.parametrize("key", ["learning_rate", "momentum", "weight_decay"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_numbers_that_are_not_finite_are_refused(raw, faults, key, value):
    change(raw, f"recipes.short.{key}", value)
    (fault,) = faults(raw)
    assert fault.startswith(f"recipes.short.{key}: {value}")


def test_a_sparsity_that_cannot_be_written_is_not_given_a_wrong_name(raw, faults):
    change(raw, "studies.main.variants[1]", "static-0.9999999")
    (fault,) = faults(raw)
    # Following "write it static-1" would only lead to the next refusal.
    assert "static-1" not in fault


def test_masks_that_never_reach_their_sparsity_are_refused(raw, faults):
    # Steps per epoch on digits: round(898 / 32) = 28; from epoch 4 to the end at 8 there are 112,
    # 112…223, and no multiple of 300 among them: the last mask would be that of step 0.
    change(raw, "studies.main.pruning.dpf.every", 300)
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
