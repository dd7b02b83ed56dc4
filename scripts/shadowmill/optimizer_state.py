"""What optimisers remember, in checkpoints: moments of each parameter and counts of steps."""

from collections.abc import Mapping

import torch
from torch import Tensor


def optimizer_state(
    optimizer: torch.optim.Optimizer, parameters: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """The state of an optimiser.

    Args:
        optimizer: of the parameters.
        parameters: by names of the caller's choice.

    Returns:
        Tensors under the names ``SLOT/PARAMETER``; none before the first step.
    """
    return {
        f"{slot}/{name}": value
        for name, parameter in parameters.items()
        for slot, value in optimizer.state.get(parameter, {}).items()
        if isinstance(value, Tensor)
    }


@torch.no_grad()
def load_optimizer_state(
    optimizer: torch.optim.Optimizer,
    parameters: Mapping[str, Tensor],
    state: Mapping[str, Tensor],
) -> None:
    """Let an optimiser go on from what `optimizer_state` returned.

    Moments get the memory layout of their parameter, whatever layout the file had: fused optimisers
    walk through the memory of both side by side. On GPUs they refuse other strides; on CPUs they
    add the moments of one weight to another.

    Args:
        optimizer: made of the same parameters; what it remembers is forgotten.
        parameters: under the names that the state was taken with.
        state: tensors on any device.
    """
    optimizer.state.clear()
    for key, tensor in state.items():
        slot, name = key.split("/", 1)
        parameter = parameters[name]
        if slot == "step":
            # Counts stay on the CPU unless the whole step is one kernel.
            is_fused = optimizer.defaults.get("fused")
            value = tensor.to(parameter.device if is_fused else "cpu", copy=True)
        else:
            value = torch.empty_like(parameter, requires_grad=False).copy_(tensor)
        optimizer.state[parameter][slot] = value
