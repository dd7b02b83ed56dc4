"""Files that are checked when they are read, their second names, and the folders they lie in."""

import os
import re
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from shadowmill import storage
from shadowmill.errors import ArtefactError

SCRIPTS = Path(storage.__file__).parents[1]


def files_below(folder):
    return sorted(path.name for path in folder.rglob("*"))


def write_numbers(path, count=10):
    storage.write_hdf5(path, {"numbers": np.arange(count)}, {})


# HDF5.


def test_hdf5_roundtrip(tmp_path):
    arrays = {
        "small": np.array([[1.5, np.nan], [-np.inf, 4]]),
        "large": np.random.default_rng(0).normal(size=(50, 400)).astype(np.float32),
        "roles": np.array([[0, 1], [2, 3]], dtype=np.int8),
        "flags": np.array([True, False]),
        "names": ["target-42", "shadow-00-1", "Größe"],
    }
    provenance = {"settings": {"epochs": 3, "rate": 0.1}, "device": "cpu", "slurm_job": None}
    storage.write_hdf5(tmp_path / "a.h5", arrays, provenance, classes=("cat", "dog"), size=7)
    with storage.open_hdf5(tmp_path / "a.h5") as file:
        assert set(file) == set(arrays)
        for name in ("small", "large", "roles", "flags"):
            np.testing.assert_array_equal(file[name][:], arrays[name], strict=True)
        assert file["names"][:].tolist() == arrays["names"]
        assert storage.attribute(file) == provenance
        assert storage.attribute(file, "classes") == ["cat", "dog"]
        assert storage.attribute(file, "size") == 7


def test_a_missing_hdf5_file_is_named_with_its_remedy(tmp_path):
    path = tmp_path / "scores.h5"
    with (
        pytest.raises(ArtefactError, match=rf"{re.escape(str(path))}: no such file.*Rerun"),
        storage.open_hdf5(path),
    ):
        pass


