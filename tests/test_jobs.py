"""What surrounds the one call of every rule script."""

import subprocess
import sys

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
    assert result.stderr.strip() == "shadowmill: digits: gone. Fetch it."
    assert "digits: gone" in log.read_text()
    assert "Traceback" not in log.read_text()


def test_a_defect_of_the_code_shows_its_traceback_in_terminal_and_log(tmp_path):
    result = run("1 / 0", tmp_path / "log")
    assert result.returncode == 1
    assert "ZeroDivisionError" in result.stderr
    assert "ZeroDivisionError" in (tmp_path / "log").read_text()


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
