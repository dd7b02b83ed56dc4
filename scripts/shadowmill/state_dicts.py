"""Weights that others published."""

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from shadowmill.errors import ArtefactError


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
    if not Path(path).exists():
        raise ArtefactError(f"{path}: no such file of weights. {advice}")
    try:
        if path.endswith(".safetensors"):
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, OSError, EOFError, RuntimeError, pickle.UnpicklingError) as error:
        raise ArtefactError(
            f"{path}: no file of weights, or a damaged one ({type(error).__name__}). {advice}"
        ) from error
    if not isinstance(state, Mapping) or not all(
        isinstance(tensor, torch.Tensor) for tensor in state.values()
    ):
        raise ArtefactError(f"{path}: not a state dict, whose every entry is a tensor. {advice}")
    return dict(state)
