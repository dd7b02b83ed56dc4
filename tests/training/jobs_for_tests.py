import dataclasses

import numpy as np
import torch

from shadowmill.architectures import ARCHITECTURES
from shadowmill.architectures.code import network_code
from shadowmill.training.batches import Pool
from shadowmill.training.lockstep import Stack
from shadowmill.training.networks import Network
from shadowmill.training.spec import ModelSpec

RECIPE = {
    "optimizer": "sgd",
    "learning_rate": 0.05,
    "momentum": 0.9,
    "nesterov": False,
    "weight_decay": 5e-4,
    "epochs": 4,
    "batch_size": 32,
    "label_smoothing": 0.0,
    "schedule": {"name": "one_cycle", "warmup": 0.25},
    "augmentation": {"crop": 1, "padding": "zero", "flip": True, "cutout": 0},
}

GLOBAL = {"criterion": "global_magnitude", "sparsity": 0.9}
PRUNING = {
    "dense": {"method": "dense", "sparsity": 0.0},
    "static": GLOBAL | {"method": "static", "schedule": "one_shot", "feedback": False, "epoch": 1},
    "dpf": GLOBAL
    | {"method": "dpf", "schedule": "cubic", "feedback": True, "every": 3, "target_epoch": 2},
}


DP_SGD = {
    "name": "dp_sgd",
    "value": 1.0,
    "strength": "noise_multiplier",
    "delta": 1e-3,
    "max_grad_norm": 1.0,
}
ADVERSARIAL = {"name": "adversarial", "value": 1.0, "attack_steps": 2}


def one_shot(criterion, sparsity=0.5, epoch=0):
    """Pruning settings of a method that prunes once."""
    return {
        "method": "one_shot",
        "sparsity": sparsity,
        "criterion": criterion,
        "schedule": "one_shot",
        "feedback": False,
        "epoch": epoch,
    }


def settings_of(pruning, architecture="small_convnet", defense=None, **recipe):
    return {
        "architecture": architecture,
        "recipe": RECIPE | recipe,
        "pruning": pruning,
        "defense": defense or {"name": "none"},
        "pretraining": None,
        "protocol": "half",
        "seed": 0,
    }


def network_of(name="small_convnet"):
    """A network of the table as jobs get it."""
    return Network(ARCHITECTURES[name], network_code(name))


def make_specs(count, num_members=200, num_validation=50):
    random = np.random.default_rng(1)
    orders = [random.permutation(1797) for _ in range(count)]
    return [
        ModelSpec(
            f"shadow-00-{k}",
            1000 + k,
            order[:num_members],
            order[num_members : num_members + num_validation],
        )
        for k, order in enumerate(orders)
    ]


def make_stack(specs, settings, data, epoch_size=200):
    cpu = torch.device("cpu")
    pool = Pool(data, len(data.labels), cpu)
    return Stack(specs, settings, data, pool, epoch_size)


def trained(specs, settings, data, epoch_size=200):
    stack = make_stack(specs, settings, data, epoch_size)
    while not stack.is_finished:
        stack.train_step()
    return stack


def features(digits):
    """The digits as a table of binary features."""
    inputs = (digits.inputs.reshape(len(digits.labels), -1) > 127).astype(np.float32)
    size = inputs.shape[1]
    moments = {"mean": np.zeros(size), "std": np.ones(size)}
    return dataclasses.replace(digits, kind="tabular", inputs=inputs, **moments)


PLAIN = {"crop": 0, "padding": "zero", "flip": False, "cutout": 0}

# One of each kind of training: how it is pruned, defended and scheduled. Each takes two models.
TRAININGS = {
    "dense": settings_of(PRUNING["dense"]),
    "static": settings_of(PRUNING["static"]),
    "dpf": settings_of(PRUNING["dpf"]),
    "dpf, frozen": settings_of(PRUNING["dpf"] | {"freeze_epoch": 3}),
    "filters": settings_of(one_shot("filter_l2", epoch=1)),
    "adam": settings_of(PRUNING["dpf"], optimizer="adam", learning_rate=0.01),
    "rmsprop": settings_of(PRUNING["dense"], optimizer="rmsprop", learning_rate=0.003),
    "cutout, reflect": settings_of(
        PRUNING["dense"],
        augmentation={"crop": 2, "padding": "reflect", "flip": True, "cutout": 3},
    ),
    "early stopping": settings_of(PRUNING["static"], early_stopping={"patience": 1}),
    "ppb": settings_of(PRUNING["dense"], defense={"name": "ppb", "value": 4.0}),
    "relaxloss": settings_of(PRUNING["dense"], defense={"name": "relaxloss", "value": 2.2}),
    "adversarial": settings_of(PRUNING["dense"], defense=ADVERSARIAL),
    "mlp": settings_of(PRUNING["dense"], "mlp", augmentation=PLAIN),
    "mlp, layer magnitude": settings_of(
        one_shot("layer_magnitude", epoch=1), "mlp", augmentation=PLAIN
    ),
}
# One model at a time.
PRIVATE = {
    "dp_sgd": settings_of(PRUNING["dense"], defense=DP_SGD),
    "dp_sgd, dpf": settings_of(PRUNING["dpf"], defense=DP_SGD),
    "dp_sgd, static": settings_of(PRUNING["static"], defense=DP_SGD),
}
