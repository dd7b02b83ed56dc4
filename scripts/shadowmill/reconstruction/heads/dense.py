"""Adam on heads: its steps leave the span of the examples, so all weights are kept.

Legend: H heads, N examples of a set, J units of the first layer, d features, D all weights.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from shadowmill.reconstruction.heads.draws import Key
from shadowmill.reconstruction.heads.initial import initial_first, initial_outer
from shadowmill.reconstruction.heads.network import Criterion, gradients, logits
from shadowmill.reconstruction.heads.record import Heads
from shadowmill.reconstruction.heads.settings import num_steps


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
