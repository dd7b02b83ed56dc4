import numpy as np
import pytest

from shadowmill import storage

NUM_EXAMPLES = 30
SETTINGS = {
    "architecture": "small_convnet",
    "recipe": {"epochs": 5, "learning_rate": 0.1},
    "pruning": {"method": "dense", "sparsity": 0.0},
    "defense": {"name": "none"},
    "pretraining": None,
    "protocol": "half",
    "seed": 0,
}


@pytest.fixture
def write_scores(tmp_path):
    """Write a score file as `score_block` does, with random content."""

    def write(block, settings=SETTINGS, **changes):
        models = [block] if block.startswith("target") else [f"{block}-{slot}" for slot in range(2)]
        random = np.random.default_rng(sum(block.encode()))
        count = len(models)
        arrays = {
            "phi": random.normal(size=(count, NUM_EXAMPLES, 2)).astype(np.float32),
            "correct": random.random((count, NUM_EXAMPLES)) < 0.8,
            "test_accuracy": random.random(count),
            "test_loss": random.random(count),
            "models": models,
            "roles": random.integers(0, 4, (count, NUM_EXAMPLES), dtype=np.int8),
            "sparsity": random.random(count),
            "epochs": random.integers(1, 100, count),
            "training_seconds": random.random(count),
        } | changes
        path = tmp_path / f"{block}.h5"
        storage.write_hdf5(path, arrays, {}, training_settings=settings)
        return str(path), arrays

    return write
