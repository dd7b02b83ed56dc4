"""What `gpu_check.py` measures, each part in a process of its own: prints JSON on its last line.

Random images of CIFAR's size: no speed here depends on what they show. Legend: E models, B images.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from shadowmill import architectures, devices
from shadowmill.architectures.structure import structure
from shadowmill.data.store import Data
from shadowmill.scores.arrays import CURVATURES
from shadowmill.scores.queries import num_queries
from shadowmill.scores.score import _Scorer
from shadowmill.training.batches import Pool
from shadowmill.training.lockstep import Stack
from shadowmill.training.modelfile import ModelFile
from shadowmill.training.spec import ModelSpec
from shadowmill.training.streams import SideBySide

BATCH, POOL, EPOCH_IMAGES = 128, 50_000, 25_000  # half of CIFAR-10 is an epoch of a model
SHAPE, NUM_CLASSES = (3, 32, 32), 10
WARM_UP = 30
FULL_SPARSITY_EPOCH = 100
# The published recipe, long enough that no measurement reaches its end.
RECIPE = {
    "optimizer": "sgd",
    "learning_rate": 0.1,
    "momentum": 0.9,
    "nesterov": False,
    "weight_decay": 5e-4,
    "epochs": 200,
    "batch_size": BATCH,
    "label_smoothing": 0.0,
    "schedule": {"name": "multistep", "milestones": [100, 150], "gamma": 0.1},
    "augmentation": {"crop": 4, "padding": "zero", "flip": True, "cutout": 0},
}
GLOBAL = {"criterion": "global_magnitude", "sparsity": 0.9}
PRUNING = {
    "dense": {"method": "dense", "sparsity": 0.0},
    "static": GLOBAL
    | {
        "method": "static",
        "schedule": "one_shot",
        "feedback": False,
        "epoch": FULL_SPARSITY_EPOCH,
    },
    "dpf": GLOBAL
    | {
        "method": "dpf",
        "schedule": "cubic",
        "feedback": True,
        "every": 16,
        "target_epoch": FULL_SPARSITY_EPOCH,
    },
}
DP_SGD = {
    "name": "dp_sgd",
    "value": 1.0,
    "strength": "noise_multiplier",
    "delta": 1e-5,
    "max_grad_norm": 1.0,
}


def settings_of(network: str, variant: str = "dense", defense: dict | None = None) -> dict:
    """Training settings as the configuration gives them."""
    return {
        "architecture": network,
        "recipe": RECIPE,
        "pruning": PRUNING[variant],
        "defense": defense or {"name": "none"},
        "pretraining": None,
        "protocol": "half",
        "seed": 0,
    }


def images(size: int = POOL) -> Data:
    """Noise in the form of CIFAR-10."""
    random = np.random.default_rng(0)
    return Data(
        name="noise",
        kind="image",
        inputs=random.integers(0, 256, (size, *SHAPE[1:], SHAPE[0]), dtype=np.uint8),
        labels=random.integers(0, NUM_CLASSES, size),
        pool_size=size,
        class_names=tuple(str(k) for k in range(NUM_CLASSES)),
        mean=np.full(3, 0.5),
        std=np.full(3, 0.25),
        digest="",
    )


def members(number: int, size: int) -> np.ndarray:
    """Half of the pool, of one model."""
    return np.random.default_rng(number).permutation(size)[: size // 2]


def make_stack(
    settings: dict, data: Data, numbers: Sequence[int], device: torch.device, mode: str = "none"
) -> Stack:
    """Models before their first step."""
    pool = Pool(data, data.pool_size, device)
    specs = [
        ModelSpec(f"model {k}", k, members(k, data.pool_size), np.empty(0, np.int64))
        for k in numbers
    ]
    return Stack(specs, settings, data, pool, data.pool_size // 2, mode)


def seconds_of(action: Callable[[], Any], times: int) -> float:
    """Mean time of an action, the device's work included."""
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(times):
        action()
    torch.cuda.synchronize()
    return (time.perf_counter() - start) / times


