"""Killed at any moment and run again: the same scores and tables, nothing half-written."""

import signal

import h5py
import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
from checkouts import SMALL, kill_once

# Columns that say how long something took, not what came out.
TIMES = ["training_seconds"]

# Long enough trainings that a kill finds them unfinished, with a checkpoint after every step.
SLOWER = SMALL | {"execution": {"checkpoint_minutes": 1e-6}}


def assert_same_results(one, other):
    for kind in ("scores", "attacks"):
        paths = sorted(one.rglob(f"{kind}/**/*.h5"))
        assert paths
        for path in paths:
            with h5py.File(path) as found, h5py.File(other / path.relative_to(one)) as expected:
                assert found.keys() == expected.keys()
                for key in found.keys() - set(TIMES):
                    np.testing.assert_array_equal(found[key][()], expected[key][()], str(path))
    for path in sorted(one.rglob("*.csv")):
        found, expected = pd.read_csv(path), pd.read_csv(other / path.relative_to(one))
        pd.testing.assert_frame_equal(
            found.drop(columns=TIMES, errors="ignore"),
            expected.drop(columns=TIMES, errors="ignore"),
            check_exact=True,
        )
    models = sorted(one.rglob("*.safetensors"))
    assert models
    for path in models:
        found = safetensors.torch.load_file(path)
        expected = safetensors.torch.load_file(other / path.relative_to(one))
        assert all(torch.equal(found[key], tensor) for key, tensor in expected.items()), path


def files(folder, pattern):
    return [path for path in folder.rglob(pattern) if path.is_file()]


def assert_nothing_half_written(results):
    """What has a final name can be read whole."""
    for path in files(results, "[!.]*.h5"):
        with h5py.File(path) as file:
            assert file.attrs["provenance"]
    for path in files(results, "[!.]*.safetensors"):
        safetensors.torch.load_file(path)


@pytest.mark.slow
def test_killed_again_and_again(fresh, finished_once):
    fresh.configure(SLOWER)
    moments = [
        ("data/*.h5", 1),
        (".unfinished/**/checkpoint.safetensors", 1),
        ("small/**/models/*.safetensors", 4),
        ("small/**/scores/*.h5", 2),
        ("small/**/scores/*.h5", 5),
        ("small/**/attacks/adaptive/*.h5", 1),
        ("small/tables/*.csv", 1),
    ]
    for pattern, count in moments:
        kill_once(fresh, pattern, count)
        assert_nothing_half_written(fresh.results)
        fresh.snakemake("--unlock")
    output = fresh.run()
    assert "100%" in output
    assert_same_results(fresh.results, finished_once.results)
    assert fresh.planned() == {}
    assert not files(fresh.results, ".*.part")
    assert not files(fresh.results / ".unfinished", "*")


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_asked_to_stop_needs_no_unlock(fresh, finished_once, number):
    fresh.configure(SLOWER)
    output = kill_once(fresh, ".unfinished/**/checkpoint.safetensors", 1, number)
    assert "Traceback" not in output
    if number == signal.SIGINT:
        # Two lines, but for the progress bars of trainings, which had begun before.
        end = output.split("Stopped on request.")[1].splitlines()
        stopped, log = [line for line in end if line and "step/s" not in line]
        assert stopped == " What is finished is kept; the same command goes on from there."
        assert log.startswith("Complete log(s): ")
        assert "Error" not in output
    fresh.run("tables")
    assert_same_results(fresh.results, finished_once.results)
