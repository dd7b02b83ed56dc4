"""Networks of the user's own: built, tried out, and what is said of those that do not do."""

import pickle
import sys
from pathlib import Path

import pytest
import torch
import torchvision
from torch import nn
from torchvision.ops import StochasticDepth

from shadowmill.architectures import ARCHITECTURES, adapted, own
from shadowmill.architectures import build as build_of_table
from shadowmill.architectures.code import code_of, network_code
from shadowmill.architectures.keyed import CountedDropout, with_keyed_dropout
from shadowmill.architectures.noise import noise_keys
from shadowmill.errors import ConfigError

SHAPE, CLASSES = (1, 8, 8), 3

PLAIN = """
from torch import nn

def build(input_shape, num_classes, width=8):
    hidden = nn.Linear(64, width)
    return nn.Sequential(nn.Flatten(), hidden, nn.ReLU(), nn.Linear(width, num_classes))
"""


def write(folder, code, name="mine.py"):
    path = folder / name
    path.write_text(code)
    own._module.cache_clear()
    return str(path)


def row_of(given):
    return own.rows({"mine": {"arguments": {}} | given})["mine"]


def built(given, shape=SHAPE, seed=0, **options):
    row = row_of(given)
    return own.build(row.given, own.file_of(row), shape, CLASSES, seed, **options)


def number_of_weights(network):
    return sum(parameter.numel() for parameter in network.parameters())


# Families of ours


@pytest.mark.parametrize(
    ("given", "name", "shape"),
    [
        ({"ours": "wide_resnet", "arguments": {"depth": 28, "width": 2}}, "wrn28_2", (3, 16, 16)),
        ({"ours": "cifar_resnet", "arguments": {"depth": 32}}, "resnet32", (3, 16, 16)),
        ({"ours": "perceptron", "arguments": {"hidden": [256, 128], "dropout": 0.1}}, "mlp", (20,)),
    ],
)
def test_families_include_those_of_the_table(given, name, shape):
    mine, theirs = built(given, shape), build_of_table(name, shape, CLASSES, 0)
    assert {n: t.shape for n, t in mine.state_dict().items()} == {
        n: t.shape for n, t in theirs.state_dict().items()
    }
    theirs.load_state_dict(mine.state_dict())
    inputs = torch.randn(2, *shape)
    assert torch.equal(mine.eval()(inputs), theirs.eval()(inputs))


