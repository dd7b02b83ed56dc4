"""The small curvature studies: one whole, of the others what sets them apart."""

from copy import deepcopy

import numpy as np
import pandas as pd
import pytest
import yaml
from checkouts import ROOT, Checkout

from shadowmill import roles
from shadowmill.scores.files import read_scores

SHIPPED = yaml.safe_load((ROOT / "workflow_config.yaml").read_text())
SMALL = ("curvature_subset_size_small", "curvature_low_subset_small", "curvature_dp_small")
# Two probes cost a fifth of ten; after short trainings of few shadows all is as after long ones.
for _study in ("curvature_quickstart", *SMALL):
    SHIPPED["studies"][_study] |= {
        "curvature": {"probes": 2},
        "num_shadows": 8,
        "models_per_job": 4,
        "recipe": "short",
    }
SHIPPED["recipes"]["short"] = SHIPPED["recipes"]["one_cycle_30"] | {"epochs": 6}
# Two sizes show what subsets are, one attack what the others are attacked with.
for _study in SMALL[:2]:
    SHIPPED["studies"][_study]["subsets"]["sizes"] = [100, 400]
for _study in SMALL[1:]:
    SHIPPED["studies"][_study]["attacks"] = ["loss"]
SHIPPED["studies"][SMALL[2]] |= {"variants": ["dense", "dense+dp_sgd-50"], "num_shadows": 4}
# Those that only studies of curvature have; tests of the small study draw the others.
TABLES = ("curvature.csv", "attack_differences.csv")
CELL = "digits/small_convnet/dense"
FIGURES = tuple(f"{name}-{CELL.replace('/', '-')}" for name in ("curvature", "curvature_examples"))


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    checkout = Checkout.create(tmp_path_factory.mktemp("curvature") / "checkout", SHIPPED)
    checkout.run(
        *(f"results/curvature_quickstart/tables/{name}" for name in TABLES),
        *(f"results/curvature_quickstart/figures/{name}.png" for name in FIGURES),
    )
    return checkout


@pytest.fixture(scope="module")
def all_ended(ended, tmp_path_factory):
    """The same and the other small studies."""
    checkout = ended.copy(tmp_path_factory.mktemp("all_curvature") / "checkout")
    checkout.run(
        *(f"results/{name}/figures/subset_sizes.png" for name in SMALL[:2]),
        f"results/{SMALL[0]}/tables/attack_differences.csv",
        f"results/{SMALL[0]}/tables/summary.tex",
        f"results/{SMALL[2]}/figures/epsilon.png",
    )
    return checkout


def table(checkout, study, name):
    return pd.read_csv(checkout.results / study / "tables" / f"{name}.csv")


@pytest.mark.slow
def test_every_file_can_be_asked_for(all_ended):
    files = all_ended.written(*(path.name for path in all_ended.results.iterdir() if path.is_dir()))
    files = [path for path in files if not path.startswith(("results/logs", "results/."))]
    assert any(path.endswith("mean_curvature.csv") for path in files)
    assert all_ended.planned(*files) == {}


def test_other_published_values_redo_the_comparison(ended):
    path = ended.folder / "rules/published_curvature.yaml"
    text = path.read_text()
    try:
        for edit, planned in (("# a comment", {}), ("other: {}", {"compare_curvature": 1})):
            path.write_text(f"{text}\n{edit}\n")
            assert ended.planned("results/curvature_quickstart/tables/curvature.csv") == planned
    finally:
        path.write_text(text)


def test_a_moved_checkout_redoes_nothing(ended, tmp_path):
    moved = ended.copy(tmp_path / "moved")
    assert moved.planned("results/curvature_quickstart/tables/curvature.csv") == {}


def test_every_attack_is_in_the_published_layout(ended):
    found = table(ended, "curvature_quickstart", "curvature")
    assert found["attack"].tolist() == SHIPPED["studies"]["curvature_quickstart"]["attacks"]
    assert (found["num_targets"] == 3).all()
    assert found["auc"].between(0.45, 0.7).all()
    assert (
        "Curvature NLL"
        in (ended.results / "curvature_quickstart" / "tables" / "curvature.tex").read_text()
    )


def test_what_curvature_adds_to_lira_has_an_interval(ended):
    found = table(ended, "curvature_quickstart", "attack_differences")
    pairs = found[["attack", "reference"]].drop_duplicates().to_numpy().tolist()
    assert pairs == [["curvature_lira", "lira_online"], ["curvature_lira", "lira_fixed"]]
    auc = found[found["metric"] == "auc"]
    assert (auc["ci_low"] < auc["difference"]).all()
    assert (auc["difference"] < auc["ci_high"]).all()


def test_scores_have_the_estimators_that_attacks_need(ended):
    folder = ended.results / "curvature_quickstart" / CELL / "scores"
    names = [f"curvature_{name}" for name in ("finite_difference", "trace", "frobenius")]
    scores = read_scores([str(folder / "shadow-00.h5")], arrays=[*names, "max_phi"])
    for name in names:
        assert scores[name].shape == scores["phi"].shape == (4, 1797, 2)
    # The most probable class is at least as probable as the true one.
    assert (scores["max_phi"] >= scores["phi"] - 1e-5).all()


@pytest.mark.slow
@pytest.mark.parametrize("study", SMALL[:2])
def test_shadows_of_the_first_study_serve_the_subsets(all_ended, study):
    folder = all_ended.results / study / CELL
    assert len(list((folder / "models").glob("target-*.safetensors"))) == 4
    assert not list((folder / "models").glob("shadow-*"))
    assert set(table(all_ended, study, "membership_metrics")["target"]) > {"target-0-100"}


@pytest.mark.slow
def test_shadows_of_another_study_are_not_what_is_judged(all_ended):
    metrics = table(all_ended, SMALL[0], "membership_metrics")
    assert set(metrics["adversary"]) == {"shared"}
    assert not metrics["target"].str.startswith("shadows").any()
    assert "targets-pooled" in set(metrics["target"])
    differences = table(all_ended, SMALL[0], "attack_differences")
    assert set(differences["target"]) == {"targets-mean", "targets-pooled"}


@pytest.mark.slow
def test_low_subsets_have_the_lowest_curvature(all_ended):
    order = pd.read_csv(all_ended.results / "curvature_quickstart" / CELL / "mean_curvature.csv")
    lowest = order.sort_values("score", kind="stable")["example"].to_numpy()[:400]
    folder = all_ended.results / "curvature_low_subset_small" / "digits" / "roles"
    for seed in (0, 1):
        found = roles.load(folder / f"target-{seed}-400.h5").roles_MN[0]
        np.testing.assert_array_equal(np.flatnonzero(found == roles.MEMBER), np.sort(lowest))


@pytest.mark.slow
def test_private_targets_face_shadows_of_both_kinds(all_ended):
    found = table(all_ended, "curvature_dp_small", "membership_metrics")
    private = found[found["variant"] == "dense+dp_sgd-50"]
    assert set(private["adversary"]) == {"adaptive", "non_adaptive"}


@pytest.mark.slow
def test_other_estimators_leave_models_alone(all_ended, tmp_path):
    copy = all_ended.copy(tmp_path / "checkout")
    config = deepcopy(SHIPPED)
    config["studies"]["curvature_quickstart"]["curvature"] = {"probes": 3}
    for name in SMALL[:2]:
        config["studies"][name]["curvature"] = {"probes": 3}
    copy.configure(config)
    planned = copy.planned("results/curvature_quickstart/tables/curvature.csv")
    assert planned["score_block"] == 5
    assert not [name for name in planned if name.startswith("train_")]
