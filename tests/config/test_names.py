"""Names that must exist, be free and be given once; several faults at once."""

import pytest

from shadowmill.config import require_free_names
from shadowmill.errors import ConfigError

# Key to change, value, then parts of the one line that is expected: its key first.
ONE_FAULT = {
    "an unknown study to build": (
        "build",
        ["mian"],
        "build[0]: there is no study 'mian'. Did you mean main?",
        "Known: main, other",
    ),
    "an unknown data set": (
        "studies.main.datasets[1]",
        "cifar",
        "studies.main.datasets[1]: there is no data set 'cifar'. Did you mean cifar10",
        "digits, fashion_mnist, cifar10, cifar100",
    ),
    "an unknown architecture": (
        "studies.main.architectures[1]",
        "resnet19",
        "studies.main.architectures[1]: there is no architecture 'resnet19'. Did you mean resnet1",
        "small_convnet",
    ),
    "an unknown attack": (
        "studies.main.attacks[0]",
        "lira",
        "studies.main.attacks[0]: there is no attack 'lira'.",
        "lira_online, lira_fixed, lira_bayes_n, lira_bayes_t, lira_offline",
    ),
    "an unknown recipe": (
        "studies.main.recipe",
        "shrot",
        "studies.main.recipe: there is no recipe 'shrot'. Did you mean short?",
        "Known: short, cycle",
    ),
    "an unknown recipe of fine-tuning": (
        "studies.apart.fine_tune",
        "cycles",
        "studies.apart.fine_tune: there is no recipe 'cycles'. Did you mean cycle?",
    ),
    "a folder for an unknown data set": (
        "data",
        {"roots": {"mnits": "x"}},
        "data.roots.mnits: there is no data set 'mnits'. Did you mean mnist?",
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
    "a defended variant twice": (
        "studies.prefixes.variants",
        ["dense", "dense+ppb-4", "dense+ppb-4"],
        "studies.prefixes.variants[2]: dense+ppb-4 is listed twice",
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
    # Variants; tests/config/test_variants.py has all faults of their form.
    "a fault of a variant's form": (
        "studies.main.variants[1]",
        "static-2",
        "studies.main.variants[1]: 'static-2': sparsity 2 must lie strictly between 0 and 1",
    ),
    "a sparse dense": (
        "studies.main.variants[1]",
        "dense-0.5",
        "studies.main.variants[1]: 'dense-0.5': unknown variant",
    ),
    "an unknown defence": (
        "studies.main.variants[1]",
        "dense+bbp-4",
        "studies.main.variants[1]: 'dense+bbp-4': unknown defence 'bbp-4'. Known: ppb-λ",
    ),
    "an unknown method": (
        "studies.main.variants[1]",
        "magic-0.9",
        "studies.main.variants[1]: 'magic-0.9': unknown variant. Known: dense, static-SPARSITY",
        "Another method can be described under studies.main.pruning",
    ),
    "a method with a mistake": (
        "studies.main.variants[1]",
        "statik-0.9",
        "studies.main.variants[1]: 'statik-0.9': unknown variant. Did you mean static? Known: ",
    ),
    "a method without settings": (
        "studies.main.pruning.dpf",
        ...,
        "studies.main.pruning.dpf: missing; the variants need to know when dpf prunes",
    ),
    # Strengths of defences.
    "a strength of 0": (
        "studies.main.variants[1]",
        "dense+ppb-0",
        "studies.main.variants[1]: 'dense+ppb-0': the λ of ppb must be more than 0",
    ),
    "a negative strength": (
        "studies.main.variants[1]",
        "dense+dp_sgd--1",
        "studies.main.variants[1]: 'dense+dp_sgd--1': the strength of dp_sgd must be more than 0",
    ),
    "a label smoothing of 1": (
        "studies.main.variants[1]",
        "dense+label_smoothing-1",
        "studies.main.variants[1]: 'dense+label_smoothing-1': label smoothing must be less than 1",
    ),
    "a broken patience": (
        "studies.main.variants[1]",
        "dense+early_stopping-2.5",
        "studies.main.variants[1]: 'dense+early_stopping-2.5': the patience is a whole number",
    ),
    "an endless patience": (
        "studies.main.variants[1]",
        "dense+early_stopping-inf",
        "studies.main.variants[1]: 'dense+early_stopping-inf': inf is not a finite number",
    ),
}


@pytest.mark.parametrize("case", ONE_FAULT)
def test_one_fault_gives_one_line_that_helps(fault, case):
    key, value, begin, *parts = ONE_FAULT[case]
    line = fault({key: value})
    assert line.startswith(begin)
    assert all(part in line for part in parts)


def test_methods_of_ones_own_are_among_the_known_ones(fault):
    own = {"criterion": "filter_l1", "feedback": False, "epoch": 1}
    line = fault({"studies.main.pruning.mine": own, "studies.main.variants[1]": "mime-0.5"})
    assert "'mime-0.5': unknown variant. Did you mean mine? Known: dense, static-SPARSITY" in line
    assert ", slim-SPARSITY, mine-SPARSITY. " in line


def test_a_variant_and_its_other_spelling_are_not_two(faults, change, raw):
    change("studies.main.variants", ["static-0.9", "static-0.90"])
    assert faults(raw) == ["studies.main.variants[1]: 'static-0.90': write it static-0.9"]


# Names of studies.


def test_a_target_may_not_be_named_like_a_rule_or_folder_of_the_workflow(raw, read):
    raw["studies"]["logs"] = raw["studies"]["other"]
    config = read(raw)
    with pytest.raises(ConfigError) as caught:
        require_free_names(config, {"other", "home", "roles"})
    assert str(caught.value).splitlines()[1:] == [
        f"  {key}: this name is taken by the workflow, choose another"
        for key in ("studies.other", "studies.logs", "reconstructions.home")
    ]


@pytest.mark.parametrize(
    "name", ["Study", "9lives", "a-b", "a.b", "a/b", "a b", "", "é", "a\n", "aB"]
)
def test_names_of_studies_that_would_make_bad_folders_are_refused(raw, faults, name):
    raw["studies"][name] = raw["studies"]["other"]
    (line,) = faults(raw)
    shown = repr(name)[1:-1]
    assert line == (
        f"studies.{shown}: a name here is a lower-case letter, then lower-case letters, digits, _"
    )


# What YAML makes of an unquoted name: 30, 0.5, yes, null.


@pytest.mark.parametrize("name", [30, 0.5, True, None])
@pytest.mark.parametrize("table", ["studies", "recipes"])
def test_a_name_that_is_no_text_is_refused(raw, faults, table, name):
    raw[table][name] = raw[table].pop("other" if table == "studies" else "cycle")
    (line,) = faults(raw)
    assert line.startswith(f"{table}.{name}: the key {name!r} is not text. Put it in quotes")


@pytest.mark.parametrize("name", [30, True, None])
@pytest.mark.parametrize("place", ["", "studies.main", "recipes.short", "studies.main.pruning"])
def test_a_key_that_is_no_text_is_refused(raw, faults, place, name):
    inner = raw
    for part in place.split(".") if place else []:
        inner = inner[part]
    inner[name] = 1
    (line,) = faults(raw)
    assert line.startswith(f"{place}.{name}: " if place else f"{name}: ")
    assert "is not text" in line


# Several faults.


def keys_of(lines):
    return sorted(line.split(": ")[0] for line in lines)


def test_several_faults_of_form_are_all_listed(raw, change, faults):
    change("studies.main.num_shadow", 1)
    change("studies.other.recipe", ...)
    change("recipes.short.epochs", "eight")
    change("keep_models", "yes")
    assert keys_of(faults(raw)) == [
        "keep_models",
        "recipes.short.epochs",
        "studies.main.num_shadow",
        "studies.other.recipe",
    ]


def test_several_missing_keys_of_one_place_are_all_listed(raw, change, faults):
    for key in ("datasets", "variants", "attacks"):
        change(f"studies.main.{key}", ...)
    assert keys_of(faults(raw)) == [
        "studies.main.attacks",
        "studies.main.datasets",
        "studies.main.variants",
    ]


def test_several_faults_of_sense_are_all_listed(raw, change, faults):
    change("studies.main.num_shadows", 18)
    change("studies.apart.variants[1]", "static-2")
    change("studies.apart.variants[3]", "slim-0.5+pbb-4")
    change("studies.other.datasets[0]", "digit")
    change("studies.prefixes.validation", 0.0001)
    change("studies.prefixes.subsets.sizes[0]", 2000)
    change("recipes.short.schedule.milestones", [9])
    change("build", ["nothing"])
    assert keys_of(faults(raw)) == [
        "build[0]",
        "recipes.short.schedule.milestones",
        "studies.apart.variants[1]",
        "studies.apart.variants[3]",
        "studies.main.num_shadows",
        "studies.other.datasets[0]",
        "studies.prefixes.subsets.sizes[0]",
        "studies.prefixes.validation",
    ]
