"""Networks of the user's own: built, tried out, and what is said of those that do not do."""

import sys
from pathlib import Path

import pytest
import torch
import torchvision
from torch import nn

from shadowmill.architectures import ARCHITECTURES, adapted, check, own
from shadowmill.architectures import build as build_of_table
from shadowmill.architectures.code import code_of, network_code
from shadowmill.architectures.keyed import KeyedChannelDropout, with_keyed_dropout
from shadowmill.architectures.noise import KeyedDropout, noise_keys
from shadowmill.errors import ConfigError
from shadowmill.pruning.masks import require_prunable

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


@pytest.mark.parametrize(
    ("code", "function", "words"),
    [
        (PLAIN, "make", r"mine\.py: there is no function make"),
        ("import nowhere_at_all", "build", r"ModuleNotFoundError.*line 1: import now"),
        ("def build(:", "build", r"cannot be loaded: SyntaxError"),
        ("def build(shape):\n    pass", "build", r"build fails for inputs of shape \(1, 8, 8\)"),
        ("def build(*a):\n    return 1 / 0", "build", r"ZeroDivisionError.*\(line 2: return 1"),
        ("def build(*a):\n    return 3", "build", "gives a int, an nn.Module expected"),
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
        nn.Sequential(nn.Dropout(0.25), nn.Sequential(nn.Dropout2d(0.5), nn.Flatten()))
    )
    assert isinstance(network[0], KeyedDropout)
    assert isinstance(network[1][0], KeyedChannelDropout)
    assert noise_keys(network) == ["0.key", "1.0.key"]
    assert isinstance(with_keyed_dropout(nn.Dropout(0.5)), KeyedDropout)


def test_whole_channels_are_dropped_at_the_rate_and_the_mean_stays():
    layer = KeyedChannelDropout(0.3)
    layer.key = torch.tensor(5)
    found = layer(torch.ones(200, 50, 2, 3))
    per_channel = found.flatten(2)
    assert (per_channel == per_channel[..., :1]).all()
    assert found.unique().tolist() == pytest.approx([0, 1 / 0.7])
    assert float((per_channel[..., 0] == 0).float().mean()) == pytest.approx(0.3, abs=0.02)
    assert torch.equal(layer(torch.ones(200, 50, 2, 3)), found)
    layer.key = torch.tensor(6)
    assert not torch.equal(layer(torch.ones(200, 50, 2, 3)), found)
    assert torch.equal(layer.eval()(torch.ones(2, 3)), torch.ones(2, 3))


# Tried out


class Network(nn.Module):
    """A small network to which something is done."""

    def __init__(self, after=lambda x: x, before=lambda x: x, **layers):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.head = nn.Linear(256, CLASSES)
        self.after, self.before = after, before
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, x):
        return self.after(self.head(self.before(self.conv(x).relu()).flatten(1)))


def tried(make, pruned=None, private=False):
    def build(seed, *, group_norm=False):
        torch.manual_seed(seed)
        network = with_keyed_dropout(make().train())
        if group_norm:
            from shadowmill.architectures.group_norm import with_group_norm

            network = with_group_norm(network)
        return network

    return check.check(build, SHAPE, CLASSES, pruned or {}, private)


def test_what_is_found_of_an_ordinary_network():
    facts = tried(Network)
    assert facts == check.Facts(4 * 9 + 4 + 256 * 3 + 3, False, "", ())
    assert facts.stacked
    assert list(facts.notes()) == []
    assert tried(lambda: Network(before=nn.BatchNorm2d(4))).batch_norm


def with_buffer():
    network = Network()
    network.register_buffer("noise", torch.rand(3))
    return network


class Other(Network):
    def forward(self, x):
        return self.head(self.conv(x).relu().flatten(1)) + torch.rand(())


def lazy():
    return Network(before=nn.Sequential(nn.LazyConv2d(4, 1)))


def tied():
    network = Network()
    network.second = nn.Linear(256, CLASSES)
    network.second.weight = network.head.weight
    return network


class Mixing(Network):
    def forward(self, x):
        out = super().forward(x)
        return out - out.mean(dim=0)


class Dict(Network):
    def forward(self, x):
        return {"out": super().forward(x)}


