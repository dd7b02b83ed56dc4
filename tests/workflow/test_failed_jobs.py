"""Jobs that fail through no fault of the code: what the terminal says, with profiles as shipped."""

import os
import re
import signal
import subprocess

import pytest

ROLES = "results/small/digits/roles/target-7.h5"


def begin(checkout, script, code):
    """Put code before a script."""
    path = checkout.folder / "scripts" / script
    path.write_text(f"{code}\n{path.read_text()}")


@pytest.mark.parametrize("profile", ["local", "workstation"])
def test_a_killed_job_says_so_and_is_retried(fresh, profile):
    begin(fresh, "draw_roles.py", "import os; os.kill(os.getpid(), 9)")
    options = ("--profile", f"profiles/{profile}", "--cores", "1", "--retries", "1")
    output = fresh.snakemake(*options, "--", ROLES, expect=1)
    error = (
        "Error in rule roles (study=small, dataset=digits, block=target-7):\n"
        "    killed by SIGKILL, most often because memory ran out\n"
        "    log: results/logs/small/digits/roles-target-7.log\n"
    )
    assert output.count(error) == 2
    assert output.count("Trying to restart job") == 1
    assert "CalledProcessError" not in output


def test_a_full_disk_is_told_by_the_driver_where_logs_are_empty(fresh, tmp_path):
    if os.geteuid():
        pytest.skip("only root can mount a small file system")
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "none", disk]
    if subprocess.run(mount, check=False).returncode:
        pytest.skip("this machine does not let root mount file systems")
    try:
        fresh.results.symlink_to(disk)
        # Between the driver's look at the disk and the job, somebody fills it.
        begin(fresh, "prepare_dataset.py", f"open('{disk}/other', 'wb').write(bytes(10**6))")
        output = fresh.run("results/data/digits.h5", expect=1, options=("--retries", "2"))
        # And on a full disk nothing starts.
        again = fresh.run("results/data/digits.h5", expect=1)
    finally:
        subprocess.run(["umount", disk], check=True)
    errors = output.split("Error in rule dataset (dataset=digits):")
    assert len(errors) == 2
    assert "    log: results/logs/" in errors[1]
    full = r"results: the disk is full \(0 bytes free\), a small file needs 65\.5 kB\. Make room"
    assert re.search(full, errors[1])
    assert re.search(rf"^{full}", again, re.MULTILINE)
    assert "Logging error" not in output + again
    assert "Error in rule" not in again


def test_ctrl_c_while_planning_is_one_line(fresh):
    with (fresh.folder / "Snakefile").open("a") as file:
        file.write("\nimport signal\n\nos.kill(os.getpid(), signal.SIGINT)\n")
    output = fresh.run(expect=-signal.SIGINT)
    assert output.splitlines()[-1] == "Stopped on request before any job was started."
    assert "Traceback" not in output
