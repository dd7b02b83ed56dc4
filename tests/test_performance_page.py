import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_tables_of_gpus_are_those_of_the_measurements():
    command = [sys.executable, ROOT / "benchmarks/gpu_table.py"]
    tables = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert tables in (ROOT / "docs/performance.md").read_text(encoding="utf-8")
