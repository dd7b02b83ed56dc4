"""Optimisers that go on from a checkpoint do what they would have done without the interruption."""

import pytest
import torch

from shadowmill import storage
from shadowmill.optimizer_state import load_optimizer_state, optimizer_state

# An asymmetric size, in the layout that convolutions of one model are trained in on GPUs.
WEIGHT = torch.randn(1, 4, 3, 5, 2, generator=torch.Generator().manual_seed(0))
OPTIMIZERS = {
    "sgd": lambda p, fused: torch.optim.SGD(p, 0.1, momentum=0.9, fused=fused),
    "adam": lambda p, fused: torch.optim.Adam(p, 0.1, fused=fused),
    "rmsprop": lambda p, fused: torch.optim.RMSprop(p, 0.1, momentum=0.9),
}


def parameters_of(device):
    weight = WEIGHT[0].contiguous(memory_format=torch.channels_last)[None].to(device)
    assert not weight.is_contiguous()
    bias = torch.ones(1, 4, device=device)
    return {"weight": weight.requires_grad_(), "bias": bias.requires_grad_()}


def step(optimizer, parameters, number):
    for index, parameter in enumerate(parameters.values()):
        random = torch.Generator().manual_seed(10 * number + index)
        parameter.grad = torch.empty_like(parameter).copy_(
            torch.randn(parameter.shape, generator=random)
        )
    optimizer.step()


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_resumed_equals_uninterrupted(name, fused, device, tmp_path):
    whole, resumed = parameters_of(device), parameters_of(device)
    optimizer = OPTIMIZERS[name](whole.values(), fused)
    for number in range(2):
        step(optimizer, whole, number)
    storage.write_tensors(tmp_path / "state", optimizer_state(optimizer, whole), {"digest": ""})
    with torch.no_grad():
        for parameter, reached in zip(resumed.values(), whole.values(), strict=True):
            parameter.copy_(reached)
    other = OPTIMIZERS[name](resumed.values(), fused)
    load_optimizer_state(other, resumed, storage.read_tensors(tmp_path / "state")[0])
    moments = [value for value in other.state[resumed["weight"]].values() if value.dim()]
    assert moments
    assert all(value.stride() == resumed["weight"].stride() for value in moments)
    for number in range(2, 4):
        step(optimizer, whole, number)
        step(other, resumed, number)
    for parameter, expected in zip(resumed.values(), whole.values(), strict=True):
        assert torch.equal(parameter, expected)


def test_nothing_is_remembered_before_the_first_step():
    parameters = parameters_of("cpu")
    assert optimizer_state(OPTIMIZERS["adam"](parameters.values(), False), parameters) == {}


def test_what_was_remembered_is_forgotten():
    parameters = parameters_of("cpu")
    optimizer = OPTIMIZERS["sgd"](parameters.values(), False)
    step(optimizer, parameters, 0)
    load_optimizer_state(optimizer, parameters, {})
    assert optimizer_state(optimizer, parameters) == {}
