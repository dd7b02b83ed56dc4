"""What determines a model: a change of it trains anew, any other change does not."""

import pytest

from shadowmill.defenses import effective_recipe
from shadowmill.pruning import PruningPlan


def pruning_of(study, variant):
    return study.training_settings(next(iter(study.architectures)), variant)["pruning"]


def defense_of(study, variant):
    return study.training_settings(next(iter(study.architectures)), variant)["defense"]


def test_all_of_it(study, raw):
    main = study("main")
    assert main.training_settings("resnet18", "dpf-0.5") == {
        "architecture": "resnet18",
        "recipe": raw["recipes"]["short"],
        "pruning": {
            "method": "dpf",
            "sparsity": 0.5,
            "schedule": "cubic",
            "criterion": "global_magnitude",
            "feedback": True,
            "every": 2,
            "target_epoch": 4,
        },
        "defense": {"name": "none"},
        "pretraining": None,
        "protocol": "half",
        "seed": 0,
    }
    assert pruning_of(main, "dense") == {"method": "dense", "sparsity": 0.0}


# Pruning: nothing is left to the table, so that a change of it shows.


def test_pruning_at_once(study):
    assert pruning_of(study("main"), "static-0.9") == {
        "method": "static",
        "sparsity": 0.9,
        "schedule": "one_shot",
        "criterion": "global_magnitude",
        "feedback": False,
        "epoch": 3,
    }


@pytest.mark.parametrize(
    ("variant", "criterion"),
    [("l1_unstructured-0.5", "layer_magnitude"), ("slim-0.5+ppb-4", "batch_norm_scale")],
)
def test_each_method_has_its_criterion(study, variant, criterion):
    pruning = pruning_of(study("apart"), variant)
    assert (pruning["criterion"], pruning["feedback"], pruning["epoch"]) == (criterion, False, 0)


@pytest.mark.parametrize(
    ("times", "schedule"),
    [
        ({"epoch": 2}, "one_shot"),
        ({"epoch": 2, "freeze_epoch": 5}, "one_shot"),
        ({"every": 7, "target_epoch": 3}, "cubic"),
        ({"every": 7, "target_epoch": 3, "freeze_epoch": 6}, "cubic"),
    ],
)
def test_a_method_of_ones_own(raw, study, times, schedule):
    own = {"criterion": "filter_l2", "feedback": True, **times}
    raw["studies"]["main"]["pruning"]["mine"] = dict(own)
    raw["studies"]["main"]["variants"].append("mine-0.25")
    pruning = pruning_of(study("main"), "mine-0.25")
    assert pruning == {"method": "mine", "sparsity": 0.25, "schedule": schedule, **own}
    # It is all that the trainer asks for.
    plan = PruningPlan.of(pruning, steps_per_epoch=10)
    assert (plan.sparsity, plan.feedback) == (0.25, True)
    assert plan.freeze_step == (10 * times["freeze_epoch"] if "freeze_epoch" in times else None)


def test_a_copy_of_a_method_trains_the_same_but_for_its_name(raw, study):
    raw["studies"]["main"]["pruning"]["twin"] = {
        "criterion": "global_magnitude",
        "feedback": True,
        "every": 2,
        "target_epoch": 4,
    }
    raw["studies"]["main"]["variants"].append("twin-0.5")
    assert pruning_of(study("main"), "twin-0.5") == pruning_of(study("main"), "dpf-0.5") | {
        "method": "twin"
    }


# Defences.


def add_defended(raw, name, **settings):
    raw["studies"]["main"] |= {"validation": 0.1, "defenses": settings}
    raw["studies"]["main"]["variants"].append(name)


def test_a_defence_is_its_name_and_number(raw, study):
    add_defended(raw, "dense+ppb-4")
    assert defense_of(study("main"), "dense+ppb-4") == {"name": "ppb", "value": 4.0}
    assert defense_of(study("main"), "dense") == {"name": "none"}


def test_further_settings_of_a_defence_are_filled_in(raw, study):
    add_defended(raw, "dense+adversarial-1")
    raw["studies"]["main"]["variants"].append("static-0.5+dp_sgd-8")
    main = study("main")
    assert defense_of(main, "dense+adversarial-1") == {
        "name": "adversarial",
        "value": 1.0,
        "attack_steps": 1,
    }
    assert defense_of(main, "static-0.5+dp_sgd-8") == {
        "name": "dp_sgd",
        "value": 8.0,
        "strength": "epsilon",
        "delta": 1e-5,
        "max_grad_norm": 1.0,
    }


def test_given_settings_of_a_defence_are_kept(raw, study):
    add_defended(raw, "dense+dp_sgd-1.5", dp_sgd={"strength": "noise_multiplier", "delta": 1e-6})
    assert defense_of(study("main"), "dense+dp_sgd-1.5") == {
        "name": "dp_sgd",
        "value": 1.5,
        "strength": "noise_multiplier",
        "delta": 1e-6,
        "max_grad_norm": 1.0,
    }


