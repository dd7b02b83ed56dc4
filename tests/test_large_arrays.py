"""Arrays that are never whole in memory: written in parts, and checked when they are read."""

import errno
import os
import tracemalloc

import h5py
import numpy as np
import pytest

from shadowmill import large_arrays, storage
from shadowmill.errors import ArtefactError, DiskError
from shadowmill.large_arrays import Streamed, write_hdf5_in_parts
from shadowmill.provenance import array_digest

ROWS = np.random.default_rng(0).integers(0, 256, (50, 8, 3), dtype=np.uint8)


def write(path, rows=ROWS, shape=None, arrays=None, size=7):
    seen = []

    def rest(digest):
        seen.append(digest)
        return (
            arrays or {"labels": np.arange(50), "ids": np.array(["é", "b"])},
            {"by": "me"},
            {"n": 3},
        )

    parts = (rows[k : k + size] for k in range(0, len(rows), size))
    write_hdf5_in_parts(path, "images", Streamed(shape or rows.shape, rows.dtype, parts), rest)
    return seen


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_what_is_written_in_parts_is_read_as_any_other_file(tmp_path, dtype):
    rows = ROWS.astype(dtype)
    assert write(tmp_path / "a.h5", rows) == [array_digest(rows)]
    with storage.open_hdf5(tmp_path / "a.h5") as file:
        for found in (file["images"], large_arrays.mapped(file, "images")):
            np.testing.assert_array_equal(found, rows, strict=True)
        assert file["labels"].tolist() == list(range(50))
        assert file["ids"].tolist() == ["é", "b"]
        assert storage.attribute(file) == {"by": "me"}
        assert storage.attribute(file, "n") == 3
    assert list(tmp_path.iterdir()) == [tmp_path / "a.h5"]


def test_it_is_read_from_the_disk(tmp_path):
    write(tmp_path / "a.h5")
    with storage.open_hdf5(tmp_path / "a.h5") as file:
        mapped = large_arrays.mapped(file, "images")
    assert isinstance(mapped, np.memmap)
    mapped[0] = 0  # a copy: the file stays as it is
    with storage.open_hdf5(tmp_path / "a.h5") as file:
        np.testing.assert_array_equal(file["images"], ROWS)


def test_what_is_compressed_is_read_whole(tmp_path):
    large = np.zeros((1 << 17,), np.uint8)
    storage.write_hdf5(tmp_path / "a.h5", {"images": large}, {})
    with storage.open_hdf5(tmp_path / "a.h5") as file:
        found = large_arrays.mapped(file, "images")
        assert file.get("images") is not None
        assert file.get("labels") is None
    assert not isinstance(found, np.memmap)
    np.testing.assert_array_equal(found, large)


def test_a_changed_byte_is_noticed(tmp_path, monkeypatch):
    write(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "r") as file:
        offset = file["images"].id.get_offset()
    monkeypatch.setattr(large_arrays, "_PART", 100)
    with (tmp_path / "a.h5").open("rb+") as raw:
        raw.seek(offset + 1100)
        old = raw.read(1)[0]
        raw.seek(offset + 1100)
        raw.write(bytes([old ^ 1]))
    with (
        storage.open_hdf5(tmp_path / "a.h5") as file,
        pytest.raises(ArtefactError, match="the content of images is no longer what was written"),
    ):
        large_arrays.mapped(file, "images")


def test_a_killed_writer_leaves_nothing_under_the_name(tmp_path):
    def parts():
        yield ROWS[:7]
        raise KeyboardInterrupt

    streamed = Streamed(ROWS.shape, ROWS.dtype, parts())
    with pytest.raises(KeyboardInterrupt):
        write_hdf5_in_parts(tmp_path / "a.h5", "images", streamed, lambda _: ({}, {}, {}))
    assert list(tmp_path.iterdir()) == []


def test_too_few_rows_are_noticed(tmp_path):
    with pytest.raises(ValueError, match="1200 bytes of images, 1224 expected"):
        write(tmp_path / "a.h5", shape=(51, 8, 3))
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_before_the_library_meets_it(tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(DiskError, match=r"a\.h5 needs 1\.2 kB"):
        write(tmp_path / "a.h5")


def test_arrays_beside_it_have_room(tmp_path, monkeypatch):
    """What is set aside is enough: the file does not grow beyond it."""
    reserved = []
    allocate = os.posix_fallocate

    def noted(descriptor, start, length):
        reserved.append(start + length)
        allocate(descriptor, start, length)

    monkeypatch.setattr(os, "posix_fallocate", noted)
    many = {"ids": np.array([f"a name of example {k}" for k in range(20_000)])}
    write(tmp_path / "a.h5", arrays=many | {"labels": np.arange(20_000)})
    assert (tmp_path / "a.h5").stat().st_size <= reserved[0]


def test_the_memory_does_not_grow_with_the_array(tmp_path):
    part = np.zeros((1 << 20,), np.uint8)
    streamed = Streamed((64 << 20,), part.dtype, (part for _ in range(64)))
    tracemalloc.start()
    write_hdf5_in_parts(tmp_path / "a.h5", "images", streamed, lambda _: ({}, {}, {}))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20
