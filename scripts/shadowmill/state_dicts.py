"""Weights in files that this workflow did not write."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from shadowmill.errors import ArtefactError

_LFS_POINTER = b"version https://git-lfs"
_UNREADABLE = (SafetensorError, OSError, EOFError, RuntimeError, pickle.UnpicklingError)


def read_state_dict(path: str, advice: str) -> dict[str, torch.Tensor]:
    """Read weights that others published: a state dict of torch, or a safetensors file.

    Args:
        path: the file; nothing in it is executed.
        advice: where to get the right one, to end messages with.

    Returns:
        The tensors by name, on the CPU.

    Raises:
        ArtefactError: the file is missing, damaged, or holds other things than tensors.
    """
    state = read_weights(path, advice)
    if not is_state_dict(state):
        raise ArtefactError(f"{path}: not a state dict, whose every entry is a tensor. {advice}")
    return dict(state)


def read_weights(path: str, advice: str, *, trust: bool = False) -> Any:
    """Read what a safetensors file, or a file of torch, holds.

    Args:
        path: the file.
        advice: what to do if it is not the right one, to end messages with.
        trust: whether code in it may be executed.

    Raises:
        ArtefactError: the file is missing, damaged, or holds what only code in it could make.
    """
    if not Path(path).exists():
        raise ArtefactError(f"{path}: no such file of weights. {advice}")
    if Path(path).is_file() and _is_pointer(path):
        raise ArtefactError(
            f"{path}: a pointer of Git LFS, not the file itself. Fetch it with git lfs pull."
        )
    unreadable = (Exception,) if trust else _UNREADABLE  # code of others raises anything
    try:
        if path.endswith(".safetensors"):
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=not trust)
    except unreadable as error:
        raise ArtefactError(
            f"{path}: no file of weights, or a damaged one ({type(error).__name__}). {advice}"
        ) from error


def _is_pointer(path: str) -> bool:
    with Path(path).open("rb") as file:
        return file.read(len(_LFS_POINTER)) == _LFS_POINTER


def is_state_dict(found: Any) -> bool:
    """Whether something is a mapping from names to tensors."""
    return isinstance(found, Mapping) and all(
        isinstance(name, str) and isinstance(tensor, torch.Tensor) for name, tensor in found.items()
    )
