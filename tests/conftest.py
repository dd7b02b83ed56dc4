import pytest
import torch

DEVICES = ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)


@pytest.fixture(params=DEVICES)
def device(request):
    """Where a numerical test computes: the CPU, and the GPU if there is one."""
    return torch.device(request.param)
