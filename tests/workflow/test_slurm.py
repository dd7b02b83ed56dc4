"""The small study on a real Slurm: a private cluster of four emulated nodes on this machine."""

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

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


@pytest.fixture(scope="module")
def accounting(cluster):
    """For the tests from here on: slurmdbd with a database, as most clusters have them."""
    missing = [tool for tool in ("slurmdbd", "mariadbd") if not shutil.which(tool)]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)} (Debian: slurmdbd, mariadb-server)")
    subprocess.run([SANDBOX, "stop"], check=True)
    subprocess.run([SANDBOX, "start", "--accounting"], check=True)


@pytest.fixture
def allow(accounting):
    """Limit the number of jobs that Slurm takes from us at a time."""

    def limit(number):
        change = ["modify", "user", "root", "set", f"MaxSubmitJobs={number}"]
        subprocess.run(["sacctmgr", "--immediate", *change], check=True)

    yield limit
    limit(-1)


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
    # The other variant, and figures, are more jobs of the same kind.
    names = [f"{name}.{kind}" for name in ("lira_online", "lira_fixed") for kind in ("h5", "csv")]
    folder = "results/small/digits/small_convnet/dpf-0.9"
    targets = [f"{folder}/attacks/adaptive/{name}" for name in names]
    checkout.snakemake(*ON_SLURM, "--", *targets)
    assert_same_results(checkout.results, finished_once.results)
    # What was known only once the data were prepared is written down as it is known then.
    assert checkout.planned(*targets) == {}
    training = slurm_jobs(checkout, "train_shadows_4")
    assert len(training) == 2
    assert {job["JobState"] for job in training} == {"COMPLETED"}
    for job in training + slurm_jobs(checkout, "score_block"):
        assert job["TresPerJob"] == "gres:gpu:1"
        assert job["Partition"] == "gpu"
    assert all("TresPerJob" not in job for job in slurm_jobs(checkout, "attack"))
    models = list(checkout.results.rglob("models/*.safetensors"))
    assert len(models) == 8 + 1
    for path in models:
        facts = read_model(path).provenance
        assert facts["slurm_job"]
        assert facts["visible_devices"] in ("0", "1"), "not one device"


@pytest.mark.slow
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
    target = f"{folder}/dpf-0.9/models/target-7.safetensors"
    output = checkout.snakemake(*ON_SLURM, "--", target, expect=1)
    assert output.count("invalid partition specified: nowhere") == 1
    assert "Error in rule train_target (study=small, dataset=digits," in output
    assert "Trying to restart" not in output


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


@pytest.mark.slow
def test_how_slurms_log_ends_is_told_where_a_job_wrote_none(checkout):
    script = checkout.folder / "scripts/train_models.py"
    script.write_text("import os; os.kill(os.getpid(), 9)\n" + script.read_text())
    folder = "results/small/digits/small_convnet"
    targets = [f"{folder}/{name}/models/target-7.safetensors" for name in ("dpf-0.9", "static-0.5")]
    output = checkout.snakemake(*ON_SLURM, "--retries", "0", "--", *targets, expect=1)
    assert output.count("killed by SIGKILL, most often because memory ran out") == 2
    assert "    log: " + str(checkout.results / "logs/slurm/rule_train_target") in output


@pytest.mark.slow
def test_cancelled_training_continues_from_its_checkpoint(checkout, accounting):
    """With accounting, a cancelled job is "CANCELLED by 0", for which the plugin waits for ever."""
    config = SMALL | {"recipes": {"short": SMALL["recipes"]["short"] | {"epochs": 600}}}
    checkout.configure(config)
    target = "results/small/digits/small_convnet/dpf-0.9/models/target-7.safetensors"
    process = checkout.start(*ON_SLURM, "--", target)
    state = checkout.results / ".unfinished"

    def is_training():
        running = [j for j in slurm_jobs(checkout, "train_target") if j["JobState"] == "RUNNING"]
        return running and "training" in log_of_training(checkout)

    wait_until(is_training, process)
    time.sleep(2)
    job = slurm_jobs(checkout, "train_target")[0]["JobId"]
    subprocess.run(["scancel", job], check=True)
    wait_until(lambda: list(state.rglob("checkpoint.safetensors")), process)
    assert process.wait() == 0, process.communicate()[0]
    assert "continuing at step" in next(checkout.results.rglob("train-target-7.log")).read_text()
    assert not state.exists() or not any(path.is_file() for path in state.rglob("*"))


