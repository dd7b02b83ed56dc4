"""Networks of the user's own are tried out: what is found, and what is said of those that fail."""

import numpy as np
import pytest
import torch
from torch import nn

from shadowmill.architectures import check
from shadowmill.architectures.keyed import with_keyed_dropout
from shadowmill.errors import ConfigError
from shadowmill.pruning.masks import require_prunable

SHAPE, CLASSES = (1, 8, 8), 3


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


def tried(make, prunable=None, private=False):
    def build(seed, *, group_norm=False):
        torch.manual_seed(seed)
        network = with_keyed_dropout(make().train())
        if group_norm:
            from shadowmill.architectures.group_norm import with_group_norm

            network = with_group_norm(network)
        return network

    return check.check(build, SHAPE, CLASSES, prunable, private)


def test_what_is_found_of_an_ordinary_network():
    facts = tried(Network)
    assert facts == check.Facts(4 * 9 + 4 + 256 * 3 + 3, False, "", ())
    assert facts.stacked
    assert list(facts.notes()) == []
    assert tried(lambda: Network(before=nn.BatchNorm2d(4))).batch_norm


def frozen():
    network = Network()
    network.head.weight.requires_grad_(False)
    return network


def with_buffer():
    network = Network()
    network.register_buffer("scale", torch.ones(3), persistent=False)
    return network


class Auxiliary(Network):
    def forward(self, x):
        out = super().forward(x)
        return (out, out) if self.training else out


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
        (frozen, r"head\.weight are frozen"),
        (with_buffer, "scale are buffers that are not saved"),
        (lambda: Network(mask=nn.Linear(2, 2)), r"mask\.\w+, mask\.\w+: the name mask is taken"),
        (Auxiliary, "while training it gives a tuple, .* auxiliary outputs"),
        (lambda: Network(after=lambda x: x.detach()), "what it gives has no gradient"),
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


def test_what_cannot_be_pruned_is_refused():
    def prunable(network):
        require_prunable(network, {"criterion": "batch_norm_scale"})

    with pytest.raises(ConfigError, match="the pruning criterion batch_norm_scale"):
        tried(Network, prunable)
    assert tried(lambda: Network(before=nn.BatchNorm2d(4)), prunable).batch_norm


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


class InPlace(Network):
    """Doubles what it is given."""

    def forward(self, x):
        x *= 2
        return super().forward(x)


class Counting(Network):
    """Says more with each call."""

    calls = 0

    def forward(self, x):
        self.calls += self.training
        return super().forward(x) * (1 + self.calls)


class Louder(nn.Dropout):
    """Dropout with a forward pass of its own."""

    def forward(self, x):
        return 2 * nn.functional.dropout(x, 0.9, self.training)


def seeded():
    torch.manual_seed(0)
    return Network()


ONCE = Network()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (InPlace, "it changes its inputs in place"),
        (Counting, "though it draws no random numbers: it keeps something"),
        (lambda: Network(before=Louder()), "before draw random numbers while training"),
        (seeded, "its initial weights are the same for every seed"),
        (lambda: ONCE, "its initial weights are the same for every seed"),
    ],
)
def test_networks_that_are_not_what_they_seem(make, words):
    with pytest.raises(ConfigError, match=words):
        tried(make)