def flops_per_image(network: str) -> float:
    """Floating-point operations of a forward and a backward pass: three forward passes."""
    module = architectures.build(network, SHAPE, NUM_CLASSES, 0).to("meta").eval()
    with FlopCounterMode(display=False) as counter:
        module(torch.empty(1, *SHAPE, device="meta"))
    return 3.0 * counter.get_total_flops()


def bytes_per_image(network: str) -> float:
    """The fewest bytes that a step moves for each image, in bfloat16.

    Each convolution and each normalisation (with the activation behind it) reads its input and
    writes its output once, and in the backward pass twice as much.
    """
    total = 0

    def count(layer: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal total
        total += inputs[0].numel() + output.numel()

    module = architectures.build(network, SHAPE, NUM_CLASSES, 0).to("meta").eval()
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.BatchNorm2d | nn.Linear):
            layer.register_forward_hook(count)
    module(torch.empty(1, *SHAPE, device="meta"))
    return 3.0 * 2 * total


def profiled(step: Callable[[], Any], steps: int = 5) -> dict[str, float]:
    """What a step costs the host and the device: launches, busy time, and time to enqueue it."""
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(3):  # few enough that the queue takes them without waiting
        step()
    host = (time.perf_counter() - start) / 3
    torch.cuda.synchronize()
    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        for _ in range(steps):
            step()
        torch.cuda.synchronize()
    kernels = [e for e in profile.events() if e.device_type == torch.autograd.DeviceType.CUDA]
    busy = sum(event.device_time_total for event in kernels) / 1e6
    return {
        "host_ms": 1e3 * host,
        "device_ms": 1e3 * busy / steps,
        "kernels": len(kernels) / steps,
    }


# The parts.


def ceilings(networks: Sequence[str]) -> dict[str, Any]:
    """What the card does at best, and what a training step asks of it for each image."""
    found: dict[str, Any] = {
        network: {"gflop": flops_per_image(network) / 1e9, "mbyte": bytes_per_image(network) / 1e6}
        for network in networks
    }
    for name, dtype in (("bf16", torch.bfloat16), ("float32", torch.float32)):
        a = torch.randn(8192, 8192, device="cuda", dtype=dtype)
        seconds_of(lambda a=a: a @ a, 3)
        found[f"{name}_tflops"] = 2 * 8192**3 / seconds_of(lambda a=a: a @ a, 10) / 1e12
    source = torch.randn(2**29, device="cuda")
    copy = torch.empty_like(source)
    seconds_of(lambda: copy.copy_(source), 3)
    found["copy_tb_per_s"] = 2 * source.nbytes / seconds_of(lambda: copy.copy_(source), 10) / 1e12
    found["memory_gib"] = torch.cuda.get_device_properties(0).total_memory / 2**30
    return found


class PlainImages(torch.utils.data.Dataset):
    """Images as torchvision's CIFAR-10 gives them, with the published augmentation."""

    def __init__(self, data: Data, chosen: np.ndarray) -> None:
        """Take some of the images."""
        from torchvision import transforms

        self._inputs, self._labels = data.inputs[chosen], data.labels[chosen]
        self._transform = transforms.Compose(
            [
                transforms.RandomCrop(32, padding=4),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize(data.mean.tolist(), data.std.tolist()),
            ]
        )

    def __len__(self) -> int:
        """Number of images."""
        return len(self._labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        """One image, augmented, and its label."""
        from PIL import Image

        return self._transform(Image.fromarray(self._inputs[index])), int(self._labels[index])


def plain(network: str, workers: int, epochs: int) -> dict[str, float]:
    """The plain loop done well: float32 as torch ships it, persistent workers, whole epochs."""
    data = images()
    loader = torch.utils.data.DataLoader(
        PlainImages(data, members(0, POOL)),
        BATCH,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        pin_memory=True,
        persistent_workers=True,
    )
    model = architectures.build(network, SHAPE, NUM_CLASSES, 0).cuda().train()
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9, weight_decay=5e-4)

    def step(inputs: torch.Tensor, labels: torch.Tensor) -> None:
        optimizer.zero_grad()
        F.cross_entropy(model(inputs), labels).backward()
        optimizer.step()

    def epoch() -> None:
        for inputs, labels in loader:
            step(inputs.cuda(non_blocking=True), labels.cuda(non_blocking=True))

    epoch()
    seconds = seconds_of(epoch, epochs)
    batch = (torch.randn(BATCH, *SHAPE, device="cuda"), torch.zeros(BATCH, device="cuda").long())
    alone = seconds_of(lambda: step(*batch), 50)
    return {
        "images_per_s": len(loader) * BATCH / seconds,
        "images_per_s_without_loader": BATCH / alone,
        "peak_gib": torch.cuda.max_memory_allocated() / 2**30,
        "workers": workers,
        **profiled(lambda: step(*batch)),
    }


