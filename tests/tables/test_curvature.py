"""The curvature study's tables: means over targets beside published values, and an order."""

import math
import re

import numpy as np
import pandas as pd
import pytest
from halves import halves

from shadowmill import roles, storage
from shadowmill.errors import ArtefactError
from shadowmill.names import Cell
from shadowmill.roles.order import read_scores as read_order
from shadowmill.tables import identity, read_csv, write_csv
from shadowmill.tables.curvature import compare, mean_curvature, read_curvature

METRICS = [
    "balanced_accuracy",
    "balanced_accuracy_oracle",
    "auc",
    "tpr_at_fpr_0.01",
    "tpr_at_fpr_0.001",
    "tpr_at_fpr_0.0001",
]
PUBLISHED = {
    "cifar100": {
        "loss": {"auc": [82.11, 0.3], "balanced_accuracy": [76.29, 0.2]},
        "published_nll": {"auc": 93.48, "tpr_at_fpr_0.01": 41.5, "tpr_at_fpr_0.0001": 0},
    },
    "cifar10": {"loss": {"auc": 60.44}},
}
# Of three targets: mean 0.6, deviation √((0.01 + 0 + 0.01) / 2) = 0.1; with n, it would be 0.082.
VALUES = {"target-64": 0.5, "target-65": 0.6, "target-66": 0.7}
OTHERS = {"shadows-pooled": 0.99, "targets-mean": 0.98, "target-64-500": 0.97}


def rows_of(cell, attack, adversary="adaptive", values=VALUES | OTHERS, **of_metric):
    return [
        identity(cell)
        | {"attack": attack, "adversary": adversary, "target": target, "metric": metric}
        | {"value": of_metric.get(metric, value)}
        for target, value in values.items()
        for metric in [*METRICS, "accuracy"]
    ]


def cell_of(dataset="cifar100", variant="dense"):
    return Cell("study", dataset, "resnet18", variant)


@pytest.fixture
def run(tmp_path):
    def run(rows, published=PUBLISHED):
        write_csv(tmp_path / "membership.csv", pd.DataFrame(rows))
        paths = [str(tmp_path / name) for name in ("membership.csv", "t.csv", "t.tex")]
        compare(paths[0], published, *paths[1:])
        return read_csv(paths[1]), (tmp_path / "t.tex").read_text()

    return run


def test_mean_and_deviation_are_over_the_targets_alone(run):
    table, _ = run(rows_of(cell_of(), "loss"))
    (row,) = table.to_dict("records")
    assert row["num_targets"] == 3
    for metric in METRICS:
        assert row[metric] == pytest.approx(0.6)
        assert row[f"{metric}_deviation"] == pytest.approx(0.1)
    assert "accuracy" not in table


def test_published_values_stand_beside_ours(run):
    table, _ = run(rows_of(cell_of(), "loss") + rows_of(cell_of(), "published_nll"))
    rows = table.set_index("attack")
    assert rows["auc_published"].tolist() == pytest.approx([0.8211, 0.9348])
    assert rows.loc["loss", "auc_published_deviation"] == 0.003
    assert np.isnan(rows.loc["published_nll", "auc_published_deviation"])
    assert rows.loc["loss", "balanced_accuracy_published"] == pytest.approx(0.7629)
    assert rows["tpr_at_fpr_0.01_published"].tolist() == pytest.approx([np.nan, 0.415], nan_ok=True)
    assert rows.loc["published_nll", "tpr_at_fpr_0.0001_published"] == 0
    assert rows["tpr_at_fpr_0.001_published"].isna().all()


def test_published_values_are_of_dense_models_the_adaptive_adversary_and_their_data_set(run):
    rows = [
        row
        for dataset in ("cifar10", "cifar100")
        for variant, adversary in (
            ("dense", "adaptive"),
            ("static-0.9", "adaptive"),
            ("static-0.9", "original"),
        )
        for row in rows_of(cell_of(dataset, variant), "loss", adversary)
    ]
    table, latex = run(rows)
    assert len(table) == 6
    found = table.set_index(["dataset", "variant", "adversary"])["auc_published"].dropna()
    expected = {
        ("cifar10", "dense", "adaptive"): 0.6044,
        ("cifar100", "dense", "adaptive"): 0.8211,
    }
    assert found.to_dict() == pytest.approx(expected)
    (head,) = [line for line in latex.splitlines() if line.startswith("data set")]
    assert head.startswith(
        "data set & variant & shadows & attack & ours & oracle & published & ours"
    )
    assert "CIFAR-10 & static-0.9 & original & Loss & " in latex


def test_one_target_has_no_deviation(run):
    table, latex = run(rows_of(cell_of(), "loss", values={"target-64": 0.5}))
    assert table["auc"].tolist() == [0.5]
    assert table["auc_deviation"].isna().all()
    assert "50.00 &" in latex
    assert r"50.00 $\pm$" not in latex


def test_what_is_undefined_for_a_target_has_no_mean(run):
    rows = rows_of(cell_of(), "loss", **{"tpr_at_fpr_0.0001": math.nan})
    for row in rows:
        if row["metric"] == "tpr_at_fpr_0.001" and row["target"] == "target-65":
            row["value"] = math.nan
    table, latex = run(rows)
    assert table[["tpr_at_fpr_0.001", "tpr_at_fpr_0.0001"]].isna().all(axis=None)
    assert table["tpr_at_fpr_0.01"].notna().all()
    assert latex.splitlines()[-3].endswith(r"& 60.00 & – & – \\")


