"""Weights of others: what is read, what is refused, and which names they get."""

import re
from collections import OrderedDict

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from shadowmill.errors import ArtefactError, DataError
from shadowmill.imports.fitting import fitted
from shadowmill.imports.states import read_state


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        OrderedDict(
            stem=nn.Conv2d(1, 2, 3), norm=nn.BatchNorm2d(2), flat=nn.Flatten(), head=nn.Linear(8, 3)
        )
    )


STATE = network().state_dict()


class Holder(nn.Module):
    """A network as an attribute of a module of the user's own."""

    def __init__(self):
        super().__init__()
        self.model = network()


def same(found):
    return found.keys() == STATE.keys() and all(torch.equal(found[n], STATE[n]) for n in STATE)


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".ckpt", ".bin"])
@pytest.mark.parametrize(
    "wrapped",
    [
        STATE,
        {"state_dict": STATE, "epoch": 3, "optimizer": {"lr": 0.1}},
        {"model_state_dict": STATE},
        {"state": STATE, "acc": 0.5},
        {"model": {"state_dict": STATE}},
    ],
)
def test_state_dicts_are_unwrapped(tmp_path, suffix, wrapped):
    path = tmp_path / f"a{suffix}"
    torch.save(wrapped, path)
    assert same(read_state(str(path), trust=False))


def test_safetensors(tmp_path):
    path = tmp_path / "a.safetensors"
    save_file(STATE, path)
    assert same(read_state(str(path), trust=False))


def test_a_whole_module_only_where_it_is_trusted(tmp_path):
    path = tmp_path / "a.pth"
    torch.save(network(), path)
    with pytest.raises(
        ArtefactError, match=r"UnpicklingError.*more than tensors and you know .* trust: true"
    ):
        read_state(str(path), trust=False)
    assert same(read_state(str(path), trust=True))
    torch.save({"model": network()}, path)
    assert same(read_state(str(path), trust=True))


class Trap:
    """Leaves a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


def test_nothing_in_a_file_is_run(tmp_path):
    path, sprung = tmp_path / "a.pth", tmp_path / "sprung"
    torch.save({"state_dict": STATE, "more": Trap(str(sprung))}, path)
    with pytest.raises(ArtefactError, match="more than tensors"):
        read_state(str(path), trust=False)
    assert not sprung.exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "a.pth",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\n",
            "a pointer of Git LFS",
        ),
        ("a.safetensors", b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        ("a.safetensors", b"\x08\0\0\0\0\0\0\0nonsense", "or a damaged one (SafetensorError)"),
        ("a.pth", b"", "damaged"),
        ("a.pth", b"PK\x03\x04 not a zip", "damaged"),
        ("a.pt", b"\x80\x02}q\x00.", "damaged"),
    ],
)
def test_files_that_cannot_be_read(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ArtefactError, match=re.escape(message)):
        read_state(str(path), trust=False)


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}, {"state_dict": {"a": 1}}, torch.ones(2)])
def test_other_things_than_state_dicts(tmp_path, content):
    path = tmp_path / "a.pth"
    torch.save(content, path)
    with pytest.raises(ArtefactError, match="not a state dict"):
        read_state(str(path), trust=False)


def test_missing_files():
    with pytest.raises(ArtefactError, match="no such file"):
        read_state("nowhere.pth", trust=False)


@pytest.mark.parametrize(
    "prefix", ["", "module.", "_module.", "_orig_mod.module.", "module.model."]
)
def test_prefixes_of_wrappers_are_taken_off(prefix):
    state = {f"{prefix}{name}": tensor for name, tensor in STATE.items()}
    assert same(fitted("a", state, STATE))


def test_prefixes_that_the_network_has_itself_stay():
    own = Holder().state_dict()
    assert same({n.removeprefix("model."): t for n, t in fitted("a", own, own).items()})
    state = {f"module.{name}": tensor for name, tensor in own.items()}
    assert fitted("a", state, own).keys() == own.keys()


def test_counters_may_be_missing_or_too_many():
    few = {name: tensor for name, tensor in STATE.items() if "num_batches" not in name}
    assert same(fitted("a", few, STATE))
    assert fitted("a", STATE, few).keys() == few.keys()


def test_types_are_those_of_the_network():
    doubled = {name: tensor.double() for name, tensor in STATE.items()}
    assert {t.dtype for n, t in fitted("a", doubled, STATE).items() if "num" not in n} == {
        torch.float32
    }


def test_what_does_not_fit_is_shown_with_the_nearest_map():
    state = dict(STATE) | {"head.weight": torch.zeros(4, 8), "more": torch.zeros(5)}
    state["entry.weight"] = state.pop("stem.weight")
    state["entry.bias"] = state.pop("stem.bias")
    with pytest.raises(DataError) as error:
        fitted("a.pth", state, STATE)
    lines = str(error.value).splitlines()
    assert lines[0].startswith(
        "a.pth: its tensors are not those of the network (2 missing, 3 too many, 1 of another shape"
    )
    assert lines[1:] == [
        "  head.weight 3×8 ← head.weight 4×8",
        "  stem.weight 2×1×3×3 ← entry.weight 2×1×3×3",
        "  stem.bias 2 ← entry.bias 2",
        "  nothing ← more 5",
    ]


def test_weights_that_diverged():
    state = dict(STATE) | {"head.bias": torch.tensor([0.0, float("nan"), 0.0])}
    with pytest.raises(DataError, match=r"head\.bias has entries that are no finite numbers"):
        fitted("a", state, STATE)


def test_layers_of_other_names_are_taken_in_their_order():
    own = {f"conv{k}.{part}": torch.zeros(3) for k in (1, 2) for part in ("weight", "bias")}
    state = {f"x.{k}.{part}": torch.zeros(3) for k in (7, 4) for part in ("bias", "weight")}
    with pytest.raises(DataError) as error:
        fitted("a.pth", state, own)
    assert str(error.value).splitlines()[1:] == [
        "  conv1.weight 3 ← x.7.weight 3",
        "  conv1.bias 3 ← x.7.bias 3",
        "  conv2.weight 3 ← x.4.weight 3",
        "  conv2.bias 3 ← x.4.bias 3",
    ]


def test_tensors_of_one_shape_and_other_endings_are_a_guess_too():
    with pytest.raises(DataError, match=r"scale\.weight 3 ← gamma 3"):
        fitted("a.pth", {"gamma": torch.zeros(3)}, {"scale.weight": torch.zeros(3)})
