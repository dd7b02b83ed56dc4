"""per_class: the numbers of each class, and the disparity between them."""

import numpy as np
import pandas as pd
import pytest

from shadowmill import storage
from shadowmill.metrics import ranking
from shadowmill.metrics.bootstrap import class_bootstrap
from shadowmill.metrics.multiplicity import holm
from shadowmill.names import Cell
from shadowmill.roles import MEMBER, NON_MEMBER
from shadowmill.tables import per_class, read_csv, write_csv

CLASSES, NUM_TEST = 3, 12
METRICS = ["auc", "tpr_at_fpr_0.1", "tpr_at_fpr_0.01"]


@pytest.fixture(autouse=True)
def few_replicates(monkeypatch):
    monkeypatch.setattr(per_class, "REPLICATES", 40)


@pytest.fixture
def labels(tmp_path, shadow_roles):
    count = shadow_roles.shape[1] + NUM_TEST
    labels_N = np.random.default_rng(3).integers(CLASSES, size=count)
    storage.write_hdf5(tmp_path / "data.h5", {"labels": labels_N}, {}, name="data")
    return labels_N[: shadow_roles.shape[1]]


def tabulate(cell, path, tmp_path):
    output = str(tmp_path / "table.csv")
    per_class.tabulate(cell, "loss", str(tmp_path / "data.h5"), path, output)
    return read_csv(output)


def test_columns_and_rows(cell, attack, labels, tmp_path):
    table = tabulate(cell, attack[0], tmp_path)
    head, *lines = (tmp_path / "table.csv").read_text().splitlines()
    assert head == (
        "study,dataset,architecture,variant,method,sparsity,defense,strength,attack,adversary,"
        "target,class,metric,value,ci_low,ci_high,num_members,num_nonmembers,p_value,note"
    )
    assert len(lines) == CLASSES * 3 + 3
    assert "shadows-pooled,0,auc," in lines[0]  # a class is a whole number
    assert set(table["target"]) == {"shadows-pooled"}
    assert table["metric"].tolist()[-3:] == [f"{metric}_disparity" for metric in METRICS]


def test_each_class_has_its_own_numbers(cell, attack, labels, tmp_path):
    table = tabulate(cell, attack[0], tmp_path).set_index(["class", "metric"])
    score_MN, roles_MN = attack[1]["shadow_score"], attack[1]["shadow_roles"]
    used_MN = (roles_MN == MEMBER) | (roles_MN == NON_MEMBER)
    for label in range(CLASSES):
        of = used_MN & (labels == label)
        score, member = score_MN[of], (roles_MN == MEMBER)[of]
        row = table.loc[(label, "auc")]
        assert row["value"] == pytest.approx(ranking.auc(score, member), rel=1e-8)
        assert row["ci_low"] < row["value"] < row["ci_high"]
        assert row[["num_members", "num_nonmembers"]].tolist() == [member.sum(), (~member).sum()]
        tpr = ranking.tpr_at_fpr(score, member, 0.1)
        assert table.loc[(label, "tpr_at_fpr_0.1"), "value"] == pytest.approx(tpr, rel=1e-8)


def test_disparity(cell, attack, labels, tmp_path):
    table = tabulate(cell, attack[0], tmp_path)
    roles_MN = attack[1]["shadow_roles"]
    _, expected = class_bootstrap(
        attack[1]["shadow_score"],
        roles_MN == MEMBER,
        labels,
        per_class.FPRS,
        40,
        seed=0,
        nonmember_MN=roles_MN == NON_MEMBER,
    )
    rows = table.set_index("metric")
    for metric in METRICS:
        found = rows.loc[f"{metric}_disparity", ["value", "p_value"]].tolist()
        assert found == pytest.approx(list(expected[metric][:2]), rel=1e-8, nan_ok=True)
    assert table["note"].isna().all()
    aucs = rows.loc["auc", "value"]
    assert rows.loc["auc_disparity", "value"] == pytest.approx(aucs.max() - aucs.min())
    is_disparity = table["metric"].str.endswith("_disparity")
    assert table["class"].isna().equals(is_disparity)
    assert table.loc[~is_disparity, "p_value"].isna().all()


def test_classes_without_part_in_a_disparity_are_named(cell, attack, labels, tmp_path):
    labels[np.flatnonzero(labels == 1)[4:]] = 0
    storage.write_hdf5(tmp_path / "data.h5", {"labels": labels}, {}, name="data")
    notes = tabulate(cell, attack[0], tmp_path).set_index("metric")["note"]
    assert notes["auc_disparity"] == "without 1: fewer than 5 examples, or undefined"
    assert notes["auc"].isna().all()


def test_targets_take_the_place_of_shadows_without_the_defence(
    cell, write_attack, labels, tmp_path
):
    path, arrays = write_attack(adaptive=False)
    table = tabulate(cell, path, tmp_path)
    assert set(table["target"]) == {"targets-pooled"}
    members = (arrays["target_roles"] == MEMBER)[:, labels == 1].sum()
    assert (table.loc[table["class"] == 1, "num_members"] == members).all()


def test_p_values_are_adjusted_over_the_study(tmp_path):
    parts = []
    for variant, values in (("dense", [0.01, 0.5]), ("static-0.9", [0.02, np.nan])):
        table = pd.DataFrame({"variant": variant, "class": [0, None], "p_value": values})
        parts.append(str(tmp_path / f"{variant}.csv"))
        write_csv(parts[-1], table.astype({"class": "Int64"}))
    per_class.join(parts, str(tmp_path / "all.csv"))
    joined = read_csv(tmp_path / "all.csv")
    assert joined["variant"].tolist() == ["dense", "dense", "static-0.9", "static-0.9"]
    expected = holm(np.array([0.01, 0.5, 0.02, np.nan]))
    assert joined["p_holm"].tolist() == pytest.approx(expected.tolist(), nan_ok=True)
    assert (tmp_path / "all.csv").read_text().splitlines()[1] == "dense,0,0.01,0.03"


def test_the_table_of_a_study_is_made_of_those_of_its_configurations(attack, labels, tmp_path):
    paths = []
    for variant in ("dense", "static-0.9"):
        paths.append(str(tmp_path / f"{variant}.csv"))
        cell = Cell("main", "digits", "small_convnet", variant)
        per_class.tabulate(cell, "loss", str(tmp_path / "data.h5"), attack[0], paths[-1])
    per_class.join(paths, str(tmp_path / "all.csv"))
    joined = read_csv(tmp_path / "all.csv")
    assert len(joined) == 2 * (CLASSES * 3 + 3)
    adjusted = joined["p_holm"].notna()
    assert adjusted.sum() >= 4
    assert (joined["p_holm"] >= joined["p_value"])[adjusted].all()