class Numpy(Network):
    def forward(self, x):
        import numpy as np

        return super().forward(x) * (np.random.rand() if self.training else 1)  # noqa: NPY002


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Network(after=nn.Softmax(dim=1)), "it gives probabilities, logits exp"),
        (lambda: Network(after=nn.Sigmoid()), "from 0 to 1 as of a sigmoid.*several labels"),
        (lambda: Network(after=lambda x: x[:, :1]), r"gives \(4, 1\), logits \(4, 3\).*two logits"),
        (lambda: Network(after=lambda x: x[:, 0]), r"it gives \(4\), logits \(4, 3\) expected"),
        (Dict, "it gives a dict, a tensor of logits expected"),
        (lambda: Network(after=lambda x: x / 0), "no finite numbers before any training"),
        (lambda: Network(after=lambda x: x + torch.rand(())), "other outputs for the same inputs"),
        (Mixing, "depends on the others of its batch"),
        (lambda: Network(before=lambda x: 1 / 0), "its forward pass fails .*ZeroDivisionError"),
        (lambda: nn.Sequential(nn.Flatten()), "no parameters"),
        (lazy, "have no size yet"),
        (tied, r"second\.weight are shared with other layers"),
        (lambda: Network().double(), "are torch.float64, float32 expected"),
        (lambda: Network(before=nn.Sequential(nn.AlphaDropout(0.5))), r"before\.0 draw random"),
        (lambda: Network(before=nn.RReLU()), "before draw random numbers while training"),
        (Numpy, "draws random numbers from elsewhere"),
    ],
)
def test_what_cannot_be_measured_is_refused_by_name(make, words):
    with pytest.raises(ConfigError, match=words):
        tried(make)


def test_weights_that_do_not_follow_from_the_seed_are_refused():
    import numpy as np

    def make():
        network = Network()
        network.head.bias.data += float(np.random.rand())  # noqa: NPY002
        return network

    with pytest.raises(ConfigError, match=r"head\.bias start otherwise each time"):
        tried(make)


def test_two_faults_are_in_one_message():
    def make():
        return Network(after=nn.Softmax(dim=1), before=nn.Sequential(nn.AlphaDropout(0.5)))

    with pytest.raises(ConfigError, match=r"probabilities.*; before\.0 draw random"):
        tried(make)


class Branching(Network):
    def forward(self, x):
        out = super().forward(x)
        return out if float(out.detach().sum()) > -1e9 else -out


def test_what_cannot_be_stacked_is_trained_one_after_the_other_and_it_is_said():
    facts = tried(Branching)
    assert facts.not_stacked.startswith("vmap cannot run it (")
    assert not facts.stacked
    (note,) = facts.notes()
    assert note.startswith("its models are trained one after the other, as vmap cannot run it")


def test_large_networks_are_not_stacked():
    facts = tried(lambda: Network(spare=nn.Linear(1_000, 1_000)))
    assert facts.not_stacked == ""
    assert not facts.stacked
    assert facts.unused == ("spare.weight", "spare.bias")
    assert list(facts.notes()) == [
        "no gradient reaches spare.weight, spare.bias, so they stay as they are initialised"
    ]


def test_variants_that_cannot_prune_it_are_named():
    pruned = {
        "slim-0.5": lambda network: require_prunable(network, {"criterion": "batch_norm_scale"})
    }
    with pytest.raises(ConfigError, match=r"slim-0\.5: the pruning criterion batch_norm_scale"):
        tried(Network, pruned)
    assert tried(lambda: Network(before=nn.BatchNorm2d(4)), pruned).batch_norm


class Normalised(nn.Sequential):
    def __init__(self, middle=None):
        middle = middle or nn.BatchNorm2d(4)
        super().__init__(nn.Conv2d(1, 4, 3, padding=1), middle, nn.Flatten(), nn.Linear(256, 3))


class Spare(Normalised):
    """With a layer that no gradient reaches."""

    def __init__(self):
        super().__init__()
        self.spare = nn.ModuleDict({"unused": nn.Linear(2, 2)})

    def forward(self, x):
        for layer in list(self)[:4]:
            x = layer(x)
        return x


def test_private_training_needs_gradients_of_single_examples():
    assert tried(Normalised, private=True).batch_norm
    assert tried(Spare).unused == ("spare.unused.weight", "spare.unused.bias")
    with pytest.raises(ConfigError, match=r"DP-SGD needs the gradient of each example, .*Error"):
        tried(Spare, private=True)
