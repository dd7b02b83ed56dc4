"""What would run: job counts, targeted rebuilds, and what a change of settings or code redoes."""

import copy
import re

import pytest
import yaml
from checkouts import ROOT, SMALL, Checkout

EVERYTHING = {
    "dataset": 1,
    "roles": 3,
    "train_target": 2,
    "train_shadows_4": 4,
    "score_block": 6,
    "attack": 4,
    "tabulate_training": 2,
    "tabulate_history": 2,
    "tabulate_classes": 2,
    "tabulate_counts": 2,
    "join_classes": 1,
    "compare_variants": 1,
    "widen_membership": 1,
    "list_unhealthy": 1,
    "write_summary": 1,
    "write_parquet": 1,
    "tabulate_membership": 4,
    "tabulate_examples": 2,
    "tabulate_vulnerable": 2,
    "tabulate_attack_examples": 2,
    "join_table": 7,
    "plot_roc": 1,
    "plot_leakage": 1,
    "plot_accuracy": 1,
    "plot_tradeoff": 1,
    "plot_heatmap": 1,
    "plot_counts": 1,
    "plot_classes": 1,
    "plot_exposure": 1,
    "plot_vulnerability": 1,
    "plot_attacks": 2,
    "plot_examples": 2,
}

CELL = "results/small/digits/small_convnet"


def changed(*path, to):
    config = copy.deepcopy(SMALL)
    place = config
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = to
    return config


def test_whole_small_study(fresh):
    assert fresh.planned() == EVERYTHING | {"all": 1}


def test_shipped_pruning_study(tmp_path):
    config = yaml.safe_load((ROOT / "workflow_config.yaml").read_text())
    checkout = Checkout.create(tmp_path / "checkout", config)
    cells = 11 * 2
    assert checkout.planned("pruning") == {
        "dataset": 2,
        "roles": 2 * (8 + 3),
        "train_target": cells * 3,
        "train_shadows_8": cells * 8,
        "score_block": cells * (8 + 3),
        "attack": cells * 14,
        "attack_by_network": cells * 4,
        "tabulate_training": cells,
        "tabulate_history": cells,
        "tabulate_classes": cells,
        "tabulate_counts": cells,
        "join_classes": 1,
        "compare_variants": 1,
        "widen_membership": 1,
        "list_unhealthy": 1,
        "write_summary": 1,
        "write_parquet": 1,
        "tabulate_membership": cells * 18,
        "tabulate_examples": cells,
        "tabulate_vulnerable": cells,
        "tabulate_attack_examples": cells,
        "join_table": 7,
        "plot_roc": 1,
        "plot_leakage": 1,
        "plot_accuracy": 1,
        "plot_tradeoff": 1,
        "plot_heatmap": 1,
        "plot_counts": 1,
        "plot_classes": 1,
        "plot_exposure": 1,
        "plot_vulnerability": 1,
        "plot_attacks": cells,
        "plot_examples": cells,
        "pruning": 1,
    }


@pytest.mark.parametrize(
    ("target", "rules"),
    [
        ("models", {"train_target": 2, "train_shadows_4": 4}),
        ("scores", {"score_block": 6}),
        ("attacks", {"attack": 4}),
        ("tables", {"join_table": 7, "tabulate_history": 2, "tabulate_examples": 2}),
        ("figures", {"plot_roc": 1, "plot_examples": 2}),
        ("small", EVERYTHING),
    ],
)
def test_named_targets(fresh, target, rules):
    planned = fresh.planned(target)
    assert planned | rules == planned
    assert planned[target] == 1


def test_one_figure_needs_only_its_own_part(fresh):
    planned = fresh.planned("results/small/figures/examples-digits-small_convnet-dpf-0.9.png")
    assert planned["train_shadows_4"] == 2
    assert "train_target" in planned  # an attack file holds the targets too
    assert "plot_roc" not in planned
    assert "join_table" not in planned


def test_nothing_to_do_when_finished(finished):
    assert finished.planned() == {}


def test_every_file_can_be_asked_for(finished):
    files = finished.written("small", "data")
    assert len(files) > 50
    assert finished.planned(*files) == {}


def test_deleted_figure_is_one_job(finished):
    (finished.results / "small/figures/roc.png").unlink()
    assert finished.planned("results/small/figures/roc.png") == {"plot_roc": 1}


def test_deleted_score_file_rescores_one_block_and_retrains_nothing(finished):
    (finished.folder / f"{CELL}/dpf-0.9/scores/shadow-01.h5").unlink()
    assert finished.planned("scores") == {"score_block": 1, "scores": 1}


def test_more_shadows_train_only_the_new_ones(finished):
    finished.configure(changed("studies", "small", "num_shadows", to=16))
    planned = finished.planned()
    assert planned["train_shadows_4"] == 4  # two new blocks of each of two variants
    assert planned["score_block"] == 4
    assert "train_target" not in planned


def test_one_more_target_trains_only_that(finished):
    finished.configure(changed("studies", "small", "target_seeds", to=[7, 8]))
    planned = finished.planned()
    assert planned["train_target"] == 2
    assert planned["score_block"] == 2
    assert "train_shadows_4" not in planned


def test_one_more_variant_trains_only_that(finished):
    finished.configure(
        changed("studies", "small", "variants", to=["static-0.5", "dpf-0.9", "dense"])
    )
    planned = finished.planned()
    assert planned["train_shadows_4"] == 2
    assert planned["attack"] == 2


