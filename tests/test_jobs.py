"""What surrounds the one call of every rule script."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from shadowmill.errors import Interrupted, TrainingError
from shadowmill.jobs import NO_RETRY, explain, job

SCRIPTS = Path(__file__).parents[1] / "scripts"

SCRIPT = """
import logging, sys
from shadowmill.errors import DataError
from shadowmill.jobs import job
with job(sys.argv[1]):
    logging.getLogger("shadowmill.x").info("begun")
    {body}
"""


def run(body, log):
    command = [sys.executable, "-c", SCRIPT.format(body=body), str(log)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_users_mistake_is_its_message_alone(tmp_path):
    log = tmp_path / "deeper" / "log"
    result = run('raise DataError("digits: gone. Fetch it.")', log)
    assert result.returncode == 1
    assert result.stderr == ""  # the driver shows the end of the log
    lines = log.read_text().splitlines()
    assert lines[-2].endswith("ERROR digits: gone. Fetch it.")
    assert lines[-1].endswith(NO_RETRY)
    assert "Traceback" not in log.read_text()


def test_a_defect_of_the_code_shows_its_traceback(tmp_path):
    result = run("1 / 0", tmp_path / "log")
    assert result.returncode == 1
    lines = (tmp_path / "log").read_text().splitlines()
    assert lines[1].endswith("ERROR unexpected error")
    assert lines[-1] == "ZeroDivisionError: division by zero"


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("open('/nowhere/x')", "/nowhere/x: No such file or directory"),
        ("raise MemoryError('24 GiB.')", "out of memory: 24 GiB. Give the job more memory"),
        ("import ctypes; ctypes.CDLL('libnone.so')", "libnone.so: cannot open shared object"),
        ("import no_such_library", "no_such_library cannot be loaded"),
    ],
)
def test_a_fault_of_the_outside_world_is_one_line_and_its_traceback_is_in_the_log(
    tmp_path, body, line
):
    result = run(body, tmp_path / "log")
    assert result.returncode == 1
    assert result.stderr == ""
    text = (tmp_path / "log").read_text()
    traceback, error = text.split(" ERROR ")
    assert "Traceback" in traceback
    assert error.startswith(line)
    assert error.count("\n") == 1


def system(number):
    return OSError(number, os.strerror(number), "results/x.h5")


@pytest.mark.parametrize(
    ("error", "words", "can_be_cured"),
    [
        (system(errno.ENOSPC), "the disk is full", False),
        (system(errno.EDQUOT), "quota is used up", False),
        (system(errno.EROFS), "results/x.h5: Read-only file system", False),
        (system(errno.EACCES), "results/x.h5: Permission denied", False),
        (system(errno.EIO), "results/x.h5: Input/output error", True),
        (torch.OutOfMemoryError("CUDA out of memory. Tried 2 GiB.\nMore"), "out of memory", True),
        (TrainingError("diverged"), "diverged", False),
        (Interrupted("asked to stop"), "asked to stop", True),
    ],
)
def test_what_another_try_may_cure(error, words, can_be_cured):
    message, may_be_retried = explain(error)
    assert words in message
    assert "\n" not in message
    assert may_be_retried == can_be_cured


def test_memory_that_libraries_ask_for_in_vain():
    for ask in (lambda: np.empty(1 << 60, np.uint8), lambda: torch.empty(1 << 60)):
        with pytest.raises((MemoryError, RuntimeError)) as raised:
            ask()
        message, may_be_retried = explain(raised.value)
        assert message.startswith("out of memory")
        assert may_be_retried


def test_a_log_that_cannot_be_written_is_replaced_by_the_terminal():
    # Everything that is written to /dev/full fails as on a full disk.
    assert run("pass", "/dev/full").returncode == 0
    result = run('raise DataError("digits: gone.")', "/dev/full")
    assert result.returncode == 1
    assert result.stderr.splitlines()[0] == "shadowmill: digits: gone."
    assert "Traceback" not in result.stderr


def test_a_log_that_cannot_be_made_ends_the_job():
    result = run("pass", "/proc/nowhere/log")
    assert result.returncode == 1
    assert result.stderr.startswith("shadowmill: /proc/nowhere: No such file")
    assert result.stderr.count("\n") == 1


def test_ctrl_c_during_imports_is_silent():
    paths = {"PYTHONPATH": f"{SCRIPTS}/python_start:{SCRIPTS}"}
    process = subprocess.Popen(
        [sys.executable, "-c", "print('begun', flush=True); import shadowmill.scores.score"],
        env=os.environ | paths,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdout.readline()
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    assert process.communicate()[1] == ""
    assert process.returncode == -signal.SIGINT


def test_a_library_that_logs_in_its_own_way_does_not_take_the_log(tmp_path):
    early = "logging.basicConfig(format='mine: %(message)s')  # as some do when imported\n"
    script = SCRIPT.replace("with job", early + "with job")
    command = [sys.executable, "-c", script.format(body="pass"), str(tmp_path / "log")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.stderr == ""
    assert "INFO begun" in (tmp_path / "log").read_text()


def test_warnings_go_to_the_log(tmp_path):
    result = run("import warnings; warnings.warn('look here')", tmp_path / "log")
    assert result.stderr == ""
    assert "look here" in (tmp_path / "log").read_text()


def test_what_is_logged_goes_to_the_log(tmp_path):
    result = run("pass", tmp_path / "log")
    assert result.returncode == 0
    assert result.stderr == ""
    assert "begun" in (tmp_path / "log").read_text()


def test_an_input_from_the_future_is_refused_before_the_work(tmp_path):
    path = tmp_path / "data.h5"
    path.touch()
    os.utime(path, (time.time() + 3600,) * 2)
    done = []
    with pytest.raises(SystemExit), job(str(tmp_path / "log"), [str(path), str(tmp_path / "none")]):
        done.append(1)
    assert not done
    text = (tmp_path / "log").read_text()
    assert f"{path}: dated 2" in text
    assert f"touch {path}" in text
    assert "Traceback" not in text


def test_an_input_a_moment_ahead_is_waited_for(tmp_path):
    path = tmp_path / "data.h5"
    path.touch()
    os.utime(path, (time.time() + 1,) * 2)
    with job(str(tmp_path / "log"), [str(path)]):
        assert path.stat().st_mtime <= time.time()
