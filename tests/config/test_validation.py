"""Wrong settings: one line for each, with the key, what was found and what is allowed."""

import pytest

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
    "missing build": ("build", ..., "build: missing", "Studies that"),
    "missing recipe of a study": ("studies.main.recipe", ..., "studies.main.recipe: missing"),
    "missing epochs": ("recipes.short.epochs", ..., "recipes.short.epochs: missing"),
    "missing name of a schedule": (
        "recipes.short.schedule.name",
        ...,
        "recipes.short.schedule.name: missing",
    ),
    "missing epoch of a method": (
        "studies.main.pruning.static.epoch",
        ...,
        "studies.main.pruning.static.epoch: missing",
    ),
    "missing milestones": (
        "recipes.short.schedule.milestones",
        ...,
        "recipes.short.schedule.milestones: missing; multistep needs it",
    ),
    "missing warmup": (
        "recipes.cycle.schedule.warmup",
        ...,
        "recipes.cycle.schedule.warmup: missing; one_cycle needs it",
    ),
    "missing settings of a method in use": (
        "studies.main.pruning.dpf",
        ...,
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
def test_one_fault_gives_one_line_that_helps(raw, change, faults, case):
    key, value, *parts = ONE_FAULT[case]
    change(key, value)
    found = [fault for fault in faults(raw) if parts[0] in fault]
    assert len(found) == 1, faults(raw)
    assert all(part in found[0] for part in parts)


@pytest.mark.parametrize("case", [case for case in ONE_FAULT if not case.startswith("a study")])
def test_one_fault_is_not_reported_as_several(raw, change, faults, case):
    key, value, *_ = ONE_FAULT[case]
    change(key, value)
    assert len(faults(raw)) == 1


@pytest.mark.parametrize("case", ONE_FAULT)
def test_lines_are_complete(raw, change, faults, case):
    key, value, *_ = ONE_FAULT[case]
    change(key, value)
    for line in faults(raw):
        # "…: missing. " and nothing after it leaves the reader alone.
        assert not line.endswith(" ")
