"""The network of a head: what follows from its settings, and its losses and their derivatives.

All in closed form, for many heads and for each example.

Legend: H heads, N examples of a set, J units of the first layer, O outputs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch.nn.functional as F
from torch import Tensor


def num_units(settings: Mapping[str, Any]) -> int:
    """J: units of the first layer, hidden ones or outputs."""
    return settings["hidden"] or settings["outputs"]


def num_steps(settings: Mapping[str, Any]) -> int:
    """T: one step in each epoch; with privacy of sampling rate q, round(1/q)."""
    privacy = settings["privacy"]
    return settings["epochs"] * (round(1 / privacy["sample_rate"]) if privacy else 1)


def kept_per_step(settings: Mapping[str, Any]) -> float:
    """k: what weight decay leaves of a weight in one step of plain gradient descent."""
    return 1 - settings["learning_rate"] * settings["weight_decay"]


class Outer(NamedTuple):
    """The second layer, behind ReLU and of one output, or the gradient to it."""

    weights_HJ1: Tensor
    bias_H11: Tensor


@dataclass(frozen=True)
class Parameters:
    """What is trained of each head, or the gradient to it.

    Attributes:
        coefficients_HNJ: (H, N, J) of the examples in the weights of the first layer.
        bias_H1J: (H, 1, J) of the first layer.
        outer: the second layer, if there is one.
    """

    coefficients_HNJ: Tensor
    bias_H1J: Tensor
    outer: Outer | None

    def tensors(self) -> list[Tensor]:
        """All of it, in a fixed order."""
        return [self.coefficients_HNJ, self.bias_H1J, *(self.outer or ())]


@dataclass(frozen=True)
class Gradients:
    """Derivatives of each example's loss.

    Attributes:
        first_HNJ: by what goes into the units of the first layer.
        outer_HNJ: by the weights of the second layer; None if there is none.
        outer_bias_HN1: by its bias; None likewise.
    """

    first_HNJ: Tensor
    outer_HNJ: Tensor | None = None
    outer_bias_HN1: Tensor | None = None

    def total(self, factors_HN1: Tensor | float) -> Parameters:
        """Gradient to the parameters of the sum of losses, each times its factor."""
        coefficients_HNJ = self.first_HNJ * factors_HN1
        bias_H1J = coefficients_HNJ.sum(1, keepdim=True)
        if self.outer_HNJ is None:
            return Parameters(coefficients_HNJ, bias_H1J, None)
        parts = (self.outer_HNJ * factors_HN1, self.outer_bias_HN1 * factors_HN1)
        outer = Outer(*(part.sum(1, keepdim=True).mT for part in parts))
        return Parameters(coefficients_HNJ, bias_H1J, outer)


class Criterion:
    """Cross-entropy over the outputs, or binary cross-entropy with logits if there is one.

    As torch's `CrossEntropyLoss` and `BCEWithLogitsLoss(pos_weight=…)`, for each example.
    """

    def __init__(self, labels_N: Tensor, outputs: int, positive_weight: float) -> None:
        """Prepare targets.

        Args:
            labels_N: (N,) int64, the same for all heads, on their device.
            outputs: O.
            positive_weight: of label 1 if there is one output.
        """
        self._labels_N, self._is_binary = labels_N, outputs == 1
        if self._is_binary:
            self._target_NO = labels_N[:, None].double()
            self._weight_NO = 1 + (positive_weight - 1) * self._target_NO
        else:
            self._target_NO = F.one_hot(labels_N, outputs).double()

    def slopes(self, logits_HNO: Tensor) -> Tensor:
        """Derivatives of each example's loss by its logits, (H, N, O) float64."""
        if self._is_binary:
            return self._weight_NO * (logits_HNO.sigmoid() - self._target_NO)
        # Five times as fast as `softmax`, which is slow on few classes.
        odds_HNO = (logits_HNO - logits_HNO.amax(2, keepdim=True)).exp()
        return odds_HNO / odds_HNO.sum(2, keepdim=True) - self._target_NO

    def outcome(self, logits_HNO: Tensor) -> tuple[Tensor, Tensor]:
        """Mean loss in nats and accuracy of each head, (H,) each."""
        if self._is_binary:
            logits_HN, sign_N = logits_HNO[..., 0], 2 * self._target_NO[:, 0] - 1
            losses_HN = self._weight_NO[:, 0] * F.softplus(-sign_N * logits_HN)
            guesses_HN = logits_HN > 0
        else:
            losses_HN = -(logits_HNO.log_softmax(2) * self._target_NO).sum(2)
            guesses_HN = logits_HNO.argmax(2)
        return losses_HN.mean(1), (guesses_HN == self._labels_N).double().mean(1)


def logits(into_HNJ: Tensor, outer: Outer | None) -> Tensor:
    """Outputs (H, N, O) from what goes into the units of the first layer."""
    return into_HNJ if outer is None else into_HNJ.relu() @ outer.weights_HJ1 + outer.bias_H11


def gradients(into_HNJ: Tensor, outer: Outer | None, criterion: Criterion) -> Gradients:
    """Derivatives of each example's loss, given what goes into the units of the first layer."""
    slopes_HNO = criterion.slopes(logits(into_HNJ, outer))
    if outer is None:
        return Gradients(slopes_HNO)
    back_HNJ = slopes_HNO * outer.weights_HJ1.mT * (into_HNJ > 0)
    return Gradients(back_HNJ, slopes_HNO * into_HNJ.relu(), slopes_HNO)
