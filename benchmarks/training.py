"""Many models in lock-step against the same models one after the other, on one CPU thread.

Both ways run in this process, take turns, and are the package's own: `stacking: stacked` against
`stacking: sequential`. Then what masks and checkpoints cost. Random inputs: no number here depends
on what the examples show.
"""

import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from shadowmill.config import load
from shadowmill.data.store import Data
from shadowmill.training.batches import Pool
from shadowmill.training.checkpoint import Checkpoint
from shadowmill.training.lockstep import Stack
from shadowmill.training.spec import ModelSpec

ROOT = Path(__file__).parents[1]
ROUNDS = 3

# Architecture: shape of the inputs, classes, variants, models in a stack, batch, steps to measure.
NETWORKS: dict[str, tuple[tuple[int, ...], int, tuple[str, ...], int, int, int]] = {
    "small_convnet": ((1, 8, 8), 10, ("dense", "static-0.9", "dpf-0.9"), 32, 16, 40),
    "resnet20": ((3, 32, 32), 10, ("dense",), 4, 32, 3),
    "mlp": ((600,), 100, ("dense",), 16, 128, 20),
}


def settings_of(architecture: str, variant: str, batch_size: int) -> dict[str, Any]:
    """The quickstart's settings with another network."""
    raw = yaml.safe_load((ROOT / "workflow_config.yaml").read_text(encoding="utf-8"))
    study = load(raw).studies["quickstart"]
    settings = study.training_settings(architecture, variant)
    return settings | {"recipe": settings["recipe"] | {"batch_size": batch_size}}


def random_data(shape: tuple[int, ...], num_classes: int, size: int = 2_000) -> Data:
    """Noise in the form of a data set."""
    random = np.random.default_rng(0)
    is_image = len(shape) == 3
    moments = shape[0]
    inputs = (
        random.integers(0, 256, (size, *shape[1:], shape[0]), dtype=np.uint8)
        if is_image
        else random.integers(0, 2, (size, *shape)).astype(np.float32)
    )
    return Data(
        name="noise",
        kind="image" if is_image else "tabular",
        inputs=inputs,
        labels=random.integers(0, num_classes, size),
        pool_size=size,
        class_names=tuple(str(k) for k in range(num_classes)),
        mean=np.full(moments, 0.5),
        std=np.full(moments, 0.25),
        digest="",
    )


def make_specs(data: Data, chosen: range) -> list[ModelSpec]:
    """Some models, each with its own half of the data."""
    return [
        ModelSpec(
            f"model {k}",
            k,
            np.random.default_rng(k).permutation(data.pool_size)[: data.pool_size // 2],
            np.empty(0, np.int64),
        )
        for k in chosen
    ]


def make_stack(settings: Mapping[str, Any], data: Data, chosen: range) -> Stack:
    """Some models on the CPU."""
    pool = Pool(data, data.pool_size, torch.device("cpu"))
    return Stack(make_specs(data, chosen), settings, data, pool, data.pool_size // 2)


def seconds_per_step(stack: Stack, steps: int) -> float:
    """Time of a step, after a few to warm up."""
    for _ in range(3):
        stack.train_step()
    return timed(stack.train_step, steps)


def timed(action: Callable[[], Any], times: int) -> float:
    """Mean time of an action."""
    start = time.perf_counter()
    for _ in range(times):
        action()
    return (time.perf_counter() - start) / times


def pruned_stack(settings: Mapping[str, Any], data: Data, chosen: range) -> Stack:
    """Models that are about to be pruned, or within the ramp."""
    stack = make_stack(settings, data, chosen)
    stack.step = stack.steps_per_epoch * settings["pruning"].get("epoch", 0)
    return stack


def compare_stacking() -> None:
    """Milliseconds per model and step, stacked and one by one."""
    print(
        f"{'network':<16}{'variant':<12}{'models':>7}{'stacked':>12}{'one by one':>14}{'ratio':>8}"
    )
    for name, (shape, num_classes, variants, count, batch, steps) in NETWORKS.items():
        data = random_data(shape, num_classes)
        for variant in variants:
            settings = settings_of(name, variant, batch)

            def cost(chosen: range, settings: dict = settings, data: Data = data) -> float:
                stack = pruned_stack(settings, data, chosen)
                return seconds_per_step(stack, steps) / len(chosen)  # noqa: B023

            stacked = min(cost(range(count)) for _ in range(ROUNDS))
            alone = min(cost(range(k, k + 1)) for k in range(ROUNDS))
            print(
                f"{name:<16}{variant:<12}{count:>7}{1e3 * stacked:>9.3f} ms{1e3 * alone:>11.3f} ms"
                f"{alone / stacked:>7.1f}×"
            )


def cost_of_masks() -> None:
    """A recomputed mask against a step, and its share of training with one mask in 16 steps."""
    print(f"\n{'masks of':<16}{'models':>7}{'mask':>12}{'step':>14}{'share':>8}")
    for name, (shape, num_classes, _, count, batch, steps) in NETWORKS.items():
        if len(shape) == 1:
            continue
        data = random_data(shape, num_classes)
        stack = pruned_stack(settings_of(name, "dpf-0.9", batch), data, range(count))
        step = seconds_per_step(stack, steps)
        mask = timed(stack._update_masks, 5)
        share = mask / 16 / (step + mask / 16)
        print(f"{name:<16}{count:>7}{1e3 * mask:>9.1f} ms{1e3 * step:>11.1f} ms{share:>8.1%}")


def cost_of_checkpoints() -> None:
    """A checkpoint, and its share of training with one in five minutes."""
    print(f"\n{'checkpoint of':<16}{'models':>7}{'time':>12}{'size':>14}{'share':>8}")
    for name, count, shape in (
        ("small_convnet", 32, (1, 8, 8)),
        ("resnet20", 4, (3, 32, 32)),
        ("resnet18", 1, (3, 32, 32)),
    ):
        data = random_data(shape, 10)
        stack = make_stack(settings_of(name, "dpf-0.9", 4), data, range(count))
        stack.train_step()
        with tempfile.TemporaryDirectory() as folder:
            saved = Checkpoint(Path(folder) / "checkpoint", "")
            seconds = timed(lambda saved=saved, stack=stack: saved.save(stack), 3)
            size = saved.path.stat().st_size / 1e6
        share = seconds / 300
        print(f"{name:<16}{count:>7}{1e3 * seconds:>9.0f} ms{size:>11.1f} MB{share:>8.2%}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    compare_stacking()
    cost_of_masks()
    cost_of_checkpoints()
