"""The small study on a real Slurm: a private cluster of four emulated nodes on this machine."""

import os
import re
import shutil
import signal
import subprocess
import time

import pytest
from checkouts import ROOT, SMALL, Checkout
from test_killed import assert_nothing_half_written, assert_same_results

from shadowmill.training.modelfile import read_model

pytestmark = pytest.mark.slurm

SANDBOX = ROOT / "scripts/slurm_sandbox.sh"
ON_SLURM = ("--profile", "slurm", "--workflow-profile", "slurm-sandbox")


@pytest.fixture(scope="module", autouse=True)
def cluster():
    missing = [tool for tool in ("slurmctld", "slurmd", "munged") if not shutil.which(tool)]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)} (Debian: slurm-wlm, munge)")
    if os.geteuid():
        pytest.skip("only root can start Slurm's daemons")
    subprocess.run([SANDBOX, "start"], check=True)
    yield
    subprocess.run([SANDBOX, "stop"], check=True)


@pytest.fixture
def checkout(tmp_path):
    checkout = Checkout.create(tmp_path / "checkout")
    # Without a link in the user's own configuration folder, as after a fresh clone.
    assert (checkout.folder / "slurm").is_symlink()
    (checkout.folder / "profiles/slurm-sandbox").is_dir()
    return checkout


def slurm_jobs(checkout, rule=""):
    """What Slurm knows of this checkout's jobs (for five minutes after their end)."""
    listing = subprocess.run(
        ["scontrol", "show", "job", "-o"], capture_output=True, text=True, check=True
    ).stdout
    jobs = [dict(re.findall(r"(\w+)=(\S*)", line)) for line in listing.splitlines()]
    return [
        job
        for job in jobs
        if job.get("WorkDir") == str(checkout.folder) and f"rule_{rule}" in job.get("Comment", "")
    ]


def wait_until(condition, process, seconds=200):
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_results_equal_a_local_run(checkout, finished_once):
    checkout.snakemake(*ON_SLURM)
    assert_same_results(checkout.results, finished_once.results)
    # What was known only once the data were prepared is written down as it is known then.
    assert checkout.planned() == {}
    training = slurm_jobs(checkout, "train_shadows_4")
    assert len(training) == 4
    assert len({job["ArrayJobId"] for job in training}) == 1, "not one array"
    assert {job["JobState"] for job in training} == {"COMPLETED"}
    for job in training + slurm_jobs(checkout, "score_block"):
        assert job["TresPerJob"] == "gres:gpu:1"
        assert job["Partition"] == "gpu"
    assert all("TresPerJob" not in job for job in slurm_jobs(checkout, "attack"))
    models = list(checkout.results.rglob("models/*.safetensors"))
    assert len(models) == 2 * (8 + 1)
    for path in models:
        facts = read_model(path).provenance
        assert facts["slurm_job"]
        assert facts["visible_devices"] in ("0", "1"), "not one device"


FIRST_TASK_IS_SLOW = """
import os, time
if os.environ["SLURM_ARRAY_TASK_ID"] == os.environ["SLURM_ARRAY_TASK_MIN"]:
    time.sleep(25)
"""


def test_tasks_of_an_array_may_end_long_before_its_first(checkout):
    """Issue 447 of the Slurm plugin, which profiles/slurm/array_task.sh avoids."""
    script = checkout.folder / "scripts/train_models.py"
    script.write_text(FIRST_TASK_IS_SLOW + script.read_text())
    folder = "results/small/digits/small_convnet/static-0.5/models"
    targets = [f"{folder}/shadow-{block}-0.safetensors" for block in ("00", "01")]
    checkout.snakemake(*ON_SLURM, "--retries", "0", "--", *targets)
    jobs = slurm_jobs(checkout, "train_shadows_4")
    assert [job["JobState"] for job in jobs] == ["COMPLETED"] * 2
    first, other = sorted(jobs, key=lambda job: int(job["ArrayTaskId"]))
    assert first["EndTime"] > other["EndTime"]


def test_failed_job_comes_back_with_a_larger_request(checkout):
    script = checkout.folder / "scripts/train_models.py"
    marker = checkout.folder / "failed_once"
    fail = f"from pathlib import Path\nif not Path({str(marker)!r}).exists():\n"
    fail += f"    Path({str(marker)!r}).touch()\n    raise SystemExit(1)\n"
    script.write_text(fail + script.read_text())
    target = "results/small/digits/small_convnet/dpf-0.9/models/target-7.safetensors"
    checkout.snakemake(*ON_SLURM, "--", target)
    jobs = sorted(slurm_jobs(checkout, "train_target"), key=lambda job: int(job["JobId"]))
    assert [job["JobState"] for job in jobs] == ["FAILED", "COMPLETED"]
    first, second = (int(job["MinMemoryNode"].removesuffix("M")) for job in jobs)
    assert second == 2 * first
    assert jobs[1]["TimeLimit"] > jobs[0]["TimeLimit"]


