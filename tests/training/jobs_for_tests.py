import numpy as np

from shadowmill.training.lockstep import ModelSpec

RECIPE = {
    "optimizer": "sgd",
    "learning_rate": 0.05,
    "momentum": 0.9,
    "nesterov": False,
    "weight_decay": 5e-4,
    "epochs": 4,
    "batch_size": 32,
    "schedule": {"name": "one_cycle", "warmup": 0.25},
    "augmentation": {"crop": 1, "flip": True},
}

PRUNING = {
    "dense": {"method": "dense", "sparsity": 0.0},
    "static": {"method": "static", "sparsity": 0.9, "epoch": 1},
    "dpf": {"method": "dpf", "sparsity": 0.9, "every": 3, "target_epoch": 2},
}


def settings_of(pruning, architecture="small_convnet", **recipe):
    return {
        "architecture": architecture,
        "recipe": RECIPE | recipe,
        "pruning": pruning,
        "protocol": "half",
        "seed": 0,
    }


def make_specs(count, num_members=200):
    random = np.random.default_rng(1)
    return [
        ModelSpec(f"shadow-00-{k}", 1000 + k, random.permutation(1797)[:num_members])
        for k in range(count)
    ]