def train(
    network: str, variants: Sequence[str], models: Sequence[int], mode: str, steps: int
) -> dict[str, dict[str, float]]:
    """This package's trainer: one model, or several side by side."""
    device = devices.claim("cuda", 4)
    data, found = images(), {}
    for variant in variants:
        for count in models:
            torch.cuda.reset_peak_memory_stats()
            settings = settings_of(network, variant)
            start = time.perf_counter()
            stacks = [make_stack(settings, data, [k], device, mode) for k in range(count)]
            for stack in stacks:  # in the epoch from which masks have their full sparsity
                stack.step = FULL_SPARSITY_EPOCH * stack.steps_per_epoch
            trainer = stacks[0] if count == 1 else SideBySide(stacks)
            torch.cuda.synchronize()
            built = time.perf_counter()
            trainer.train_step()
            torch.cuda.synchronize()
            first = time.perf_counter()
            for _ in range(WARM_UP):
                trainer.train_step()
            images_per_s = count * BATCH / seconds_of(trainer.train_step, steps)
            found[f"{variant}, {count}"] = {
                "images_per_s": images_per_s,
                "model_epochs_per_hour": 3600 * images_per_s / EPOCH_IMAGES,
                "achieved_tflops": images_per_s * flops_per_image(network) / 1e12,
                "peak_gib": torch.cuda.max_memory_allocated() / 2**30,
                "build_s": built - start,
                "first_step_s": first - built,
                **profiled(trainer.train_step),
            }
            del stacks, trainer
    return found


def dp_sgd(networks: Sequence[str], steps: int) -> dict[str, dict[str, float]]:
    """Private training of one model."""
    device = devices.claim("cuda", 4)
    data, found = images(), {}
    for network in networks:
        torch.cuda.reset_peak_memory_stats()
        stack = make_stack(settings_of(network, defense=DP_SGD), data, [0], device)
        for _ in range(3):
            stack.train_step()
        found[network] = {
            "images_per_s": BATCH / seconds_of(stack.train_step, steps),
            "peak_gib": torch.cuda.max_memory_allocated() / 2**30,
            **profiled(stack.train_step),
        }
    return found


def scorer_of(network: str, size: int) -> _Scorer:
    """A model about to be scored on some images."""
    module = architectures.build(network, SHAPE, NUM_CLASSES, 0)
    facts = {"settings": settings_of(network), "structure": structure(module, SHAPE)}
    file = ModelFile(module.state_dict(), {}, facts, {})
    torch.cuda.reset_peak_memory_stats()
    device = devices.claim("cuda", 4)
    return _Scorer({network: file}, facts["settings"], images(size), size, device)


def scoring(networks: Sequence[str], size: int) -> dict[str, dict[str, float]]:
    """Score files of one model: 18 views of each image."""
    queries = {"mirror": True, "shift": 1}
    asked = {"queries": queries, "arrays": []}
    found = {}
    for network in networks:
        scorer = scorer_of(network, size)
        scorer.pool(asked)
        seconds = seconds_of(lambda scorer=scorer: scorer.pool(asked), 1)
        found[network] = {
            "views_per_s": size * num_queries(queries) / seconds,
            "peak_gib": torch.cuda.max_memory_allocated() / 2**30,
        }
    return found


