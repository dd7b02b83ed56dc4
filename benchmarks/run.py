"""All benchmarks, each in a process of its own, for the sake of peak memory: `make benchmark`."""

import os
import platform
import subprocess
import sys
from pathlib import Path

BENCHMARKS = {
    "training.py": "Training in lock-step",
    "gpu_check.py": "A GPU, if there is one",
    "lira.py": "LiRA",
    "rmia.py": "RMIA",
    "curvature.py": "Curvature of the loss",
    "attacks.py": "All attacks without networks",
    "reconstruction.py": "Heads and reconstructors",
    "planning.py": "Planning",
}


def main() -> None:
    """Print where the numbers come from, then each benchmark's table."""
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    for script, title in BENCHMARKS.items():
        print(f"\n== {title}\n", flush=True)
        subprocess.run([sys.executable, Path(__file__).with_name(script)], check=True)


if __name__ == "__main__":
    main()
