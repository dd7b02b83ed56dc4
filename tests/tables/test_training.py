"""training_results: one row per model, from its scores."""

import numpy as np
import pytest

from shadowmill import storage
from shadowmill.roles import MEMBER, NON_MEMBER, UNUSED, VALIDATION
from shadowmill.tables import read_csv, training


@pytest.fixture
def files(write_scores, target_roles, shadow_roles):
    def written(official_test=True):
        return [
            write_scores("target-42", ["target-42"], target_roles[:1], 2, official_test),
            write_scores("s", ["s-0", "s-1", "s-2"], shadow_roles[:3], 2, official_test),
        ]

    return written


def tabulate(cell, files, tmp_path):
    training.tabulate(cell, [path for path, _ in files], str(tmp_path / "table.csv"))
    return read_csv(tmp_path / "table.csv").set_index("model")


def slow_loss(phi):
    """−log p, from φ = log(p / (1 − p))."""
    p = 1 / (1 + np.exp(-phi.astype(np.float64)))
    return -np.log(p)


def rows_of(files):
    for _, arrays in files:
        for row, name in enumerate(arrays["models"]):
            yield name, {key: value[row] for key, value in arrays.items()}


def test_columns(cell, files, tmp_path):
    tabulate(cell, files(), tmp_path)
    assert (tmp_path / "table.csv").read_text().splitlines()[0] == (
        "study,dataset,architecture,variant,method,sparsity,defense,strength,model,role,"
        "train_accuracy,test_accuracy,train_loss,test_loss,test_set,num_members,achieved_sparsity,epochs,"
        "training_seconds"
    )


def test_accuracies_and_losses_with_an_official_test_set(cell, files, tmp_path):
    written = files()
    table = tabulate(cell, written, tmp_path)
    assert table.index.tolist() == ["target-42", "s-0", "s-1", "s-2"]
    assert table["role"].tolist() == ["target", "shadow", "shadow", "shadow"]
    assert set(table["test_set"]) == {"official"}
    for name, arrays in rows_of(written):
        row, member = table.loc[name], arrays["roles"] == MEMBER
        assert row["train_accuracy"] == pytest.approx(arrays["correct"][member].mean(), rel=1e-8)
        loss = slow_loss(arrays["phi"][:, 0])[member].mean()
        assert row["train_loss"] == pytest.approx(loss, rel=1e-6)
        assert row["test_accuracy"] == pytest.approx(arrays["test_accuracy"], rel=1e-8)
        assert row["test_loss"] == pytest.approx(arrays["test_loss"], rel=1e-8)
        assert row["num_members"] == member.sum()
        assert row["achieved_sparsity"] == pytest.approx(arrays["sparsity"], rel=1e-8)
        assert row["epochs"] == arrays["epochs"]
        assert row["training_seconds"] == pytest.approx(arrays["training_seconds"], rel=1e-8)
    assert set(table["sparsity"]) == {0.9}


def test_non_members_stand_in_for_a_test_set(cell, files, tmp_path):
    written = files(official_test=False)
    table = tabulate(cell, written, tmp_path)
    assert set(table["test_set"]) == {"non-members"}
    for name, arrays in rows_of(written):
        held_out = arrays["roles"] == NON_MEMBER
        accuracy = arrays["correct"][held_out].mean()
        assert table.loc[name, "test_accuracy"] == pytest.approx(accuracy, rel=1e-8)
        loss = slow_loss(arrays["phi"][:, 0])[held_out].mean()
        assert table.loc[name, "test_loss"] == pytest.approx(loss, rel=1e-6)


def test_examples_set_aside_are_neither_trained_on_nor_held_out(cell, files, tmp_path):
    written = files(official_test=False)
    before = tabulate(cell, written, tmp_path)
    for path, arrays in written:
        aside = (arrays["roles"] == UNUSED) | (arrays["roles"] == VALIDATION)
        assert aside.any()
        arrays["phi"][aside] = -1000
        arrays["correct"][aside] ^= True
        storage.write_hdf5(path, arrays, {}, training_settings={"recipe": {}})
    assert tabulate(cell, written, tmp_path).equals(before)


def test_losses_of_very_confident_models_are_exact(cell, write_scores, target_roles, tmp_path):
    path, arrays = write_scores("target-42", ["target-42"], target_roles[:1])
    member = target_roles[0] == MEMBER
    # p rounds to 1 at φ = 50; the loss is e^−50 still. And at φ = −2000 it is 2000, not infinite.
    arrays["phi"][0, :, 0] = np.where(member, 50, -2000)
    arrays |= {"test_accuracy": [np.nan], "test_loss": [np.nan]}
    storage.write_hdf5(path, arrays, {}, training_settings={"recipe": {"epochs": 1}})
    table = tabulate(cell, [(path, arrays)], tmp_path)
    assert table.loc["target-42", "train_loss"] == pytest.approx(np.exp(-50), rel=1e-8)
    assert table.loc["target-42", "test_loss"] == pytest.approx(2000, rel=1e-8)
