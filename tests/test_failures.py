"""What the driver says of failed jobs, and which it does not let try again."""

import logging
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake_interface_logger_plugins.common import LogEvent

from shadowmill.jobs import NO_RETRY
from shadowmill_driver.failures import LAST_LINES, Failures

SCRIPTS = Path(__file__).parents[1] / "scripts"
LOG = "results/logs/train-target-7.log"
REFUSED = (
    "SLURM sbatch failed. The error message was 'sbatch: error: {}'.\n"
    "    sbatch call:\n        sbatch --parsable {}\n"
    "For further error details see the cluster/cloud log and the log files of the involved rule(s)."
)


class Driver:
    """The part of Snakemake's driver that the filter deals with: one running job and a logger."""

    def __init__(self, is_main_process=True):
        self.job = SimpleNamespace(
            jobid=3,
            rule=SimpleNamespace(name="train_target"),
            wildcards_dict={"study": "small", "target": "target-7"},
            restart_times=2,
            _attempt=1,
        )
        workflow = SimpleNamespace(
            scheduler=SimpleNamespace(running={3: self.job}.values()),
            is_main_process=is_main_process,
        )
        self.filter = Failures(workflow).filter

    def log(self, message, event=None, level=logging.ERROR, **facts):
        """What is shown of a record, None if it is dropped."""
        record = logging.makeLogRecord(
            {"msg": message, "event": event, "levelno": level, "jobid": 3, "log": [LOG]} | facts
        )
        return record.msg if self.filter(record) else None

    def fail(self, message=None, **facts):
        return self.log("Error", LogEvent.JOB_ERROR, rule_msg=message, **facts)

    @property
    def is_retried(self):
        return self.job.restart_times > self.job._attempt - 1  # as Snakemake asks


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path(LOG).parent.mkdir(parents=True)


def test_the_last_error_of_the_log_is_shown():
    earlier = "".join(f"2026-01-01 12:00:00,123 INFO line {number}\n" for number in range(99))
    Path(LOG).write_text(f"{earlier}2026-01-01 12:00:01,123 ERROR out of memory: 8 GiB.\n")
    driver = Driver()
    assert driver.fail() == (
        "Error in rule train_target (study=small, target=target-7):\n"
        f"    log: {LOG}\n"
        "      2026-01-01 12:00:01,123 ERROR out of memory: 8 GiB."
    )
    assert driver.is_retried


def test_a_log_that_breaks_off_is_shown_by_its_last_lines():
    Path(LOG).write_text("".join(f"line {number}.\n" for number in range(99)))
    shown = Driver().fail("SLURM-job '7' failed, SLURM status is: 'OUT_OF_MEMORY'.")
    assert "status is: 'OUT_OF_MEMORY'." in shown
    assert "line 98." in shown
    assert shown.count("line ") == LAST_LINES


def test_what_the_job_says_no_retry_helps_is_not_retried():
    Path(LOG).write_text(f"2026-01-01 12:00:01,123 ERROR diverged\n2026-… INFO {NO_RETRY}\n")
    driver = Driver()
    assert "ERROR diverged" in driver.fail()
    assert not driver.is_retried


def test_the_log_of_an_earlier_try_is_not_taken_for_this_ones():
    Path(LOG).write_text(f"2026-01-01 12:00:01,123 ERROR diverged\n2026-… INFO {NO_RETRY}\n")
    driver = Driver()
    driver.log("rule", LogEvent.JOB_INFO, logging.INFO)
    shown = driver.fail("SLURM-job '7' failed, SLURM status is: 'NODE_FAIL'.")
    assert "NODE_FAIL" in shown
    assert "diverged" not in shown
    assert f"log: {LOG}\n      The job ended before it wrote anything there." in shown
    assert driver.is_retried


def test_slurms_log_is_shown_where_a_job_has_none_of_its_own(tmp_path):
    # The plugin names a folder for the wildcards, in which those of arrays are not.
    Path("slurm/rule_x").mkdir(parents=True)
    Path("slurm/rule_x/63_1.log").write_text("python: No such file or directory\n")
    shown = Driver().fail(
        "failed", log=[LOG, str(tmp_path / "slurm/rule_x/small_target-7/63_1.log")]
    )
    assert f"log: {tmp_path}/slurm/rule_x/63_1.log\n      python: No such file" in shown


