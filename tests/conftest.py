import pytest
import torch

DEVICES = ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)


@pytest.fixture(params=DEVICES)
def device(request):
    """Where a numerical test computes: the CPU, and the GPU if there is one."""
    return torch.device(request.param)


def pytest_collection_modifyitems(items):
    """The longest first, so that no process is left alone with them at the end."""
    items.sort(key=lambda item: "workflow" not in item.path.parts)
