"""Wrong form: one line for each fault, with its key, what was found and what is allowed."""

import math

import pytest

from shadowmill.errors import ConfigError

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
        "crop, padding, flip, cutout",
    ),
    "unknown key of early stopping": (
        "recipes.stopped.early_stopping.patient",
        2,
        "recipes.stopped.early_stopping.patient: unknown key. Did you mean patience?",
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
    "unknown key of the subsets": (
        "studies.prefixes.subsets.size",
        3,
        "studies.prefixes.subsets.size: unknown key. Did you mean sizes?",
        "scores",
    ),
    "settings of a defence that has none": (
        "studies.main.defenses",
        {"ppb": {}},
        "studies.main.defenses.ppb: unknown key.",
        "Allowed here: adversarial, dp_sgd",
    ),
    "unknown key of a defence": (
        "studies.main.defenses",
        {"dp_sgd": {"epsilon": 8}},
        "studies.main.defenses.dp_sgd.epsilon: unknown key.",
        "Allowed here: strength, delta, max_grad_norm",
    ),
    "unknown key unlike any other": ("xyz", 1, "xyz: unknown key. Allowed here: build"),
    # Keys that are not there.
    "missing build": ("build", ..., "build: missing", "Studies and reconstructions that"),
    "missing recipe of a study": ("studies.main.recipe", ..., "studies.main.recipe: missing"),
    "missing epochs": (
        "recipes.short.epochs",
        ...,
        "recipes.short.epochs: missing. How often each",
    ),
    "missing name of a schedule": (
        "recipes.short.schedule.name",
        ...,
        "recipes.short.schedule.name: missing",
        "multistep multiplies",
    ),
    "missing patience": (
        "recipes.stopped.early_stopping.patience",
        ...,
        "recipes.stopped.early_stopping.patience: missing. So many epochs",
    ),
    "missing sizes": (
        "studies.prefixes.subsets.sizes",
        ...,
        "studies.prefixes.subsets.sizes: missing. Numbers of training examples",
    ),
    # Values of another type.
    "text for a number": (
        "studies.main.num_shadows",
        "many",
        "studies.main.num_shadows: 'many'",
        "a whole number",
    ),
    "text for a learning rate": (
        "recipes.short.learning_rate",
        "1e-3x",
        "recipes.short.learning_rate: '1e-3x' is not a number. The largest learning rate",
    ),
    "a path with a variable that is not set": (
        "data",
        {"root": "$NOSUCHVAR/data"},
        "data.root: '$NOSUCHVAR/data' names a variable that is not set",
    ),
    "a fraction for a count": (
        "recipes.short.epochs",
        7.5,
        "recipes.short.epochs: 7.5",
        "a whole number",
    ),
    "a truth value for a count": (
        "recipes.short.epochs",
        True,
        "recipes.short.epochs: True",
        "a whole number",
    ),
    "a count for a truth value": ("keep_models", 1, "keep_models: 1", "true or false"),
    "a truth value for a name": (
        "studies.main.datasets[0]",
        False,
        "studies.main.datasets[0]: False",
        "text",
    ),
    "a number for a variant": (
        "studies.main.variants[1]",
        0.9,
        "studies.main.variants[1]: 0.9",
        "text",
    ),
    "a list in the variants": (
        "studies.main.variants[1]",
        ["static-0.9"],
        "studies.main.variants[1]: ['static-0.9']",
        "text",
    ),
    "a name for a list": ("build", "main", "build: 'main'", "a list"),
    "a number for a recipe's name": ("studies.main.recipe", 1, "studies.main.recipe: 1", "text"),
    "a patience alone": (
        "recipes.stopped.early_stopping",
        2,
        "recipes.stopped.early_stopping: 2 is not a mapping",
        "patience",
    ),
    "a size alone": ("studies.prefixes.subsets", 9, "studies.prefixes.subsets: 9", "a mapping"),
    "text for a feedback": (
        "studies.main.pruning.dpf.feedback",
        "yes",
        "studies.main.pruning.dpf.feedback: 'yes'",
        "true or false",
    ),
    "an epoch alone": (
        "studies.main.pruning.static",
        3,
        "studies.main.pruning.static: 3",
        "a mapping",
    ),
    "no studies": ("studies", None, "studies: None", "a mapping"),
    "no build": ("build", None, "build: None", "a list"),
    "a study without content": ("studies.other", None, "studies.other: None", "a mapping"),
    "a list of recipes": ("recipes", [], "recipes: []", "a mapping"),
    "a recipe that is a list": ("recipes.cycle", [1, 2], "recipes.cycle: [1, 2]", "a mapping"),
    "a schedule that is a name": (
        "recipes.cycle.schedule",
        "one_cycle",
        "recipes.cycle.schedule: 'one_cycle'",
        "a mapping",
    ),
    "pruning without content": (
        "studies.other.pruning",
        None,
        "studies.other.pruning: None",
        "a mapping",
    ),
    "data without content": ("data", None, "data: None", "a mapping"),
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
    "a label smoothing of 1": (
        "recipes.short.label_smoothing",
        1,
        "recipes.short.label_smoothing: 1 must be less than 1",
    ),
    "no epochs": ("recipes.cycle.epochs", 0, "recipes.cycle.epochs: 0 must be at least 1"),
    "no patience": (
        "recipes.stopped.early_stopping.patience",
        0,
        "recipes.stopped.early_stopping.patience: 0 must be at least 1",
    ),
    "a warm-up from above": (
        "recipes.stopped.schedule.warmup_start",
        1.5,
        "recipes.stopped.schedule.warmup_start: 1.5 must be at most 1",
    ),
    "a rising gamma": (
        "recipes.short.schedule.gamma",
        2,
        "recipes.short.schedule.gamma: 2 must be at most 1",
    ),
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
    "one shadow": ("studies.apart.num_shadows", 1, "studies.apart.num_shadows: 1 must be at least"),
    "most of the non-members for validation": (
        "studies.main.validation",
        0.6,
        "studies.main.validation: 0.6 must be at most 0.5",
    ),
    "an empty subset": (
        "studies.prefixes.subsets.sizes[0]",
        0,
        "studies.prefixes.subsets.sizes[0]: 0 must be at least 1",
    ),
    "a certain failure of privacy": (
        "studies.main.defenses",
        {"dp_sgd": {"delta": 1}},
        "studies.main.defenses.dp_sgd.delta: 1 must be less than 1",
    ),
    "a ramp that ends at once": (
        "studies.main.pruning.dpf.target_epoch",
        0,
        "studies.main.pruning.dpf.target_epoch: 0 must be at least 1",
    ),
    # Values that are none of those allowed.
    "a device that does not exist": (
        "execution",
        {"device": "gpu"},
        "execution.device: 'gpu' is not allowed. Did you mean cuda? ",
        "Allowed: auto, cpu, cuda",
    ),
    "a compilation that does not exist": (
        "execution",
        {"compile": "max-autotune"},
        "execution.compile: 'max-autotune' is not allowed. ",
        "Allowed: none, default, reduce-overhead",
    ),
    "an unknown size of jobs": (
        "studies.main.models_per_job",
        6,
        "studies.main.models_per_job: 6 is not allowed. Allowed: 1, 2, 4, 5, 8, 16, 32, 64",
    ),
    "a true models_per_job": (
        "studies.main.models_per_job",
        True,
        "studies.main.models_per_job: True is not allowed. Allowed: 1",
    ),
    "an unknown schedule": (
        "recipes.cycle.schedule.name",
        "onecycle",
        "recipes.cycle.schedule.name: 'onecycle' is not allowed. Did you mean one_cycle?",
        "constant, multistep, cosine, one_cycle",
    ),
    "an unknown optimiser": (
        "recipes.short.optimizer",
        "adamw",
        "recipes.short.optimizer: 'adamw' is not allowed. Did you mean adam?",
        "sgd, adam, rmsprop",
    ),
    "an unknown padding": (
        "recipes.short.augmentation",
        {"padding": "mirror"},
        "recipes.short.augmentation.padding: 'mirror' is not allowed",
        "zero, reflect",
    ),
    "an unknown protocol": (
        "studies.main.protocol",
        "halves",
        "studies.main.protocol: 'halves' is not allowed. Did you mean half?",
        "half, disjoint",
    ),
    "an unknown adversary": (
        "studies.main.adversaries",
        ["nonadaptive"],
        "studies.main.adversaries[0]: 'nonadaptive' is not allowed. Did you mean non_adaptive?",
    ),
    "an unknown criterion": (
        "studies.main.pruning.static.criterion",
        "l1",
        "studies.main.pruning.static.criterion: 'l1' is not allowed",
        "global_magnitude, layer_magnitude, filter_l1, filter_l2, batch_norm_scale",
    ),
    "an unknown meaning of a strength": (
        "studies.main.defenses",
        {"dp_sgd": {"strength": "sigma"}},
        "studies.main.defenses.dp_sgd.strength: 'sigma' is not allowed",
        "epsilon, noise_multiplier",
    ),
    # Empty lists and mappings, and lists with a part twice.
    "nothing to build": ("build", [], "build: is empty; give at least 1"),
    "no data sets": ("studies.main.datasets", [], "studies.main.datasets: is empty"),
    "no architectures": ("studies.main.architectures", [], "studies.main.architectures: is empty"),
    "no variants": ("studies.main.variants", [], "studies.main.variants: is empty"),
    "no targets": ("studies.main.target_seeds", [], "studies.main.target_seeds: is empty"),
    "no attacks": ("studies.main.attacks", [], "studies.main.attacks: is empty"),
    "no sizes": ("studies.prefixes.subsets.sizes", [], "studies.prefixes.subsets.sizes: is empty"),
    "an empty studies": ("studies", {}, "studies: is empty"),
    "an empty recipes": ("recipes", {}, "recipes: is empty"),
    "a study to build twice": ("build", ["main", "main"], "build: ['main', 'main'] names", "twice"),
    "a size twice": (
        "studies.prefixes.subsets.sizes",
        [5, 5],
        "studies.prefixes.subsets.sizes: [5, 5] names something twice",
    ),
    # Names.
    "a pruning method in capitals": (
        "studies.main.pruning.Mine",
        {"epoch": 1},
        "studies.main.pruning.Mine: a name here is a lower-case letter, then lower-case letters, "
        "digits, _",
    ),
}


