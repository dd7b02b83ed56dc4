"""Whole runs of the small studies that come with the workflow, and of what they leave out."""

import copy

import numpy as np
import pandas as pd
import pytest
import yaml
from checkouts import ROOT, SMALL, Checkout

from shadowmill import roles, storage
from shadowmill.attacks.run import read_attack
from shadowmill.pruning.masks import num_pruned
from shadowmill.scores.files import read_scores

SHIPPED = yaml.safe_load((ROOT / "workflow_config.yaml").read_text())


def ran(folder, config, *targets):
    checkout = Checkout.create(folder / "checkout", config)
    checkout.run(*targets)
    assert checkout.planned(*targets) == {}
    return checkout


def tables(study, *names):
    """Targets for when the figures, a job each, are not looked at."""
    return [f"results/{study}/tables/{name}.csv" for name in names]


def table(checkout, study, name):
    return pd.read_csv(checkout.results / study / "tables" / f"{name}.csv", keep_default_na=False)


def with_attacks(study, attacks):
    """The shipped configuration with other attacks in one study."""
    config = copy.deepcopy(SHIPPED)
    config["studies"][study]["attacks"] = attacks
    return config


@pytest.fixture(scope="module")
def pruning_attacks(tmp_path_factory):
    attacks = SHIPPED["studies"]["pruning_attacks_small"]["attacks"]
    # One takes minutes.
    config = with_attacks("pruning_attacks_small", [name for name in attacks if name != "nn"])
    wanted = ("training_results", "training_history", "membership_metrics")
    folder = tmp_path_factory.mktemp("pruning")
    return ran(folder, config, *tables("pruning_attacks_small", *wanted))


@pytest.mark.slow
def test_fine_tuned_models_have_the_sparsity_of_their_names(pruning_attacks):
    training = table(pruning_attacks, "pruning_attacks_small", "training_results")
    for variant, part in training.groupby("variant"):
        wanted = 0.0 if variant == "dense" else 0.7
        # Whole filters of 16, 32 and 64 cannot be exactly 70 %.
        off = 0.02 if "_structured" in variant else 0.001
        assert part["achieved_sparsity"].between(wanted - off, wanted + 1e-9).all(), variant
    assert (training["num_members"] == num_pruned(898, 0.45)).all()
    assert (training["test_set"] == "non-members").all()


@pytest.mark.slow
def test_fine_tuned_models_start_from_the_dense_ones(pruning_attacks):
    cell = pruning_attacks.results / "pruning_attacks_small" / "digits" / "resnet20"
    for model in ("target-7", "shadow-00-3"):
        dense, masks = (
            storage.read_tensors(cell / variant / "models" / f"{model}.safetensors")[0]
            for variant in ("dense", "l1_unstructured-0.7")
        )
        for name in ("conv1.weight", "fc.weight"):
            mask = masks[f"mask.{name}"]
            assert dense[name][~mask].abs().max() <= dense[name][mask].abs().min()
    history = table(pruning_attacks, "pruning_attacks_small", "training_history")
    first = history[(history["epoch"] == 1) & (history["quantity"] == "loss")]
    loss = first.set_index("variant")["value"].astype(float)
    assert loss["l1_unstructured-0.7"] < loss["dense"] / 2


@pytest.mark.slow
def test_target_and_shadows_share_no_example(pruning_attacks):
    folder = pruning_attacks.results / "pruning_attacks_small" / "digits" / "roles"
    target, shadows = (
        roles.load(folder / f"{block}.h5").roles_MN for block in ("target-7", "shadow-00")
    )
    assert not ((target != roles.UNUSED) & (shadows != roles.UNUSED).any(axis=0)).any()
    assert ((target != roles.UNUSED) | (shadows != roles.UNUSED).any(axis=0)).all()


@pytest.mark.slow
def test_posterior_balancing_leaks_less_than_pruning_alone(pruning_attacks):
    metrics = table(pruning_attacks, "pruning_attacks_small", "membership_metrics")
    auc = metrics[(metrics["metric"] == "auc") & (metrics["target"] == "shadows-pooled")]
    auc = auc[auc["attack"] == "loss"].set_index("variant")["value"].astype(float)
    assert auc["l1_unstructured-0.7+ppb-4"] < auc["l1_unstructured-0.7"]
    assert auc["dense"] > 0.55


