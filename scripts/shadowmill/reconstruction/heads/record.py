"""What is kept of trained heads.

Legend: H heads, N examples of a set, J units of the first layer, D numbers of the flattened
weights.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor


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
