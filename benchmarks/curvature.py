"""Curvature estimates against the published loop: examples/s, and what float32 costs in digits.

Run as ``python benchmarks/curvature.py``. Some models are trained on digits as in the quickstart;
then all routes take turns in this process, on one CPU thread. The error is that of float32 against
float64 with the same signs, relative, over all models and examples. At 10 probes, the estimates
themselves scatter by a quarter around their mean.
"""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from training import make_stack, settings_of

from shadowmill import architectures
from shadowmill.data.readers.digits import digits
from shadowmill.data.store import Data
from shadowmill.scores.arrays import CURVATURES
from shadowmill.scores.curvature import curvature, random_signs
from shadowmill.training.batches import Normaliser

NUM_MODELS, NUM_EXAMPLES, ROUNDS = 4, 1024, 4
PROBES, STEP = 10, 1e-3
BATCH = 256  # as in score files
PUBLISHED_BATCH = 512  # the default of the published scripts


def digits_data() -> Data:
    """All digits as a pool."""
    whole = digits(Path())
    pixels = whole.inputs / 255.0
    return Data(
        name="digits",
        kind="image",
        inputs=whole.inputs,
        labels=whole.labels,
        pool_size=len(whole.labels),
        class_names=whole.class_names,
        mean=np.full(1, pixels.mean()),
        std=np.full(1, pixels.std()),
        digest="",
    )


def trained_networks(data: Data) -> list[nn.Module]:
    """Models of the quickstart, finished."""
    stack = make_stack(settings_of("small_convnet", "dense", 16), data, range(NUM_MODELS))
    while not stack.is_finished:
        stack.train_step()
    networks = []
    for index in range(NUM_MODELS):
        network = architectures.build("small_convnet", data.input_shape, data.num_classes, 0)
        network.load_state_dict(stack.final(index).state)
        networks.append(network.eval().requires_grad_(False))
    return networks


def published_signs(inputs: Tensor, random: torch.Generator, looped: bool) -> Tensor:
    """Zeros made −1 one example after the other, as the published code does, or all at once."""
    signs = torch.randint(2, inputs.shape, generator=random).to(inputs)
    if not looped:
        return STEP * (2 * signs - 1)
    for own in signs:
        own[own == 0] = -1
    return STEP * (signs + 1e-7)


@torch.no_grad()
def published(
    networks: list[nn.Module], inputs: Tensor, labels: Tensor, *, looped: bool = True
) -> Tensor:
    """One model at a time, 41 forward passes a batch, the loss in the precision of the logits."""
    rows = []
    for network in networks:
        random = torch.Generator().manual_seed(0)
        parts = []
        for x, y in zip(inputs.split(PUBLISHED_BATCH), labels.split(PUBLISHED_BATCH), strict=True):

            def loss(x: Tensor, y: Tensor = y, network: nn.Module = network) -> Tensor:
                return F.cross_entropy(network(x), y, reduction="none")

            loss(x)  # they save it too
            total = torch.zeros(len(x))
            for _ in range(PROBES):
                v, u = (published_signs(x, random, looped) for _ in range(2))
                change = loss(x + v + u) - loss(x - v + u) - loss(x + v - u) + loss(x - v - u)
                total = total + (change / (4 * STEP)).abs()
            parts.append(total / PROBES)
        rows.append(torch.cat(parts))
    return torch.stack(rows)


def ours(
    networks: list[nn.Module], inputs: Tensor, labels: Tensor, estimators: tuple[str, ...]
) -> Tensor:
    """As score files are made; the last of the estimators."""
    found = torch.empty(len(networks), len(inputs), dtype=torch.float64)
    for start in range(0, len(inputs), BATCH):
        rows = slice(start, start + BATCH)
        examples = range(start, start + len(inputs[rows]))
        signs = random_signs(examples, 0, PROBES, inputs.shape[1:])
        for index, network in enumerate(networks):
            values = curvature(network, inputs[rows], labels[rows], signs, estimators, STEP)
            found[index, rows] = values[estimators[-1]]
    return found


def main() -> None:
    """Print a line for each route."""
    data = digits_data()
    networks = trained_networks(data)
    normalise = Normaliser(data, torch.device("cpu"))
    inputs = normalise(torch.from_numpy(data.inputs[:NUM_EXAMPLES]))
    labels = torch.from_numpy(data.labels[:NUM_EXAMPLES])
    routes: dict[str, Callable[..., Tensor]] = {
        "published loop": published,
        "published, signs at once": partial(published, looped=False),
        **{name: partial(ours, estimators=(name,)) for name in CURVATURES},
        "trace and frobenius": partial(ours, estimators=("trace", "frobenius")),
        "all three": partial(ours, estimators=tuple(CURVATURES)),
    }
    seconds = dict.fromkeys(routes, float("inf"))
    found = {}
    for _ in range(ROUNDS):
        for name, route in routes.items():
            start = time.perf_counter()
            found[name] = route(networks, inputs, labels)
            seconds[name] = min(seconds[name], time.perf_counter() - start)
    doubled = [network.double() for network in networks]
    print(f"{NUM_MODELS} small convnets × {NUM_EXAMPLES:,} digits, {PROBES} probes, one query")
    print(f"{'route':26}{'examples/s':>12}{'ratio':>8}{'median error':>15}{'99 %':>10}")
    for name, route in routes.items():
        exact = route(doubled, inputs.double(), labels)
        error = ((found[name] - exact).abs() / exact.abs()).numpy()
        rate = found[name].numel() / seconds[name]
        ratio = seconds["published loop"] / seconds[name]
        print(
            f"{name:26}{rate:12,.0f}{ratio:7.1f}×"
            f"{np.median(error):15.1e}{np.quantile(error, 0.99):10.1e}"
        )
    zeros = (found["published loop"] == 0).double().mean()
    print(f"the published loop gives exactly 0 for {zeros:.0%} of the examples")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
