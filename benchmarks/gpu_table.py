"""What `gpu_check.py` found, as the tables of docs/performance.md."""

import argparse
import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
NETWORKS = {"resnet18": "ResNet-18", "resnet20": "ResNet-20"}
ROUTES = {
    "plain loop, with its DataLoader": ("plain loop", None, "images_per_s"),
    "plain loop, data already on the GPU": ("plain loop", None, "images_per_s_without_loader"),
    "one model, dense": ("one model", "dense, 1", "images_per_s"),
    "one model, static-0.9": ("one model", "static, 1", "images_per_s"),
    "one model, dpf-0.9": ("one model", "dpf, 1", "images_per_s"),
    "one model, dense, `compile: default`": ("compiled", "dense, 1", "images_per_s"),
    "4 models side by side": ("side by side", "dense, 4", "images_per_s"),
    "8 models side by side": ("side by side", "dense, 8", "images_per_s"),
    "8 models side by side, `compile: default`": ("compiled", "dense, 8", "images_per_s"),
}


def found(parts: dict[str, Any], name: str, row: str | None) -> dict[str, float]:
    """What a part found, nothing if it was not measured."""
    part = parts.get(name, {})
    values = part["found"] if part.get("status") == "done" else {}
    return values if row is None else values.get(row, {})


def training(parts: dict[str, Any], network: str) -> list[str]:
    """Rows of the table of training of a network."""
    work = found(parts, "ceilings", network)
    most = found(parts, "ceilings", None)
    limit = min(
        1e3 * most["bf16_tflops"] / work["gflop"], 1e6 * most["copy_tb_per_s"] / work["mbyte"]
    )
    base = found(parts, f"{network}, plain loop", None)["images_per_s"]
    lines = []
    for title, (part, row, key) in ROUTES.items():
        values = found(parts, f"{network}, {part}", row)
        if not values:
            lines.append(f"| {NETWORKS[network]} | {title} | not measured | | | | | |")
            continue
        rate = values[key]
        host, device = (f"{values[name]:.1f} ms" for name in ("host_ms", "device_ms"))
        lines.append(
            f"| {NETWORKS[network]} | {title} | {rate:,.0f} | {rate / base:.1f}× "
            f"| {rate * work['gflop'] / 1e3 / most['bf16_tflops']:.0%} | {rate / limit:.0%} "
            f"| {host} / {device} | {values['peak_gib']:.1f} GiB |"
        )
    return lines


def table(facts: dict[str, Any]) -> str:
    """All tables, as Markdown."""
    parts, machine = facts["parts"], facts["machine"]
    most = found(parts, "ceilings", None)
    lines = [
        f"{machine['card']}, PyTorch {machine['torch']}; a large bfloat16 matrix product runs at "
        f"{most['bf16_tflops']:.0f} TFLOP/s there, a copy at {most['copy_tb_per_s']:.1f} TB/s.",
        "",
        "| network | route | images/s | ratio | MFU | of roofline | host / device a step | peak |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for network in NETWORKS:
        lines += training(parts, network)
    lines += ["", "| what | ResNet-18 | ResNet-20 |", "|---|---|---|"]
    for title, part, key in (
        ("scoring, views/s", "scoring", "views_per_s"),
        (
            "curvature, finite differences, examples/s",
            "curvature",
            "finite_difference_examples_per_s",
        ),
        ("curvature, exact products, examples/s", "curvature", "trace_examples_per_s"),
        ("DP-SGD, images/s", "dp_sgd", "images_per_s"),
    ):
        rates = [found(parts, part, network).get(key) for network in NETWORKS]
        shown = ["not measured" if rate is None else f"{rate:,.0f}" for rate in rates]
        lines.append(f"| {title} | {' | '.join(shown)} |")
    lines += ["", "| what | found |", "|---|---|"]
    for title, part, key in (
        ("a global mask of ResNet-18, ms", "masks", "compute_masks_ms"),
        ("the same threshold by `kthvalue`, ms", "masks", "kthvalue_ms"),
        ("heads of 1,280 features, ten examples, 48 steps: heads/s", "heads", "heads_per_s"),
        ("a reconstructor from 12,810 weights, width 256: steps/s", "reconstructor", "steps_per_s"),
    ):
        value = found(parts, part, None).get(key)
        shown = "not measured" if value is None else f"{value:,.{0 if value > 100 else 1}f}"
        lines.append(f"| {title} | {shown} |")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, nargs="?", default=HERE / "gpu_h200.json")
    print(table(json.loads(parser.parse_args().results.read_text("utf-8"))))
