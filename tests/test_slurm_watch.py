"""What the driver says when Slurm is silent."""

import os
import time

import pytest

from shadowmill_driver.slurm import silences


@pytest.fixture
def traces(tmp_path):
    def leave(**minutes_ago):
        for name, minutes in minutes_ago.items():
            path = tmp_path / name.replace("_", "-")
            path.touch()
            os.utime(path, 2 * (time.time() - minutes * 60,))
        return tmp_path

    return leave


def said(folder, started=120, submitted=3):
    return dict(silences(folder, time.time() - started * 60, submitted, minutes=10))


def test_silent_while_all_is_well(traces, tmp_path):
    assert said(traces(), started=9) == {}, "has just begun"
    assert said(traces(), submitted=0) == {}, "only local jobs"
    assert said(traces(asked=2, answered=2)) == {}


def test_no_answer(traces):
    folder = traces(asked=1, answered=12)
    (folder / "no-answer").write_text("first\nslurm_load_jobs error: Unable to contact\n")
    said_now = said(folder)
    assert set(said_now) == {"no answer"}
    assert "for 12 minutes: slurm_load_jobs error: Unable to contact." in said_now["no answer"]


@pytest.mark.parametrize("left", [{}, {"asked": 40, "answered": 40}])
def test_not_asked(traces, left):
    said_now = said(traces(**left))
    assert set(said_now) == {"not asked"}
    assert "although 3 jobs are waited for" in said_now["not asked"]
    assert "make slurm-cleanup" in said_now["not asked"]


def test_refused(traces):
    folder = traces(refusal_12=1)
    (folder / "refusal-12").write_text("sbatch: error: AssocMaxSubmitJobLimit\n")
    assert set(said(folder)) == {"refused"}, "not asked because nothing is there"