@pytest.mark.parametrize(
    ("variant", "part", "value"),
    [
        ("dense+label_smoothing-0.1", "label_smoothing", 0.1),
        ("dense+weight_decay-0.005", "weight_decay", 0.005),
        ("static-0.9+early_stopping-5", "early_stopping", {"patience": 5}),
    ],
)
def test_the_recipe_is_the_plain_one_and_the_defence_replaces_a_part(
    raw, study, variant, part, value
):
    add_defended(raw, variant)
    settings = study("main").training_settings("small_convnet", variant)
    assert settings["recipe"] == raw["recipes"]["short"]
    changed = effective_recipe(settings["recipe"], settings["defense"])
    assert changed == settings["recipe"] | {part: value}


# Fine-tuning.


def test_all_variants_but_dense_start_from_the_dense_models(study):
    apart = study("apart")
    assert not apart.is_fine_tuned("dense")
    assert apart.is_fine_tuned("slim-0.5")
    assert apart.is_fine_tuned("slim-0.5+ppb-4")
    assert not study("main").is_fine_tuned("static-0.9")


def test_fine_tuned_models_know_how_they_were_pretrained(study, raw):
    apart = study("apart")
    dense = apart.training_settings("resnet20", "dense")
    assert dense["pretraining"] is None
    assert dense["recipe"] == raw["recipes"]["stopped"]
    slim = apart.training_settings("resnet20", "slim-0.5+ppb-4")
    assert slim["recipe"] == raw["recipes"]["cycle"]
    assert slim["pretraining"] == dense
    assert slim["protocol"] == "disjoint"


def test_a_defended_dense_model_is_fine_tuned_too(raw, study):
    raw["studies"]["apart"]["variants"].append("dense+ppb-4")
    settings = study("apart").training_settings("resnet20", "dense+ppb-4")
    assert settings["recipe"] == raw["recipes"]["cycle"]
    assert settings["pretraining"]["defense"] == {"name": "none"}


# What a change reaches.


def settings_in(study, variant):
    return study.training_settings(next(iter(study.architectures)), variant)


def changed_settings(raw, read, variant, study=None, recipe=None, static=None, name="main"):
    before = settings_in(read(raw).studies[name], variant)
    raw["studies"][name] |= study or {}
    raw["recipes"]["short"] |= recipe or {}
    raw["studies"]["main"]["pruning"]["static"] |= static or {}
    after = settings_in(read(raw).studies[name], variant)
    return {key for key in before.keys() | after.keys() if before[key] != after[key]}


@pytest.mark.parametrize("variant", ["dense", "dpf-0.5"])
def test_other_variants_do_not_depend_on_the_settings_of_static(raw, read, variant):
    assert changed_settings(raw, read, variant, static={"epoch": 1}) == set()


def test_static_depends_on_its_own_settings(raw, read):
    assert changed_settings(raw, read, "static-0.9", static={"epoch": 1}) == {"pruning"}


@pytest.mark.parametrize(
    "change",
    [
        {"attacks": ["lira_fixed"]},
        {"queries": {"mirror": True, "shift": 1}},
        {"num_shadows": 32},
        {"models_per_job": 8},
        {"target_seeds": [1, 2, 3]},
        {"variants": ["dense", "dense+ppb-4"]},
        {"datasets": ["digits"]},
        {"description": "another"},
        {"adversaries": ["non_adaptive"]},
        {"defenses": {"dp_sgd": {"delta": 0.1}}},
        {"fine_tune": "cycle"},
        # These change who trains on what; the roles are an input of their own.
        {"validation": 0.1},
        {"subsets": {"sizes": [100]}},
    ],
)
def test_models_do_not_depend_on_who_else_is_trained_and_asked(raw, read, change):
    assert changed_settings(raw, read, "dense", study=change) == set()


def test_models_depend_on_recipe_and_seed(raw, read):
    assert changed_settings(raw, read, "dense", recipe={"weight_decay": 0.1}) == {"recipe"}
    assert changed_settings(raw, read, "dense", study={"seed": 1}) == {"seed"}


def test_fine_tuned_models_depend_on_both_recipes(raw, read):
    change = {"fine_tune": "stopped"}
    assert changed_settings(raw, read, "slim-0.5", study=change, name="apart") == {"recipe"}
    change = {"recipe": "cycle"}
    assert changed_settings(raw, read, "slim-0.5", study=change, name="apart") == {"pretraining"}
    assert changed_settings(raw, read, "dense", study={"fine_tune": "cycle"}, name="apart") == set()


def test_settings_are_copies(study):
    main = study("main")
    main.training_settings("resnet18", "dense")["recipe"]["epochs"] = 1
    main.training_settings("resnet18", "static-0.9")["pruning"]["epoch"] = 7
    assert main.training_settings("resnet18", "static-0.9")["recipe"]["epochs"] == 8
    assert pruning_of(main, "static-0.9")["epoch"] == 3
