"""membership_metrics: the numbers are those of the metric functions, in columns as promised."""

import csv
import re

import numpy as np
import pytest

from shadowmill import storage
from shadowmill.errors import ArtefactError
from shadowmill.metrics import ranking
from shadowmill.metrics.bootstrap import two_way_bootstrap
from shadowmill.metrics.intervals import auc_interval, balanced_accuracy_interval, clopper_pearson
from shadowmill.roles import MEMBER, NON_MEMBER
from shadowmill.tables import membership, read_csv

COLUMNS = (
    "study,dataset,architecture,variant,method,sparsity,defense,target,attack,metric,value,"
    "ci_low,ci_high,num_members,num_nonmembers"
)
METRICS = ["auc", *(f"tpr_at_fpr_{fpr}" for fpr in ("0.1", "0.01", "0.001", "0.0001", "1e-05"))]


@pytest.fixture
def table(cell, attack, tmp_path):
    membership.tabulate(cell, "lira_online", attack[0], str(tmp_path / "table.csv"))
    return read_csv(tmp_path / "table.csv").set_index(["target", "metric"])


def numbers(table, target, metric):
    return table.loc[(target, metric), ["value", "ci_low", "ci_high"]].tolist()


def split(attack, row, kind="target"):
    score = attack[1]["score" if kind == "target" else "leave_one_out"][row]
    role = attack[1][f"{kind}_roles"][row]
    used = (role == MEMBER) | (role == NON_MEMBER)
    return score[used], (role == MEMBER)[used]


def test_columns_and_rows(table, tmp_path):
    head, *lines = (tmp_path / "table.csv").read_text().splitlines()
    assert head == COLUMNS
    assert len(lines) == 2 * (len(METRICS) + 2) + 2 * len(METRICS)
    assert all(
        line.startswith("main,digits,small_convnet,static-0.9,static,0.9,none,") for line in lines
    )
    expected = {(t, m) for t in ("shadows-mean", "shadows-pooled") for m in METRICS}
    for target in ("target-42", "target-7"):
        of_targets = [*METRICS, "balanced_accuracy", "balanced_accuracy_oracle"]
        expected |= {(target, metric) for metric in of_targets}
    assert set(table.index) == expected
    assert set(table["attack"]) == {"lira_online"}


@pytest.mark.parametrize(("row", "target"), [(0, "target-42"), (1, "target-7")])
def test_targets_have_the_metrics_of_their_own_examples(table, attack, row, target):
    score, member = split(attack, row)
    expected = (ranking.auc(score, member), *auc_interval(score, member))
    assert numbers(table, target, "auc") == pytest.approx(expected, rel=1e-8)
    tpr = ranking.tpr_at_fpr(score, member, 0.1)
    limits = clopper_pearson(round(tpr * member.sum()), int(member.sum()))
    assert numbers(table, target, "tpr_at_fpr_0.1") == pytest.approx((tpr, *limits), rel=1e-8)
    assert (table.loc[target, "num_members"] == member.sum()).all()
    assert (table.loc[target, "num_nonmembers"] == (~member).sum()).all()
    oracle = ranking.balanced_accuracy_oracle(score, member)
    found = numbers(table, target, "balanced_accuracy_oracle")
    assert found == pytest.approx([oracle, np.nan, np.nan], rel=1e-8, nan_ok=True)


def test_the_threshold_of_balanced_accuracy_is_fixed_on_all_shadows(table, attack):
    pieces = [split(attack, row, "shadow") for row in range(6)]
    threshold = ranking.best_threshold(*map(np.concatenate, zip(*pieces, strict=True)))
    for row, target in enumerate(("target-42", "target-7")):
        score, member = split(attack, row)
        value = ranking.balanced_accuracy(score, member, threshold)
        called = score >= threshold
        limits = balanced_accuracy_interval(
            int(called[member].sum()),
            int(member.sum()),
            int((~called)[~member].sum()),
            int((~member).sum()),
        )
        found = numbers(table, target, "balanced_accuracy")
        assert found == pytest.approx((value, *limits), rel=1e-8)