def test_a_methods_setting_retrains_that_method_alone(finished):
    finished.configure(changed("studies", "small", "pruning", "static", "epoch", to=5))
    planned = finished.planned()
    assert planned["train_shadows_4"] == 2
    assert planned["train_target"] == 1
    assert planned["attack"] == 2


def test_a_recipes_setting_retrains_its_studies(finished):
    finished.configure(changed("recipes", "short", "learning_rate", to=0.03))
    assert finished.planned()["train_shadows_4"] == 4


def test_other_queries_rescore_and_retrain_nothing(finished):
    finished.configure(changed("studies", "small", "queries", to={"shift": 1}))
    planned = finished.planned()
    assert planned["score_block"] == 6
    assert not any(rule.startswith("train") for rule in planned)


def test_one_more_attack_is_only_that(finished):
    attacks = ["lira_online", "lira_fixed", "lira_offline"]
    finished.configure(changed("studies", "small", "attacks", to=attacks))
    planned = finished.planned()
    assert planned["attack"] == 2
    assert planned["tabulate_membership"] == 2
    assert "score_block" not in planned


def test_execution_settings_redo_nothing(finished):
    execution = {"checkpoint_minutes": 1, "stacking": "sequential", "device": "cpu"}
    finished.configure(SMALL | {"execution": execution})
    assert finished.planned() == {}


def test_models_can_be_dropped_once_scored(fresh):
    fresh.configure(SMALL | {"keep_models": False})
    scores = f"{CELL}/dpf-0.9/scores/shadow-00.h5"
    fresh.run(scores)
    assert not list(fresh.results.rglob("*.safetensors"))
    assert fresh.planned(scores) == {}


def test_prepared_data_can_be_deleted_and_made_again(finished):
    (finished.results / "data/digits.h5").unlink()
    assert finished.planned() == {}
    finished.run("results/data/digits.h5")
    assert finished.planned() == {}


def edit(checkout, *edits):
    """Replace text that is there once in files below scripts/."""
    for name, old, new in edits:
        path = checkout.folder / "scripts" / name
        text = path.read_text()
        assert text.count(old) == 1, (name, old)
        path.write_text(text.replace(old, new))


NEW_ROWS = (
    (
        "shadowmill/attacks/__init__.py",
        '    "rmia_online": _rmia("online"),',
        '    "another": Attack("Another", loss),\n    "rmia_online": _rmia("online"),',
    ),
    (
        "shadowmill/data/__init__.py",
        '    Dataset(\n        "svhn",',
        '    Dataset("another", "Another", "readers.idx:mnist", "image", 9, 9, 2),\n'
        '    Dataset(\n        "svhn",',
    ),
)


def test_wording_and_new_rows_of_tables_redo_nothing(finished):
    for path in finished.folder.glob("scripts/**/*.py"):
        path.write_text(path.read_text() + "\n# a comment\n")
    message = "expected a finite number; the model diverged"
    edit(
        finished,
        ("shadowmill/attacks/bank.py", message, f"that is {message}"),
        ("shadowmill/tables/__init__.py", '"""Write a table, atomically;', '"""Write a CSV;'),
        *NEW_ROWS,
    )
    assert finished.planned() == {}


def test_edited_code_redoes_what_is_computed_with_it(finished):
    edit(
        finished,
        # Drawn with.
        ("shadowmill/figures/roc.py", "lowest = min(", "lowest = 0.5 * min("),
        # No attack of this study.
        ("shadowmill/attacks/rmia.py", "LOG_P_FLOOR = -690.0", "LOG_P_FLOOR = -680.0"),
        # These have versions instead.
        ("shadowmill/training/lockstep.py", "import torch\n", "import torch\nEDITED = 1\n"),
        ("train_models.py", '"""Rule', 'EDITED = 1\n"""Rule'),
        ("shadowmill/scores/score.py", "import torch\n", "import torch\nEDITED = 1\n"),
    )
    assert finished.planned() == {"plot_roc": 1, "plot_attacks": 2, "all": 1}


def test_edited_code_of_all_attacks_redoes_them_and_trains_nothing(finished):
    edit(finished, ("shadowmill/attacks/bank.py", "ndim != 3 or", "ndim != 3 or False or"))
    planned = finished.planned()
    assert planned["attack"] == 4
    assert "train_target" not in planned
    assert "score_block" not in planned


def test_a_new_training_version_retrains(finished):
    path = finished.folder / "scripts/shadowmill/training/__init__.py"
    text = path.read_text()
    path.write_text(re.sub(r"TRAINING_VERSION = \d+", "TRAINING_VERSION = 999", text))
    assert finished.planned()["train_shadows_4"] == 4


def test_rule_graph_has_one_node_for_all_shadows(fresh):
    graph = fresh.snakemake("--rulegraph", "--quiet", "all", "--", "small")
    labels = re.findall(r'label *= *"(\w+)"', graph)
    assert sorted(labels) == sorted([*EVERYTHING, "small"])


def test_no_study_may_be_named_like_a_rule(fresh):
    names = ("all", "models", "plot_roc", "train_shadows_4")
    fresh.configure(
        SMALL | {"studies": {name: SMALL["studies"]["small"] for name in names} | SMALL["studies"]}
    )
    output = fresh.snakemake("-n", "--profile", "profiles/local", expect=1)
    assert [line for line in output.splitlines() if line.startswith("  ")] == [
        f"  studies.{name}: this name is taken by the workflow, choose another" for name in names
    ]


def test_lint_is_clean(fresh):
    assert "Congratulations" in fresh.snakemake("--lint")
