"""Finished models beside the shadows that imitate them."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from shadowmill.names import Cell
from shadowmill.tables import identity, imported, write_csv


def rows(models, role, accuracy, loss=0.1, epochs=15.0, members=50, variant="dense"):
    return pd.DataFrame(
        identity(Cell("main", "digits", "small_convnet", variant))
        | {
            "model": models,
            "role": role,
            "train_accuracy": np.asarray(accuracy) + 0.05,
            "test_accuracy": accuracy,
            "train_loss": loss,
            "test_loss": loss,
            "num_members": members,
            "epochs": epochs,
        }
    )


SHADOWS = rows([f"shadow-{k}" for k in range(5)], "shadow", [0.90, 0.92, 0.88, 0.91, 0.89])


def found(*tables):
    return imported.likeness(pd.concat(tables)).set_index(["model", "quantity"])


def test_by_hand():
    # Mean 0.9, deviation 0.0158; t of 4 degrees of freedom at 0.995 is 4.604: 0.0797 either side.
    inside, outside = (
        found(SHADOWS, rows(["target-a"], "target", [value], epochs=np.nan, members=80)).loc[
            ("target-a", "test_accuracy")
        ]
        for value in (0.979, 0.980)
    )
    assert not inside["unlike"]
    assert outside["unlike"]
    assert outside["shadow_mean"] == pytest.approx(0.9)
    assert outside["shadow_std"] == pytest.approx(0.0158114, rel=1e-5)
    assert outside[["num_members", "shadow_members"]].tolist() == [80, 50]


def test_shadows_that_all_agree_and_a_model_that_does_not():
    table = found(SHADOWS, rows(["target-a"], "target", [0.9], loss=0.2, epochs=np.nan))
    assert table["unlike"].to_dict() == {
        ("target-a", "train_accuracy"): False,
        ("target-a", "test_accuracy"): False,
        ("target-a", "train_loss"): True,
        ("target-a", "test_loss"): True,
        ("target-a", "accuracy_gap"): False,
    }


def test_only_what_was_trained_elsewhere_is_compared():
    table = found(
        SHADOWS,
        rows(["target-1"], "target", [0.2]),
        rows(["target-a"], "target", [0.9], epochs=np.nan, variant="static-0.9"),
        SHADOWS.assign(variant="static-0.9"),
    )
    assert set(table.index.get_level_values(0)) == {"target-a"}
    assert set(table["variant"]) == {"static-0.9"}


def test_one_more_shadow_is_called_unlike_once_in_a_hundred():
    random = np.random.default_rng(0)
    unlike = np.mean(
        [imported.is_unlike(values[0], values[1:]) for values in random.normal(size=(4000, 17))]
    )
    assert abs(unlike - 0.01) < norm.ppf(0.9995) * np.sqrt(0.01 * 0.99 / 4000)


def test_what_a_reader_is_told(tmp_path):
    target = rows(["target-a"], "target", [0.9], loss=0.2, epochs=np.nan, members=80)
    write_csv(tmp_path / "imported.csv", imported.likeness(pd.concat([SHADOWS, target])))
    (line,) = imported.remarks(str(tmp_path / "imported.csv"))
    assert line == (
        "a (dense) has 80 members, its shadows 50; it is unlike them in train_loss (0.2 against "
        "0.1 ± 0), test_loss (0.2 against 0.1 ± 0): another recipe, more data, or other "
        "held-out examples"
    )
    like = rows(["target-a"], "target", [0.9], epochs=np.nan)
    write_csv(tmp_path / "imported.csv", imported.likeness(pd.concat([SHADOWS, like])))
    assert imported.remarks(str(tmp_path / "imported.csv")) == [
        "a (dense) has 50 members, its shadows 50"
    ]