def curvature(networks: Sequence[str], size: int) -> dict[str, dict[str, float]]:
    """Curvature of one model, 10 probes an image."""
    found = {}
    for network in networks:
        scorer = scorer_of(network, size)
        found[network] = {}
        for estimator in ("finite_difference", "trace"):
            asked = {
                "queries": {"mirror": False, "shift": 0},
                "arrays": [CURVATURES[estimator]],
                "curvature": {"probes": 10, "step": 1e-3},
            }
            scorer.curvature(asked)
            seconds = seconds_of(lambda scorer=scorer, a=asked: scorer.curvature(a), 1)
            found[network][f"{estimator}_examples_per_s"] = size / seconds
        found[network]["peak_gib"] = torch.cuda.max_memory_allocated() / 2**30
    return found


def heads() -> dict[str, float]:
    """Heads on 1280 features, ten examples of ten classes, 48 steps."""
    from shadowmill.reconstruction import heads as package

    settings = {
        "outputs": 10,
        "hidden": 0,
        "epochs": 48,
        "learning_rate": 0.01,
        "weight_decay": 1e-4,
        "init_std": 2e-4,
        "optimizer": "sgd",
        "positive_weight": 1.0,
        "restart": None,
        "privacy": None,
    }
    features = torch.randn(1024, 10, 1280, device="cuda").relu()
    labels = torch.arange(10, device="cuda")
    keys = [("head", 0, "train", 0, number) for number in range(1024)]
    package.train(features, labels, keys, settings)
    seconds = seconds_of(lambda: package.train(features, labels, keys, settings), 3)
    return {"heads_per_s": 1024 / seconds}


def reconstructor(steps: int) -> dict[str, float]:
    """Steps of a generator of 12,810 weights and width 256, as published, in batches of 32."""
    from shadowmill.reconstruction.reconstructor.generator import build_generator

    found = {}
    devices.claim("cuda", 4)
    network = build_generator(12_810, 10, 32, 3, 256, seed=0).cuda().train()
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-4, fused=True)
    weights, groups = torch.randn(32, 12_810, device="cuda"), torch.arange(32, device="cuda") % 10
    targets = torch.rand(32, 3, 32, 32, device="cuda") * 2 - 1

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast("cuda", torch.bfloat16):
            drawn = network(weights, groups)
        F.mse_loss(drawn.float(), targets).backward()
        optimizer.step()

    for _ in range(5):
        step()
    found["steps_per_s"] = 1 / seconds_of(step, steps)
    return found | {"peak_gib": torch.cuda.max_memory_allocated() / 2**30} | profiled(step)


def masks() -> dict[str, float]:
    """A global mask of ResNet-18's convolutions, by each way of finding the threshold."""
    from shadowmill.pruning.masks import compute_masks, prunable

    network = architectures.build("resnet18", SHAPE, NUM_CLASSES, 0)
    names = prunable(network, "global_magnitude")
    weights = {n: p.detach().cuda()[None] for n, p in network.named_parameters() if n in names}
    together = torch.cat([weight.abs().flatten(1) for weight in weights.values()], dim=1)
    count = int(0.9 * together.shape[1])
    ways = {
        "compute_masks_ms": lambda: compute_masks(weights, names, "global_magnitude", 0.9),
        "kthvalue_ms": lambda: together.kthvalue(count, dim=1),
        "sort_ms": lambda: together.sort(dim=1),
        "topk_ms": lambda: together.topk(together.shape[1] - count, dim=1, sorted=False),
    }
    found = {"weights": together.shape[1]}
    for name, way in ways.items():
        way()
        found[name] = 1e3 * seconds_of(way, 10)
    return found


PARTS: dict[str, Callable[..., dict[str, Any]]] = {
    "ceilings": ceilings,
    "plain": plain,
    "train": train,
    "dp_sgd": dp_sgd,
    "scoring": scoring,
    "curvature": curvature,
    "heads": heads,
    "reconstructor": reconstructor,
    "masks": masks,
}


def main() -> None:
    """Run one part with its arguments as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("arguments", type=json.loads)
    options = parser.parse_args()
    found = PARTS[options.part](**options.arguments)
    sys.stdout.write(f"\n{json.dumps(found)}\n")


if __name__ == "__main__":
    main()
