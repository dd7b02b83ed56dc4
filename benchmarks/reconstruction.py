"""Training many heads in the span of their examples, against plain loops; and reconstructors.

Heads as published for CIFAR-10: 1280 features, ten examples of ten classes, 48 steps. All ways run
in this process, take turns, and have one CPU thread: jobs of the workflow, one for each shard, fill
the cores. Random features: no number here depends on what they show.

Legend: H heads, B of them in a batch, N examples of a set, J outputs, d features, O outputs of a
layer.
"""

import contextlib
import io
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shadowmill import storage
from shadowmill.provenance import array_digest
from shadowmill.reconstruction import heads
from shadowmill.reconstruction.features import read_features
from shadowmill.reconstruction.heads.draws import initial_first
from shadowmill.reconstruction.heads.network import kept_per_step
from shadowmill.reconstruction.heads.shards import Shards, read_shards, train_shard
from shadowmill.reconstruction.reconstructor.generator import Generator, build_generator

NUM_FEATURES, NUM_CLASSES = 1280, 10
LABELS = torch.arange(NUM_CLASSES)
SETS = {
    "task": "multiclass",
    "classes": list(range(NUM_CLASSES)),
    "positive": [],
    "random_labels": None,
    "class_size": 1,
    "test_fraction": None,
    "seed": 0,
}
HEADS = {
    "outputs": NUM_CLASSES,
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
PUBLISHED_HEADS = 2_560_000
NUM_SHARDS, HEADS_PER_SHARD = 10, 5_120  # a fiftieth of what is published
BATCH, WIDTH, IMAGE_SIZE = 32, 32, 32
ROUNDS = 3


def main() -> None:
    """Print what heads cost in time and on disk, then what steps of a reconstructor cost."""
    torch.set_num_threads(1)
    compare_ways()
    with tempfile.TemporaryDirectory() as folder:
        shards, features_nd = measure_shards(Path(folder))
    compare_first_layers(shards, features_nd)


# Heads.


def compare_ways() -> None:
    """Heads a second: a loop of heads, dense batches, and the span of the examples."""
    random = torch.Generator().manual_seed(0)
    features_HND = torch.randn(1024, NUM_CLASSES, NUM_FEATURES, generator=random).relu()

    def dense(way: Callable[[Tensor, Tensor], Tensor]) -> Callable[[int], Tensor]:
        shape = (NUM_CLASSES, NUM_FEATURES)
        return lambda count: way(
            features_HND[:count], torch.randn(count, *shape).mul_(HEADS["init_std"])
        )

    plain = {
        "nn.Linear and SGD, one by one": (one_by_one, 20),
        "batches, autograd and SGD": (batches_with_autograd, 128),
        "batches, gradient by hand": (batches_by_hand, 128),
    }
    ways = {name: (dense(way), count) for name, (way, count) in plain.items()}
    ways["in the span (this package)"] = (lambda count: in_span(features_HND[:count]), 1024)
    seconds = dict.fromkeys(ways, float("inf"))
    for _ in range(ROUNDS):
        for name, (way, count) in ways.items():
            start = time.perf_counter()
            way(count)
            seconds[name] = min(seconds[name], (time.perf_counter() - start) / count)

    keys = keys_of(8)
    first_HJD = initial_first(features_HND[:8], keys, [0] * 8, HEADS).mul_(HEADS["init_std"])
    expected_HD = heads.weights(in_span(features_HND[:8]), features_HND[:8], keys, HEADS)
    *_, own = seconds.values()
    print(f"{'heads, 48 steps':<34}{'heads/s':>9}{'ratio':>8}{'largest difference':>20}")
    for name, each in seconds.items():
        line = f"{name:<34}{1 / each:>9,.0f}{each / own:>7.1f}×"
        if name in plain:
            found_HD = plain[name][0](features_HND[:8], first_HJD.clone())
            line += f"{(found_HD - expected_HD).abs().max():>20.1e}"
        print(line, flush=True)


def keys_of(count: int) -> list[tuple[str | int, ...]]:
    """Keys of some heads."""
    return [("head", 0, "train", 0, number) for number in range(count)]


def in_span(features_HND: Tensor) -> heads.Heads:
    """This package's way; it draws initial weights from the keys."""
    return heads.train(features_HND, LABELS, keys_of(len(features_HND)), HEADS)


def one_by_one(features_HND: Tensor, first_HJD: Tensor) -> Tensor:
    """The obvious loop over heads; their weights (H, D)."""
    rows = []
    for features_ND, first_JD in zip(features_HND, first_HJD, strict=True):
        head = nn.Linear(NUM_FEATURES, NUM_CLASSES)
        with torch.no_grad():
            head.weight.copy_(first_JD)
            head.bias.zero_()
        optimizer = sgd(list(head.parameters()))
        for _ in range(HEADS["epochs"]):
            optimizer.zero_grad()
            F.cross_entropy(head(features_ND), LABELS).backward()
            optimizer.step()
        rows.append(nn.utils.parameters_to_vector(head.parameters()).detach())
    return torch.stack(rows)


def batches_with_autograd(features_HND: Tensor, first_HJD: Tensor) -> Tensor:
    """The same loop on stacked weights, which it overwrites."""
    weight_HJD = first_HJD.requires_grad_()
    bias_H1J = torch.zeros(len(first_HJD), 1, NUM_CLASSES, requires_grad=True)
    optimizer = sgd([weight_HJD, bias_H1J])
    labels = LABELS.repeat(len(first_HJD))
    for _ in range(HEADS["epochs"]):
        optimizer.zero_grad()
        logits_HNJ = torch.baddbmm(bias_H1J, features_HND, weight_HJD.mT)
        loss = F.cross_entropy(logits_HNJ.flatten(0, 1), labels, reduction="sum")
        (loss / len(LABELS)).backward()
        optimizer.step()
    return torch.cat([weight_HJD.flatten(1), bias_H1J.flatten(1)], dim=1).detach()


def batches_by_hand(features_HND: Tensor, first_HJD: Tensor) -> Tensor:
    """The same steps with the gradient in closed form, in place: dense steps at their fastest."""
    bias_H1J = torch.zeros(len(first_HJD), 1, NUM_CLASSES)
    target_NJ = F.one_hot(LABELS).float()
    kept, rate = kept_per_step(HEADS), HEADS["learning_rate"] / len(LABELS)
    for _ in range(HEADS["epochs"]):
        logits_HNJ = torch.baddbmm(bias_H1J, features_HND, first_HJD.mT)
        slopes_HNJ = logits_HNJ.softmax(2) - target_NJ
        first_HJD.baddbmm_(slopes_HNJ.mT, features_HND, beta=kept, alpha=-rate)
        bias_H1J.mul_(kept).sub_(slopes_HNJ.sum(1, keepdim=True), alpha=rate)
    return torch.cat([first_HJD.flatten(1), bias_H1J.flatten(1)], dim=1)


def sgd(parameters: list[Tensor]) -> torch.optim.SGD:
    """As published."""
    rate, decay = HEADS["learning_rate"], HEADS["weight_decay"]
    return torch.optim.SGD(parameters, lr=rate, weight_decay=decay)


def measure_shards(folder: Path) -> tuple[Shards, Tensor]:
    """A fiftieth of the published heads as the workflow trains them; one shard and the features."""
    features_path, data_path = write_inputs(folder)
    paths = [str(folder / f"train-{seed}.h5") for seed in range(NUM_SHARDS)]
    start, start_cpu = time.perf_counter(), time.process_time()
    with contextlib.redirect_stderr(io.StringIO()):  # a progress bar for each shard
        for seed, path in enumerate(paths):
            train_shard(
                features_path=features_path,
                data_path=data_path,
                split="train",
                permutation_seed=seed,
                num_heads=HEADS_PER_SHARD,
                sets=SETS,
                heads=HEADS,
                materialise=False,
                output=path,
                execution={"device": "cpu"},
                threads=1,
            )
    wall, cpu = time.perf_counter() - start, time.process_time() - start_cpu
    count = NUM_SHARDS * HEADS_PER_SHARD
    size = sum(Path(path).stat().st_size for path in paths) / count
    plain = 4 * heads.flattened_size(NUM_FEATURES, HEADS)
    print(f"\n{count:,} heads in {NUM_SHARDS} shards: {wall:.1f} s, {cpu:.1f} s of CPU time")
    minutes = cpu / count * PUBLISHED_HEADS / 2 / 60
    print(f"{PUBLISHED_HEADS:,} heads at that CPU time, on two cores: {minutes:.1f} min")
    for name, each in (("kept of a head", size), ("its weights", plain)):
        print(
            f"{name:<34}{each:>9,.0f} bytes{each * PUBLISHED_HEADS / 1e9:>9.2f} GB for all", end=""
        )
        print(f"{each / size:>7.0f}×")
    shards = read_shards(paths[:1])
    features_nd = torch.from_numpy(read_features(features_path).values_nd)
    rows = np.arange(1024)
    start = time.perf_counter()
    weights_of(shards, features_nd, rows)
    print(f"weights formed: {len(rows) / (time.perf_counter() - start):,.0f} heads/s")
    return shards, features_nd


def write_inputs(folder: Path) -> tuple[str, str]:
    """Random features, and what heads need to know of the data; paths of both."""
    pool_size = HEADS_PER_SHARD * NUM_CLASSES
    count = pool_size + NUM_CLASSES  # with a test set, of which nothing is asked
    labels_n = np.arange(count) % NUM_CLASSES
    values_nd = np.random.default_rng(0).standard_normal((count, NUM_FEATURES), dtype=np.float32)
    np.maximum(values_nd, 0, out=values_nd)
    features_path, data_path = str(folder / "features.h5"), str(folder / "data.h5")
    digest = array_digest(labels_n)
    facts = {"name": "data", "pool_size": pool_size, "digest": digest}
    storage.write_hdf5(data_path, {"labels": labels_n}, {}, **facts)
    storage.write_hdf5(
        features_path,
        {"features": values_nd},
        {},
        data_digest=digest,
        digest=array_digest(values_nd),
        backbone_identity="",
        backbone_settings={},
    )
    return features_path, data_path


def weights_of(shards: Shards, features_nd: Tensor, rows: np.ndarray) -> Tensor:
    """(B, D), as the reconstructor gets them."""
    chosen = shards.heads.select(torch.from_numpy(rows))
    features_BND = features_nd[torch.from_numpy(shards.indices_HN[rows].astype(np.int64))]
    return heads.weights(chosen, features_BND, shards.keys(rows), HEADS)


# Reconstructors.


def compare_first_layers(shards: Shards, features_nd: Tensor) -> None:
    """Steps a second of a reconstructor that is given weights, or what they are made of.

    Both without standardising the weights, which may be left to the first layer, and with no
    thread that prepares the next batch.
    """
    size = heads.flattened_size(NUM_FEATURES, HEADS)
    random = torch.Generator().manual_seed(0)
    targets = torch.rand(BATCH, 3, IMAGE_SIZE, IMAGE_SIZE, generator=random) * 2 - 1
    groups_B = torch.arange(BATCH) % NUM_CLASSES

    def formed(network: Generator, rows: np.ndarray) -> Tensor:
        one_hot_BG = F.one_hot(groups_B, NUM_CLASSES).float()
        return network.first(torch.cat([weights_of(shards, features_nd, rows), one_hot_BG], dim=1))

    def from_factors(network: Generator, rows: np.ndarray) -> Tensor:
        return factored(network.first, shards, features_nd, rows, groups_B)

    ways = {"weights formed first": formed, "first layer on factors": from_factors}
    seconds, pixels = dict.fromkeys(ways, float("inf")), {}
    print(f"\nreconstructor of {size:,} weights, width {WIDTH}, batches of {BATCH}")
    for name, way in ways.items():
        network = build_generator(size, NUM_CLASSES, IMAGE_SIZE, 3, WIDTH, seed=0).train()
        optimizer = torch.optim.Adam(network.parameters(), lr=2e-4, fused=True)
        with torch.no_grad():
            pixels[name] = way(network, np.arange(BATCH))
        for turn in range(1 + ROUNDS):
            start = time.perf_counter()
            optimizer.zero_grad()
            images = images_of(network, way(network, np.arange(turn * BATCH, (turn + 1) * BATCH)))
            loss = (F.mse_loss(images, targets) + F.l1_loss(images, targets)) / 2
            loss.backward()
            optimizer.step()
            if turn:  # the first makes Adam's moments
                seconds[name] = min(seconds[name], time.perf_counter() - start)
    own, other = seconds.values()
    print(f"{'steps':<34}{'steps/s':>9}{'ratio':>8}{'largest difference':>20}")
    difference = (pixels["weights formed first"] - pixels["first layer on factors"]).abs().max()
    print(f"{'first layer on factors':<34}{1 / other:>9.2f}{other / own:>7.1f}×{difference:>20.1e}")
    print(f"{'weights formed first':<34}{1 / own:>9.2f}{1:>7.1f}×", flush=True)


def images_of(network: Generator, pixels: Tensor) -> Tensor:
    """The generator behind its first layer."""
    x = pixels.view(len(pixels), 4, 4, -1).permute(0, 3, 1, 2)
    return torch.tanh(network.last(F.relu(network.norm(network.blocks(x)))))


def factored(
    layer: nn.Linear, shards: Shards, features_nd: Tensor, rows: np.ndarray, groups_B: Tensor
) -> Tensor:
    """The first layer, (B, O), of s·W_0 + XᵀA without forming that sum.

    Each example goes through the layer for each output of the head, then these are mixed by A; the
    initial weights go through it as they are.
    """
    examples = torch.from_numpy(shards.indices_HN[rows].astype(np.int64))
    features_BND, chosen = features_nd[examples], shards.heads.select(torch.from_numpy(rows))
    first, bias_OJ, group_OG = layer.weight.split(
        [NUM_CLASSES * NUM_FEATURES, NUM_CLASSES, NUM_CLASSES], dim=1
    )
    first_BJD = initial_first(features_BND, shards.keys(rows), [0] * len(rows), HEADS)
    scale = HEADS["init_std"] * kept_per_step(HEADS) ** HEADS["epochs"]
    of_initial_BO = scale * F.linear(first_BJD.flatten(1), first)
    first_OJD = first.unflatten(1, (NUM_CLASSES, NUM_FEATURES))
    of_examples_BNOJ = (features_BND @ first_OJD.flatten(0, 1).mT).unflatten(2, (-1, NUM_CLASSES))
    mixed_BO = torch.einsum("bnj,bnoj->bo", chosen.coefficients_HNJ, of_examples_BNOJ)
    rest_BO = F.linear(chosen.bias_HJ, bias_OJ, layer.bias) + group_OG.mT[groups_B]
    return of_initial_BO + mixed_BO + rest_BO


if __name__ == "__main__":
    main()
