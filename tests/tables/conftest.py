import numpy as np
import pytest
from halves import halves

from shadowmill import roles, storage
from shadowmill.names import Cell
from shadowmill.roles.splits import target_half

NUM_EXAMPLES, NUM_SHADOWS = 200, 6
SETTINGS = {"recipe": {"epochs": 5}, "pruning": {"method": "static", "sparsity": 0.9}}


@pytest.fixture
def cell():
    return Cell("main", "digits", "small_convnet", "static-0.9")


@pytest.fixture
def shadow_roles():
    """(M, N), with some examples that a model neither trains on nor is tested on."""
    roles_MN = halves(NUM_SHADOWS, NUM_EXAMPLES, seed=1)
    roles_MN[0, ::7] = roles.UNUSED
    roles_MN[3, 1::9] = roles.VALIDATION
    return roles_MN


@pytest.fixture
def target_roles():
    """(T, N), with some examples that a target neither trains on nor is tested on."""
    roles_TN = np.stack([target_half(seed, NUM_EXAMPLES, 1) for seed in (42, 7)])
    roles_TN[0, 2::11] = roles.UNUSED
    roles_TN[1, 3::13] = roles.VALIDATION
    return roles_TN


@pytest.fixture
def write_attack(tmp_path, shadow_roles, target_roles):
    """Write an attack file as `run_attack` does, with ties among the scores; path and arrays."""
    random = np.random.default_rng(0)

    def scores(roles_MN):
        noise = random.normal(size=roles_MN.shape)
        return np.round(noise + 0.8 * (roles_MN == roles.MEMBER), 1)

    arrays = {
        "targets": ["target-42", "target-7"],
        "shadows": [f"shadow-00-{k}" for k in range(NUM_SHADOWS)],
        "score": scores(target_roles),
        "target_roles": target_roles,
        "shadow_score": scores(shadow_roles),
        "shadow_roles": shadow_roles,
    }

    def write(adaptive):
        path = str(tmp_path / f"attack-{adaptive}.h5")
        adversary = "adaptive" if adaptive else "non_adaptive"
        judged_by = "shadows" if adaptive else "targets"
        storage.write_hdf5(path, arrays, {}, adversary=adversary, judged_by=judged_by)
        return path, arrays

    return write


@pytest.fixture
def attack(write_attack):
    return write_attack(adaptive=True)


@pytest.fixture
def write_scores(tmp_path):
    """Write a score file as `score_block` does."""

    def write(block, models, roles_MN, num_queries=2, official_test=True):
        random = np.random.default_rng(len(block) + len(models))
        count = len(models)
        arrays = {
            "phi": random.normal(0, 3, (*roles_MN.shape, num_queries)).astype(np.float32),
            "correct": random.random(roles_MN.shape) < 0.7,
            "roles": roles_MN,
            "test_accuracy": random.random(count) if official_test else np.full(count, np.nan),
            "test_loss": random.random(count) if official_test else np.full(count, np.nan),
            "models": models,
            "sparsity": random.random(count),
            "epochs": random.integers(1, 100, count),
            "training_seconds": random.random(count) * 100,
        }
        path = tmp_path / f"{block}.h5"
        storage.write_hdf5(path, arrays, {}, training_settings=SETTINGS)
        return str(path), arrays

    return write