@pytest.mark.parametrize("case", ONE_FAULT)
def test_one_fault_gives_one_line_that_helps(fault, case):
    key, value, begin, *parts = ONE_FAULT[case]
    line = fault({key: value})
    assert line.startswith(begin)
    assert all(part in line for part in parts)


@pytest.mark.parametrize("whole", [None, [], "text", 3])
def test_a_configuration_that_is_no_mapping_is_refused(faults, whole):
    (line,) = faults(whole)
    assert line.startswith(f"the whole: {whole!r} is not a mapping")


@pytest.mark.parametrize("key", ["learning_rate", "momentum", "weight_decay"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_numbers_that_are_not_finite_are_refused(fault, key, value):
    assert fault({f"recipes.short.{key}": value}).startswith(f"recipes.short.{key}: {value}")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("studies.main.num_shadows", 16.0),
        ("studies.main.models_per_job", 4.0),
        ("studies.main.target_seeds[0]", 42.0),
        ("studies.main.pruning.static.epoch", 3.0),
        ("studies.main.seed", 1.0),
        ("studies.prefixes.subsets.sizes[0]", 100.0),
        ("recipes.short.epochs", 8.0),
        ("recipes.short.batch_size", 32.0),
    ],
)
def test_whole_numbers_written_with_a_point_mean_the_same_or_are_refused(
    raw, change, read, key, value
):
    """JSON Schema calls 16.0 an integer; then it must work as one."""
    change(key, value)
    try:
        study = read(raw).studies["main"]
    except ConfigError as error:
        assert key in str(error)  # noqa: PT017
        return
    settings = study.training_settings("small_convnet", "static-0.9")
    numbers = [settings["recipe"]["epochs"], settings["recipe"]["batch_size"], settings["seed"]]
    numbers += [settings["pruning"]["epoch"], study.models_per_job, study.num_shadows]
    assert {type(number) for number in numbers} == {int}
