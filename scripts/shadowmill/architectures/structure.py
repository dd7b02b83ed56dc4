"""What a network computes, as a list of operations: models belong to one structure."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode, resolve_name

from shadowmill.errors import ArtefactError

_BATCH = 2


class _Recorder(TorchFunctionMode):
    """Writes down each function of torch that is called, with the shapes it is about."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[str] = []

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        name = resolve_name(func) or str(func)
        if isinstance(found, Tensor) and not name.endswith("__get__"):
            shown = [_shown(value) for value in (*args, *(kwargs or {}).values())]
            self.operations.append(f"{name}({', '.join(shown)}) -> {_shown(found)}")
        return found


def _shown(value: Any) -> str:
    if isinstance(value, Tensor):
        return "x".join(str(size) for size in value.shape) or "scalar"
    return str(value) if isinstance(value, bool | int | float | str | tuple | list) else "-"


@torch.no_grad()
def structure(network: nn.Module, input_shape: Sequence[int]) -> list[str]:
    """The operations of a network's forward pass in evaluation mode.

    Nothing is computed. Functions of torch count with their settings and with the shapes of their
    tensors, so another activation, stride or width is another structure; names of modules do not.

    Args:
        network: on any device; left as it was.
        input_shape: of one example.

    Returns:
        One line for each operation, in order.
    """
    training = network.training
    network.eval()
    # On no device: parameters by name stand in for the network's own.
    tensors = {
        name: tensor.to("meta")
        for name, tensor in (*network.named_parameters(), *network.named_buffers())
    }
    inputs = torch.empty(_BATCH, *input_shape, device="meta")
    with _Recorder() as recorder:
        torch.func.functional_call(network, tensors, (inputs,))
    network.train(training)
    return recorder.operations


def check_structure(
    path: str,
    found: Sequence[str],
    state: Mapping[str, Tensor],
    own: Mapping[str, Tensor],
    network: nn.Module,
    input_shape: Sequence[int],
) -> None:
    """Refuse a file whose weights are not for a network.

    Args:
        path: of the file, for messages.
        found: operations of the network that the weights were trained in.
        state: its parameters and buffers.
        own: those of the present network, by the same names.
        network: the present one.
        input_shape: of one example.

    Raises:
        ArtefactError: names the first difference.
    """
    difference = next(_differences(found, structure(network, input_shape), state, own), None)
    if difference:
        raise ArtefactError(
            f"{path}: it was trained in another network than the present code builds: {difference}."
            " Restore the code, or delete the file and rerun the workflow to train it again."
        )


def _differences(
    found: Sequence[str],
    present: Sequence[str],
    state: Mapping[str, Tensor],
    own: Mapping[str, Tensor],
) -> Iterator[str]:
    """Each presumes that there was none before."""
    for name in sorted(state.keys() ^ own.keys()):
        where = "the file" if name in state else "the present network"
        yield f"only {where} has {name}"
    for name, tensor in own.items():
        if state[name].shape != tensor.shape:
            shapes = f"{_shown(state[name])} in the file, {_shown(tensor)} in the present network"
            yield f"{name} is {shapes}"
    for number, (one, other) in enumerate(zip_longest(found, present), start=1):
        if one != other:
            yield f"operation {number} is {one} in the file, {other} in the present network"
