"""Weights of finished models, read from files of others."""

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from shadowmill.errors import DataError, some

_LFS_POINTER = b"version https://git-lfs"
_WRAPPERS = ("state_dict", "model_state_dict", "state", "model")


def read_state(path: str, *, trust: bool) -> dict[str, Tensor]:
    """Read the tensors of a model by their names there.

    Args:
        path: a file of a kind in `READERS`.
        trust: whether code in a pickle may be run.

    Returns:
        The tensors, on the CPU.

    Raises:
        DataError: the file is missing, damaged, of another kind, or holds other things than a
            state dict.
    """
    file = Path(path)
    if not file.is_file():
        raise DataError(f"{path}: there is no such file. Give a file of weights.")
    with file.open("rb") as opened:
        if opened.read(len(_LFS_POINTER)) == _LFS_POINTER:
            raise DataError(
                f"{path}: this is a pointer of Git LFS, not the file itself. Fetch it with git lfs "
                "pull."
            )
    if file.suffix not in READERS:
        raise DataError(f"{path}: ends in none of {', '.join(READERS)}.")
    return READERS[file.suffix](path, trust)


def _read_safetensors(path: str, trust: bool) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise DataError(f"{path}: no safetensors file, or a damaged one ({error}).") from error


def _read_torch(path: str, trust: bool) -> dict[str, Tensor]:
    try:
        found = torch.load(path, map_location="cpu", weights_only=not trust)
    except pickle.UnpicklingError as error:
        if trust:
            raise DataError(f"{path}: a damaged file ({error}).") from error
        raise DataError(
            f"{path}: it holds more than tensors, and reading it would run code that is in it. "
            "Save the state dict alone (torch.save(model.state_dict(), …)), or, if you know where "
            "the file is from, say trust: true."
        ) from error
    except Exception as error:  # what torch and the code in a pickle raise is of any kind
        raise DataError(f"{path}: no file of torch, or a damaged one ({error}).") from error
    return _unwrapped(path, found)


def _unwrapped(path: str, found: Any) -> dict[str, Tensor]:
    """The state dict in what a training script saved."""
    if isinstance(found, nn.Module):
        found = found.state_dict()
    while isinstance(found, Mapping) and not _is_state(found):
        inner = next((name for name in _WRAPPERS if name in found), None)
        if inner is None:
            break
        found = found[inner].state_dict() if isinstance(found[inner], nn.Module) else found[inner]
    if not isinstance(found, Mapping) or not _is_state(found):
        kind = type(found).__name__
        keys = f" with {some(list(found))}" if isinstance(found, Mapping) else ""
        raise DataError(
            f"{path}: a {kind}{keys}, not a state dict, whose every entry is a tensor, nor one "
            f"under {', '.join(_WRAPPERS)}."
        )
    return dict(found)


def _is_state(found: Mapping[Any, Any]) -> bool:
    return bool(found) and all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in found.items()
    )


READERS: dict[str, Callable[[str, bool], dict[str, Tensor]]] = {
    ".safetensors": _read_safetensors,
    ".pth": _read_torch,
    ".pt": _read_torch,
    ".ckpt": _read_torch,
    ".bin": _read_torch,
}
"""How files of weights are read, by the end of their name."""
