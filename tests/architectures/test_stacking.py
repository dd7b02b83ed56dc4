"""One training step of two stacked models against each model alone, for every architecture."""

import pytest
import torch
import torch.nn.functional as F
from torch.func import functional_call, stack_module_state, vmap

from shadowmill import architectures
from shadowmill.architectures import ARCHITECTURES
from shadowmill.architectures.noise import noise_keys

NUM_MODELS, BATCH, NUM_CLASSES, RATE = 2, 4, 3, 0.1


def networks(name):
    shape = (1, 8, 8) if ARCHITECTURES[name].kind == "image" else (20,)
    modules = []
    for model in range(NUM_MODELS):
        # In float64, as with four examples BatchNorm magnifies the rounding of float32 too much.
        module = architectures.build(name, shape, NUM_CLASSES, seed=model).double().train()
        buffers = dict(module.named_buffers())
        for layer, key in enumerate(noise_keys(module)):
            buffers[key].fill_(100 * model + layer)
        modules.append(module)
    source = torch.Generator().manual_seed(0)
    inputs = torch.randn(NUM_MODELS, BATCH, *shape, generator=source, dtype=torch.float64)
    labels = torch.randint(NUM_CLASSES, (NUM_MODELS, BATCH), generator=source)
    return modules, inputs, labels


def stacked_step(modules, inputs, labels):
    parameters, buffers = stack_module_state(modules)
    logits = vmap(
        lambda *state_and_x: functional_call(modules[0], state_and_x[:2], state_and_x[2])
    )(parameters, buffers, inputs)
    losses = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none")
    losses.view(labels.shape).mean(dim=1).sum().backward()
    torch.optim.SGD(parameters.values(), RATE).step()
    return parameters | buffers


def step_alone(module, inputs, labels):
    F.cross_entropy(module(inputs), labels).backward()
    torch.optim.SGD(module.parameters(), RATE).step()
    return dict(module.named_parameters()) | dict(module.named_buffers())


@pytest.mark.long
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_stacked_step_equals_each_alone(name):
    modules, inputs, labels = networks(name)
    before = [{n: p.detach().clone() for n, p in m.named_parameters()} for m in modules]
    stacked = stacked_step(modules, inputs, labels)
    for model, module in enumerate(modules):
        alone = step_alone(module, inputs[model], labels[model])
        assert stacked.keys() == alone.keys()
        for tensor, value in alone.items():
            # The update rather than the weight, which a single step hardly changes.
            start = before[model].get(tensor, 0)
            torch.testing.assert_close(
                stacked[tensor][model] - start, value - start, rtol=1e-3, atol=1e-9, msg=tensor
            )


@pytest.mark.parametrize("name", ["mlp", "efficientnet_b0"])
def test_key_buffers_decide_the_noise(name):
    modules, inputs, _ = networks(name)
    module = modules[0]
    buffers = dict(module.named_buffers())
    first = module(inputs[0])
    assert torch.equal(module(inputs[0]), first)
    for key in noise_keys(module):
        buffers[key].add_(1000)
    assert not torch.allclose(module(inputs[0]), first)