@pytest.mark.parametrize(
    ("words", "is_retried"),
    [
        ("invalid partition specified: nowhere", False),
        ("Batch job submission failed: Invalid account or account/partition combination", False),
        ("Batch job submission failed: Requested node configuration is not available", False),
        ("Batch job submission failed: User's group not permitted to use this partition", False),
        ("unrecognized option '--gpu'", False),
        ("Batch job submission failed: Socket timed out on send/recv operation", True),
        ("Unable to contact slurm controller (connect failure)", True),
        (
            "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)",
            True,
        ),
        ("Slurm temporarily unable to accept job, sleeping and retrying", True),
    ],
)
@pytest.mark.parametrize("in_array", [False, True])
def test_what_slurm_will_never_grant_is_not_retried(words, is_retried, in_array):
    driver = Driver()
    message = REFUSED.format(words, "an invalid thousand of letters")
    if in_array:
        array = message.replace("failed.", "failed for array job submission (tasks 1-3).")
        shown = driver.log(array)
        driver.fail("Part of failed array sbatch submission (tasks 1-3); see log for details.")
    else:
        shown = driver.fail(message)
    assert words in shown
    assert "thousand of letters" not in shown
    assert "further error details" not in shown
    assert driver.is_retried == is_retried


@pytest.mark.parametrize("kind", ["Job", "Array job"])
def test_an_account_that_does_not_exist_is_not_retried(kind):
    driver = Driver()
    error = "The given account nobody appears to be invalid. Available accounts:\nmine"
    shown = driver.fail(f"{kind} submission failed with exception: {error}")
    assert "log:" not in shown
    assert ("see above" in shown) == (kind == "Array job")
    assert ("account nobody appears to be invalid" in shown) == (kind == "Job")
    assert not driver.is_retried


def ended_with(driver, status):
    try:
        raise subprocess.CalledProcessError(status, "bash")
    except subprocess.CalledProcessError:
        try:
            raise RuntimeError("as Snakemake wraps it")
        except RuntimeError:
            assert driver.log("CalledProcessError in file …", LogEvent.ERROR) is None
            return driver.fail()


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (137, "killed by SIGKILL, most often because memory ran out"),
        (-9, "killed by SIGKILL"),
        (143, "killed by SIGTERM"),
        (139, "killed by SIGSEGV"),
    ],
)
def test_a_killed_job_says_by_what(status, words):
    driver = Driver()
    assert words in ended_with(driver, status)
    assert driver.is_retried


def test_ctrl_c_is_one_line_whatever_the_jobs_say():
    driver = Driver()
    assert ended_with(driver, 130) is None
    shown = driver.log("Terminating processes on user request, this might…", level=logging.INFO)
    assert shown.startswith("Stopped on request.")
    assert ended_with(driver, 1) is None
    assert driver.log("Elapsed time: 0:00:02", level=logging.INFO) is None
    assert driver.log("Complete log(s): x", level=logging.INFO) == "Complete log(s): x"


def test_within_a_slurm_job_only_the_innermost_process_speaks():
    driver = Driver(is_main_process=False)
    assert driver.fail() is None
    assert driver.log("Exiting because a job execution failed.") is None
    driver = Driver(is_main_process=False)
    assert "killed by SIGKILL" in ended_with(driver, 137)
    assert driver.log("Shutting down, this might take some time.", level=logging.INFO) is None


def test_ctrl_c_while_planning_is_one_line():
    code = "from shadowmill_driver.interrupts import end_quietly; end_quietly(); "
    result = subprocess.run(
        [sys.executable, "-c", code + "import signal; signal.raise_signal(signal.SIGINT)"],
        env=os.environ | {"PYTHONPATH": f"{SCRIPTS}/python_start:{SCRIPTS}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stderr == "Stopped on request before any job was started.\n"
    assert result.returncode == -signal.SIGINT