def test_the_table_for_papers_to_the_letter(run):
    _, latex = run(rows_of(cell_of(), "loss") + rows_of(cell_of(), "published_nll"))
    ours = r"60.00 $\pm$ 10.00"
    assert latex.splitlines() == [
        "% percentages, mean ± deviation over targets; TPR at a false-positive rate",
        "% ours: threshold of balanced accuracy fixed on shadows; oracle: the best on the target "
        "itself;",
        "% published: at the point of equal errors on the target itself",
        r"% needs \usepackage{booktabs}",
        r"\begin{tabular}{lrrrrrrrrrr}",
        r"\toprule",
        r" & \multicolumn{3}{c}{bal. acc.} & \multicolumn{2}{c}{AUC} & "
        r"\multicolumn{2}{c}{TPR 1 \%} & TPR 0.1 \% & \multicolumn{2}{c}{TPR 0.01 \%} \\",
        r"\cmidrule(lr){2-4} \cmidrule(lr){5-6} \cmidrule(lr){7-8} \cmidrule(lr){10-11}",
        r"attack & ours & oracle & published & ours & published & ours & published & ours & ours & "
        r"published \\",
        r"\midrule",
        rf"Loss & {ours} & {ours} & 76.29 $\pm$ 0.20 & {ours} & 82.11 $\pm$ 0.30 & 60.00 & – & "
        r"60.00 & 60.00 & – \\",
        rf"Curvature NLL as in code & {ours} & {ours} & – & {ours} & 93.48 & 60.00 & 41.50 & "
        r"60.00 & 60.00 & 0.00 \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


def test_without_published_values_there_are_no_columns_for_them(run):
    _, latex = run(rows_of(cell_of("digits"), "loss"))
    (head,) = [line for line in latex.splitlines() if line.startswith("attack")]
    assert head == r"attack & ours & oracle & ours & ours & ours & ours \\"
    assert latex.count("cmidrule") == 1


@pytest.mark.parametrize(
    ("published", "message"),
    [
        ({"cifar": {"loss": {"auc": 60}}}, "published cifar, loss, auc: expected a data set"),
        ({"cifar10": {"yeom": {"auc": 60}}}, "published cifar10, yeom, auc: expected a data set"),
        ({"cifar10": {"loss": {"auroc": 60}}}, "metrics of balanced_accuracy, auc, "),
        ({"cifar10": {"loss": {"auc": 604.4}}}, "auc is 604.4, expected a percentage"),
        ({"cifar10": {"loss": {"auc": [60, math.nan]}}}, "auc is .*expected a percentage"),
        ({"cifar10": {"loss": {"auc": [60, 1, 2]}}}, "auc is .*expected a percentage"),
    ],
)
def test_published_values_that_cannot_be_meant(run, published, message):
    with pytest.raises(ValueError, match=message):
        run(rows_of(cell_of(), "loss"), published)


def test_a_study_without_targets_of_its_own(run, tmp_path):
    with pytest.raises(ArtefactError, match=r"membership.csv: no rows of targets named target-S"):
        run(rows_of(cell_of(), "loss", values=OTHERS))
    assert [path.name for path in tmp_path.iterdir()] == ["membership.csv"]


# Curvatures.

NUM_EXAMPLES = 20


@pytest.fixture
def score_files(tmp_path, write_scores):
    """Two files with three models in all; paths, and their (M, N, A) traces."""
    random, paths, all_values = np.random.default_rng(0), [], []
    for block, count in (("shadow-00", 2), ("shadow-01", 1)):
        names = [f"{block}-{k}" for k in range(count)]
        roles_MN = halves(2, NUM_EXAMPLES, seed=1)[:count]
        path, arrays = write_scores(block, names, roles_MN)
        trace = random.normal(size=(count, NUM_EXAMPLES, 2)).astype(np.float32)
        arrays |= {"curvature_trace": trace, "curvature_frobenius": np.abs(trace) + 7}
        storage.write_hdf5(path, arrays, {}, training_settings={})
        paths.append(path)
        all_values.append(trace)
    return paths, np.concatenate(all_values)


@pytest.mark.parametrize("estimator", ["trace", "frobenius"])
def test_the_order_is_the_mean_of_the_identity_query_over_all_models(
    score_files, tmp_path, estimator
):
    paths, trace = score_files
    mean_curvature(paths, estimator, str(tmp_path / "order.csv"))
    table = read_csv(tmp_path / "order.csv")
    assert list(table.columns) == ["example", "score"]
    values = trace if estimator == "trace" else np.abs(trace) + 7
    for n in range(NUM_EXAMPLES):
        expected = sum(float(values[m, n, 0]) for m in range(3)) / 3
        assert table["score"][n] == pytest.approx(expected, rel=1e-6)
    np.testing.assert_array_equal(read_order(tmp_path / "order.csv", NUM_EXAMPLES), table["score"])


def test_roles_come_with_the_curvatures(score_files):
    paths, trace = score_files
    bank, curvature_MN = read_curvature(paths, "trace")
    assert curvature_MN.dtype == np.float64
    np.testing.assert_array_equal(curvature_MN, trace[:, :, 0])
    np.testing.assert_array_equal(bank.member_MN[2], halves(2, NUM_EXAMPLES, 1)[0] == roles.MEMBER)


def test_scores_without_the_curvature(score_files):
    paths, _ = score_files
    with pytest.raises(ArtefactError, match=re.escape(paths[0])):
        read_curvature(paths, "finite_difference")


def test_a_curvature_that_is_no_number_is_named_with_its_model(score_files, write_scores):
    paths, trace = score_files
    path, arrays = write_scores("bad", ["bad-0"], halves(2, NUM_EXAMPLES, seed=1)[:1])
    arrays["curvature_trace"] = trace[:1].copy()
    arrays["curvature_trace"][0, 4, 0] = np.inf
    storage.write_hdf5(path, arrays, {}, training_settings={})
    with pytest.raises(ArtefactError, match=r"bad-0.*\b4\b"):
        read_curvature([*paths, path], "trace")