def test_a_partition_that_does_not_exist_is_told_and_not_retried(checkout):
    profile = checkout.folder / "profiles/slurm/config.yaml"
    profile.write_text(
        profile.read_text().replace("slurm_partition: gpu", "slurm_partition: nowhere")
    )
    folder = "results/small/digits/small_convnet"
    targets = [f"{folder}/{name}/models/target-7.safetensors" for name in ("dpf-0.9", "static-0.5")]
    output = checkout.snakemake(*ON_SLURM, "--", *targets, expect=1)  # an array
    assert output.count("invalid partition specified: nowhere") == 1
    assert "array-execs" not in output
    again = checkout.snakemake(*ON_SLURM, "--", targets[0], expect=1)  # a job
    assert again.count("invalid partition specified: nowhere") == 1
    for text in (output, again):
        assert "Error in rule train_target (study=small, dataset=digits," in text
        assert "Trying to restart" not in text


def test_why_a_job_failed_is_told_and_divergence_is_not_retried(checkout):
    short = SMALL["recipes"]["short"] | {"learning_rate": 1e20}
    checkout.configure(SMALL | {"recipes": {"short": short}})
    target = "results/small/digits/small_convnet/dpf-0.9/models/target-7.safetensors"
    output = checkout.snakemake(*ON_SLURM, "--", target, expect=1)
    assert output.count("Error in rule train_target (study=small, dataset=digits,") == 1
    assert "SLURM status is: 'FAILED'" in output
    assert "log: results/logs/small/digits/small_convnet/dpf-0.9/train-target-7.log" in output
    assert "ERROR the loss is no longer a finite number: target-7" in output
    assert "Trying to restart" not in output
    assert len(slurm_jobs(checkout, "train_target")) == 1


def test_how_slurms_log_ends_is_told_where_a_job_wrote_none(checkout):
    script = checkout.folder / "scripts/train_models.py"
    script.write_text("import os; os.kill(os.getpid(), 9)\n" + script.read_text())
    folder = "results/small/digits/small_convnet"
    targets = [f"{folder}/{name}/models/target-7.safetensors" for name in ("dpf-0.9", "static-0.5")]
    output = checkout.snakemake(*ON_SLURM, "--retries", "0", "--", *targets, expect=1)
    assert output.count("killed by SIGKILL, most often because memory ran out") == 2
    assert "    log: " + str(checkout.results / "logs/slurm/rule_train_target") in output


def test_cancelled_training_continues_from_its_checkpoint(checkout):
    config = SMALL | {"recipes": {"short": SMALL["recipes"]["short"] | {"epochs": 600}}}
    checkout.configure(config)
    target = "results/small/digits/small_convnet/dpf-0.9/models/target-7.safetensors"
    process = checkout.start(*ON_SLURM, "--", target)
    state = checkout.results / ".unfinished"

    def is_training():
        running = [j for j in slurm_jobs(checkout, "train_target") if j["JobState"] == "RUNNING"]
        logs = list(checkout.results.rglob("train-target-7.log"))
        return running and logs and "training" in logs[0].read_text()

    wait_until(is_training, process)
    time.sleep(2)
    job = slurm_jobs(checkout, "train_target")[0]["JobId"]
    subprocess.run(["scancel", job], check=True)
    wait_until(lambda: list(state.rglob("checkpoint.safetensors")), process)
    assert process.wait() == 0, process.communicate()[0]
    assert "continuing at step" in next(checkout.results.rglob("train-target-7.log")).read_text()
    assert not state.exists() or not any(path.is_file() for path in state.rglob("*"))


def test_lost_driver_is_cleaned_up_after_by_one_command(checkout, finished_once):
    process = checkout.start(*ON_SLURM, start_new_session=True)
    wait_until(lambda: slurm_jobs(checkout, "train_shadows_4"), process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    environment = os.environ | {"PATH": f"{ROOT}/.venv/bin:{os.environ['PATH']}"}
    subprocess.run(["scripts/slurm_cleanup.sh"], cwd=checkout.folder, check=True, env=environment)
    alive = {"PENDING", "RUNNING", "COMPLETING"}
    assert not [job for job in slurm_jobs(checkout) if job["JobState"] in alive]
    assert_nothing_half_written(checkout.results)
    checkout.snakemake(*ON_SLURM, "--", "tables")
    assert_same_results(checkout.results, finished_once.results)
