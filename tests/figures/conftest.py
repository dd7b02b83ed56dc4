from itertools import product

import numpy as np
import pandas as pd
import pytest

from shadowmill import roles, storage
from shadowmill.config import Cell
from shadowmill.tables import identity, write_csv

VARIANTS = ["dense", "static-0.5", "static-0.9", "dpf-0.9"]
NUM_SHADOWS, NUM_EXAMPLES = 6, 60
CELLS = [Cell("main", *key) for key in product(["digits", "cifar10"], ["small_convnet"], VARIANTS)]


@pytest.fixture
def training_path(tmp_path):
    random = np.random.default_rng(0)
    rows = [
        identity(cell) | {"model": f"m-{k}", "test_accuracy": random.uniform(0.6, 0.9)}
        for cell in CELLS
        for k in range(8)
    ]
    write_csv(tmp_path / "training.csv", pd.DataFrame(rows))
    return str(tmp_path / "training.csv")


@pytest.fixture
def membership_path(tmp_path):
    """With an undefined value, as a small pool has it."""
    random = np.random.default_rng(1)
    rows = []
    for cell, metric in product(CELLS, ("auc", "tpr_at_fpr_0.01")):
        value = random.uniform(0.5, 0.7) if metric == "auc" else random.uniform(0.01, 0.1)
        if cell.path == ("cifar10", "small_convnet", "dense") and metric != "auc":
            value = np.nan
        for target in ("shadows-pooled", "shadows-mean", "target-1"):
            numbers = {"value": value, "ci_low": value * 0.9, "ci_high": value * 1.1}
            names = {"target": target, "attack": "lira_online", "metric": metric}
            rows.append(identity(cell) | names | numbers)
    write_csv(tmp_path / "membership.csv", pd.DataFrame(rows))
    return str(tmp_path / "membership.csv")


@pytest.fixture
def attack_paths(tmp_path):
    """Attack file of every configuration."""
    random = np.random.default_rng(2)
    roles_MN = roles.half(NUM_SHADOWS, NUM_EXAMPLES, seed=0)
    paths = {}
    for number, cell in enumerate(CELLS):
        score = random.normal(size=roles_MN.shape) + (roles_MN == roles.MEMBER) * (1 + number / 8)
        arrays = {
            "targets": ["target-1"],
            "shadows": [f"shadow-00-{k}" for k in range(NUM_SHADOWS)],
            "score": score[:1],
            "target_roles": roles_MN[:1],
            "leave_one_out": score,
            "shadow_roles": roles_MN,
        }
        paths[cell] = str(tmp_path / f"attack-{number}.h5")
        storage.write_hdf5(paths[cell], arrays, {})
    return paths


@pytest.fixture(params=[1, 3], ids=["grey", "colour"])
def example_files(tmp_path, request):
    """Arguments of the figure of single examples."""
    random = np.random.default_rng(3)
    images = random.integers(0, 256, (NUM_EXAMPLES + 5, 8, 8, request.param), dtype=np.uint8)
    moments = {"mean": np.full(request.param, 0.5), "std": np.full(request.param, 0.3)}
    storage.write_hdf5(
        tmp_path / "data.h5",
        {"images": images, "labels": np.arange(NUM_EXAMPLES + 5) % 2, **moments},
        {},
        name="digits",
        pool_size=NUM_EXAMPLES,
        class_names=["even", "odd"],
        digest="x",
    )
    roles_MN = roles.half(NUM_SHADOWS, NUM_EXAMPLES, seed=0)
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
        "training_seconds": np.ones(NUM_SHADOWS),
    }
    storage.write_hdf5(tmp_path / "scores.h5", arrays, {}, training_settings={})
    separation = random.normal(size=NUM_EXAMPLES)
    ranks = np.argsort(np.argsort(-separation)) + 1
    table = pd.DataFrame(
        {"example": np.arange(NUM_EXAMPLES), "separation": separation, "rank": ranks}
    )
    write_csv(tmp_path / "examples.csv", table)
    return {
        "cell": CELLS[2],
        "data_path": str(tmp_path / "data.h5"),
        "score_paths": [str(tmp_path / "scores.h5")],
        "examples_path": str(tmp_path / "examples.csv"),
    }
