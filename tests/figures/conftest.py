import sys
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from halves import halves
from matplotlib import pyplot as plt

from shadowmill import roles, storage
from shadowmill.figures import style
from shadowmill.names import Cell
from shadowmill.tables import identity, write_csv

# With import-mode importlib, modules beside the tests are found through this.
sys.path.append(str(Path(__file__).parent))

PRUNED = ["dense", "static-0.5", "static-0.9", "dpf-0.9"]
DEFENDED = [
    "dense",
    "slim-0.7",
    "my_method-0.7",
    "dense+early_stopping-5",
    "dense+ppb-2",
    "dense+ppb-4",
    "slim-0.7+ppb-4",
    "dense+adversarial-1",
    "dense+label_smoothing-0.1",
]
NUM_SHADOWS, NUM_EXAMPLES = 6, 60
NOT_ADAPTIVE = "slim-0.7+ppb-4"  # of the defended variants, attacked with undefended shadows


def cells_of(variants):
    keys = product(["digits", "cifar10"], ["small_convnet"], variants)
    return [Cell("main", *key) for key in keys]


@pytest.fixture(params=[PRUNED, DEFENDED], ids=["pruned", "defended"])
def cells(request):
    """Configurations of a study without and of one with defences."""
    return cells_of(request.param)


@pytest.fixture
def drawn(monkeypatch):
    """Figures as they are handed over for saving."""
    figures = []
    monkeypatch.setattr(style, "save", lambda figure, paths: figures.append(figure))
    yield figures
    plt.close("all")


@pytest.fixture
def pruned_cells():
    return cells_of(PRUNED)


@pytest.fixture
def defended_cells():
    return cells_of(DEFENDED)


@pytest.fixture
def write_training(tmp_path):
    def write(cells):
        random = np.random.default_rng(0)
        rows = [
            identity(cell) | {"model": f"m-{k}", "test_accuracy": random.uniform(0.6, 0.9)}
            for cell in cells
            for k in range(8)
        ]
        write_csv(tmp_path / "training.csv", pd.DataFrame(rows))
        return str(tmp_path / "training.csv")

    return write


@pytest.fixture
def write_membership(tmp_path):
    def write(cells):
        path = str(tmp_path / "membership.csv")
        write_csv(path, pd.DataFrame(membership_rows(cells)))
        return path

    return write


def adversary_of(cell):
    return "non_adaptive" if cell.variant == NOT_ADAPTIVE else "adaptive"


def membership_rows(cells):
    """With an undefined value, as a small pool has it."""
    random = np.random.default_rng(1)
    rows = []
    for cell, metric in product(cells, ("auc", "tpr_at_fpr_0.01")):
        value = random.uniform(0.5, 0.7) if metric == "auc" else random.uniform(0.01, 0.1)
        if cell.path == ("cifar10", "small_convnet", "dense") and metric != "auc":
            value = np.nan
        who = "targets" if cell.variant == NOT_ADAPTIVE else "shadows"
        for target in (f"{who}-pooled", f"{who}-mean", "target-1"):
            numbers = {"value": value, "ci_low": value * 0.9, "ci_high": value * 1.1}
            numbers["detectable"] = (0.5 if metric == "auc" else 0.01) + 0.14 * value
            names = {"target": target, "attack": "lira_online", "metric": metric}
            names["adversary"] = adversary_of(cell)
            rows.append(identity(cell) | names | numbers)
    return rows


@pytest.fixture
def write_attacks(tmp_path):
    """Attack file of every configuration."""

    def write(cells):
        random = np.random.default_rng(2)
        roles_MN = halves(NUM_SHADOWS, NUM_EXAMPLES, seed=0)
        roles_MN[2, ::9] = roles.VALIDATION
        roles_MN[3, 1::9] = roles.UNUSED
        member_MN = roles_MN == roles.MEMBER
        paths = {}
        for number, cell in enumerate(cells):
            score = random.normal(size=roles_MN.shape) + member_MN * (1 + number / 8)
            arrays = {
                "targets": ["target-1", "target-2"],
                "shadows": [f"shadow-00-{k}" for k in range(NUM_SHADOWS)],
                "score": score[2:4] + 1,
                "target_roles": roles_MN[2:4],
                "shadow_score": score,
                "shadow_roles": roles_MN,
            }
            paths[cell] = str(tmp_path / f"attack-{number}.h5")
            adversary = adversary_of(cell)
            judge = "shadows" if adversary == "adaptive" else "targets"
            storage.write_hdf5(paths[cell], arrays, {}, adversary=adversary, judged_by=judge)
        return paths

    return write


@pytest.fixture(params=["grey", "colour", "tabular"])
def example_files(tmp_path, request):
    """Arguments of the figure of single examples."""
    random = np.random.default_rng(3)
    shape = {"grey": (8, 8, 1), "colour": (8, 8, 3), "tabular": (11,)}[request.param]
    is_table = request.param == "tabular"
    inputs = random.integers(0, 2 if is_table else 256, (NUM_EXAMPLES + 5, *shape))
    name = "location" if is_table else "digits"
    storage.write_hdf5(
        tmp_path / f"{name}.h5",
        {
            "features" if is_table else "images": inputs.astype("f4" if is_table else "u1"),
            "labels": np.arange(NUM_EXAMPLES + 5) % 2,
            "mean": np.full(shape[-1], 0.5),
            "std": np.full(shape[-1], 0.3),
        },
        {},
        name=name,
        kind="tabular" if is_table else "image",
        pool_size=NUM_EXAMPLES,
        class_names=["even", "odd"],
        digest="x",
    )
    roles_MN = halves(NUM_SHADOWS, NUM_EXAMPLES, seed=0)
    roles_MN[2, ::9] = roles.VALIDATION
    phi = random.normal(size=(*roles_MN.shape, 1)).astype(np.float32)
    nothing = np.full(NUM_SHADOWS, np.nan)
    arrays = {
        "phi": phi,
        "correct": phi[..., 0] > 0,
        "roles": roles_MN,
        "test_accuracy": nothing,
        "test_loss": nothing,
        "models": [f"shadow-00-{k}" for k in range(NUM_SHADOWS)],
        "sparsity": np.zeros(NUM_SHADOWS),
        "epochs": np.ones(NUM_SHADOWS, dtype=int),
        "training_seconds": np.ones(NUM_SHADOWS),
    }
    storage.write_hdf5(tmp_path / "shadow-00.h5", arrays, {}, training_settings={})
    separation = random.normal(size=NUM_EXAMPLES)
    ranks = np.argsort(np.argsort(-separation)) + 1
    table = pd.DataFrame(
        {"example": np.arange(NUM_EXAMPLES), "separation": separation, "rank": ranks}
    )
    write_csv(tmp_path / "examples.csv", table)
    return {
        "cell": Cell("main", "location", "mlp", "l1_unstructured-0.7+ppb-4")
        if is_table
        else Cell("main", "digits", "small_convnet", "static-0.9"),
        "data_path": str(tmp_path / f"{name}.h5"),
        "score_paths": [str(tmp_path / "shadow-00.h5")],
        "examples_path": str(tmp_path / "examples.csv"),
    }
