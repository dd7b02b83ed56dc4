"""Seconds that Snakemake takes to plan the whole shipped `pruning` study, without any results."""

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROUNDS = 3


def main() -> None:
    """Print the seconds of a dry run and the number of jobs that it plans."""
    command = [sys.executable, "-m", "snakemake", "-n", "--quiet", "rules", "reason", "host"]
    command += ["--snakefile", str(ROOT / "Snakefile"), "--", "pruning"]
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(ROOT / "workflow_config.yaml", folder)
        times = []
        for _ in range(ROUNDS):
            start = time.perf_counter()
            run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
            times.append(time.perf_counter() - start)
    total = next(line for line in run.stdout.splitlines() if line.startswith("total"))
    print(f"dry run of the study `pruning`, {total.split()[1]} jobs: {min(times):.1f} s")


if __name__ == "__main__":
    main()
