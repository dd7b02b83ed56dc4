"""Whole training jobs: files, interruptions, what is kept."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from jobs_for_tests import PRUNING, network_of, settings_of

from shadowmill import roles
from shadowmill.errors import ArtefactError
from shadowmill.training.block import train_block
from shadowmill.training.modelfile import read_model

NAMES = [f"shadow-00-{slot}" for slot in range(4)]
EXECUTION = {"device": "cpu", "stacking": "stacked", "compile": "none", "checkpoint_minutes": 5}


@pytest.fixture
def job(digits_path, tmp_path):
    """Arguments of a small training job."""
    keys = {name: ["shadow", slot] for slot, name in enumerate(NAMES)}
    roles.draw(tmp_path / "roles.h5", keys, 1797, 0)
    return {
        "data_path": str(digits_path),
        "roles_path": str(tmp_path / "roles.h5"),
        "initial": {},
        "outputs": {name: str(tmp_path / "models" / f"{name}.safetensors") for name in NAMES},
        "keys": keys,
        "settings": settings_of(PRUNING["dpf"], epochs=3),
        "state_folder": str(tmp_path / "state"),
        "title": "a test",
        "network": network_of(),
        "execution": EXECUTION,
        "threads": 1,
    }


@pytest.fixture(autouse=True)
def models_folder(tmp_path):
    (tmp_path / "models").mkdir()


def states(job):
    return {name: read_model(path).state for name, path in job["outputs"].items()}


def assert_identical(one, other):
    for name in NAMES:
        assert all(torch.equal(one[name][key], tensor) for key, tensor in other[name].items())


def test_files_say_what_they_are(job):
    train_block(**job)
    model = read_model(job["outputs"]["shadow-00-2"])
    assert model.provenance["model"] == "shadow-00-2"
    assert model.provenance["settings"] == job["settings"]
    assert model.provenance["device"] == "cpu"
    assert len(model.history["loss"]) == 3
    assert model.history["sparsity"][-1] == pytest.approx(0.9, abs=1e-3)
    assert not Path(job["state_folder"]).exists()


def test_stacked_and_sequential_execution_agree(job):
    train_block(**job)
    stacked = states(job)
    train_block(**job | {"execution": EXECUTION | {"stacking": "sequential"}})
    for name, state in states(job).items():
        for key, tensor in state.items():
            torch.testing.assert_close(tensor, stacked[name][key], rtol=1e-4, atol=1e-4)


def test_a_block_of_two_trains_the_same_models_as_a_block_of_four(job, tmp_path):
    train_block(**job)
    together = states(job)
    keys = {name: job["keys"][name] for name in NAMES[2:]}
    roles.draw(tmp_path / "two.h5", keys, 1797, 0)
    outputs = {name: job["outputs"][name] for name in keys}
    two = {"roles_path": str(tmp_path / "two.h5"), "keys": keys, "outputs": outputs}
    train_block(**job | two)
    for name in keys:
        for key, tensor in read_model(outputs[name]).state.items():
            torch.testing.assert_close(tensor, together[name][key], rtol=1e-4, atol=1e-4)


SCRIPT = """
import json, sys, torch
sys.path.insert(0, sys.argv[2])
from jobs_for_tests import network_of
from shadowmill.jobs import job
from shadowmill.training.block import train_block
torch.use_deterministic_algorithms(True)
arguments = json.loads(sys.argv[1])
with job(arguments.pop("log")):
    train_block(**arguments, network=network_of())
"""


def start(job, tmp_path):
    arguments = job | {"log": str(tmp_path / "log")}
    arguments = {key: value for key, value in arguments.items() if key != "network"}
    command = [sys.executable, "-c", SCRIPT, json.dumps(arguments), str(Path(__file__).parent)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def wait_for(path, process, seconds=60):
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.01)


@pytest.fixture(scope="module")
def undisturbed():
    """The models of a job that nothing interrupts, by how it is stacked; filled by the tests."""
    return {}


@pytest.mark.long
@pytest.mark.parametrize(
    ("stacking", "number"),
    [
        ("stacked", signal.SIGTERM),
        ("stacked", signal.SIGUSR1),
        ("stacked", signal.SIGKILL),
        ("sequential", signal.SIGTERM),
        ("sequential", signal.SIGKILL),
    ],
)
def test_interrupted_job_continues_to_the_same_models(job, tmp_path, undisturbed, stacking, number):
    job["settings"] = settings_of(PRUNING["dpf"], epochs=8)
    job["execution"] = EXECUTION | {"stacking": stacking}
    if stacking not in undisturbed:
        train_block(**job)
        undisturbed[stacking] = states(job)
        for path in job["outputs"].values():
            Path(path).unlink()
    # A checkpoint after every step, so that SIGKILL finds one.
    job["execution"] |= {"checkpoint_minutes": 1e-9}
    process = start(job, tmp_path)
    waited_for = NAMES[0] + ".safetensors" if stacking == "sequential" else "checkpoint.safetensors"
    wait_for(Path(job["state_folder"], waited_for), process)
    process.send_signal(number)
    message = process.communicate()[1]
    assert process.returncode == (-9 if number == signal.SIGKILL else 1), message
    if number != signal.SIGKILL:
        assert "a checkpoint was written" in (tmp_path / "log").read_text()
        assert "Traceback" not in message
    assert not any(Path(path).exists() for path in job["outputs"].values())
    job["execution"] |= {"checkpoint_minutes": 5}
    again = start(job, tmp_path)
    assert again.wait() == 0, again.stderr.read()
    log = (tmp_path / "log").read_text()
    assert "continuing at step" in log or "already trained" in log
    assert_identical(states(job), undisturbed[stacking])


def test_models_finished_before_a_crash_are_not_trained_again(job, tmp_path, caplog):
    caplog.set_level("INFO")
    job["execution"] = EXECUTION | {"stacking": "sequential"}
    train_block(**job)
    state = Path(job["state_folder"])
    state.mkdir()
    kept = Path(job["outputs"]["shadow-00-1"])
    before = kept.rename(state / "shadow-00-1.safetensors").stat().st_ino
    caplog.clear()
    train_block(**job)
    assert "already trained: shadow-00-1" in caplog.text
    assert kept.stat().st_ino == before


def test_kept_models_of_other_settings_are_trained_again(job):
    train_block(**job)
    old = states(job)
    state = Path(job["state_folder"])
    state.mkdir()
    for name in NAMES:
        Path(job["outputs"][name]).rename(state / f"{name}.safetensors")
    job["settings"] = settings_of(PRUNING["dpf"], epochs=3, learning_rate=0.01)
    train_block(**job)
    new = states(job)
    assert not torch.equal(new[NAMES[0]]["0.weight"], old[NAMES[0]]["0.weight"])


def test_fine_tuning_starts_from_dense_models_of_its_own_configuration(job, tmp_path):
    dense = settings_of(PRUNING["dense"], epochs=1)
    train_block(**job | {"settings": dense})
    tuned = {name: str(tmp_path / "tuned" / f"{name}.safetensors") for name in NAMES}
    settings = settings_of(PRUNING["static"], epochs=2)
    job |= {"initial": job["outputs"], "outputs": tuned}
    with pytest.raises(ArtefactError, match=r"shadow-00-0\.safetensors: .*configuration has: seed"):
        train_block(**job | {"settings": settings | {"pretraining": dense | {"seed": 1}}})
    train_block(**job | {"settings": settings | {"pretraining": dense}})
    assert len(states(job)) == len(NAMES)
