import pandas as pd
import pytest

from shadowmill.names import Cell
from shadowmill.tables import health, identity, read_csv, write_csv


def rows(variant, train, test=0.8, role="shadow"):
    return pd.DataFrame(
        identity(Cell("main", "digits", "small_convnet", variant))
        | {
            "model": [f"{role}-{k}" for k in range(len(train))],
            "role": role,
            "train_accuracy": train,
            "test_accuracy": test,
        }
    )


def tabulate(tmp_path, *tables):
    write_csv(tmp_path / "training.csv", pd.concat(tables))
    health.tabulate(str(tmp_path / "training.csv"), str(tmp_path / "health.csv"))
    return read_csv(tmp_path / "health.csv")


def test_limit_by_hand():
    # Median 0.9, deviations 0.02, 0.01, 0, 0.01, 0.8: MAD 0.01, and 5 MAD as far as 0.05.
    assert health.limit([0.92, 0.91, 0.9, 0.89, 0.1]) == pytest.approx(0.85)
    # Median 0.7, deviations 0.2, 0.1, 0, 0.1, 0.2: MAD 0.1.
    assert health.limit([0.9, 0.8, 0.7, 0.6, 0.5]) == pytest.approx(0.2)
    # Siblings that agree: 0.05 below.
    assert health.limit([1.0, 1.0, 1.0, 0.96]) == pytest.approx(0.95)


def test_a_shadow_that_did_not_converge_is_listed(tmp_path):
    table = tabulate(
        tmp_path,
        rows("dense", [0.92, 0.91, 0.9, 0.89, 0.1]),
        rows("static-0.9", [0.5, 0.52, 0.48, 0.51, 0.49]),
    )
    assert table[["variant", "model", "quantity"]].to_numpy().tolist() == [
        ["dense", "shadow-4", "train_accuracy"]
    ]
    assert table.loc[0, ["value", "median", "limit"]].tolist() == pytest.approx([0.1, 0.9, 0.85])


def test_either_accuracy_counts(tmp_path):
    table = tabulate(tmp_path, rows("dense", [1.0] * 4, [0.9, 0.8, 0.9, 0.9]))
    assert table[["model", "quantity"]].to_numpy().tolist() == [["shadow-1", "test_accuracy"]]


def test_models_are_compared_with_siblings_alone(tmp_path):
    """A variant that is worse than another as a whole is healthy, and targets are not shadows."""
    table = tabulate(
        tmp_path,
        rows("dense", [0.99, 0.98, 0.99]),
        rows("static-0.9", [0.4, 0.41, 0.42]),
        rows("dense", [0.1], role="target"),
    )
    assert len(table) == 0
    assert {"variant", "model", "quantity", "value", "median", "limit"} <= set(table.columns)


def test_a_shadow_that_is_better_is_healthy(tmp_path):
    assert len(tabulate(tmp_path, rows("dense", [0.5, 0.5, 0.5, 0.9]))) == 0
