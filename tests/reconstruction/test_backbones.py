"""The table of backbones, their networks, and weights to start from."""

import subprocess
import sys
from itertools import pairwise

import pytest
import torch
import torchvision
from safetensors.torch import save_file

from shadowmill.architectures.structure import structure
from shadowmill.errors import ArtefactError, ConfigError
from shadowmill.reconstruction.backbones import BACKBONES, build
from shadowmill.reconstruction.backbones.files import (
    BackboneFile,
    load_weights,
    read_backbone,
    write_backbone,
)

CHANNELS = {name: row.num_channels(1) for name, row in BACKBONES.items()}


def random_images(channels, size=40):
    return torch.rand(4, channels, size, size, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def networks():
    """One of each, in evaluation mode."""
    built = {name: build(name, CHANNELS[name], 7, seed=3) for name in BACKBONES}
    for name, network in built.items():
        # With the initial statistics of BatchNorm, features of large networks come to 1e-15, and
        # any two would be close.
        for layer in network.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.momentum = 1.0
        network(random_images(CHANNELS[name]))
        network.eval()
    return built


def test_the_table_needs_no_torch():
    code = "import sys; import shadowmill.reconstruction.backbones; print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "False\n"


@pytest.mark.parametrize("name", BACKBONES)
@torch.no_grad()
def test_logits_are_the_last_layer_of_the_features(networks, name):
    network = networks[name]
    images = random_images(CHANNELS[name])
    features = network.features(images)
    assert features.shape == (4, BACKBONES[name].num_features)
    logits = network(images)
    assert logits.shape == (4, 7)
    assert features.std() > 0.01  # the signal is not lost on the way
    torch.testing.assert_close(logits, features @ network.last.weight.T + network.last.bias)


@pytest.mark.parametrize("name", ["tiny_cnn", "tiny_vgg"])
@pytest.mark.parametrize("size", [8, 28, 32])
def test_tiny_networks_take_images_of_any_size(networks, name, size):
    assert networks[name](torch.zeros(1, 1, size, size)).shape == (1, 7)


def test_tiny_vgg_is_the_published_one():
    network = build("tiny_vgg", 1, 26, seed=0)
    shapes = [tuple(t.shape) for n, t in network.whole_state().items() if n.endswith("weight")]
    widths = [1, 4, 8, 16, 16, 32, 32, 32, 32]
    convolutions = [(after, before, 3, 3) for before, after in pairwise(widths)]
    assert shapes == [*convolutions, (256, 512), (256, 256), (26, 256)]
    assert network.body.convolutions(torch.zeros(1, 1, 32, 32)).shape == (1, 32, 4, 4)


@pytest.mark.parametrize("name", ["efficientnet_b0", "wide_resnet50_2"])
@torch.no_grad()
def test_torchvision_networks_are_torchvisions(networks, name):
    own, published = networks[name], getattr(torchvision.models, name)().eval()
    state, expected = own.whole_state(), published.state_dict()
    assert state.keys() == expected.keys()
    last = {f"{BACKBONES[name].last}.{part}" for part in ("weight", "bias")}
    assert {n for n, t in expected.items() if t.shape != state[n].shape} == last
    published.load_state_dict(state | {n: expected[n] for n in last})
    published.set_submodule(BACKBONES[name].last, torch.nn.Identity())
    features = own.features(random_images(3))
    assert features.std() > 0.01
    torch.testing.assert_close(features, published(random_images(3)))


def test_initialisation_is_fixed_by_the_seed_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, other = build("tiny_cnn", 1, 7, 3), build("tiny_cnn", 1, 7, 4)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    again = build("tiny_cnn", 1, 7, 3)
    assert torch.equal(one.last.weight, again.last.weight)
    assert not torch.equal(one.last.weight, other.last.weight)


def test_unknown_network():
    with pytest.raises(ConfigError, match=r"no backbone 'vgg'. Choose one of tiny_cnn, tiny_vgg"):
        build("vgg", 1, 7, 0)


def test_network_for_other_images():
    with pytest.raises(ConfigError, match="wide_resnet50_2 takes images of 3 channels, not 1"):
        build("wide_resnet50_2", 1, 7, 0)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_are_loaded_but_for_a_last_layer_of_another_shape(tmp_path, suffix):
    path = str(tmp_path / f"weights{suffix}")
    published = build("tiny_cnn", 1, 9, 1).whole_state()
    (torch.save if suffix == ".pth" else save_file)(published, path)
    network = build("tiny_cnn", 1, 7, 2)
    last = network.last.weight.clone()
    load_weights(network, path, "tiny_cnn")
    state = network.whole_state()
    for name in published.keys() - {"classifier.last.weight", "classifier.last.bias"}:
        assert torch.equal(state[name], published[name])
    assert torch.equal(network.last.weight, last)


def test_a_last_layer_of_the_same_shape_is_loaded_too(tmp_path):
    published = build("tiny_cnn", 1, 7, 1).whole_state()
    torch.save(published, tmp_path / "weights.pt")
    network = build("tiny_cnn", 1, 7, 2)
    load_weights(network, str(tmp_path / "weights.pt"), "tiny_cnn")
    assert all(torch.equal(t, published[n]) for n, t in network.whole_state().items())


def test_weights_without_a_last_layer_are_loaded(tmp_path):
    published = build("tiny_cnn", 1, 7, 1).whole_state()
    body = {n: t for n, t in published.items() if not n.startswith("classifier.last")}
    torch.save(body, tmp_path / "weights.pt")
    network = build("tiny_cnn", 1, 7, 2)
    last = network.last.weight.clone()
    load_weights(network, str(tmp_path / "weights.pt"), "tiny_cnn")
    assert torch.equal(network.last.weight, last)
    assert torch.equal(network.whole_state()["classifier.0.weight"], body["classifier.0.weight"])


def test_old_weights_without_counts_of_batches_are_loaded(tmp_path):
    published = torchvision.models.efficientnet_b0().state_dict()
    old = {n: t for n, t in published.items() if not n.endswith("num_batches_tracked")}
    torch.save(old, tmp_path / "weights.pth")
    network = build("efficientnet_b0", 3, 7, 2)
    load_weights(network, str(tmp_path / "weights.pth"), "efficientnet_b0")
    state = network.whole_state()
    assert torch.equal(state["features.8.0.weight"], published["features.8.0.weight"])


def test_weights_of_another_network(tmp_path):
    state = build("tiny_cnn", 1, 7, 1).whole_state()
    state["convolutions.9.weight"] = state.pop("convolutions.2.weight")
    state["classifier.0.weight"] = torch.zeros(3, 3)
    torch.save(state, tmp_path / "weights.pth")
    with pytest.raises(
        ArtefactError,
        match=r"not weights of tiny_cnn \(missing: convolutions.2.weight; unexpected: "
        r"convolutions.9.weight; of another shape: classifier.0.weight\)",
    ):
        load_weights(build("tiny_cnn", 1, 7, 2), str(tmp_path / "weights.pth"), "tiny_cnn")


def test_long_lists_of_names_are_cut_short(tmp_path):
    torch.save(build("tiny_cnn", 1, 7, 1).whole_state(), tmp_path / "weights.pth")
    with pytest.raises(ArtefactError, match=r"\(missing: .* and \d+ more; of another"):
        load_weights(build("tiny_vgg", 1, 7, 2), str(tmp_path / "weights.pth"), "tiny_vgg")


def test_no_weights_where_they_should_be(tmp_path):
    network = build("efficientnet_b0", 3, 7, 2)
    url = r"https://download.pytorch.org/models/efficientnet_b0_rwightman-7f5810bc.pth"
    with pytest.raises(
        ArtefactError, match=rf"nothing.pth: no such file of weights. Download {url}"
    ):
        load_weights(network, str(tmp_path / "nothing.pth"), "efficientnet_b0")
    with pytest.raises(ArtefactError, match="Name a backbone of this workflow under `weights`"):
        load_weights(network, str(tmp_path / "nothing.pth"), "tiny_vgg")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_damaged_weights(tmp_path, suffix):
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(b"404: not found")
    with pytest.raises(ArtefactError, match="no file of weights, or a damaged one"):
        load_weights(build("tiny_cnn", 1, 7, 2), str(path), "tiny_cnn")


def test_weights_that_are_no_state_dict(tmp_path):
    torch.save({"model": {"weight": torch.zeros(1)}}, tmp_path / "weights.pth")
    with pytest.raises(ArtefactError, match="not a state dict, whose every entry is a tensor"):
        load_weights(build("tiny_cnn", 1, 7, 2), str(tmp_path / "weights.pth"), "tiny_cnn")


def test_torchvisions_urls_are_of_the_default_weights():
    for name, weights in (
        ("efficientnet_b0", torchvision.models.EfficientNet_B0_Weights.DEFAULT),
        ("wide_resnet50_2", torchvision.models.Wide_ResNet50_2_Weights.DEFAULT),
    ):
        assert BACKBONES[name].weights_url == weights.url
        assert list(BACKBONES[name].mean) == weights.transforms().mean
        assert list(BACKBONES[name].std) == weights.transforms().std


def backbone_file():
    network = build("tiny_cnn", 1, 7, seed=1)
    facts = {"identity": "abc", "settings": {"architecture": "tiny_cnn"}}
    facts["structure"] = structure(network, (1, 8, 8))
    return BackboneFile(network.whole_state(), 1, 8, 7, facts, {"loss": [1.0, 0.5]})


def test_a_backbone_comes_back_from_its_file(tmp_path):
    file = backbone_file()
    write_backbone(tmp_path / "b.safetensors", file)
    found = read_backbone(tmp_path / "b.safetensors")
    assert (found.channels, found.image_size, found.num_outputs) == (1, 8, 7)
    assert found.provenance == file.provenance
    assert found.history == {"loss": [1.0, 0.5]}
    assert (found.mean, found.std) == ((0.5,), (0.5,))
    state = found.network("b").whole_state()
    assert all(torch.equal(state[name], tensor) for name, tensor in file.state.items())


def test_a_backbone_serves_as_weights_to_start_from(tmp_path):
    path = str(tmp_path / "b.safetensors")
    write_backbone(path, backbone_file())
    network = build("tiny_cnn", 1, 7, 2)
    load_weights(network, path, "tiny_cnn")
    assert torch.equal(network.last.weight, backbone_file().state["classifier.last.weight"])


def test_another_file_is_no_backbone(tmp_path):
    save_file({"weight": torch.zeros(1)}, tmp_path / "b.safetensors", {"provenance": "{}"})
    with pytest.raises(ArtefactError, match="not written by this workflow"):
        read_backbone(tmp_path / "b.safetensors")