@pytest.mark.slow
def test_a_defence_faces_both_adversaries(pruning_attacks):
    attacks = ["loss", "modified_entropy_per_class"]
    metrics = table(pruning_attacks, "pruning_attacks_small", "membership_metrics")
    defended = metrics[metrics["variant"] == "l1_unstructured-0.7+ppb-4"]
    found = defended[["adversary", "attack"]].drop_duplicates().to_records(index=False).tolist()
    assert sorted(found) == [(a, n) for a in ("adaptive", "non_adaptive") for n in attacks]
    assert set(metrics.loc[metrics["variant"] == "dense", "adversary"]) == {"adaptive"}
    auc = metrics[(metrics["metric"] == "auc") & (metrics["variant"] == "dense")]
    assert (auc["value"].astype(float) > 0.55).all()


NN = "results/pruning_attacks_small/digits/resnet20/dense/attacks/adaptive/nn.h5"


@pytest.fixture
def with_nn(pruning_attacks, tmp_path):
    checkout = pruning_attacks.copy(tmp_path / "checkout")
    checkout.configure(SHIPPED)
    return checkout


@pytest.mark.slow
def test_one_more_attack_trains_nothing_again(with_nn):
    # Networks want logits, which no other attack did.
    assert with_nn.planned(NN) == {"score_block": 2, "attack_by_network": 1}


@pytest.mark.slow
def test_an_attack_by_networks_added_later(with_nn):
    with_nn.run(NN)
    scores = read_attack(str(with_nn.folder / NN))
    assert scores.score_TN.shape == (1, 1797)
    assert np.isfinite(scores.shadow_score_MN).all()


@pytest.fixture(scope="module")
def defenses(tmp_path_factory):
    wanted = tables("defenses_small", "membership_metrics", "training_results")
    config = with_attacks("defenses_small", ["loss"])
    return ran(tmp_path_factory.mktemp("defenses"), config, *wanted)


@pytest.mark.slow
def test_all_defences_are_trained_and_attacked(defenses):
    variants = SHIPPED["studies"]["defenses_small"]["variants"]
    metrics = table(defenses, "defenses_small", "membership_metrics")
    auc = metrics[(metrics["metric"] == "auc") & (metrics["attack"] == "loss")]
    assert auc.groupby("variant").size().to_dict() == dict.fromkeys(variants, 3)
    assert auc["value"].astype(float).between(0.4, 0.7).all()
    training = table(defenses, "defenses_small", "training_results")
    assert training.groupby("variant").size().to_dict() == dict.fromkeys(variants, 9)
    accuracy = training.groupby("variant")["test_accuracy"].mean()
    assert (accuracy.drop("dense+dp_sgd-8") > 0.8).all()


@pytest.mark.slow
def test_private_models_have_the_epsilon_of_their_name(defenses):
    folder = defenses.results / "defenses_small/digits/small_convnet/dense+dp_sgd-8/models"
    paths = sorted(folder.glob("*.safetensors"))
    assert len(paths) == 9
    for path in paths:
        privacy = storage.read_metadata(path)["provenance"]["privacy"]
        assert privacy["epsilon"] == pytest.approx(8, rel=0.01)
        assert privacy["steps"] == 12 * round(898 / 32)


# Everything that the shipped small studies leave out: targets on prefixes, by a score file; an
# adversary that does not know of the defence; a pruning method of one's own; frozen masks.
OTHERS = SMALL | {
    "studies": {
        "subsets": SMALL["studies"]["small"]
        | {
            "variants": ["dense"],
            "subsets": {"sizes": [100, 400], "order": "order.npy"},
        },
        "unaware": SMALL["studies"]["small"]
        | {
            "variants": ["dense", "dense+relaxloss-0.5", "fading-0.8"],
            "adversaries": ["non_adaptive"],
            "target_seeds": [7, 8],
            "pruning": {
                "fading": {
                    "criterion": "filter_l1",
                    "feedback": True,
                    "every": 4,
                    "target_epoch": 5,
                    "freeze_epoch": 7,
                }
            },
            "attacks": ["lira_fixed", "loss"],
        },
    },
    "build": ["subsets", "unaware"],
}


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    checkout = Checkout.create(tmp_path_factory.mktemp("others") / "checkout", OTHERS)
    np.save(checkout.folder / "order.npy", np.arange(1797)[::-1])
    names = ("membership_metrics", "training_history", "examples")
    checkout.run(*tables("subsets", "training_results"), *tables("unaware", *names))
    return checkout


