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
    """Writes down each function of torch that is called, with the tensors it takes and gives."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        """Take the tensors that are there at first, by name."""
        super().__init__()
        self.operations: list[str] = []
        # With the tensors themselves: were one freed, another could get its id.
        self._sources = {id(tensor): (name, tensor) for name, tensor in tensors.items()}

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        shown = [self._shown(value) for value in (*args, *(kwargs or {}).values())]
        found = func(*args, **(kwargs or {}))
        tensors = [
            t
            for t in (found if isinstance(found, tuple | list) else [found])
            if isinstance(t, Tensor)
        ]
        name = resolve_name(func) or str(func)
        if tensors and not name.endswith("__get__"):
            shapes = ", ".join(_shape(tensor) for tensor in tensors)
            self.operations.append(f"{name}({', '.join(shown)}) -> {shapes}")
            source = f"#{len(self.operations)}"
            for part, tensor in enumerate(tensors):
                label = source if len(tensors) == 1 else f"{source}.{part}"
                self._sources[id(tensor)] = label, tensor
        return found

    def _shown(self, value: Any) -> str:
        if isinstance(value, Tensor):
            return f"{self._sources.get(id(value), '?')[0]}:{_shape(value)}"
        if isinstance(value, tuple | list):
            return f"[{', '.join(self._shown(part) for part in value)}]"
        return str(value) if isinstance(value, bool | int | float | str) else "-"


def _shape(tensor: Tensor) -> str:
    return "x".join(str(size) for size in tensor.shape) or "scalar"


@torch.no_grad()
def structure(network: nn.Module, input_shape: Sequence[int]) -> list[str]:
    """The operations of a network's forward pass in evaluation mode.

    Functions of torch count with their settings, with the shapes of their
    tensors, and with what gave these (`#3` is the result of the third operation), so another
    activation, stride, width or shortcut is another structure.

    Args:
        network: on any device; left as it was.
        input_shape: of one example.

    Returns:
        One line for each operation, in order.
    """
    training = {module: module.training for module in network.modules()}
    network.eval()
    tensors = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    # Computed, as two images take less time than it takes to load the device `meta`.
    inputs = torch.zeros(_BATCH, *input_shape, device=next(iter(tensors.values())).device)
    with _Recorder(tensors | {"input": inputs}) as recorder:
        network(inputs)
    for module, before in training.items():
        module.training = before
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
            shapes = f"{_shape(state[name])} in the file, {_shape(tensor)} in the present network"
            yield f"{name} is {shapes}"
    for number, (one, other) in enumerate(zip_longest(found, present), start=1):
        if one != other:
            yield f"operation {number} is {one} in the file, {other} in the present network"
