"""All that a GPU is asked, in parts: `make gpu-check`.

For a bare machine with one GPU, on whatever torch it has. Each part runs in a process of its own
with a time limit; what it found is written to a JSON file at once. A second run of the same code on
the same card goes on where the first stopped: parts that were finished are not run again. A part
that needs a package that is missing is skipped, by its name.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shadowmill import storage
from shadowmill.provenance import digest

HERE = Path(__file__).parent
ROOT = HERE.parent
TESTS = ("-m", "pytest", "-q", "--tb=line", "-p", "no:cacheprovider")


@dataclass(frozen=True)
class Part:
    """One thing to find out.

    Attributes:
        command: after the name of the Python program.
        seconds: limit.
    """

    command: tuple[str, ...]
    seconds: int


def measurement(part: str, seconds: int, **arguments: Any) -> Part:
    """A part of gpu_parts.py."""
    return Part((str(HERE / "gpu_parts.py"), part, json.dumps(arguments)), seconds)


def parts() -> dict[str, Part]:
    """All parts, those that matter most first."""
    workers = min(16, os.cpu_count() or 1)
    both = ("resnet18", "resnet20")
    found = {
        "tests": Part((*TESTS, "tests/test_gpu.py", "tests/test_optimizer_state.py"), 180),
        "tests, little memory": Part((*TESTS, "tests/test_gpu_memory.py"), 60),
        "ceilings": measurement("ceilings", 60, networks=both),
    }
    for network in both:
        one = {"network": network, "variants": ["dense"], "mode": "none", "steps": 30}
        found |= {
            f"{network}, plain loop": measurement(
                "plain", 90, network=network, workers=workers, epochs=1
            ),
            f"{network}, one model": measurement(
                "train", 90, **one | {"variants": ["dense", "static", "dpf"], "models": [1]}
            ),
            f"{network}, side by side": measurement("train", 90, **one | {"models": [4, 8]}),
        }
    for network in both:
        one = {"network": network, "variants": ["dense"], "models": [1, 8], "steps": 30}
        found[f"{network}, compiled"] = measurement("train", 120, **one | {"mode": "default"})
    return found | {
        "scoring": measurement("scoring", 60, networks=both, size=10_000),
        "curvature": measurement("curvature", 60, networks=both, size=1_024),
        "dp_sgd": measurement("dp_sgd", 90, networks=both, steps=20),
        "masks": measurement("masks", 60),
        "heads": measurement("heads", 60),
        "reconstructor": measurement("reconstructor", 60, steps=50),
    }


def machine() -> dict[str, str]:
    """The card, and what drives it; nothing without one."""
    import torch

    if not torch.cuda.is_available():
        return {}
    return {
        "card": torch.cuda.get_device_name(0),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "cores": str(os.cpu_count()),
        "code": digest([path.read_text("utf-8") for path in sorted(ROOT.glob("scripts/**/*.py"))]),
    }


def run(part: Part, seconds: float) -> dict[str, Any]:
    """Run a part in a process of its own; what it found, or why not."""
    start = time.monotonic()
    try:
        done = subprocess.run(
            [sys.executable, *part.command],
            capture_output=True,
            text=True,
            timeout=min(seconds, part.seconds),
            cwd=ROOT,
        )
    except subprocess.TimeoutExpired:
        return {"status": f"stopped after {time.monotonic() - start:.0f} s"}
    facts: dict[str, Any] = {"seconds": round(time.monotonic() - start, 1)}
    lines = (done.stdout + done.stderr).strip().splitlines() or [""]
    if done.returncode:
        missing = [line for line in lines if line.startswith("ModuleNotFoundError")]
        if missing:
            return facts | {"status": f"skipped: {missing[-1].partition(': ')[2]}"}
        return facts | {"status": "failed", "output": lines[-40:]}
    try:
        return facts | {"status": "done", "found": json.loads(done.stdout.splitlines()[-1])}
    except json.JSONDecodeError:
        return facts | {"status": "done", "found": {"output": lines[-1]}}


def main() -> None:
    """Run what is not yet known."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=ROOT / "results/gpu-check.json")
    parser.add_argument("--minutes", type=float, default=8, help="no part is begun later")
    parser.add_argument("--only", default="", help="parts whose names contain this")
    options = parser.parse_args()
    stop = time.monotonic() + 60 * options.minutes
    facts = machine()
    if not facts:
        print("Not measured: this machine shows no usable GPU.")
        return
    known: dict[str, Any] = {}
    if options.output.exists():
        before = json.loads(options.output.read_text("utf-8"))
        known = before["parts"] if before["machine"] == facts else {}
    for name, part in parts().items():
        if options.only not in name or known.get(name, {}).get("status") == "done":
            continue
        left = stop - time.monotonic()
        if left < 10:
            print("No time is left. Run it again to go on from here.")
            break
        known[name] = run(part, left)
        storage.write_text(options.output, json.dumps({"machine": facts, "parts": known}, indent=1))
        found = known[name].get("found", known[name].get("output", ""))
        print(f"{name}: {known[name]['status']} {json.dumps(found)}", flush=True)


if __name__ == "__main__":
    main()