def test_targets_on_prefixes_of_an_order_by_scores(others):
    cell = others.results / "subsets/digits/small_convnet/dense"
    for size in (100, 400):
        scores = read_scores([str(cell / "scores" / f"target-7-{size}.h5")])
        assert np.flatnonzero(scores.member_MN[0]).tolist() == list(range(1797 - size, 1797))
    training = table(others, "subsets", "training_results")
    assert set(training["num_members"]) == {100, 400, 898, 899}


def test_another_order_retrains_the_prefix_targets_alone(others, tmp_path):
    copy = others.copy(tmp_path / "checkout")
    np.save(copy.folder / "order.npy", np.arange(1797))
    planned = copy.planned("subsets")
    assert planned["train_target"] == 2
    assert "train_shadows_4" not in planned


def test_unaware_adversary_has_shadows_without_the_defence(others):
    cell = others.results / "unaware/digits/small_convnet/dense+relaxloss-0.5"
    assert sorted(path.name for path in (cell / "models").iterdir()) == [
        "target-7.safetensors",
        "target-8.safetensors",
    ]
    metrics = table(others, "unaware", "membership_metrics")
    rows = metrics[metrics["metric"] == "auc"].groupby("variant")["target"].agg(set)
    assert rows["dense"] == {"target-7", "target-8", "shadows-mean", "shadows-pooled"}
    assert rows["dense+relaxloss-0.5"] == {
        "target-7",
        "target-8",
        "targets-mean",
        "targets-pooled",
    }


def test_examples_are_told_of_models_with_shadows_of_their_own(others):
    examples = table(others, "unaware", "examples")
    assert set(examples["variant"]) == {"dense", "fading-0.8"}


def test_a_method_of_ones_own_prunes_whole_filters_and_then_freezes(others):
    history = table(others, "unaware", "training_history")
    history = history[(history["variant"] == "fading-0.8") & (history["model"] == "target-7")]
    history = history.set_index(["quantity", "parameter", "epoch"])["value"].astype(float)
    assert history["sparsity", "0.weight"].iloc[-1] == pytest.approx(6 / 8)  # ⌊8 · 0.8⌋ filters
    assert history["mask_overlap", ""].loc[8:].eq(1).all()
    assert history["mask_overlap", ""].loc[2:5].lt(1).any()


def write_location(folder):
    """A table in the format of the published Location data: quoted label, then binary features."""
    random = np.random.default_rng(0)
    labels = np.arange(5010) % 30
    prototypes = random.random((30, 446)) < 0.5
    features = prototypes[labels] ^ (random.random((5010, 446)) < 0.25)
    lines = [
        f'"{label + 1}",' + ",".join(map(str, row.astype(int)))
        for label, row in zip(labels, features, strict=True)
    ]
    folder.mkdir()
    (folder / "bangkok").write_text("\n".join(lines) + "\n")


def test_tables_of_features(tmp_path):
    study = SHIPPED["studies"]["pruning_attacks_tabular"] | {
        "datasets": ["location"],
        "variants": ["dense", "l1_unstructured-0.7"],
        "attacks": ["loss", "confidence_per_class"],
    }
    recipes = SHIPPED["recipes"]
    config = {
        "build": ["tabular"],
        "recipes": {
            "adam_50": recipes["adam_50"] | {"epochs": 8},
            "adam_25": recipes["adam_25"] | {"epochs": 3},
        },
        "studies": {"tabular": study},
    }
    checkout = Checkout.create(tmp_path / "checkout", config)
    write_location(checkout.folder / "data")
    checkout.run(*tables("tabular", "training_results", "membership_metrics"))
    training = table(checkout, "tabular", "training_results")
    accuracy = training.groupby("variant")[["train_accuracy", "test_accuracy"]].mean()
    assert (accuracy > 0.9).all(axis=None)  # prototypes are easy
    metrics = table(checkout, "tabular", "membership_metrics")
    assert set(metrics["attack"]) == {"loss", "confidence_per_class"}
