"""Training of heads: chunk by chunk, and again where it failed.

Legend: H heads, N examples of a set, d features.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from shadowmill.errors import TrainingError
from shadowmill.reconstruction.heads.descent import train_dense, train_in_span
from shadowmill.reconstruction.heads.draws import Key
from shadowmill.reconstruction.heads.network import Criterion, num_steps, num_units
from shadowmill.reconstruction.heads.trained import Heads

# Heads are trained so many at a time that about so many numbers are held for them. On a GPU each
# operation takes a while to start, however few the heads.
_CHUNK_NUMBERS = {"cpu": 4_000_000, "cuda": 64_000_000}


@torch.no_grad()
def train(
    features_HND: Tensor, labels_N: Tensor, keys: Sequence[Key], settings: Mapping[str, Any]
) -> Heads:
    """Train heads, each on its own set and by itself.

    A head depends on its features, labels, key and settings alone, not on those it is trained with.

    Args:
        features_HND: (H, N, d) of the sets, H ≥ 1 and d > N, float32 (or float64, for which
            products and results have that precision), on any device. Steps in the span of the
            examples are taken in float64.
        labels_N: (N,) int64, the same for every set: classes 0…K−1, or 0 and 1.
        keys: H keys; all that is drawn for a head is fixed by its own.
        settings: of the heads.

    Returns:
        H heads, on the device of the features.

    Raises:
        TrainingError: heads diverged.
        ValueError: settings that exclude each other (privacy with Adam, hidden units with several
            outputs), d ≤ N, or arguments of different lengths.
    """
    _check(features_HND, labels_N, keys, settings)
    labels_N = labels_N.to(features_HND.device)
    criterion = Criterion(labels_N, settings["outputs"], settings["positive_weight"])
    heads = _train_once(features_HND, criterion, keys, 0, settings)
    restart = settings["restart"] or {"above": torch.inf, "times": 0}
    for attempt in range(1, restart["times"] + 1):
        # Written so that a loss of NaN counts as failed.
        failed_F = (~(heads.losses_H < restart["above"])).nonzero()[:, 0]
        if not len(failed_F):
            break
        failed_keys = [keys[row] for row in failed_F.tolist()]
        again = _train_once(features_HND[failed_F], criterion, failed_keys, attempt, settings)
        for name, tensor in again.tensors().items():
            heads.tensors()[name][failed_F] = tensor
    _check_finite(heads, settings)
    return heads


def _train_once(
    features_HND: Tensor,
    criterion: Criterion,
    keys: Sequence[Key],
    attempt: int,
    settings: Mapping[str, Any],
) -> Heads:
    _, size, num_features = features_HND.shape
    per_head = (size + num_units(settings)) * num_features
    if settings["privacy"]:
        per_head += num_steps(settings) * (size + 3) * num_units(settings)
    chunk = max(1, _CHUNK_NUMBERS[features_HND.device.type] // per_head)
    one = train_dense if settings["optimizer"] == "adam" else train_in_span
    parts = []
    for start in range(0, len(keys), chunk):
        part = slice(start, start + chunk)
        attempts = [attempt] * len(keys[part])
        parts.append(one(features_HND[part], criterion, keys[part], attempts, settings))
    return Heads.concatenate(parts)


def _check(
    features_HND: Tensor, labels_N: Tensor, keys: Sequence[Key], settings: Mapping[str, Any]
) -> None:
    num_heads, size, num_features = features_HND.shape
    if (num_heads, size) != (len(keys), len(labels_N)):
        raise ValueError(
            f"features of {num_heads} sets of {size} examples for {len(keys)} keys and "
            f"{len(labels_N)} labels: give a key for each set and a label for each of its examples"
        )
    if num_features <= size:
        raise ValueError(f"{num_features} features of {size} examples: more than that are needed")
    if settings["hidden"] and settings["outputs"] != 1:
        raise ValueError(
            f"hidden={settings['hidden']} with outputs={settings['outputs']}: heads with hidden "
            "units have one output"
        )
    if settings["privacy"] and settings["optimizer"] != "sgd":
        raise ValueError(f"privacy with optimizer={settings['optimizer']!r}: DP-SGD needs sgd")


def _check_finite(heads: Heads, settings: Mapping[str, Any]) -> None:
    is_finite_H = torch.ones_like(heads.attempts_H, dtype=torch.bool)
    for tensor in heads.tensors().values():
        is_finite_H &= (
            tensor.flatten(1).isfinite().all(1) if tensor.dim() > 1 else tensor.isfinite()
        )
    failed = int((~is_finite_H).sum())
    if failed:
        raise TrainingError(
            f"{failed} of {len(heads)} heads have weights or losses that are not finite, after "
            f"{settings['epochs']} epochs at learning_rate {settings['learning_rate']:g}. Choose a "
            "smaller learning_rate of the heads."
        )
