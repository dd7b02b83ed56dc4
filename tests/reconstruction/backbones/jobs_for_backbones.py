import dataclasses

import torch

from shadowmill.reconstruction.backbones.examples import Examples
from shadowmill.reconstruction.backbones.trainer import Pretrainer

NONE = {"rotation": 0, "scale": 0, "shear": 0, "flip": False}
PHASE = {
    "layers": "all",
    "epochs": 2,
    "learning_rate": 1e-3,
    "weight_decay": 0.0,
    "batch_size": 64,
    "freeze_batch_norm": False,
}
SETTINGS = {
    "dataset": "digits",
    "classes": [5, 6, 7, 8, 9],
    "labels": "classes",
    "architecture": "tiny_cnn",
    "image_size": None,
    "weights": None,
    "phases": [PHASE],
    "augmentation": {"rotation": 10, "scale": 0.1, "shear": 2, "flip": False},
    "seed": 0,
}
# Three epochs of two steps.
TWO_PHASES = [
    PHASE | {"layers": "last", "epochs": 1, "batch_size": 448},
    PHASE | {"epochs": 2, "batch_size": 448},
]
CPU = torch.device("cpu")


def trainer_of(data, data_path="unused", **settings):
    settings = SETTINGS | settings
    return Pretrainer(Examples.of(data, data_path, settings, CPU), settings)


def few(data, count, **changes):
    """The first examples alone."""
    return dataclasses.replace(
        data, inputs=data.inputs[:count], labels=data.labels[:count], **changes
    )


def taken(trainer, num_steps):
    for _ in range(num_steps):
        trainer.train_step()
    return trainer


def assert_equal_states(one, other):
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name
