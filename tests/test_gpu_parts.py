"""What `make gpu-check` measures runs: on a CPU here, with few images."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

import gpu_parts


@pytest.fixture(autouse=True)
def on_the_cpu(monkeypatch):
    for name in ("synchronize", "reset_peak_memory_stats"):
        monkeypatch.setattr(torch.cuda, name, lambda: None)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 2**30)
    monkeypatch.setattr(gpu_parts.devices, "claim", lambda wanted, threads: torch.device("cpu"))
    images = gpu_parts.images
    monkeypatch.setattr(gpu_parts, "images", lambda size=0: images(size or 512))
    monkeypatch.setattr(gpu_parts, "WARM_UP", 1)
    monkeypatch.setattr(gpu_parts, "BATCH", 8)
    monkeypatch.setitem(gpu_parts.RECIPE, "batch_size", 8)
    monkeypatch.setattr(
        gpu_parts, "profiled", lambda step: {"host_ms": 1.0, "device_ms": 1.0, "kernels": 1}
    )


ARGUMENTS = {
    "train": {
        "network": "resnet20",
        "variants": ["dense", "static", "dpf"],
        "models": [1],
        "mode": "none",
        "steps": 1,
    },
    "dp_sgd": {"networks": ["resnet20"], "steps": 1},
    "scoring": {"networks": ["resnet20"], "size": 4},
    "curvature": {"networks": ["resnet20"], "size": 2},
}


@pytest.mark.long
@pytest.mark.parametrize("part", ARGUMENTS)
def test_a_part_measures(part):
    found = gpu_parts.PARTS[part](**ARGUMENTS[part])
    rows = found.values()
    assert rows
    assert all(number > 0 for row in rows for number in row.values())


def test_masks_are_measured_at_full_sparsity(monkeypatch):
    stacks, make = [], gpu_parts.make_stack

    def kept(*arguments):
        stacks.append(make(*arguments))
        return stacks[-1]

    monkeypatch.setattr(gpu_parts, "make_stack", kept)
    gpu_parts.train(**ARGUMENTS["train"])
    shares = [
        sum(int((~mask).sum()) for mask in stack.masks.values())
        / max(1, sum(mask.numel() for mask in stack.masks.values()))
        for stack in stacks
    ]
    assert shares == pytest.approx([0, 0.9, 0.9], abs=1e-3)
