"""Many models in lock-step against the same models one after the other, on one CPU thread.

The quickstart's network and recipe on the real digits. Both ways run in this process, take turns,
and are the package's own: `stacking: stacked` against `stacking: sequential`.
"""

import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import yaml

from shadowmill import roles
from shadowmill.config import load
from shadowmill.data import DATASETS
from shadowmill.data.store import load as load_data
from shadowmill.data.store import prepare
from shadowmill.training.lockstep import ModelSpec, Stack

ROOT = Path(__file__).parents[1]
ROUNDS = 3
STEPS = 40


def main() -> None:
    """Print milliseconds per model and step, and their ratio, for the quickstart's variants."""
    torch.set_num_threads(1)
    raw = yaml.safe_load((ROOT / "workflow_config.yaml").read_text(encoding="utf-8"))
    study = load(raw, ROOT / "rules/config.schema.yaml").studies["quickstart"]
    with tempfile.TemporaryDirectory() as folder:
        prepare("digits", "", f"{folder}/digits.h5")
        data = load_data(f"{folder}/digits.h5")
    count, size = study.models_per_job, DATASETS["digits"].pool_size
    matrix = roles.half(count, size, seed=0)
    specs = [
        ModelSpec(f"model {k}", k, np.flatnonzero(row == roles.MEMBER))
        for k, row in enumerate(matrix)
    ]
    print(
        f"{'variant':<12}{'stacked':>12}{'one by one':>14}{'ratio':>8}   ({count} models a stack)"
    )
    for variant in study.variants:
        settings = study.training_settings("small_convnet", variant.name)

        def seconds(chosen: list[ModelSpec], settings: dict = settings) -> float:
            stack = Stack(chosen, settings, data, size // 2, torch.device("cpu"))
            # After the pruning of `static`, within the ramp of `dpf`.
            stack.step = stack.steps_per_epoch * settings["pruning"].get("epoch", 0)
            for _ in range(3):
                stack.train_step()
            start = time.perf_counter()
            for _ in range(STEPS):
                stack.train_step()
            return (time.perf_counter() - start) / STEPS / len(chosen)

        stacked = min(seconds(specs) for _ in range(ROUNDS))
        alone = min(seconds([spec]) for spec in specs[:ROUNDS])
        print(
            f"{variant.name:<12}{1e3 * stacked:>9.3f} ms{1e3 * alone:>11.3f} ms"
            f"{alone / stacked:>7.1f}×"
        )


if __name__ == "__main__":
    main()