@pytest.mark.parametrize("part", [0, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_hdf5_file_is_named_with_its_remedy(tmp_path, part):
    path = tmp_path / "scores.h5"
    write_numbers(path, 100_000)
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    with (
        pytest.raises(
            ArtefactError,
            match=rf"{re.escape(str(path))}: .*truncated.*Move it elsewhere",
        ),
        storage.open_hdf5(path) as file,
    ):
        file["numbers"][:]


def test_an_hdf5_file_with_a_damaged_chunk_is_named(tmp_path):
    path = tmp_path / "scores.h5"
    write_numbers(path, 100_000)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 2000] = bytes(2000)
    path.write_bytes(content)
    with (
        pytest.raises(ArtefactError, match=re.escape(str(path))),
        storage.open_hdf5(path) as file,
    ):
        file["numbers"][:]


def test_an_hdf5_file_without_a_wanted_array_is_named(tmp_path):
    path = tmp_path / "scores.h5"
    write_numbers(path)
    with (
        pytest.raises(ArtefactError, match=rf"{re.escape(str(path))}.*phi.*Delete it"),
        storage.open_hdf5(path) as file,
    ):
        file["phi"][:]


# safetensors.


def test_safetensors_roundtrip(tmp_path):
    random = torch.Generator().manual_seed(0)
    tensors = {
        "weight": torch.randn(3, 4, generator=random, requires_grad=True),
        "transposed": torch.arange(6).view(2, 3).T,  # not contiguous
        "mask": torch.tensor([True, False]),
        "counter": torch.tensor(7),
    }
    metadata = {"provenance": {"seed": 1, "settings": {"b": [1, 2]}}, "history": {"loss": [0.5]}}
    storage.write_tensors(tmp_path / "m.safetensors", tensors, metadata)
    read, facts = storage.read_tensors(tmp_path / "m.safetensors")
    assert facts == metadata
    assert read.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert read[name].dtype == tensor.dtype
        assert torch.equal(read[name], tensor.detach())


def test_a_missing_safetensors_file_is_named_with_its_remedy(tmp_path):
    path = tmp_path / "shadow-00-1.safetensors"
    with pytest.raises(ArtefactError, match=rf"{re.escape(str(path))}: no such file.*Rerun"):
        storage.read_tensors(path)


@pytest.mark.parametrize("part", [0, 0.001, 0.1, 0.5, 0.999])
def test_a_truncated_safetensors_file_is_named_with_its_remedy(tmp_path, part):
    path = tmp_path / "shadow-00-1.safetensors"
    storage.write_tensors(path, {"weight": torch.zeros(5000)}, {"provenance": {}})
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(
        ArtefactError, match=rf"{re.escape(str(path))}: .*truncated.*Move it elsewhere"
    ):
        storage.read_tensors(path)


def test_a_safetensors_file_of_other_makers_is_named(tmp_path):
    from safetensors.torch import save_file

    path = tmp_path / "shadow-00-1.safetensors"
    save_file({"weight": torch.zeros(5)}, path)
    with pytest.raises(ArtefactError, match=re.escape(str(path))):
        storage.read_tensors(path)


@pytest.mark.parametrize("shape", [(3, 4), (0,), ()])
def test_metadata_can_be_read_alone(tmp_path, shape):
    metadata = {"provenance": {"model": "target-42"}, "history": {"sparsity/a.b": [0.5, None]}}
    storage.write_tensors(tmp_path / "m.safetensors", {"weight": torch.zeros(shape)}, metadata)
    assert storage.read_metadata(tmp_path / "m.safetensors") == metadata


def test_metadata_can_be_read_without_torch(tmp_path):
    path = tmp_path / "m.safetensors"
    storage.write_tensors(path, {"weight": torch.zeros(3, dtype=torch.bfloat16)}, {"a": 7})
    code = (
        "import sys; from shadowmill import storage;"
        f"print(storage.read_metadata({str(path)!r}), 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(SCRIPTS)},
    )
    assert done.stdout.strip() == "{'a': 7} False"


def test_metadata_of_a_missing_file_is_named_with_its_remedy(tmp_path):
    path = tmp_path / "target-42.safetensors"
    with pytest.raises(ArtefactError, match=rf"{re.escape(str(path))}: no such file.*Rerun"):
        storage.read_metadata(path)


@pytest.mark.parametrize("part", [0, 0.001, 0.1, 0.5, 0.999])
def test_metadata_of_a_truncated_file_are_not_trusted(tmp_path, part):
    path = tmp_path / "target-42.safetensors"
    storage.write_tensors(path, {"weight": torch.zeros(5000)}, {"provenance": {}})
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(
        ArtefactError, match=rf"{re.escape(str(path))}: .*truncated.*Move it elsewhere"
    ):
        storage.read_metadata(path)


def test_metadata_of_other_makers_are_refused(tmp_path):
    from safetensors.torch import save_file

    path = tmp_path / "other.safetensors"
    for metadata in (None, {"format": "pt"}):  # which is no JSON
        save_file({"weight": torch.zeros(5)}, path, metadata)
        with pytest.raises(ArtefactError, match=re.escape(str(path))):
            storage.read_metadata(path)


# Second names.


def test_a_linked_file_survives_the_loss_of_its_first_name(tmp_path):
    source, destination = tmp_path / "source", tmp_path / "destination"
    source.write_text("content")
    destination.write_text("old")
    storage.link_or_copy(source, destination)
    assert source.samefile(destination)
    source.unlink()
    assert destination.read_text() == "content"


def test_files_are_copied_where_links_are_not_possible(tmp_path, monkeypatch):
    def refuse(*arguments):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    source, destination = tmp_path / "source", tmp_path / "elsewhere" / "destination"
    source.write_text("content")
    storage.link_or_copy(source, destination)
    assert destination.read_text() == "content"
    assert not source.samefile(destination)
    assert files_below(destination.parent) == ["destination"]


def test_a_second_name_is_dated_now(tmp_path):
    # Snakemake deletes outputs that are older than an input.
    source, later = tmp_path / "source", tmp_path / "input"
    source.write_text("content")
    os.utime(source, (1, 1))
    later.touch()
    storage.link_or_copy(source, tmp_path / "destination")
    assert (tmp_path / "destination").stat().st_mtime >= later.stat().st_mtime


# Folders.


def test_a_writable_folder_is_made_and_left_empty(tmp_path):
    folder = tmp_path / "results" / "deep"
    storage.require_writable(folder)
    storage.require_writable(folder)
    assert folder.is_dir()
    assert files_below(folder) == []


@pytest.mark.parametrize("below", ["", "below"])
def test_a_file_in_the_place_of_the_results_folder_is_named(tmp_path, below):
    (tmp_path / "results").write_text("a file")
    folder = tmp_path / "results" / below
    with pytest.raises(ArtefactError, match=rf"{re.escape(str(folder))}: cannot write.*folder"):
        storage.require_writable(folder)


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_folder_without_write_permission_is_named(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(ArtefactError, match=rf"{re.escape(str(tmp_path))}: cannot write"):
        storage.require_writable(tmp_path)


# Content that changed.


def flip(path, count=64):
    """Flip bytes within the largest stretch of a file, where the content lies."""
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    for place in range(middle, middle + count):
        content[place] ^= 0x40
    path.write_bytes(content)


def test_flipped_bytes_of_tensors_are_noticed(tmp_path):
    path = tmp_path / "m.safetensors"
    storage.write_tensors(path, {"weight": torch.randn(4096)}, {"provenance": {"made": "here"}})
    flip(path)
    with pytest.raises(ArtefactError, match=rf"{re.escape(str(path))}: damaged.*Delete it"):
        storage.read_tensors(path)


def test_flipped_bytes_of_arrays_are_noticed(tmp_path):
    path = tmp_path / "a.h5"
    storage.write_hdf5(path, {"x": np.random.default_rng(0).random(5_000)}, {"made": "here"})
    flip(path)
    with storage.open_hdf5(path) as file:
        pattern = rf"{re.escape(str(path))}: damaged, the content of x .*Delete it"
        with pytest.raises(ArtefactError, match=pattern):
            file["x"]
        with pytest.raises(ArtefactError, match=pattern):
            file.read_into("x", np.empty(5_000), np.s_[:])


@pytest.mark.parametrize("error", [KeyError("x"), OSError("full"), RuntimeError("y")])
def test_faults_of_who_reads_are_not_blamed_on_the_file(tmp_path, error):
    storage.write_hdf5(tmp_path / "a.h5", {"x": [1]}, {})
    with pytest.raises(type(error)), storage.open_hdf5(tmp_path / "a.h5"):
        raise error


@pytest.mark.parametrize("name", ["numbers", "names"])
def test_edited_arrays_are_noticed(tmp_path, name):
    path = tmp_path / "a.h5"
    arrays = {"numbers": np.arange(5), "names": ["a", "b"], "rest": np.ones(2)}
    storage.write_hdf5(path, arrays, {"made": "here"})
    with h5py.File(path, "r+") as file:
        file[name][0] = 7 if name == "numbers" else "c"
    with storage.open_hdf5(path) as file:
        np.testing.assert_array_equal(file["rest"], np.ones(2))
        with pytest.raises(ArtefactError, match=rf"{re.escape(str(path))}: damaged.* {name} "):
            file[name]


def test_edited_attributes_and_metadata_are_noticed(tmp_path):
    storage.write_hdf5(tmp_path / "a.h5", {"x": [1]}, {"made": "here"}, size=3)
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        file.attrs["size"] = "4"
    with pytest.raises(ArtefactError, match=r"a\.h5: damaged.*its attributes"):
        storage.open_hdf5(tmp_path / "a.h5").__enter__()
    path = tmp_path / "m.safetensors"
    storage.write_tensors(path, {"x": torch.ones(2)}, {"provenance": {"made": "here"}})
    path.write_bytes(path.read_bytes().replace(b"here", b"away"))
    for read in (storage.read_tensors, storage.read_metadata):
        with pytest.raises(ArtefactError, match=r"m\.safetensors: damaged.*its metadata"):
            read(path)


def test_files_of_others_are_not_for_deletion(tmp_path):
    with h5py.File(tmp_path / "theirs.h5", "w") as file:
        file["x"] = [1]
    save_file({"x": torch.ones(2)}, tmp_path / "theirs.safetensors", {"format": "pt"})
    (tmp_path / "text.h5").write_text("notes")
    # With one of the attributes that ours have, but not the other.
    for name in ("provenance", "digest_of_this"):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file.attrs[name] = "museum"
    for name in ("digest_of_this", "digest_of_tensors"):
        path = tmp_path / f"{name}.safetensors"
        save_file({"x": torch.ones(2)}, path, {name: "museum"})
    readers = {
        "theirs.h5": lambda path: storage.open_hdf5(path).__enter__(),
        "text.h5": lambda path: storage.open_hdf5(path).__enter__(),
        "provenance.h5": lambda path: storage.open_hdf5(path).__enter__(),
        "digest_of_this.h5": lambda path: storage.open_hdf5(path).__enter__(),
        "theirs.safetensors": storage.read_tensors,
        "digest_of_this.safetensors": storage.read_tensors,
        "digest_of_tensors.safetensors": storage.read_tensors,
    }
    for name, read in readers.items():
        with pytest.raises(ArtefactError, match="not written by this workflow") as error:
            read(tmp_path / name)
        assert "Move it" in str(error.value)
        assert "elete" not in str(error.value)


@pytest.mark.parametrize("mask", [0o022, 0o007, 0o077])
def test_files_have_the_permissions_that_the_umask_gives(tmp_path, mask):
    before = os.umask(mask)
    try:
        storage.write_tensors(tmp_path / "m.safetensors", {"x": torch.ones(2)}, {"a": 1})
        storage.write_hdf5(tmp_path / "a.h5", {"x": [1]}, {})
        storage.write_text(tmp_path / "t.csv", "a")
        storage.link_or_copy(tmp_path / "m.safetensors", tmp_path / "copy.safetensors")
    finally:
        os.umask(before)
    found = {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert found == {0o666 & ~mask}
