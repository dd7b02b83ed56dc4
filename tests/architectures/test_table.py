"""Every row of the table: its size, its shapes, its initialisation."""

import pytest
import torch
from torch import nn
from torchvision import models

from shadowmill import architectures
from shadowmill.architectures import ARCHITECTURES
from shadowmill.errors import ConfigError

IMAGE = [name for name, row in ARCHITECTURES.items() if row.kind == "image"]
SMALL = ["small_convnet", "mlp", "resnet20"]


def built(name, input_shape=(3, 32, 32), num_classes=10, seed=0):
    shape = input_shape if ARCHITECTURES[name].kind == "image" else (20,)
    return architectures.build(name, shape, num_classes, seed)


def built_without_weights(name, input_shape, num_classes=10):
    with torch.device("meta"):
        return architectures.build(name, input_shape, num_classes, 0)


def num_parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


def smaller(weights, width, stem):
    """From torchvision's published count: 10 classes for 1000, a 3×3×3×stem first layer for 7×7."""
    return weights.meta["num_params"] - 990 * (width + 1) - 3 * (7 * 7 - 3 * 3) * stem


def cifar_resnet_size(num_blocks):
    """By hand: stem, 2n 3×3 convolutions a stage, two numbers a normalised channel, classifier."""
    convolutions = 9 * (3 * 16 + 2 * num_blocks * 16**2)
    normalisations = 2 * (16 + 2 * num_blocks * (16 + 32 + 64))
    for channels in (32, 64):
        convolutions += 9 * (channels // 2 * channels + (2 * num_blocks - 1) * channels**2)
    return convolutions + normalisations + 64 * 10 + 10


def wide_resnet_size(widen):
    """By hand: a normalisation before every 3×3 convolution, a projection where widths differ."""
    size, in_channels = 9 * 3 * 16, 16
    for channels in (16 * widen, 32 * widen, 64 * widen):
        size += 2 * in_channels + 9 * in_channels * channels + in_channels * channels
        size += 7 * (2 * channels + 9 * channels**2)
        in_channels = channels
    return size + 2 * in_channels + 10 * in_channels + 10


SIZES = {
    # 3·3·3·8 + 8, 3·3·8·16 + 16, 3·3·16·16 + 16, and 8·8 positions of 16 channels to 10 logits.
    "small_convnet": 224 + 1168 + 2320 + 10250,
    "resnet18": smaller(models.ResNet18_Weights.DEFAULT, 512, 64),
    "resnet34": smaller(models.ResNet34_Weights.DEFAULT, 512, 64),
    "resnet50": smaller(models.ResNet50_Weights.DEFAULT, 2048, 64),
    "densenet121": smaller(models.DenseNet121_Weights.DEFAULT, 1024, 64),
    # Only the stride of the stem differs from torchvision's.
    "efficientnet_b0": models.EfficientNet_B0_Weights.DEFAULT.meta["num_params"] - 990 * 1281,
    # torchvision's without its three linear layers, with one of 512 · 10 + 10.
    "vgg16_bn": models.VGG16_BN_Weights.DEFAULT.meta["num_params"]
    - (25088 * 4096 + 4096 + 4096 * 4096 + 4096 + 4096 * 1000 + 1000)
    + 5130,
    "resnet20": cifar_resnet_size(3),
    "resnet32": cifar_resnet_size(5),
    "resnet44": cifar_resnet_size(7),
    "resnet56": cifar_resnet_size(9),
    "resnet110": cifar_resnet_size(18),
    "wrn28_2": wide_resnet_size(2),
    "wrn28_10": wide_resnet_size(10),
}

# In millions: He et al. (2016), Table 6; Sohn et al. (2020, arXiv:2001.07685) for WRN-28-2;
# Zagoruyko & Komodakis (2016), Table 4.
PUBLISHED = {
    "resnet20": "0.27",
    "resnet32": "0.46",
    "resnet44": "0.66",
    "resnet56": "0.85",
    "resnet110": "1.7",
    "wrn28_2": "1.5",
    "wrn28_10": "36.5",
}


@pytest.mark.parametrize("name", IMAGE)
def test_number_of_parameters(name):
    assert num_parameters(built_without_weights(name, (3, 32, 32))) == SIZES[name]


@pytest.mark.parametrize("name", PUBLISHED)
def test_number_of_parameters_of_the_papers(name):
    published = PUBLISHED[name]
    decimals = len(published.split(".")[1])
    assert f"{SIZES[name] / 1e6:.{decimals}f}" == published


def test_number_of_parameters_of_the_mlp():
    # Purchase100: 600 features, 100 classes.
    expected = 600 * 256 + 256 + 256 * 128 + 128 + 128 * 100 + 100
    assert num_parameters(built_without_weights("mlp", (600,), 100)) == expected


@pytest.mark.long
@pytest.mark.parametrize("side", [8, 28, 32, 64])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", IMAGE)
def test_output_shape_of_images(name, channels, side):
    network = built_without_weights(name, (channels, side, side), 7)
    images = torch.empty(2, channels, side, side, device="meta")
    assert network(images).shape == (2, 7)


def test_output_shape_of_oblong_images():
    images = torch.empty(2, 1, 9, 21, device="meta")
    for name in IMAGE:
        assert built_without_weights(name, (1, 9, 21), 3)(images).shape == (2, 3)


def test_output_shape_of_features():
    network = built_without_weights("mlp", (20,), 5)
    assert network(torch.empty(3, 20, device="meta")).shape == (3, 5)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_batch_norm_column(name):
    shape = (3, 32, 32) if name in IMAGE else (20,)
    layers = built_without_weights(name, shape).modules()
    found = any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in layers)
    assert found == ARCHITECTURES[name].batch_norm


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "densenet121", "efficientnet_b0"])
def test_large_images_see_the_network_of_torchvision(name):
    """The same function of the same weights: also guards the blocks that are written anew here."""
    network = built(name, (3, 65, 65)).eval()
    original = getattr(models, name)(num_classes=10).eval()
    original.load_state_dict(network.state_dict())
    images = torch.randn(2, 3, 65, 65, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(network(images), original(images))


@pytest.mark.parametrize("name", ["resnet18", "densenet121", "efficientnet_b0"])
def test_small_images_keep_their_resolution_in_the_stem(name):
    sizes = {}
    for side in (64, 65):
        network = built_without_weights(name, (3, side, side))
        sizes[side] = []
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d):
                layer.register_forward_hook(
                    lambda *args, sizes=sizes[side]: sizes.append(args[1][0].shape[-1])
                )
        network(torch.empty(2, 3, side, side, device="meta"))
    # What the second convolution sees: 65 pixels are halved once or twice, 64 are not.
    assert sizes[64][1] == 64
    assert sizes[65][1] == (33 if name == "efficientnet_b0" else 17)


