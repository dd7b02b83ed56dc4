"""Ways to train CIFAR-sized models on a GPU, against the plain loop of the published systems.

Routes: the plain loop (one model, float32, a DataLoader with workers, as the published code has
it); this package's trainer one model at a time, compiled or not, and stacked. Random images: no
number here depends on what they show. Without a GPU there is nothing to measure, and it says so;
`--device cpu` runs the same code in small, to test it.
"""

import argparse
import os
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from training import make_specs, random_data, settings_of

from shadowmill import architectures, devices
from shadowmill.data.store import Data
from shadowmill.errors import ShadowmillError
from shadowmill.training.batches import Normaliser, Pool
from shadowmill.training.lockstep import Stack

BATCH = 128
EPOCH_IMAGES = 25_000  # half of CIFAR-10: what a model-epoch is


def plain_loop(name: str, data: Data, device: torch.device, workers: int) -> Callable[[], None]:
    """A step of the obvious loop: float32, batches from a DataLoader, one model."""
    images = Normaliser(data, torch.device("cpu"))(torch.from_numpy(data.inputs))
    dataset = torch.utils.data.TensorDataset(images, torch.from_numpy(data.labels))
    loader = torch.utils.data.DataLoader(
        dataset, BATCH, shuffle=True, drop_last=True, num_workers=workers, pin_memory=True
    )
    model = architectures.build(name, data.input_shape, data.num_classes, 0).to(device).train()
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9, weight_decay=5e-4)

    def batches():  # noqa: ANN202
        while True:
            yield from loader

    source = batches()

    def step() -> None:
        inputs, labels = next(source)
        optimizer.zero_grad()
        F.cross_entropy(model(inputs.to(device)), labels.to(device)).backward()
        optimizer.step()

    return step


def trainer(
    name: str, data: Data, device: torch.device, models: int, mode: str
) -> Callable[[], None]:
    """A step of this package's trainer."""
    settings = settings_of(name, "dense", BATCH)
    settings["recipe"]["epochs"] = 1_000
    pool = Pool(data, data.pool_size, settings["recipe"]["augmentation"], device)
    return Stack(
        make_specs(data, range(models)), settings, data, pool, data.pool_size // 2, mode
    ).train_step


def measure(step: Callable[[], None], models: int, steps: int, device: torch.device) -> str:
    """Images/s, model-epochs per hour, and peak memory."""

    def synchronise() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize()

    for _ in range(max(3, steps // 5)):
        step()
    synchronise()
    start = time.perf_counter()
    for _ in range(steps):
        step()
    synchronise()
    images = models * BATCH * steps / (time.perf_counter() - start)
    peak = torch.cuda.max_memory_allocated() / 2**30 if device.type == "cuda" else float("nan")
    return f"{images:>12,.0f}{3600 * images / EPOCH_IMAGES:>16,.0f}{peak:>10.1f} GiB"


def main() -> None:
    """Print one line for each network and route."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--steps", type=int, default=100)
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        print("not measured: this machine has no GPU")
        return
    device = devices.claim(arguments.device, os.cpu_count())
    print(f"{devices.describe(device)}, batch {BATCH}, 3×32×32")
    print(f"{'network':<10}{'route':<34}{'images/s':>12}{'model-epochs/h':>16}{'peak':>14}")
    data = random_data((3, 32, 32), 10, size=4_000)
    workers = min(8, os.cpu_count())
    for name in ("resnet18", "resnet20"):
        routes = {"plain loop": (1, lambda name=name: plain_loop(name, data, device, workers))}
        for models, mode in (
            *((1, "none"), (1, "default"), (1, "reduce-overhead")),
            *((4, "none"), (16, "none"), (16, "default")),
        ):
            title = "one model" if models == 1 else f"{models} stacked"
            title += "" if mode == "none" else f", compile {mode}"
            routes[title] = (
                models,
                lambda name=name, models=models, mode=mode: trainer(
                    name, data, device, models, mode
                ),
            )
        for title, (models, make) in routes.items():
            if device.type == "cuda":
                torch.cuda.reset_peak_memory_stats()
            try:
                line = measure(make(), models, arguments.steps, device)
            except (torch.OutOfMemoryError, RuntimeError, ShadowmillError) as error:
                line = f"  failed: {str(error).splitlines()[0][:80]}"
            print(f"{name:<10}{title:<34}{line}", flush=True)


if __name__ == "__main__":
    main()
