"""Steps and resume on a GPU that is not there: devices, layouts and waits."""

from unittest import mock

import pytest
import torch
from fake_cuda import DEVICE, fake_cuda, real
from jobs_for_tests import PRUNING, TRAININGS, features, make_specs, settings_of

from shadowmill.training import lockstep
from shadowmill.training.batches import Pool
from shadowmill.training.lockstep import Stack

KINDS = {
    name: TRAININGS[name]
    for name in ("dense", "static", "dpf", "adam", "rmsprop", "ppb", "relaxloss", "mlp")
} | {
    "resnet20": settings_of(PRUNING["dpf"], "resnet20"),
    "resnet18, adam": settings_of(PRUNING["static"], "resnet18", optimizer="adam"),
}


@pytest.fixture(params=KINDS)
def make(request, digits):
    """Make the same stack of one model each time, on the fake GPU."""
    settings = KINDS[request.param]
    data = features(digits) if settings["architecture"] == "mlp" else digits
    unstacked = mock.patch.object(lockstep, "initial_module", real(lockstep.initial_module))
    ungraphed = mock.patch.object(lockstep, "GraphedStep", return_value=None)

    def make():
        pool = Pool(data, len(data.labels), DEVICE)
        return Stack(make_specs(1), settings, data, pool, 200)

    with fake_cuda(), unstacked, ungraphed:
        yield make


@pytest.mark.long
def test_a_resumed_model_takes_the_next_step(make):
    stack = make()
    assert {tensor.device for tensor in stack.parameters.values()} == {DEVICE}
    for _ in range(2):  # the second with moments
        stack.train_step()
    tensors, facts = stack.state()
    # As files keep them.
    saved = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    resumed = make()
    resumed.load(saved, facts)
    for parameter, other in zip(
        stack.parameters.values(), resumed.parameters.values(), strict=True
    ):
        own, found = stack.optimizer.state[parameter], resumed.optimizer.state[other]
        assert own.keys() == found.keys()
        for slot in own:
            assert found[slot].stride() == own[slot].stride()
            assert found[slot].device == own[slot].device
    resumed.train_step()  # the fused step refuses other layouts
    assert resumed.step == 3


def test_the_check_of_layouts_can_fail():
    with fake_cuda():
        weight = torch.empty(4, 3, 5, 2, device=DEVICE).to(memory_format=torch.channels_last)
        weight.requires_grad_()
        optimizer = torch.optim.SGD([weight], 0.1, momentum=0.9, fused=True)
        weight.grad = torch.empty_like(weight)
        optimizer.step()
        optimizer.state[weight]["momentum_buffer"] = torch.empty(4, 3, 5, 2, device=DEVICE)
        with pytest.raises(AssertionError, match="layouts"):
            optimizer.step()
