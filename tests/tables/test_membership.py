"""membership_metrics: the numbers are those of the metric functions, in columns as promised."""

import csv
import re

import numpy as np
import pandas as pd
import pytest

from shadowmill import storage
from shadowmill.errors import ArtefactError
from shadowmill.metrics import ranking
from shadowmill.metrics.bootstrap import two_way_bootstrap
from shadowmill.metrics.confusion import confusion
from shadowmill.metrics.evaluation import evaluate, fix_thresholds
from shadowmill.metrics.intervals import (
    auc_interval,
    balanced_accuracy_interval,
    detectable,
    tpr_interval,
)
from shadowmill.roles import MEMBER, NON_MEMBER, UNUSED, VALIDATION
from shadowmill.tables import membership, read_csv

COLUMNS = (
    "study,dataset,architecture,variant,method,sparsity,defense,strength,target,attack,adversary,metric,"
    "value,ci_low,ci_high,num_members,num_nonmembers,false_positives,detectable"
)
METRICS = ["auc", *(f"tpr_at_fpr_{fpr}" for fpr in ("0.1", "0.01", "0.001", "0.0001", "1e-05"))]

AT_A_THRESHOLD = [
    "balanced_accuracy",
    "accuracy",
    "precision",
    "recall",
    "f1",
    "advantage",
    "ppv_at_prior_0.5",
    "ppv_at_prior_0.1",
    "ppv_at_prior_0.01",
    "balanced_accuracy_oracle",
    *(f"achieved_fpr_at_{fpr}" for fpr in ("0.1", "0.01", "0.001", "0.0001", "1e-05")),
]


@pytest.fixture
def table(cell, attack, tmp_path):
    membership.tabulate(cell, "lira_online", attack[0], str(tmp_path / "table.csv"))
    return read_csv(tmp_path / "table.csv").set_index(["target", "metric"])


def numbers(table, target, metric):
    return table.loc[(target, metric), ["value", "ci_low", "ci_high"]].tolist()


def split(attack, row, kind="target"):
    score = attack[1]["score" if kind == "target" else "shadow_score"][row]
    role = attack[1][f"{kind}_roles"][row]
    used = (role == MEMBER) | (role == NON_MEMBER)
    return score[used], (role == MEMBER)[used]


def test_columns_and_rows(table, tmp_path):
    head, *lines = (tmp_path / "table.csv").read_text().splitlines()
    assert head == COLUMNS
    assert len(lines) == 2 * (len(METRICS) + len(AT_A_THRESHOLD)) + 2 * len(METRICS)
    assert all(
        line.startswith("main,digits,small_convnet,static-0.9,static,0.9,none,0,") for line in lines
    )
    expected = {(t, m) for t in ("shadows-mean", "shadows-pooled") for m in METRICS}
    for target in ("target-42", "target-7"):
        expected |= {(target, metric) for metric in (*METRICS, *AT_A_THRESHOLD)}
    assert set(table.index) == expected
    assert set(table["attack"]) == {"lira_online"}


@pytest.mark.parametrize(("row", "target"), [(0, "target-42"), (1, "target-7")])
def test_targets_have_the_metrics_of_their_own_examples(table, attack, row, target):
    score, member = split(attack, row)
    expected = (ranking.auc(score, member), *auc_interval(score, member))
    assert numbers(table, target, "auc") == pytest.approx(expected, rel=1e-8)
    tpr = ranking.tpr_at_fpr(score, member, 0.1)
    limits = tpr_interval(score, member, 0.1)
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
        value = confusion(score, member, threshold).balanced_accuracy
        called = score >= threshold
        limits = balanced_accuracy_interval(
            int(called[member].sum()),
            int(member.sum()),
            int((~called)[~member].sum()),
            int((~member).sum()),
        )
        found = numbers(table, target, "balanced_accuracy")
        assert found == pytest.approx((value, *limits), rel=1e-8)


