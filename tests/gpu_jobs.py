"""What the tests on a GPU train and score."""

from pathlib import Path

import numpy as np
import torch
from jobs_for_tests import PRUNING, features, make_specs, settings_of

from shadowmill import architectures, devices
from shadowmill.architectures.structure import structure
from shadowmill.data.readers.digits import digits
from shadowmill.data.store import Data
from shadowmill.scores.score import _Scorer
from shadowmill.training.batches import Pool
from shadowmill.training.lockstep import Stack
from shadowmill.training.modelfile import ModelFile

ASKED = {
    "queries": {"mirror": True, "shift": 1},
    "arrays": ["logits", "sensitivity", "curvature_finite_difference", "curvature_trace"],
    "curvature": {"probes": 2, "step": 1e-3},
}


def scores_on(device, architecture, digits):
    settings = settings_of(PRUNING["dense"], architecture)
    model = architectures.build(architecture, digits.input_shape, 10, 0)
    file = ModelFile(
        model.state_dict(),
        {},
        {"settings": settings, "structure": structure(model, digits.input_shape)},
        {},
    )
    scorer = _Scorer({"a model": file}, settings, digits, 200, devices.claim(device, 2))
    return scorer.pool(ASKED) | scorer.curvature(ASKED)


def check_scores(found, expected):
    for name in ("phi", "logits", "entropy", "modified_entropy"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-4, atol=1e-4)
    for name in ("curvature_finite_difference", "curvature_trace"):
        spread = np.abs(expected[name]).mean()
        np.testing.assert_allclose(found[name], expected[name], rtol=0.05, atol=0.05 * spread)


def read_digits():
    """As a data set without an official test set."""
    whole = digits(Path())
    pixels = whole.inputs / 255
    return Data(
        name="digits",
        kind="image",
        inputs=whole.inputs,
        labels=whole.labels,
        pool_size=len(whole.labels),
        class_names=whole.class_names,
        mean=np.array([pixels.mean()]),
        std=np.array([pixels.std()]),
        digest="",
    )


def stack_on(device, settings, digits, models=1):
    data = features(digits) if settings["architecture"] == "mlp" else digits
    pool = Pool(data, len(data.labels), torch.device(device))
    return Stack(make_specs(models), settings, data, pool, 200)


def run(stack, stop=1_000):
    while not stack.is_finished and stack.step < stop:
        stack.train_step()
    return stack