@pytest.mark.parametrize(("depth", "blocks"), [(10, 1), (16, 2), (28, 4), (40, 6)])
def test_a_wide_resnet_has_as_many_layers_as_it_says(depth, blocks):
    network = built({"ours": "wide_resnet", "arguments": {"depth": depth, "width": 1}}, (3, 8, 8))
    assert [len(stage) for stage in (network.layer1, network.layer2, network.layer3)] == [
        blocks
    ] * 3
    layers = [m for n, m in network.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    projections = [m for n, m in network.named_modules() if n.endswith("projection") and m]
    # The depth counts neither projections nor, at this width of 16, any of the first stage.
    assert len(layers) - len([p for p in projections if isinstance(p, nn.Conv2d)]) == depth - 2
    assert network(torch.randn(2, 3, 8, 8)).shape == (2, CLASSES)


# torchvision


def test_a_transformer_of_torchvision_takes_small_patches_of_any_channels():
    sizes = {"image_size": 32, "patch_size": 4, "num_layers": 2, "num_heads": 2, "hidden_dim": 8}
    given = {"torchvision": "vit_b_16", "arguments": sizes | {"mlp_dim": 16}}
    network = built(given, (1, 32, 32))
    assert (network.conv_proj.in_channels, network.conv_proj.stride) == (1, (4, 4))
    assert network(torch.randn(2, 1, 32, 32)).shape == (2, CLASSES)


@pytest.mark.long
@pytest.mark.parametrize("name", ["vit_b_16", "vit_b_32", "vit_l_16", "vit_l_32", "vit_h_14"])
def test_transformers_have_the_sizes_of_torchvision(name):
    with torch.device("meta"):
        theirs = torchvision.models.get_model(name, num_classes=CLASSES).state_dict()
        mine = adapted.of_torchvision(name)((3, 224, 224), CLASSES).state_dict()
    assert {n: t.shape for n, t in mine.items()} == {n: t.shape for n, t in theirs.items()}


@pytest.mark.long
def test_a_network_of_torchvision_for_grey_images():
    network = built({"torchvision": "shufflenet_v2_x0_5"}, (1, 64, 64))
    assert network(torch.randn(2, 1, 64, 64)).shape == (2, CLASSES)
    with pytest.raises(ConfigError, match=r"fails for inputs of shape .*TypeError"):
        built({"torchvision": "resnet18", "arguments": {"depth": 3}}, (1, 64, 64))


def test_an_unknown_network_of_torchvision_is_refused():
    with pytest.raises(ConfigError, match=r"no classifier 'vit'\. It has .*vit_b_16"):
        built({"torchvision": "vit"}, (3, 32, 32))


# Files


def test_the_function_gets_shape_classes_and_arguments(tmp_path):
    given = {"file": write(tmp_path, PLAIN), "function": "build"}
    assert number_of_weights(built(given)) == 64 * 8 + 8 + 8 * 3 + 3
    wide = built(given | {"arguments": {"width": 16}})
    assert number_of_weights(wide) == 64 * 16 + 16 + 16 * 3 + 3


def test_weights_follow_from_the_seed_alone(tmp_path):
    given = {"file": write(tmp_path, PLAIN), "function": "build"}
    torch.manual_seed(7)
    state = torch.get_rng_state()
    one, two, other = built(given, seed=1), built(given, seed=1), built(given, seed=2)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(one[1].weight, two[1].weight)
    assert not torch.equal(one[1].weight, other[1].weight)


def test_a_file_may_import_others_beside_it(tmp_path):
    write(tmp_path, "WIDTH = 5\n", "my_parts.py")
    code = PLAIN.replace("width=8", "width=my_parts.WIDTH").replace(
        "\nfrom", "\nimport my_parts\nfrom"
    )
    before = list(sys.path)
    network = built({"file": write(tmp_path, code), "function": "build"})
    assert number_of_weights(network) == 64 * 5 + 5 + 5 * 3 + 3
    assert sys.path == before
    sys.modules.pop("my_parts")


def test_a_function_may_import_what_lies_beside_it_when_it_is_called(tmp_path):
    write(tmp_path, "WIDTH = 5\n", "late_parts.py")
    late = "):\n    import late_parts\n    width = late_parts.WIDTH\n"
    code = PLAIN.replace(", width=8):\n", late)
    network = built({"file": write(tmp_path, code), "function": "build"})
    assert number_of_weights(network) == 64 * 5 + 5 + 5 * 3 + 3
    sys.modules.pop("late_parts")


@pytest.mark.parametrize(
    ("code", "function", "words"),
    [
        (PLAIN, "make", r"mine\.py: there is no function make"),
        ("import nowhere_at_all", "build", r"ModuleNotFoundError.*line 1: import now"),
        ("def build(:", "build", r"cannot be loaded: SyntaxError"),
        ("def build(shape):\n    pass", "build", r"build fails for inputs of shape \(1, 8, 8\)"),
        ("def build(*a):\n    return 1 / 0", "build", r"ZeroDivisionError.*\(line 2: return 1"),
        ("def build(*a):\n    return 3", "build", "gives a int, an nn.Module expected"),
        ("raise SystemExit(3)", "build", "cannot be loaded: SystemExit: 3"),
        ("import sys\ndef build(*a):\n    sys.exit('no')", "build", "fails .* SystemExit: no"),
        (
            "from torch import nn\ndef build(*a):\n    return nn.Dropout(1.0)",
            "build",
            "its layers of dropout cannot be replaced .* ValueError",
        ),
        (
            "import torch\ndef build(*a):\n    return torch.jit.script(torch.nn.Linear(1, 2))",
            "build",
            "its layers of dropout cannot be replaced .* RuntimeError",
        ),
    ],
)
def test_one_message_says_where_the_users_code_fails(tmp_path, code, function, words):
    with pytest.raises(ConfigError, match=words):
        built({"file": write(tmp_path, code), "function": function})


# Its code is part of a model


def code(path):
    own._module.cache_clear()
    return code_of("mine", row_of({"file": str(path), "function": "build"}))


def test_words_and_places_are_no_part_of_the_code(tmp_path):
    path = Path(write(tmp_path, PLAIN))
    before = code(path)
    path.write_text(
        PLAIN.replace("    return", '    """Say what it is."""\n    # and why\n    return')
    )
    assert code(path) == before
    moved = path.rename(tmp_path / "moved.py")
    assert code(moved) == before
    moved.write_text(PLAIN.replace("ReLU", "GELU"))
    assert code(moved) != before


def test_files_beside_it_are_part_of_the_code(tmp_path):
    path = Path(write(tmp_path, "import deeper.parts\n" + PLAIN))
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper/__init__.py").write_text("import last\n")
    (tmp_path / "last.py").write_text("X = 1\n")
    (tmp_path / "unused.py").write_text("X = 1\n")
    before = code(path)
    (tmp_path / "unused.py").write_text("X = 2\n")
    assert code(path) == before
    (tmp_path / "last.py").write_text("X = 2\n")
    assert code(path) != before


def test_a_package_with_several_files_is_part_of_the_code(tmp_path):
    path = Path(write(tmp_path, "from deeper import parts\n" + PLAIN))
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper/__init__.py").write_text("")
    (tmp_path / "deeper/parts.py").write_text("X = 1\n")
    before = code(path)
    (tmp_path / "deeper/parts.py").write_text("X = 2\n")
    assert code(path) != before


def test_a_missing_file_is_named_when_it_is_planned(tmp_path):
    with pytest.raises(ConfigError, match=r"mine\.py: there is no such file"):
        code(tmp_path / "mine.py")


def test_networks_of_the_table_have_the_code_of_the_table():
    for name, row in ARCHITECTURES.items():
        assert code_of(name, row) == network_code(name)
    small = code_of("a", row_of({"ours": "cifar_resnet", "arguments": {"depth": 8}}))
    assert small == code_of("b", row_of({"ours": "cifar_resnet", "arguments": {"depth": 14}}))
    assert small != code_of("c", row_of({"ours": "wide_resnet"}))


# Dropout


def test_dropout_is_replaced_by_layers_drawn_from_keys():
    network = with_keyed_dropout(
        nn.Sequential(
            nn.Dropout(0.25), nn.Sequential(nn.Dropout2d(0.5), StochasticDepth(0.1, "row"))
        )
    )
    layers = [network[0], *network[1]]
    assert [(layer.p, layer.axes) for layer in layers] == [(0.25, None), (0.5, 2), (0.1, 1)]
    assert noise_keys(network) == ["0.key", "1.0.key", "1.1.key"]
    assert isinstance(with_keyed_dropout(nn.Dropout(0.5)), CountedDropout)


@pytest.mark.parametrize("axes", [None, 1, 2])
def test_what_is_dropped_together_is_dropped_at_the_rate_and_the_mean_stays(axes):
    layer = with_keyed_dropout(nn.Sequential(CountedDropout(0.3, axes)))
    layer[0].key = torch.tensor(5)
    ones = torch.ones(300, 50, 2, 3)
    found = layer(ones)
    units = found.flatten(axes) if axes else found[..., None]
    assert (units == units[..., :1]).all()
    assert found.unique().tolist() == pytest.approx([0, 1 / 0.7])
    share = float((units[..., 0] == 0).float().mean())
    assert share == pytest.approx(0.3, abs=0.08 if axes == 1 else 0.02)
    if axes != 1:
        assert (units[0] != units[0].flatten()[0]).any()
    assert torch.equal(layer(ones), found)
    layer[0].key = torch.tensor(6)
    assert not torch.equal(layer(ones), found)
    assert torch.equal(layer.eval()(ones), ones)


class Twice(nn.Module):
    """One layer of dropout that is passed through twice."""

    def __init__(self):
        super().__init__()
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        return torch.stack([self.drop(x), self.drop(x)])


def test_each_pass_through_a_layer_has_its_own_noise_and_each_step_the_same():
    network, ones = with_keyed_dropout(Twice()), torch.ones(40, 25)
    first, second = network(ones)
    assert float((first == second).float().mean()) == pytest.approx(0.5, abs=0.06)
    again = network(ones)
    assert torch.equal(again, torch.stack([first, second]))


def test_noise_in_a_stack_is_that_of_each_alone():
    network, ones = with_keyed_dropout(Twice()), torch.ones(4, 6)
    keys = torch.tensor([3, 8])
    together = torch.func.vmap(
        lambda key: torch.func.functional_call(network, {"drop.key": key}, (ones,))
    )(keys)
    for key, found in zip(keys, together, strict=True):
        network.drop.key = key
        assert torch.equal(network(ones), found)


CLASS = """
from torch import nn

class Mine(nn.Module):
    def __init__(self, size, num_classes):
        super().__init__()
        self.layer = nn.Linear(size, num_classes)

    def forward(self, x):
        return self.layer(x.flatten(1))

def build(input_shape, num_classes):
    return Mine(64, num_classes)
"""


def test_a_class_in_a_users_file_can_be_copied_and_made_private(tmp_path):
    """DP-SGD clones the network by pickling it, which looks for the class in its module."""
    given = {"file": write(tmp_path, CLASS), "function": "build"}
    network = built(given, group_norm=True)
    copied = pickle.loads(pickle.dumps(network))
    assert type(copied) is type(network)
    (tmp_path / "other").mkdir()
    other = built({"file": write(tmp_path / "other", CLASS), "function": "build"})
    assert type(other) is not type(network)