def test_shadows_have_the_mean_and_the_pooled_metric(table, attack):
    pieces = [split(attack, row, "shadow") for row in range(6)]
    pooled = [np.concatenate(part) for part in zip(*pieces, strict=True)]
    for metric, function in (
        ("auc", ranking.auc),
        ("tpr_at_fpr_0.1", lambda *case: ranking.tpr_at_fpr(*case, 0.1)),
    ):
        mean = np.mean([function(*piece) for piece in pieces])
        assert table.loc[("shadows-mean", metric), "value"] == pytest.approx(mean, rel=1e-8)
        value = function(*pooled)
        assert table.loc[("shadows-pooled", metric), "value"] == pytest.approx(value, rel=1e-8)
    assert (table.loc["shadows-pooled", "num_members"] == pooled[1].sum()).all()
    assert (table.loc["shadows-pooled", "num_nonmembers"] == (~pooled[1]).sum()).all()
    smallest = [min(member.sum() for _, member in pieces), min((~m).sum() for _, m in pieces)]
    counts = table.loc["shadows-mean", ["num_members", "num_nonmembers"]].drop_duplicates()
    assert counts.to_numpy().tolist() == [smallest]


def test_shadows_have_bootstrap_intervals_that_a_rerun_repeats(table, attack):
    roles_MN = attack[1]["shadow_roles"]
    expected = two_way_bootstrap(
        attack[1]["leave_one_out"],
        roles_MN == MEMBER,
        membership.FPRS,
        membership.REPLICATES,
        seed=0,
        nonmember_MN=roles_MN == NON_MEMBER,
    )
    for aggregate in ("mean", "pooled"):
        found = numbers(table, f"shadows-{aggregate}", "auc")
        assert found == pytest.approx(list(expected["auc", aggregate]), rel=1e-8)
        assert found[1] < found[0] < found[2]


def test_a_tpr_below_one_in_the_number_of_non_members_is_left_empty(table, tmp_path):
    # 100 non-members of a target allow 10 and 1 false positives at 0.1 and 0.01; about 550 of all
    # shadows no more than that at 0.01. All below is undefined.
    with (tmp_path / "table.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["metric"].startswith("tpr")]
    assert len(rows) == 4 * 5
    for row in rows:
        fpr = float(row["metric"].removeprefix("tpr_at_fpr_"))
        defined = fpr * int(row["num_nonmembers"]) >= 1
        assert [row[key] != "" for key in ("value", "ci_low", "ci_high")] == [defined] * 3
    assert {row["metric"] for row in rows if row["value"]} == {"tpr_at_fpr_0.1", "tpr_at_fpr_0.01"}


@pytest.mark.parametrize(("nonmembers", "metric"), [(10, "0.1"), (100, "0.01"), (1000, "0.001")])
@pytest.mark.parametrize("missing", [0, 1])
def test_one_false_positive_is_enough(cell, tmp_path, nonmembers, metric, missing):
    count = nonmembers - missing
    roles_MN = np.array([[MEMBER] * 5 + [NON_MEMBER] * count] * 2, dtype=np.int8)
    # One non-member above all members: with it allowed, all members are found.
    score = np.array([[1.0] * 5 + [2.0] + [0.0] * (count - 1)] * 2)
    arrays = {
        "targets": ["target-1"],
        "shadows": ["shadow-00-0", "shadow-00-1"],
        "score": score[:1],
        "target_roles": roles_MN[:1],
        "leave_one_out": score,
        "shadow_roles": roles_MN,
    }
    storage.write_hdf5(tmp_path / "a.h5", arrays, {})
    membership.tabulate(cell, "lira_online", str(tmp_path / "a.h5"), str(tmp_path / "t.csv"))
    table = read_csv(tmp_path / "t.csv").set_index(["target", "metric"])
    value = table.loc[("target-1", f"tpr_at_fpr_{metric}"), "value"]
    assert np.isnan(value) if missing else value == 1


def test_a_missing_attack_file_is_named(cell, tmp_path):
    path = str(tmp_path / "attack.h5")
    with pytest.raises(ArtefactError, match=re.escape(path)):
        membership.tabulate(cell, "lira_online", path, str(tmp_path / "t.csv"))
