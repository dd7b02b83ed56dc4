"""Training of heads, once each, in one of two ways.

Plain gradient descent, and DP-SGD, stay in the span of the examples. Gradients to a first layer are
sums over its N examples, so after t steps its weights are W_t = k^t·W_0 + XᵀA_t, where k is what
weight decay leaves at each step. The logits of the examples follow from X·W_0 and the Gram matrix
XXᵀ alone, so a step costs N² and not N·d multiplications. Adam leaves that span, so all weights are
kept.

Legend: H heads, N examples of a set, J units of the first layer, d features, D all weights.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from shadowmill.reconstruction.heads.draws import Key, initial_first, initial_outer
from shadowmill.reconstruction.heads.network import (
    Criterion,
    Parameters,
    gradients,
    kept_per_step,
    logits,
    num_steps,
)
from shadowmill.reconstruction.heads.private import Privacy, gram_in_double
from shadowmill.reconstruction.heads.trained import Heads


def train_in_span(
    features_HND: Tensor,
    criterion: Criterion,
    keys: Sequence[Key],
    attempts: Sequence[int],
    settings: Mapping[str, Any],
) -> Heads:
    """Train heads with the optimizer `sgd`, once.

    Args:
        features_HND: (H, N, d); products of them are formed in their dtype, the rest in float64.
        criterion: of their examples.
        keys: of the heads.
        attempts: of each head, 0 at first.
        settings: of the heads.

    Returns:
        H heads.
    """
    std, num_heads = settings["init_std"], len(keys)
    first_HJD = initial_first(features_HND, keys, attempts, settings)
    start_HNJ = (features_HND @ first_HJD.mT).double() * std
    parameters = Parameters(
        torch.zeros_like(start_HNJ),
        start_HNJ.new_zeros(num_heads, 1, start_HNJ.shape[2]),
        initial_outer(start_HNJ, keys, attempts, settings),
    )
    if parameters.outer:
        parameters.outer.weights_HJ1.mul_(std)
    if settings["privacy"]:
        gram_HNN = gram_in_double(features_HND)
        privacy = Privacy(gram_HNN, keys, attempts, settings)
    else:
        gram_HNN, privacy = (features_HND @ features_HND.mT).double(), None

    def into_units() -> Tensor:
        into_HNJ = gram_HNN @ parameters.coefficients_HNJ
        return into_HNJ.add_(start_HNJ).add_(parameters.bias_H1J)

    kept, rate = kept_per_step(settings), settings["learning_rate"]
    for step in range(num_steps(settings)):
        of_examples = gradients(into_units(), parameters.outer, criterion)
        if privacy:
            gradient = privacy.gradient(of_examples, step)
        else:
            gradient = of_examples.total(1 / features_HND.shape[1])
        for tensor, slope in zip(parameters.tensors(), gradient.tensors(), strict=True):
            tensor.mul_(kept).sub_(slope, alpha=rate)
        start_HNJ.mul_(kept)
    losses_H, accuracies_H = criterion.outcome(logits(into_units(), parameters.outer))
    outer = parameters.outer
    heads = Heads(
        attempts_H=torch.tensor(attempts, device=features_HND.device),
        losses_H=losses_H,
        accuracies_H=accuracies_H,
        coefficients_HNJ=parameters.coefficients_HNJ,
        bias_HJ=parameters.bias_H1J[:, 0],
        outer_HJ=outer and outer.weights_HJ1[..., 0],
        outer_bias_H=outer and outer.bias_H11[:, 0, 0],
    )
    return heads.to(features_HND.dtype)


def train_dense(
    features_HND: Tensor,
    criterion: Criterion,
    keys: Sequence[Key],
    attempts: Sequence[int],
    settings: Mapping[str, Any],
) -> Heads:
    """Train heads with the optimizer `adam`, once.

    Adam works on each number by itself, so one optimiser of all heads is as good as one for each
    (Kingma and Ba 2015, arXiv:1412.6980; torch's defaults but for the learning rate).

    Args:
        features_HND: (H, N, d); weights have their dtype.
        criterion: of their examples.
        keys: of the heads.
        attempts: of each head, 0 at first.
        settings: of the heads.

    Returns:
        H heads.
    """
    first_HJD = initial_first(features_HND, keys, attempts, settings)
    bias_H1J = features_HND.new_zeros(len(keys), 1, first_HJD.shape[1])
    outer = initial_outer(features_HND, keys, attempts, settings)
    for tensor in (first_HJD, outer.weights_HJ1) if outer else (first_HJD,):
        tensor.mul_(settings["init_std"])
    trained = [first_HJD, bias_H1J, *(outer or ())]
    rate, decay = settings["learning_rate"], settings["weight_decay"]
    adam = torch.optim.Adam(trained, lr=rate, weight_decay=decay, fused=True)  # three times as fast
    for _ in range(num_steps(settings)):
        into_HNJ = features_HND @ first_HJD.mT + bias_H1J
        of_examples = gradients(into_HNJ, outer, criterion)
        coefficients_HNJ, *others = of_examples.total(1 / features_HND.shape[1]).tensors()
        slopes = (coefficients_HNJ.mT.to(features_HND) @ features_HND, *others)
        for tensor, slope in zip(trained, slopes, strict=True):
            tensor.grad = slope.to(tensor)
        adam.step()
    logits_HNO = logits(features_HND @ first_HJD.mT + bias_H1J, outer)
    losses_H, accuracies_H = criterion.outcome(logits_HNO)
    heads = Heads(
        attempts_H=torch.tensor(attempts, device=features_HND.device),
        losses_H=losses_H,
        accuracies_H=accuracies_H,
        weights_HD=torch.cat([tensor.flatten(1) for tensor in trained], dim=1),
    )
    return heads.to(features_HND.dtype)
