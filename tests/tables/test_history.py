"""training_history: one row per target, quantity and epoch."""

import re
import subprocess
import sys

import pandas as pd
import pytest
import torch

from shadowmill import storage
from shadowmill.errors import ArtefactError
from shadowmill.tables import history, read_csv

HISTORIES = {
    "target-42": {
        "loss": [2.5, 1.25, 0.5],
        "sparsity": [0.0, 0.5, 0.9],
        "sparsity/layers.0.weight": [0.0, 0.25, 0.75],
    },
    # Stopped earlier, and validated.
    "target-43": {"loss": [2.0, 1.5], "validation_accuracy": [0.25, 0.5]},
}


@pytest.fixture
def model_paths(tmp_path):
    paths = []
    for name, epochs in HISTORIES.items():
        paths.append(str(tmp_path / f"{name}.safetensors"))
        metadata = {"provenance": {"model": name}, "history": epochs}
        storage.write_tensors(paths[-1], {"weight": torch.zeros(3)}, metadata)
    return paths


def test_the_table_is_the_histories_in_long_form(cell, model_paths, tmp_path):
    history.tabulate(cell, model_paths, str(tmp_path / "t.csv"))
    table = read_csv(tmp_path / "t.csv")
    assert list(table) == [
        "study",
        "dataset",
        "architecture",
        "variant",
        "method",
        "sparsity",
        "defense",
        "strength",
        "model",
        "epoch",
        "quantity",
        "parameter",
        "value",
    ]
    assert (table["variant"] == "static-0.9").all()
    keys = ["model", "quantity", "parameter"]
    found = {}
    for (model, quantity, parameter), rows in table.fillna("").groupby(keys):
        assert rows["epoch"].tolist() == list(range(1, len(rows) + 1))
        name = f"{quantity}/{parameter}" if parameter else quantity
        found.setdefault(model, {})[name] = rows["value"].tolist()
    assert found == HISTORIES


def test_the_table_to_the_byte(cell, model_paths, tmp_path):
    history.tabulate(cell, model_paths[:1], str(tmp_path / "t.csv"))
    lines = (tmp_path / "t.csv").read_text().splitlines()
    head = "main,digits,small_convnet,static-0.9,static,0.9,none,0,target-42"
    assert len(lines) == 1 + 9
    assert lines[2] == f"{head},2,loss,,1.25"
    assert lines[-1] == f"{head},3,sparsity,layers.0.weight,0.75"


def test_a_parameter_is_named_for_its_sparsity_alone(cell, model_paths, tmp_path):
    history.tabulate(cell, model_paths, str(tmp_path / "t.csv"))
    table = read_csv(tmp_path / "t.csv")
    named = table["parameter"].notna()
    assert set(table["quantity"][named]) == {"sparsity"}
    pivoted = table[~named].pivot(index=["model", "epoch"], columns="quantity", values="value")
    assert pivoted.loc[("target-42", 3), "sparsity"] == 0.9
    assert pd.isna(pivoted.loc[("target-43", 1), "sparsity"])


def test_a_missing_model_is_named(cell, model_paths, tmp_path):
    path = str(tmp_path / "target-44.safetensors")
    with pytest.raises(ArtefactError, match=rf"{re.escape(path)}: no such file"):
        history.tabulate(cell, [*model_paths, path], str(tmp_path / "t.csv"))
    assert not (tmp_path / "t.csv").exists()


def test_it_needs_no_torch(model_paths):
    code = (
        "import sys; from shadowmill import storage; from shadowmill.tables import history;"
        f"storage.read_metadata({model_paths[0]!r}); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
