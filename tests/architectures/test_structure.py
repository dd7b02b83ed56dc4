"""What a network is: the code that builds it, and the operations of its forward pass."""

import re
import shutil

import pytest
import torch
from torch import nn

import shadowmill
from shadowmill import architectures, sources
from shadowmill.architectures import ARCHITECTURES
from shadowmill.architectures.code import network_code
from shadowmill.architectures.structure import check_structure, structure
from shadowmill.errors import ArtefactError

SHAPE = (3, 8, 8)


def network(activation=nn.ReLU, width=4, stride=1):
    return nn.Sequential(
        nn.Conv2d(3, width, 3, stride=stride, padding=1),
        activation(),
        nn.BatchNorm2d(width),
        nn.Flatten(),
        nn.LazyLinear(5),
    )


def built(**options):
    made = network(**options)
    made(torch.zeros(2, *SHAPE))  # the size of the last layer
    return made


def test_operations_are_listed_with_settings_and_shapes():
    found = structure(built(), SHAPE)
    assert [re.match(r"[\w.]+", line)[0].rpartition(".")[2] for line in found] == [
        "conv2d",
        "relu",
        "batch_norm",
        "flatten",
        "linear",
    ]
    assert "2x3x8x8" in found[0]
    assert "4x3x3x3" in found[0]
    assert found[-1].endswith("-> 2x5")


@pytest.mark.long
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_has_one_whatever_its_weights(name):
    shape = (12,) if ARCHITECTURES[name].kind == "tabular" else (3, 32, 32)
    one, other = (architectures.build(name, shape, 10, seed) for seed in (0, 1))
    one.eval()
    found = structure(one, shape)
    assert found
    assert structure(other, shape) == found
    assert not one.training
    assert other.training
    assert all(tensor.device.type == "cpu" for tensor in one.state_dict().values())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"activation": nn.Sigmoid}, r"operation 2 is .*relu.* in the file, .*sigmoid"),
        ({"width": 6}, r"0\.weight is 4x3x3x3 in the file, 6x3x3x3 in the present network"),
        ({"stride": 2}, r"4\.weight is 5x256 in the file"),
    ],
)
def test_a_file_of_another_network_is_refused_with_the_difference(change, message):
    saved, present = built(), built(**change)
    with pytest.raises(ArtefactError, match=rf"a/model: .*{message}"):
        check_structure(
            "a/model",
            structure(saved, SHAPE),
            saved.state_dict(),
            present.state_dict(),
            present,
            SHAPE,
        )


class Rewired(nn.Module):
    """Two equal layers and a shortcut, put together in one of several ways."""

    def __init__(self, way):
        super().__init__()
        self.way = way
        self.one, self.two = (nn.Conv2d(3, 3, 3, padding=1) for _ in range(2))

    def forward(self, x):
        if self.way == "swapped":
            return self.one(self.two(x).relu()) + x
        hidden = self.one(x).relu()
        return self.two(hidden) + (hidden if self.way == "shortcut" else x)


@pytest.mark.parametrize("way", ["shortcut", "swapped"])
def test_what_goes_where_is_part_of_the_structure(way):
    assert structure(Rewired("first"), SHAPE) == structure(Rewired("first"), SHAPE)
    assert structure(Rewired("first"), SHAPE) != structure(Rewired(way), SHAPE)


def test_parts_of_a_result_are_told_apart():
    class Halves(nn.Module):
        def __init__(self, order):
            super().__init__()
            self.order, self.conv = order, nn.Conv2d(3, 3, 1)

        def forward(self, x):
            halves = torch.chunk(self.conv(x), 2, dim=2)
            return torch.cat([halves[number] for number in self.order], dim=1)

    lists = [structure(Halves(order), SHAPE) for order in ((0, 1), (1, 0))]
    assert lists[0][:2] == lists[1][:2]
    assert lists[0][2] != lists[1][2]


def test_modules_stay_in_their_modes():
    network = built()
    network[2].eval()  # a frozen BatchNorm in a network that trains
    structure(network, SHAPE)
    assert [module.training for module in network] == [True, True, False, True, True]


def test_a_file_of_the_same_network_is_taken():
    saved, present = built(), built()
    operations = structure(saved, SHAPE)
    check_structure("m", operations, saved.state_dict(), present.state_dict(), present, SHAPE)


# The code.


@pytest.fixture
def codes(tmp_path, monkeypatch):
    """Digests of all networks after edits of a copy of the package's files."""
    folder = tmp_path / "shadowmill"
    shutil.copytree(next(iter(shadowmill.__path__)), folder)

    def codes(path=None, old=None, new=None):
        if path:
            file = folder / "architectures" / path
            text = file.read_text()
            assert text.count(old) == 1
            file.write_text(text.replace(old, new))
        for cached in (sources._read, sources._used, sources._named, network_code):
            cached.cache_clear()
        monkeypatch.setattr(sources, "_PACKAGE_FOLDER", folder)
        return {name: network_code(name) for name in ARCHITECTURES}

    yield codes
    monkeypatch.undo()
    for cached in (sources._read, sources._used, sources._named, network_code):
        cached.cache_clear()


def changed(codes, *edit):
    before = codes()
    after = codes(*edit)
    return {name for name in ARCHITECTURES if before[name] != after[name]}


def test_an_edited_network_is_another_one_and_its_neighbours_are_not(codes):
    assert changed(codes, "convnet.py", "nn.Flatten()", "nn.Flatten(1)") == {"small_convnet"}


def test_an_edited_block_is_in_all_networks_that_have_it(codes):
    old = "return F.pad(x[..., ::2, ::2]"
    found = changed(codes, "resnet.py", old, "return 2 * F.pad(x[..., ::2, ::2]")
    assert found == {"resnet20", "resnet32", "resnet44", "resnet56", "resnet110"}


def test_what_is_built_around_a_network_is_part_of_it(codes):
    assert changed(
        codes,
        "__init__.py",
        "network = with_group_norm(network)",
        "network = with_group_norm(network).train()",
    ) == set(ARCHITECTURES)


def test_the_initialisation_is_part_of_a_network(codes):
    found = changed(codes, "layers.py", "module.weight, mode=", "module.weight, a=1, mode=")
    assert "resnet20" in found
    assert not {"small_convnet", "mlp"} & found


def test_wording_is_no_edit(codes):
    assert changed(codes, "resnet.py", '"""Residual networks', '"""Nets') == set()
