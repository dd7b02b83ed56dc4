"""Further networks of torchvision, adapted to small images (`resnet` has the residual ones)."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from torch import nn
from torchvision import models
from torchvision.models import densenet, efficientnet, vgg, vision_transformer

from shadowmill.architectures.layers import (
    GlobalAveragePool,
    adapted_stem,
    has_small_side,
    he_initialised,
)
from shadowmill.architectures.noise import replace_random_layers
from shadowmill.errors import ConfigError

_COLOURS = 3


def _transformer(patch: int, layers: int, heads: int, width: int) -> dict[str, int]:
    """Sizes of a vision transformer (Dosovitskiy et al. 2021, arXiv:2010.11929, Table 1)."""
    return {
        "image_size": 224,
        "patch_size": patch,
        "num_layers": layers,
        "num_heads": heads,
        "hidden_dim": width,
        "mlp_dim": 4 * width,
    }


_TRANSFORMERS = {
    "vit_b_16": _transformer(16, 12, 12, 768),
    "vit_b_32": _transformer(32, 12, 12, 768),
    "vit_l_16": _transformer(16, 24, 16, 1024),
    "vit_l_32": _transformer(32, 24, 16, 1024),
    "vit_h_14": _transformer(14, 32, 16, 1280),
}


def vgg16_bn(input_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    """VGG-16 (Simonyan & Zisserman 2015, arXiv:1409.1556, column D) with BatchNorm.

    In the form that is usual on CIFAR: torchvision's features, global average pooling and a single
    linear layer in place of the three wide ones. The poolings round up, so that 8 pixels survive
    five of them.

    Args:
        input_shape: (C, H, W).
        num_classes: K.
    """
    features = vgg.make_layers(vgg.cfgs["D"], batch_norm=True)
    features[0] = nn.Conv2d(input_shape[0], 64, 3, padding=1)
    for layer in features:
        if isinstance(layer, nn.MaxPool2d):
            layer.ceil_mode = True
    classifier = nn.Linear(512, num_classes)
    nn.init.normal_(classifier.weight, std=0.01)
    nn.init.zeros_(classifier.bias)
    return _classifier_on(he_initialised(features), classifier)


def densenet121(input_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    """DenseNet-121 (Huang et al. 2017, arXiv:1608.06993, Table 1).

    Up to `layers.SMALL_SIDE` pixels with a 3×3 stride-1 stem and without the max pooling after it.

    Args:
        input_shape: (C, H, W).
        num_classes: K.
    """
    network = densenet.densenet121(num_classes=num_classes)
    features = network.features
    features.conv0 = adapted_stem(features.conv0, input_shape, "fan_in")
    if has_small_side(input_shape):
        features.pool0 = nn.Identity()
    # torchvision's forward has this activation in place, which per-example gradients forbid.
    features.add_module("relu5", nn.ReLU(inplace=True))
    return _classifier_on(features, network.classifier)


def efficientnet_b0(input_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    """EfficientNet-B0 (Tan & Le 2019, arXiv:1905.11946, Table 1).

    Up to `layers.SMALL_SIDE` pixels its stem has stride 1. Dropout 0.2 and stochastic depth up to
    0.2, as in torchvision, are drawn from keys.

    Args:
        input_shape: (C, H, W).
        num_classes: K.
    """
    network = efficientnet.efficientnet_b0(num_classes=num_classes)
    network.features[0][0] = adapted_stem(network.features[0][0], input_shape)
    network.avgpool = GlobalAveragePool()
    replace_random_layers(network)
    return network


def _classifier_on(features: nn.Sequential, classifier: nn.Linear) -> nn.Module:
    return nn.Sequential(
        OrderedDict(
            features=features,
            avgpool=GlobalAveragePool(),
            flatten=nn.Flatten(),
            classifier=classifier,
        )
    )


def of_torchvision(name: str) -> Callable[..., nn.Module]:
    """A builder of a classifier of torchvision, for images of any number of channels.

    Args:
        name: of a function of `torchvision.models`.

    Raises:
        ConfigError: there is none of that name.
    """
    known = models.list_models(models)
    if name not in known:
        raise ConfigError(
            f"torchvision.models has no classifier {name!r}. It has {', '.join(known)}."
        )

    def build(input_shape: tuple[int, int, int], num_classes: int, **arguments: Any) -> nn.Module:
        if name in _TRANSFORMERS:  # whose functions do not let these be chosen
            sizes = _TRANSFORMERS[name] | arguments
            network = vision_transformer.VisionTransformer(num_classes=num_classes, **sizes)
        else:
            network = models.get_model(name, weights=None, num_classes=num_classes, **arguments)
        if input_shape[0] != _COLOURS:
            _take_channels(network, input_shape[0])
        return network

    return build


def _take_channels(network: nn.Module, channels: int) -> None:
    """Replace the first convolution, which takes three colours, by one that takes as many."""
    for parent in network.modules():
        for name, layer in parent.named_children():
            if isinstance(layer, nn.Conv2d) and layer.in_channels == _COLOURS:
                conv = nn.Conv2d(
                    channels,
                    layer.out_channels,
                    layer.kernel_size,
                    layer.stride,
                    layer.padding,
                    bias=layer.bias is not None,
                )
                setattr(parent, name, conv)
                return
