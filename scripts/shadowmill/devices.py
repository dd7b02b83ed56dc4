"""Which device a job uses."""

import fcntl
import os
import tempfile
from pathlib import Path

import torch

from shadowmill.errors import ConfigError

# Locks are held until the process ends, however it ends.
_held_locks: list[int] = []


def claim(wanted: str, threads: int) -> torch.device:
    """Choose the device of this job and set the number of CPU threads.

    Where several GPUs are visible (a workstation; Slurm shows a job its own alone), each job takes
    the first that no other job of this workflow has locked.

    Args:
        wanted: `auto`, `cpu` or `cuda`.
        threads: CPU threads of the job.

    Raises:
        ConfigError: `cuda` was asked for and there is none.
    """
    torch.set_num_threads(threads)
    torch.backends.cudnn.allow_tf32 = False  # scores are float32, not its short form
    num_gpus = torch.cuda.device_count() if wanted != "cpu" else 0
    if wanted == "cuda" and not num_gpus:
        raise ConfigError(
            "execution.device: cuda was asked for, but this machine shows no usable GPU "
            f"(CUDA_VISIBLE_DEVICES={os.environ.get('CUDA_VISIBLE_DEVICES', 'not set')}). "
            "Use auto or cpu, or send the job to a GPU node."
        )
    if not num_gpus:
        return torch.device("cpu")
    # Batches are of few sizes, so trying all ways of a convolution once pays.
    torch.backends.cudnn.benchmark = True
    return torch.device("cuda", free_index(num_gpus) if num_gpus > 1 else 0)


def free_index(num_gpus: int) -> int:
    """Lock and return the lowest GPU index that no other job holds, else the last one."""
    folder = Path(tempfile.gettempdir()) / f"shadowmill-gpus-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    for index in range(num_gpus):
        descriptor = os.open(folder / str(index), os.O_CREAT | os.O_RDWR)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            continue
        _held_locks.append(descriptor)
        return index
    return num_gpus - 1


def describe(device: torch.device) -> str:
    """Name of the device, for provenance."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
