"""Networks without BatchNorm: opacus' per-example gradients add up to the gradient of the batch."""

import pytest
import torch
import torch.nn.functional as F
from opacus import GradSampleModule
from torch import nn

from shadowmill import architectures
from shadowmill.architectures import ARCHITECTURES

BATCH = 3
# One of each family, the smallest.
FAMILIES = ["mlp", "resnet20", "resnet18", "resnet50", "wrn28_2", "densenet121"]
FAMILIES += ["efficientnet_b0", "vgg16_bn"]


def built(name):
    shape = (1, 8, 8) if ARCHITECTURES[name].kind == "image" else (20,)
    network = architectures.build(name, shape, 4, seed=1, group_norm=True)
    inputs = torch.randn(BATCH, *shape, generator=torch.Generator().manual_seed(0))
    return network, inputs, torch.arange(BATCH)


@pytest.mark.parametrize("name", ["resnet20", "efficientnet_b0"])
def test_no_batch_norm_and_nothing_in_place(name):
    network, _, _ = built(name)
    layers = list(network.modules())
    assert not any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in layers)
    assert any(isinstance(layer, nn.GroupNorm) for layer in layers)
    assert not any(getattr(layer, "inplace", False) for layer in layers)


@pytest.mark.parametrize("name", ["resnet20", "small_convnet"])
def test_other_weights_are_those_of_the_plain_network(name):
    plain = architectures.build(name, (1, 8, 8), 4, seed=1).state_dict()
    network, _, _ = built(name)
    for key, value in network.state_dict().items():
        assert torch.equal(value, plain[key])


@pytest.mark.long
@pytest.mark.parametrize("name", FAMILIES)
def test_per_example_gradients_add_up(name):
    network, inputs, labels = built(name)
    loss = F.cross_entropy(network(inputs), labels, reduction="sum")
    expected = torch.autograd.grad(loss, list(network.parameters()))
    hooked = GradSampleModule(network, loss_reduction="sum")
    F.cross_entropy(hooked(inputs.requires_grad_()), labels, reduction="sum").backward()
    scale = max(gradient.abs().max().item() for gradient in expected)
    for parameter, gradient in zip(network.parameters(), expected, strict=True):
        assert parameter.grad_sample.shape == (BATCH, *parameter.shape)
        torch.testing.assert_close(
            parameter.grad_sample.sum(dim=0), gradient, rtol=1e-3, atol=1e-5 * scale
        )


def test_examples_do_not_depend_on_their_batch():
    network, inputs, _ = built("resnet20")
    alone = torch.cat([network(inputs[i : i + 1]) for i in range(BATCH)])
    torch.testing.assert_close(network(inputs), alone)
