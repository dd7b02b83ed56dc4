"""Weights of heads as a reconstructor sees them: one vector for each head.

Legend: H heads, N examples of a set, J units of the first layer, d features, D all weights.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from shadowmill.reconstruction.heads.draws import Key, fill_normals
from shadowmill.reconstruction.heads.initial import first_keys
from shadowmill.reconstruction.heads.private import off_span_noise, off_span_std
from shadowmill.reconstruction.heads.record import Heads
from shadowmill.reconstruction.heads.settings import kept_per_step, num_steps, num_units


def flattened_size(num_features: int, settings: Mapping[str, Any]) -> int:
    """D: how many weights and biases a head on so many features has."""
    second_layer = settings["hidden"] + 1 if settings["hidden"] else 0
    return num_units(settings) * (num_features + 1) + second_layer


@torch.no_grad()
def weights(
    heads: Heads, features_HND: Tensor, keys: Sequence[Key], settings: Mapping[str, Any]
) -> Tensor:
    """All weights and biases of each head.

    Args:
        heads: H trained heads.
        features_HND: (H, N, d) of their examples, as they were trained on, on any device.
        keys: of the heads, as they were trained with.
        settings: of the heads.

    Returns:
        (H, D) in the dtype and on the device of the features: the first layer, row-major as
        `nn.Linear.weight` (J, d), its bias (J), then the second layer's weights (J) and bias (1).
    """
    if heads.weights_HD is not None:
        return heads.weights_HD.to(features_HND)
    _, size, num_features = features_HND.shape
    attempts, shape = heads.attempts_H.tolist(), (num_units(settings), num_features)
    drawn_HD = torch.empty(len(keys), flattened_size(num_features, settings))
    # Initial weights are drawn where they are needed: copying them takes long.
    fill_normals(drawn_HD[:, : shape[0] * shape[1]], first_keys(keys, attempts))
    flat_HD = drawn_HD.to(features_HND)
    first_HJD = flat_HD[:, : shape[0] * shape[1]].unflatten(1, shape)
    scale = settings["init_std"] * kept_per_step(settings) ** num_steps(settings)
    coefficients_HNJ = heads.coefficients_HNJ.to(features_HND)
    first_HJD.baddbmm_(coefficients_HNJ.mT, features_HND, beta=scale)
    if settings["privacy"]:
        noise_HJD = off_span_noise(features_HND, keys, attempts, settings)
        first_HJD.add_(noise_HJD, alpha=off_span_std(settings, size))
    rest = [heads.bias_HJ]
    if settings["hidden"]:
        rest += [heads.outer_HJ, heads.outer_bias_H[:, None]]
    flat_HD[:, shape[0] * shape[1] :] = torch.cat(rest, dim=1)
    return flat_HD