@pytest.mark.slow
def test_lost_driver_is_cleaned_up_after_by_one_command(checkout, finished_once, accounting):
    process = checkout.start(*ON_SLURM, start_new_session=True)
    wait_until(lambda: slurm_jobs(checkout, "train_shadows_4"), process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    environment = os.environ | {"PATH": f"{ROOT}/.venv/bin:{os.environ['PATH']}"}
    subprocess.run(["scripts/slurm_cleanup.sh"], cwd=checkout.folder, check=True, env=environment)
    alive = {"PENDING", "RUNNING", "COMPLETING"}
    assert not [job for job in slurm_jobs(checkout) if job["JobState"] in alive]
    assert_nothing_half_written(checkout.results)
    attack = "results/small/digits/small_convnet/static-0.5/attacks/adaptive/lira_online.h5"
    checkout.snakemake(*ON_SLURM, "--", attack)
    assert_same_results(checkout.results, finished_once.results)


ONE_IS_SLOW = """
import time
time.sleep(30 if snakemake.wildcards.get("shadow_block") == "00" else 10)
"""


@pytest.mark.slow
def test_few_jobs_allowed(checkout, allow):
    """Nothing fails, nothing is done twice where Slurm takes two jobs at a time.

    One job is slower: as tasks of an array, all would get the state of the quick ones. These last
    until the third job is submitted.
    """
    allow(2)
    script = checkout.folder / "scripts/train_models.py"
    script.write_text(ONE_IS_SLOW + script.read_text())
    folder = "results/small/digits/small_convnet"
    names = ("target-7", "shadow-00-0", "shadow-01-0")
    targets = [f"{folder}/static-0.5/models/{name}.safetensors" for name in names]
    output = checkout.snakemake(*ON_SLURM, "--", *targets)
    assert "Slurm takes no job at present: " in output
    jobs = slurm_jobs(checkout)
    assert [job["JobState"] for job in jobs] == ["COMPLETED"] * 3


def log_of_training(checkout):
    return "".join(path.read_text() for path in checkout.results.rglob("train-target-7.log"))


def kill_daemons(*names):
    for name in names:
        pid = Path(f"/var/tmp/shadowmill-slurm-sandbox/{name}.pid").read_text()
        os.kill(int(pid), signal.SIGKILL)


@pytest.mark.slow
def test_outage_of_slurm(checkout, accounting):
    """Jobs end, and are to be submitted, while neither daemon is there."""
    config = SMALL | {"recipes": {"short": SMALL["recipes"]["short"] | {"epochs": 500}}}
    checkout.configure(config)
    target = "results/small/digits/small_convnet/dpf-0.9/scores/target-7.h5"
    process = checkout.start(*ON_SLURM, "--", target)
    wait_until(lambda: "training" in log_of_training(checkout), process)
    time.sleep(6)  # every five seconds slurmctld saves what it knows of jobs
    kill_daemons("slurmctld", "slurmdbd")
    time.sleep(50)
    assert process.poll() is None, process.communicate()[0]
    subprocess.run([SANDBOX, "start", "--accounting"], check=True)
    output = process.communicate(timeout=150)[0]
    assert process.returncode == 0, output
    assert output.count("has been submitted") == 2, output


PATIENT = ROOT / "profiles/slurm/bin"


def ask(folder, command, *arguments, expect=0):
    """Call one of our commands as the plugin does."""
    path = os.environ | {"PATH": f"{PATIENT}:{os.environ['PATH']}"}
    run = subprocess.run(
        [command, *arguments], cwd=folder, env=path, text=True, capture_output=True
    )
    assert run.returncode == expect, run.stderr
    return run.stdout + run.stderr


def submit(folder, comment, *more, expect=0):
    arguments = ("--parsable", "--job-name", "run", "--comment", comment, "--output", "/dev/null")
    return ask(folder, "sbatch", *arguments, *more, "--wrap", "sleep 5", expect=expect).strip()


def states(folder):
    question = ("-X", "--parsable2", "--noheader", "--format=JobIdRaw,State", "--name", "run")
    return dict(line.split("|") for line in ask(folder, "sacct", *question).splitlines())


def test_submission_waits_only_where_waiting_helps(tmp_path, allow):
    allow(1)
    first = submit(tmp_path, "a")
    begin = time.monotonic()
    second = submit(tmp_path, "b")
    assert time.monotonic() - begin > 3
    subprocess.run(["scancel", second], check=True)
    assert states(tmp_path) == {first: "COMPLETED", second: "CANCELLED"}
    assert "Invalid partition" in submit(tmp_path, "c", "-p", "none", expect=1)
    allow(0)
    wait = time.monotonic() + 30
    while subprocess.check_output(["squeue", "-h"]) and time.monotonic() < wait:
        time.sleep(0.5)
    assert "job submit limit" in submit(tmp_path, "d", expect=1)


def leave(checkout, job, status):
    """What a job leaves in a checkout once it was submitted, and once it has ended if it has."""
    folder = checkout / ".snakemake/shadowmill-slurm"
    folder.mkdir(parents=True)
    (folder / "run").write_text(f"{job}\n")
    if status:
        (folder / f"ended-{job}").write_text(f"{status}\n")


@pytest.mark.parametrize(("left", "state"), [("0", "COMPLETED"), ("1", "FAILED"), ("", "FAILED")])
def test_job_that_slurm_has_forgotten_ended_as_it_says(tmp_path, left, state):
    """One that says nothing was lost before it began: old outputs are no result of it."""
    leave(tmp_path, "999999", left)
    assert states(tmp_path)["999999"] == state


@pytest.mark.parametrize(
    ("state", "left", "expected"),
    [
        ("NODE_FAIL", "0", "COMPLETED"),
        ("FAILED", "0", "COMPLETED"),
        ("FAILED", "1", "FAILED"),
        ("COMPLETED", "1", "FAILED"),
        ("NODE_FAIL", "", "NODE_FAIL"),
        ("RUNNING", "0", "RUNNING"),  # again, after it was requeued
    ],
)
def test_job_that_ended_while_slurm_was_away(tmp_path, monkeypatch, state, left, expected):
    """Slurm takes it for failed, as nobody told it of the end."""
    squeue = tmp_path / "bin/squeue"
    squeue.parent.mkdir()
    squeue.write_text(f"#!/bin/sh\necho '7|{state}'\n")
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", f"{squeue.parent}:{os.environ['PATH']}")
    leave(tmp_path, "7", left)
    assert states(tmp_path)["7"] == expected


def test_jobs_leave_their_exit_status(tmp_path):
    (tmp_path / ".snakemake").mkdir()
    source = f". {ROOT}/profiles/slurm/exit_status.sh"
    for job, command in (
        ("7", "true"),
        ("8", "exit 3"),
        ("9", f"env SLURM_STEP_ID=0 sh -c '{source}'"),
    ):
        script = tmp_path / "script"
        script.write_text(f"#!/bin/sh\n{source} && {command}\n")
        environment = os.environ | {"SLURM_JOB_ID": job}
        subprocess.run(["sh", script], cwd=tmp_path, env=environment)
    left = {path.name: path.read_text() for path in tmp_path.glob(".snakemake/*/ended-*")}
    assert left == {"ended-7": "0\n", "ended-8": "3\n", "ended-9": "0\n"}
