"""The choice of a device."""

import subprocess
import sys

import pytest
import torch

from shadowmill import devices
from shadowmill.errors import ConfigError

HOLD = """
import sys
from shadowmill.devices import free_index
print(free_index(2), flush=True)
sys.stdin.read()
"""


def hold():
    """A process that takes a GPU and keeps it until its input is closed; the index it took."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    return process, int(process.stdout.readline())


@pytest.mark.long
def test_jobs_take_different_gpus_and_give_them_back_when_they_end(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    first, first_index = hold()
    second, second_index = hold()
    assert (first_index, second_index) == (0, 1)
    first.kill()
    first.wait()
    third, third_index = hold()
    assert third_index == 0
    for process in (second, third):
        process.communicate("")


def test_threads_are_those_of_the_job():
    before = torch.get_num_threads()
    try:
        assert devices.claim("cpu", 1) == torch.device("cpu")
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_an_error_and_auto_does_without():
    with pytest.raises(ConfigError, match=r"execution\.device: cuda .* no usable GPU"):
        devices.claim("cuda", 1)
    assert devices.claim("auto", torch.get_num_threads()).type == "cpu"
