"""The weights in what a training script of the user's saved."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from shadowmill.errors import ArtefactError, some
from shadowmill.state_dicts import is_state_dict, read_weights

_WRAPPERS = ("state_dict", "model_state_dict", "state", "model")
_ADVICE = "Save the state dict alone: torch.save(model.state_dict(), …)."
_TRUST = "If the file holds more than tensors and you know where it is from, say trust: true."


def read_state(path: str, *, trust: bool) -> dict[str, Tensor]:
    """Read the tensors of a model by their names there.

    Args:
        path: a safetensors file, or a file of torch: a state dict, or a mapping that has one under
            one of `_WRAPPERS`; with `trust` also a module.
        trust: whether code in a file of torch may be run.

    Returns:
        The tensors, on the CPU.

    Raises:
        ArtefactError: the file is missing, damaged, or holds other things than a state dict.
    """
    found = read_weights(path, _ADVICE if trust else f"{_ADVICE} {_TRUST}", trust=trust)
    state = _unwrapped(found)
    if not is_state_dict(state) or not state:
        keys = f" with {some(list(found))}" if isinstance(found, Mapping) and found else ""
        raise ArtefactError(
            f"{path}: a {type(found).__name__}{keys}, not a state dict, whose every entry is a "
            f"tensor, nor one under {', '.join(_WRAPPERS)}. {_ADVICE}"
        )
    return dict(state)


def _unwrapped(found: Any) -> Any:
    if isinstance(found, nn.Module):
        return found.state_dict()
    if isinstance(found, Mapping) and not is_state_dict(found):
        for name in _WRAPPERS:
            if name in found:
                return _unwrapped(found[name])
    return found
