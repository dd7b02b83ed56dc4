"""Weights that others published."""

import os

import pytest
import torch
from safetensors.torch import save_file

from shadowmill.errors import ArtefactError
from shadowmill.state_dicts import read_state_dict

WEIGHTS = {"fc.weight": torch.arange(6.0).reshape(2, 3), "fc.bias": torch.ones(2)}


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_both_formats_are_read(tmp_path, name):
    path = str(tmp_path / name)
    (save_file if name.endswith("safetensors") else torch.save)(WEIGHTS, path)
    found = read_state_dict(path, "")
    assert found.keys() == WEIGHTS.keys()
    assert all(torch.equal(found[key], tensor) for key, tensor in WEIGHTS.items())


@pytest.mark.parametrize(
    "content", [{"state_dict": WEIGHTS, "epoch": 3}, WEIGHTS | {"epoch": 3}, list(WEIGHTS.values())]
)
def test_what_holds_other_things_than_tensors_is_refused(tmp_path, content):
    path = str(tmp_path / "w.pth")
    torch.save(content, path)
    with pytest.raises(ArtefactError, match=r"w\.pth: not a state dict.* Fetch it again\."):
        read_state_dict(path, "Fetch it again.")


class Sly:
    """Unpickling it would make a folder."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def test_nothing_in_a_file_is_executed(tmp_path):
    folder = tmp_path / "made"
    torch.save(WEIGHTS | {"sly": Sly(str(folder))}, tmp_path / "w.pth")
    with pytest.raises(ArtefactError, match=r"w\.pth: no file of weights, or a damaged one"):
        read_state_dict(str(tmp_path / "w.pth"), "")
    assert not folder.exists()


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
@pytest.mark.parametrize("content", [b"", b"<html>not found</html>"])
def test_a_damaged_file_is_told(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ArtefactError, match=rf"{name}: no file of weights, or a damaged one"):
        read_state_dict(str(tmp_path / name), "")


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(ArtefactError, match=r"w\.pth: no such file of weights\. Fetch it\."):
        read_state_dict(str(tmp_path / "w.pth"), "Fetch it.")


def test_a_pointer_to_a_file_elsewhere_is_told(tmp_path):
    path = tmp_path / "w.pth"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 12\n")
    with pytest.raises(ArtefactError, match="a pointer of Git LFS, not the file itself"):
        read_state_dict(str(path), "")