@pytest.mark.parametrize("name", SMALL)
def test_weights_depend_on_the_seed_alone(name):
    torch.manual_seed(1)
    one = built(name, seed=5).state_dict()
    torch.manual_seed(2)
    same = built(name, seed=5).state_dict()
    other = built(name, seed=6).state_dict()
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert any(not torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_convolutions_have_the_scale_of_he(name):
    """Standard deviation √(2/fan) where there are weights enough to tell."""
    for layer in built(name).modules():
        if name != "small_convnet" and isinstance(layer, nn.Conv2d) and layer.weight.numel() > 2000:
            fan_in, fan_out = nn.init._calculate_fan_in_and_fan_out(layer.weight)
            fan = fan_in if name == "densenet121" else fan_out
            assert layer.weight.std().item() == pytest.approx((2 / fan) ** 0.5, rel=0.1)


@pytest.mark.parametrize("name", SMALL)
def test_global_generator_is_left_alone(name):
    before = torch.get_rng_state()
    network = built(name)
    network(torch.zeros(2, 20) if name == "mlp" else torch.zeros(2, 3, 32, 32))
    assert torch.equal(torch.get_rng_state(), before)


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(ConfigError, match=r"no architecture 'resnet19'.*small_convnet, mlp, "):
        architectures.build("resnet19", (3, 32, 32), 10, 0)


@pytest.mark.parametrize(
    ("name", "stacking", "expected"),
    [
        ("mlp", "auto", True),
        ("resnet20", "auto", False),
        ("wrn28_10", "auto", False),
        ("mlp", "sequential", False),
        ("wrn28_10", "stacked", True),
    ],
)
def test_is_stacked(name, stacking, expected):
    assert architectures.is_stacked(ARCHITECTURES[name], stacking, "cpu") is expected
    with_batch_norm = architectures.ARCHITECTURES[name].batch_norm
    assert architectures.is_stacked(ARCHITECTURES[name], stacking, "cuda") is (
        expected and not with_batch_norm
    )
