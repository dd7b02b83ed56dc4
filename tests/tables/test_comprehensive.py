import numpy as np
import pandas as pd

from shadowmill.names import Cell
from shadowmill.tables import comprehensive, identity, membership, read_csv, write_csv

METRICS = ["auc", "accuracy"]


def tidy():
    """Two variants, two models each and all of them; one adversary more for the second variant."""
    rows = []
    for v, variant in enumerate(("static-0.9", "dense")):
        for adversary in ("adaptive", "non_adaptive")[: 1 + v]:
            for a, attack in enumerate(("loss", "lira_online")):
                for t, target in enumerate(("target-7", "target-42", "shadows-pooled")):
                    rows += [
                        identity(Cell("main", "digits", "small_convnet", variant))
                        | {"target": target, "attack": attack, "adversary": adversary}
                        | {"metric": metric, "value": v + a / 10 + t / 100 + m / 1000}
                        | {"ci_low": 0.0, "ci_high": 1.0, "num_members": 9 + t}
                        | {"num_nonmembers": 5, "false_positives": np.nan}
                        for m, metric in enumerate(METRICS)
                    ]
    return pd.DataFrame(rows)


def test_one_row_per_model_and_one_column_per_attack_and_metric(tmp_path):
    write_csv(tmp_path / "tidy.csv", tidy())
    comprehensive.tabulate(str(tmp_path / "tidy.csv"), str(tmp_path / "wide.csv"))
    wide = read_csv(tmp_path / "wide.csv")
    # In the order in which they come, not sorted.
    assert list(wide.columns) == [
        "study",
        "dataset",
        "architecture",
        "variant",
        "method",
        "sparsity",
        "defense",
        "strength",
        "model",
        "loss_auc",
        "loss_accuracy",
        "lira_online_auc",
        "lira_online_accuracy",
        "non_adaptive_loss_auc",
        "non_adaptive_loss_accuracy",
        "non_adaptive_lira_online_auc",
        "non_adaptive_lira_online_accuracy",
    ]
    assert wide[["variant", "model"]].to_numpy().tolist() == [
        ["static-0.9", "target-7"],
        ["static-0.9", "target-42"],
        ["dense", "target-7"],
        ["dense", "target-42"],
    ]
    assert wide["loss_auc"].tolist() == [0, 0.01, 1, 1.01]
    assert wide["lira_online_accuracy"].tolist() == [0.101, 0.111, 1.101, 1.111]
    assert wide["non_adaptive_loss_auc"].isna().tolist() == [True, True, False, False]


def test_what_membership_writes_can_be_read(cell, attack, tmp_path, monkeypatch):
    monkeypatch.setattr(membership, "REPLICATES", 2)
    membership.tabulate(cell, "loss", attack[0], str(tmp_path / "tidy.csv"))
    comprehensive.tabulate(str(tmp_path / "tidy.csv"), str(tmp_path / "wide.csv"))
    table, wide = read_csv(tmp_path / "tidy.csv"), read_csv(tmp_path / "wide.csv")
    assert wide["model"].tolist() == ["target-42", "target-7"]
    values = table.set_index(["target", "metric"])["value"]
    for model, row in wide.set_index("model").iterrows():
        assert row["loss_recall"] == values[model, "recall"]
