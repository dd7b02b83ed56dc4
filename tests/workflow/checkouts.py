"""Whole runs of the workflow, on copies of the checkout with a small study of the same shape."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]

SMALL = {
    "build": ["small"],
    "recipes": {
        "short": {
            "learning_rate": 0.02,
            "epochs": 10,
            "batch_size": 64,
            "schedule": {"name": "one_cycle", "warmup": 0.3},
        }
    },
    "studies": {
        "small": {
            "datasets": ["digits"],
            "architectures": ["small_convnet"],
            "variants": ["static-0.5", "dpf-0.9"],
            "recipe": "short",
            "pruning": {"static": {"epoch": 3}, "dpf": {"every": 4, "target_epoch": 6}},
            "target_seeds": [7],
            "num_shadows": 8,
            "models_per_job": 4,
            "attacks": ["lira_online", "lira_fixed"],
        }
    },
}


class Checkout:
    """A copy of the checkout in a folder of its own."""

    def __init__(self, folder):
        self.folder = folder
        self.results = folder / "results"

    @classmethod
    def create(cls, folder, config=SMALL):
        folder.mkdir()
        for name in ("Snakefile", "rules", "scripts", "envs", "profiles"):
            source = ROOT / name
            copy = shutil.copytree if source.is_dir() else shutil.copy
            copy(source, folder / name)
        (folder / "slurm").symlink_to("profiles/slurm")
        checkout = cls(folder)
        checkout.configure(config)
        return checkout

    def copy(self, folder):
        shutil.copytree(self.folder, folder, symlinks=True)
        return Checkout(folder)

    def configure(self, config):
        (self.folder / "workflow_config.yaml").write_text(yaml.safe_dump(config))

    def start(self, *arguments, **options):
        command = [sys.executable, "-m", "snakemake", *arguments]
        environment = os.environ | options.pop("environment", {})
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **options,
        )

    def snakemake(self, *arguments, expect=0, **options):
        process = self.start(*arguments, **options)
        output = process.communicate()[0]
        assert process.returncode == expect, output
        return output

    def run(self, *targets, expect=0, options=()):
        """Run with the local profile."""
        profile = ("--profile", "profiles/local", "--cores", "2")
        return self.snakemake(*profile, *options, "--", *targets, expect=expect)

    def planned(self, *targets):
        """Name of each rule that would run to its number of jobs."""
        output = self.snakemake("-n", "--profile", "profiles/local", "--", *targets)
        if "Nothing to be done" in output:
            return {}
        table = output.rsplit("Job stats:", 1)[1].split("\n\n", 1)[0]
        counts = dict(re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE))
        total = int(counts.pop("total"))
        jobs = {name: int(count) for name, count in counts.items()}
        assert sum(jobs.values()) == total
        return jobs


def kill_once(checkout, pattern, count, number=signal.SIGKILL):
    """Start the workflow; signal its whole process group when enough files of a kind are there.

    Returns:
        What it printed.
    """
    process = checkout.start("--profile", "profiles/local", "--cores", "2", start_new_session=True)
    deadline = time.monotonic() + 300
    while len(list(checkout.results.glob(pattern))) < count and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    assert process.poll() is None, "the workflow ended before it could be killed"
    os.killpg(process.pid, number)
    return process.communicate()[0]
