"""Trained heads: what is kept of them, and their weights as a reconstructor sees them.

Legend: H heads, N examples of a set, J units of the first layer, d features, D numbers of the
flattened weights.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from shadowmill.reconstruction.heads.draws import Key, fill_normals, first_keys
from shadowmill.reconstruction.heads.network import kept_per_step, num_steps, num_units
from shadowmill.reconstruction.heads.private import off_span_noise, off_span_std


@dataclass(frozen=True)
class Heads:
    """Trained heads, without the sets they were trained on.

    With `sgd` the first layer is kept by its coefficients in the span of the examples; initial
    weights and the noise outside that span are drawn again when `weights` are asked for. All floats
    have the dtype of the features: float32 in the workflow.

    Attributes:
        attempts_H: (H,) int64, how often each was trained anew: 0 if the first time was good.
        losses_H: (H,) mean loss in nats on the own set at the end, weighted as in training.
        accuracies_H: (H,) share of the own set classified correctly at the end.
        coefficients_HNJ: (H, N, J) of the examples in the first layer; None with Adam.
        bias_HJ: (H, J) of the first layer; None with Adam.
        outer_HJ: (H, J) weights of the second layer; None with Adam or without hidden units.
        outer_bias_H: (H,) its bias; None likewise.
        weights_HD: (H, D) all weights in the order of `weights`; None but with Adam.
    """

    attempts_H: Tensor
    losses_H: Tensor
    accuracies_H: Tensor
    coefficients_HNJ: Tensor | None = None
    bias_HJ: Tensor | None = None
    outer_HJ: Tensor | None = None
    outer_bias_H: Tensor | None = None
    weights_HD: Tensor | None = None

    def __len__(self) -> int:
        return len(self.attempts_H)

    def select(self, rows: Tensor | slice) -> "Heads":
        """Some of the heads, by index, mask or slice."""
        present = {name: tensor[rows] for name, tensor in self.tensors().items()}
        return Heads(**present)

    def to(self, dtype: torch.dtype) -> "Heads":
        """The same with floats of another dtype."""
        return Heads(
            **{
                name: tensor.to(dtype) if tensor.is_floating_point() else tensor
                for name, tensor in self.tensors().items()
            }
        )

    def tensors(self) -> dict[str, Tensor]:
        """The attributes that are not None, by name."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None}

    @staticmethod
    def concatenate(parts: Sequence["Heads"]) -> "Heads":
        """Heads of one kind, one part after the other; at least one part."""
        names = parts[0].tensors()
        return Heads(
            **{name: torch.cat([part.tensors()[name] for part in parts]) for name in names}
        )


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
