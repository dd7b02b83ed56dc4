"""Folders of unfinished work, held by one job at a time."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from shadowmill import lock
from shadowmill.errors import BusyError

HOLDER = """
import sys, time
from shadowmill import lock
with lock.held(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def other_job(tmp_path):
    """A process that holds the folder."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "work")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def taken(tmp_path, **changes):
    """A lock of somebody else."""
    folder = tmp_path / "work"
    with lock.held(folder):
        holder = json.loads((folder / "lock.json").read_text())
    (folder / "lock.json").write_text(json.dumps(holder | changes))
    return folder


def squeue(tmp_path, monkeypatch, script):
    """A Slurm that answers so."""
    path = tmp_path / "bin" / "squeue"
    path.parent.mkdir()
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}:{os.environ['PATH']}")


def test_a_lock_is_gone_after_the_work(tmp_path):
    with lock.held(tmp_path / "work"):
        assert [path.name for path in (tmp_path / "work").iterdir()] == ["lock.json"]
    assert not list((tmp_path / "work").iterdir())
    with pytest.raises(ZeroDivisionError), lock.held(tmp_path / "work"):
        raise ZeroDivisionError
    assert not list((tmp_path / "work").iterdir())


def test_the_folder_may_vanish_with_its_lock(tmp_path):
    with lock.held(tmp_path / "work"):
        (tmp_path / "work/lock.json").unlink()
        (tmp_path / "work").rmdir()


def test_a_second_job_on_this_machine_is_refused(tmp_path, other_job):
    with (
        pytest.raises(BusyError, match=rf"work: process {other_job.pid} of .* it runs.*kill"),
        lock.held(tmp_path / "work"),
    ):
        pass
    assert (tmp_path / "work/lock.json").exists()


def test_a_killed_job_holds_nothing(tmp_path, other_job):
    other_job.kill()
    other_job.wait()
    assert (tmp_path / "work/lock.json").exists()
    with lock.held(tmp_path / "work"):
        assert json.loads((tmp_path / "work/lock.json").read_text())["pid"] == os.getpid()


@pytest.mark.parametrize("change", [{"started": 1.0}, {"pid": 2**22 + 1}])
def test_a_recycled_number_of_a_process_holds_nothing(tmp_path, change):
    with lock.held(taken(tmp_path, **change)):
        pass


@pytest.mark.parametrize("state", ["RUNNING", "PENDING", "COMPLETING", "SUSPENDED"])
def test_a_living_slurm_job_on_another_node_is_refused(tmp_path, monkeypatch, state):
    squeue(tmp_path, monkeypatch, f'test "$2" = --jobs=63 && echo {state}')
    folder = taken(tmp_path, host="n2", slurm_job="63")
    with pytest.raises(BusyError, match=r"Slurm job 63 .*scancel 63"), lock.held(folder):
        pass


@pytest.mark.parametrize(
    "answer",
    [
        "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1",
        "exit 0",
        "echo COMPLETED",
        "echo NODE_FAIL",
    ],
)
def test_a_slurm_job_that_is_gone_holds_nothing(tmp_path, monkeypatch, answer):
    squeue(tmp_path, monkeypatch, answer)
    with lock.held(taken(tmp_path, host="n2", slurm_job="63")):
        pass


def test_a_job_that_was_requeued_on_another_node_goes_on(tmp_path, monkeypatch):
    squeue(tmp_path, monkeypatch, "echo RUNNING")
    folder = taken(tmp_path, host="n2", slurm_job="63")
    monkeypatch.setenv("SLURM_JOB_ID", "63")
    with lock.held(folder):
        pass


def test_a_slurm_that_does_not_answer_is_no_proof(tmp_path, monkeypatch):
    squeue(tmp_path, monkeypatch, "echo 'Unable to contact slurm controller' >&2; exit 1")
    folder = taken(tmp_path, host="n2", slurm_job="63")
    with pytest.raises(BusyError, match=r"Unable to contact.*delete .*lock\.json"):
        lock.held(folder).__enter__()


def test_another_machine_without_slurm_is_named(tmp_path):
    folder = taken(tmp_path, host="elsewhere", slurm_job=None)
    with pytest.raises(BusyError, match=r"only elsewhere knows.*delete .*lock\.json"):
        lock.held(folder).__enter__()


def test_an_empty_lock_holds_nothing(tmp_path):
    (tmp_path / "lock.json").write_text("")
    with lock.held(tmp_path):
        pass


RACE = """
import sys, time
from pathlib import Path
from shadowmill import lock
from shadowmill.errors import BusyError
folder = Path(sys.argv[1])
while not (folder / "go").exists():
    pass
try:
    with lock.held(folder):
        print("held")
        time.sleep(1)
except BusyError:
    print("busy")
"""


@pytest.mark.long
def test_of_many_one_takes_over_a_void_lock(tmp_path):
    folder = taken(tmp_path, started=1.0)
    command = [sys.executable, "-c", RACE, str(folder)]
    jobs = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(6)]
    time.sleep(1)
    Path(folder, "go").touch()
    said = [job.communicate()[0].strip() for job in jobs]
    assert sorted(said) == ["busy"] * 5 + ["held"]