def test_targets_have_all_metrics_at_the_thresholds_of_the_shadows(table, attack):
    roles_MN = attack[1]["shadow_roles"]
    thresholds = fix_thresholds(
        attack[1]["shadow_score"], roles_MN == MEMBER, roles_MN == NON_MEMBER
    )
    for row, target in enumerate(("target-42", "target-7")):
        for expected in evaluate(*split(attack, row), thresholds):
            found = table.loc[(target, expected.metric)]
            columns = ["value", "ci_low", "ci_high", "false_positives"]
            assert found[columns].tolist() == pytest.approx(expected[1:], rel=1e-8, nan_ok=True)


def test_false_positives_behind_each_tpr(table, attack):
    pieces, together = pooled_pieces(attack, "shadow", 6)
    counts = [ranking.operating_point(*piece, 0.1).false_positives for piece in pieces]
    column = table["false_positives"]
    assert column["shadows-mean", "tpr_at_fpr_0.1"] == min(counts)
    for fpr in (0.1, 0.01):
        expected = ranking.operating_point(*together, fpr).false_positives
        assert column["shadows-pooled", f"tpr_at_fpr_{fpr}"] == expected
    own = ranking.operating_point(*split(attack, 1), 0.1).false_positives
    assert column["target-7", "tpr_at_fpr_0.1"] == own
    # Where there is no TPR, and where there is none to be had, there is no count.
    is_tpr = table.index.get_level_values("metric").str.startswith("tpr")
    assert column.notna().equals(table["value"].notna() & is_tpr)


def test_scores_that_are_nan_change_nothing_else(cell, write_attack, tmp_path):
    """What the attack did not evaluate counts as if it had no role."""
    _, arrays = write_attack(True)
    tables = []
    for aside in ("score", "role"):
        changed = {name: np.array(array) for name, array in arrays.items()}
        for scores, who in (("score", "target_roles"), ("shadow_score", "shadow_roles")):
            if aside == "score":
                changed[scores][:, 5:25] = np.nan
            else:
                changed[who][:, 5:25] = UNUSED
        path = str(tmp_path / f"{aside}.csv")
        storage.write_hdf5(
            tmp_path / "a.h5", changed, {}, adversary="adaptive", judged_by="shadows"
        )
        membership.tabulate(cell, "loss", str(tmp_path / "a.h5"), path)
        tables.append(read_csv(path))
    assert tables[0].equals(tables[1])
    assert (tables[0]["num_members"] < read_members(cell, write_attack, tmp_path)).all()


def read_members(cell, write_attack, tmp_path):
    membership.tabulate(cell, "loss", write_attack(True)[0], str(tmp_path / "all.csv"))
    return read_csv(tmp_path / "all.csv")["num_members"]


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


def pooled_pieces(attack, kind, count):
    pieces = [split(attack, row, kind) for row in range(count)]
    return pieces, [np.concatenate(part) for part in zip(*pieces, strict=True)]


def test_shadows_without_the_targets_defence_give_way_to_the_targets(cell, write_attack, tmp_path):
    tables = {}
    for adaptive in (True, False):
        attack = write_attack(adaptive)
        membership.tabulate(cell, "loss", attack[0], str(tmp_path / "t.csv"))
        tables[adaptive] = read_csv(tmp_path / "t.csv").set_index(["target", "metric"])
    found = tables[False]
    joint = {target for target, _ in found.index if not target.startswith("target-")}
    assert joint == {"targets-mean", "targets-pooled"}
    pieces, together = pooled_pieces(attack, "target", 2)
    mean = np.mean([ranking.auc(*piece) for piece in pieces])
    assert found.loc[("targets-mean", "auc"), "value"] == pytest.approx(mean, rel=1e-8)
    value = ranking.auc(*together)
    assert found.loc[("targets-pooled", "auc"), "value"] == pytest.approx(value, rel=1e-8)
    assert (found.loc["targets-pooled", "num_members"] == together[1].sum()).all()
    assert (found.loc["targets-pooled", "num_nonmembers"] == (~together[1]).sum()).all()
    low, high = found.loc[("targets-pooled", "auc"), ["ci_low", "ci_high"]]
    assert low < value < high
    # The targets' own rows are the same: their threshold is that of the shadows there are.
    for target in ("target-42", "target-7"):
        assert set(found.loc[target, "adversary"]) == {"non_adaptive"}
        same = found.loc[target].drop(columns="adversary")
        assert same.equals(tables[True].loc[target].drop(columns="adversary"))


