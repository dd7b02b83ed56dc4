"""What the tests of scoring train: a few digits, as images and as a table, in a moment."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from shadowmill import roles, storage
from shadowmill.architectures import ARCHITECTURES
from shadowmill.architectures.code import network_code
from shadowmill.data.readers.digits import digits
from shadowmill.provenance import array_digest
from shadowmill.scores.score import score_block
from shadowmill.training.block import train_block
from shadowmill.training.networks import Network

POOL, TEST = 240, 60
EXECUTION = {"device": "cpu", "stacking": "stacked", "compile": "none", "checkpoint_minutes": 5}
RECIPE = {
    "optimizer": "sgd",
    "learning_rate": 0.05,
    "momentum": 0.9,
    "nesterov": False,
    "weight_decay": 0.0,
    "label_smoothing": 0.0,
    "epochs": 1,
    "batch_size": 16,
    "schedule": {"name": "one_cycle", "warmup": 0.2},
    "augmentation": {"crop": 0, "padding": "zero", "flip": False, "cutout": 0},
}
DENSE = {"method": "dense", "sparsity": 0.0}
STATIC = {
    "method": "static",
    "sparsity": 0.9,
    "criterion": "global_magnitude",
    "schedule": "one_shot",
    "feedback": False,
    "epoch": 0,
}


def settings_of(pruning=DENSE, architecture="small_convnet", defense=None, **recipe):
    """Settings of models, as `Study.training_settings` makes them."""
    return {
        "architecture": architecture,
        "recipe": RECIPE | recipe,
        "pruning": pruning,
        "defense": defense or {"name": "none"},
        "pretraining": None,
        "protocol": "half",
        "seed": 0,
    }


def write_digits(path, kind="image"):
    """The first digits, the last of them as the official test set."""
    whole = digits(Path())
    images, labels = (part[: POOL + TEST] for part in (whole.inputs, whole.labels))
    inputs = images
    if kind == "tabular":
        inputs = (images.reshape(len(images), -1) > 127).astype(np.float32)
    size = 1 if kind == "image" else inputs.shape[1]
    mean, std = (0.3, 0.4) if kind == "image" else (0.0, 1.0)
    storage.write_hdf5(
        path,
        {
            "images" if kind == "image" else "features": inputs,
            "labels": labels,
            "mean": np.full(size, mean),
            "std": np.full(size, std),
        },
        {},
        name="digits",
        kind=kind,
        pool_size=POOL,
        class_names=whole.class_names,
        digest=array_digest(inputs) + array_digest(labels),
    )


def network_of(settings):
    """The network of some settings as jobs get it."""
    name = settings["architecture"]
    return Network(ARCHITECTURES[name], network_code(name))


@dataclass(frozen=True)
class Models:
    """Models on the disk, with what they were made from."""

    data_path: Path
    roles_path: Path
    paths: dict[str, str]
    training: dict[str, Any]

    def score(self, output, queries=None, paths=None, data_path=None, **further):
        """Score them all; further settings of scoring may be given."""
        score_block(
            data_path=str(data_path or self.data_path),
            roles_path=str(self.roles_path),
            models=paths or self.paths,
            output=str(output),
            settings={
                "queries": queries or {"mirror": False, "shift": 0},
                "arrays": ["logits", "sensitivity"],
            }
            | further,
            training=self.training,
            network=network_of(self.training),
            execution=EXECUTION,
            threads=1,
        )
        with storage.open_hdf5(output) as file:
            return {key: file[key][:] for key in file}


def train(folder, settings, kind="image", keys=None, num_examples=POOL, validation=0.0):
    """Train two models, a complementary pair if no keys are given."""
    folder.mkdir(parents=True, exist_ok=True)
    keys = keys or {f"shadow-00-{k}": ["shadow", k] for k in range(2)}
    data_path, roles_path = folder / "digits.h5", folder / "roles.h5"
    write_digits(data_path, kind)
    roles.draw(
        roles_path,
        keys,
        num_examples,
        seed=0,
        protocol=settings["protocol"],
        validation=validation,
    )
    models = {name: str(folder / "models" / f"{name}.safetensors") for name in keys}
    train_block(
        data_path=str(data_path),
        roles_path=str(roles_path),
        initial={},
        outputs=models,
        keys=keys,
        settings=settings,
        state_folder=str(folder / "state"),
        title="a test",
        network=network_of(settings),
        execution=EXECUTION,
        threads=1,
    )
    return Models(data_path, roles_path, models, settings)
