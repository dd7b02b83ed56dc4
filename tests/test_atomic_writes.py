"""Atomic writes: what a killed job or a full disk may leave behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from shadowmill import storage

SCRIPTS = Path(storage.__file__).parents[1]


def files_below(folder):
    return sorted(path.name for path in folder.rglob("*"))


def write_numbers(path, count=10):
    storage.write_hdf5(path, {"numbers": np.arange(count)}, {})


def fail_half_way(path):
    def write_and_fail(temporary):
        temporary.write_text("half")
        raise InterruptedError("in the middle")

    with pytest.raises(InterruptedError), storage.atomic(path) as temporary:
        write_and_fail(temporary)


def test_a_file_appears_under_its_name_only_when_its_block_ends(tmp_path):
    path = tmp_path / "new" / "folder" / "result.txt"
    with storage.atomic(path) as temporary:
        temporary.write_text("whole")
        assert temporary.parent == path.parent  # a rename across file systems is not atomic
        assert not path.exists()
    assert path.read_text() == "whole"
    assert files_below(path.parent) == ["result.txt"]


def test_a_failing_block_leaves_nothing(tmp_path):
    fail_half_way(tmp_path / "result.txt")
    assert files_below(tmp_path) == []


def test_a_failing_block_keeps_the_earlier_file(tmp_path):
    path = tmp_path / "result.txt"
    storage.write_text(path, "earlier")
    fail_half_way(path)
    assert path.read_text() == "earlier"
    assert files_below(tmp_path) == ["result.txt"]


KILLED_WRITER = """
import sys, time
from shadowmill import storage
with storage.atomic(sys.argv[1]) as temporary:
    with temporary.open("w") as file:
        file.write("half")
        file.flush()
        print("written", flush=True)
        time.sleep(60)
"""


@pytest.mark.parametrize("before", [None, "earlier"])
def test_a_killed_writer_leaves_nothing_under_the_final_name(tmp_path, before):
    path = tmp_path / "result.txt"
    if before:
        storage.write_text(path, before)
    with subprocess.Popen(
        [sys.executable, "-c", KILLED_WRITER, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(SCRIPTS)},
    ) as writer:
        assert writer.stdout.readline() == "written\n"
        writer.kill()
        assert writer.wait() == -signal.SIGKILL
    assert (path.read_text() if path.exists() else None) == before
    left = [name for name in files_below(tmp_path) if name != path.name]
    assert len(left) == 1  # or the test killed too late
    # The next writer starts from nothing and clears up.
    with storage.atomic(path) as temporary:
        assert temporary.name == left[0]
        temporary.write_text("new")
    assert path.read_text() == "new"
    assert files_below(tmp_path) == [path.name]


def test_a_longer_leftover_is_overwritten_whole(tmp_path):
    path = tmp_path / "result.h5"
    with storage.atomic(path) as temporary:
        part = temporary
        temporary.write_text("")
    part.write_bytes(b"left by a killed job" * 10_000)
    write_numbers(path)
    with storage.open_hdf5(path) as file:
        assert file["numbers"][:].tolist() == list(range(10))
    assert files_below(tmp_path) == [path.name]