def test_a_single_target_has_an_interval_over_its_examples(cell, write_attack, tmp_path):
    _, arrays = write_attack(False)
    one = arrays | {key: arrays[key][:1] for key in ("targets", "score", "target_roles")}
    storage.write_hdf5(tmp_path / "one.h5", one, {}, adversary="non_adaptive", judged_by="targets")
    membership.tabulate(cell, "loss", str(tmp_path / "one.h5"), str(tmp_path / "t.csv"))
    table = read_csv(tmp_path / "t.csv").set_index(["target", "metric"])
    mean, together = (table.loc[(f"targets-{end}", "auc")] for end in ("mean", "pooled"))
    assert mean["value"] == together["value"] == table.loc[("target-42", "auc"), "value"]
    assert 0 < together["ci_low"] < together["value"] < together["ci_high"] < 1


@pytest.mark.parametrize("adaptive", [True, False])
def test_the_headline_is_the_pooled_row_of_one_attack(cell, write_attack, tmp_path, adaptive):
    tables = []
    for name in ("lira_online", "loss"):
        path = str(tmp_path / f"{name}.csv")
        membership.tabulate(cell, name, write_attack(adaptive)[0], path)
        tables.append(read_csv(path))
    headline = membership.pooled(pd.concat(tables, ignore_index=True), "loss")
    who = "shadows" if adaptive else "targets"
    assert set(headline["target"]) == {f"{who}-pooled"}
    assert set(headline["attack"]) == {"loss"}
    assert headline["metric"].tolist() == METRICS


def test_what_would_have_been_seen(table):
    rows = table[table["detectable"].notna()]
    assert {"auc", "tpr_at_fpr_0.1"} <= set(rows.index.get_level_values("metric"))
    for (_, metric), row in rows.iterrows():
        level = 0.5 if metric == "auc" else float(metric.split("_")[-1])
        assert row["detectable"] == pytest.approx(detectable(level, *row[["ci_low", "ci_high"]]))
        assert row["detectable"] > level


def test_scores_of_examples_set_aside_change_nothing(cell, write_attack, tmp_path, table):
    _, arrays = write_attack(True)
    random = np.random.default_rng(5)
    for scores, who in (("score", "target_roles"), ("shadow_score", "shadow_roles")):
        aside = (arrays[who] != MEMBER) & (arrays[who] != NON_MEMBER)
        assert {UNUSED, VALIDATION} <= set(arrays[who][aside])
        arrays[scores][aside] = random.choice([-1e9, 1e9], aside.sum())
    storage.write_hdf5(tmp_path / "other.h5", arrays, {}, adversary="adaptive", judged_by="shadows")
    path = str(tmp_path / "other.csv")
    membership.tabulate(cell, "lira_online", str(tmp_path / "other.h5"), path)
    assert read_csv(path).set_index(["target", "metric"]).equals(table)


def test_shadows_have_bootstrap_intervals_that_a_rerun_repeats(table, attack):
    roles_MN = attack[1]["shadow_roles"]
    expected = two_way_bootstrap(
        attack[1]["shadow_score"],
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
    # Fewer than 100 non-members of a target allow false positives at 0.1 alone; the 500 or so of
    # all shadows also at 0.01. All below is undefined.
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
        "shadow_score": score,
        "shadow_roles": roles_MN,
    }
    storage.write_hdf5(tmp_path / "a.h5", arrays, {}, adversary="adaptive", judged_by="shadows")
    membership.tabulate(cell, "lira_online", str(tmp_path / "a.h5"), str(tmp_path / "t.csv"))
    table = read_csv(tmp_path / "t.csv").set_index(["target", "metric"])
    value = table.loc[("target-1", f"tpr_at_fpr_{metric}"), "value"]
    assert np.isnan(value) if missing else value == 1


def test_a_missing_attack_file_is_named(cell, tmp_path):
    path = str(tmp_path / "attack.h5")
    with pytest.raises(ArtefactError, match=re.escape(path)):
        membership.tabulate(cell, "lira_online", path, str(tmp_path / "t.csv"))
