"""A disk that is full: one line that names the folder and the need, whatever is written."""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import torch

mpl.use("Agg")
from matplotlib import pyplot as plt

from shadowmill import storage
from shadowmill.data.readers import download
from shadowmill.errors import DiskError
from shadowmill.figures import style
from shadowmill.tables.examples import write_parquet

SCRIPTS = Path(storage.__file__).parents[1]


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    """A file system of one megabyte."""
    if os.geteuid():
        pytest.skip("only root can mount a small file system")
    folder = tmp_path_factory.mktemp("disk")
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", folder], check=False
    ).returncode:
        pytest.skip("this machine does not let root mount file systems")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.fixture
def full_disk(disk):
    """The same with no room at all."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    assert os.statvfs(disk).f_bavail == 0
    yield disk
    filler.unlink()


def noise(*shape):
    return np.random.default_rng(0).random(shape)


def write_figure(path):
    figure, axes = plt.subplots()
    axes.imshow(noise(900, 900, 3), interpolation="none")
    figure.set_size_inches(8, 8)
    style.save(figure, [path])


def write_a_parquet(path):
    table = path.parents[2] / "table.csv"
    pd.DataFrame({"x": noise(150_000)}).to_csv(table, index=False)
    write_parquet(str(table), str(path))


def copy(path):
    source = path.parents[2] / "source"
    source.write_bytes(bytes(2_000_000))
    storage.link_or_copy(source, path)


WRITERS = {
    "scores.h5": lambda path: storage.write_hdf5(path, {"x": noise(200_000)}, {}),
    "model.safetensors": lambda path: storage.write_tensors(path, {"x": torch.ones(300_000)}, {}),
    "table.csv": lambda path: storage.write_text(path, "x" * 1_200_000),
    "figure.png": write_figure,
    "figure.pdf": write_figure,
    "examples.parquet": write_a_parquet,
    "copy": copy,
}


@pytest.mark.parametrize("name", WRITERS)
def test_what_does_not_fit_is_named_with_its_need(disk, tmp_path, name):
    # The path that is written goes through a link, as results often does.
    (tmp_path / "results").symlink_to(disk)
    path = tmp_path / "results" / "small" / name
    with pytest.raises(DiskError) as raised:
        WRITERS[name](path)
    message = str(raised.value)
    assert message.startswith(f"{path.parent}: the disk is full (1.0 MB free), {name} needs ")
    need, unit = message.split("needs ")[1].split(". ")[0].split()
    assert 1 < float(need) < 8
    assert unit == "MB"
    assert "\n" not in message
    assert list(path.parent.iterdir()) == []


def test_an_earlier_file_outlives_a_full_disk(disk):
    path = disk / "kept.h5"
    storage.write_hdf5(path, {"x": np.arange(3)}, {})
    with pytest.raises(DiskError):
        storage.write_hdf5(path, {"x": noise(200_000)}, {})
    with storage.open_hdf5(path) as file:
        assert file["x"][:].tolist() == [0, 1, 2]
    path.unlink()


def test_no_room_for_a_folder(full_disk):
    with pytest.raises(
        DiskError, match=r"deep: the disk is full \(0 bytes free\), x needs 1 bytes"
    ):
        storage.write_text(full_disk / "new/deep/x", "x")


def test_a_folder_without_room_is_named_before_anything_runs(full_disk):
    with pytest.raises(DiskError, match=rf"{full_disk}: the disk is full"):
        storage.require_writable(full_disk)


def test_no_room_for_a_download(full_disk):
    with pytest.raises(DiskError, match=rf"{full_disk}: the disk is full.*cifar10 does not fit"):
        download(lambda: (full_disk / "x").write_bytes(bytes(9000)), "cifar10", full_disk, "page")


JOB = """
import sys
from shadowmill.jobs import job
with job(sys.argv[1]):
    import numpy as np
    from shadowmill import storage
    storage.write_hdf5(sys.argv[2], {"x": np.random.default_rng(0).random(200_000)}, {})
"""


def test_without_room_for_its_log_a_job_tells_the_terminal(full_disk):
    log, output = full_disk / "job.log", full_disk / "scores.h5"
    log.touch()
    result = subprocess.run(
        [sys.executable, "-c", JOB, log, output],
        env=os.environ | {"PYTHONPATH": str(SCRIPTS)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1  # not killed by a signal
    assert result.stderr.startswith(f"shadowmill: {full_disk}: the disk is full")
    assert result.stderr.count("\n") == 1
    assert log.read_text() == ""
    log.unlink()
