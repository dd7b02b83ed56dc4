"""Losses of defended training, of many models at once.

All take logits (E, B, K) and labels (E, B) int64 and return one loss in nats for each model, (E,),
with gradients to the logits; no model's loss depends on another model.

Legend: E models, B examples of a batch, P pairs of them, K classes.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def cross_entropy(logits: Tensor, labels: Tensor, label_smoothing: float) -> Tensor:
    """Mean cross-entropy of each model over its batch.

    Args:
        logits: (E, B, K).
        labels: (E, B) int64.
        label_smoothing: s in [0, 1); the target is (1 − s)·one-hot + s/K (Szegedy et al. 2016,
            arXiv:1512.00567, section 7).

    Returns:
        (E,).
    """
    losses = F.cross_entropy(
        logits.flatten(0, 1), labels.flatten(), reduction="none", label_smoothing=label_smoothing
    )
    return losses.view(labels.shape).mean(dim=1)


def ppb(logits: Tensor, labels: Tensor, strength: float, label_smoothing: float) -> Tensor:
    """Pair-based posterior balancing (Yuan and Zhang 2022, arXiv:2202.03335).

    Each example of the batch's first half is paired with one of the second. With posteriors sorted
    in descending order, L = CE + λ · mean over pairs of KL(second ‖ first), with gradients through
    both. So all predictions, of whatever class, are to look alike.

    Args:
        logits: (E, B, K). The last example of an odd batch has no partner.
        labels: (E, B) int64.
        strength: λ.
        label_smoothing: of the cross-entropy.

    Returns:
        (E,).
    """
    pairs = logits.shape[1] // 2
    ranked_EBK = logits.sort(dim=2, descending=True).values.log_softmax(dim=2)
    first_EPK, second_EPK = ranked_EBK[:, :pairs], ranked_EBK[:, pairs : 2 * pairs]
    divergence_EPK = F.kl_div(first_EPK, second_EPK, reduction="none", log_target=True)
    # A batch of one has no pairs: nothing to balance, rather than 0/0.
    balance = divergence_EPK.sum(dim=(1, 2)) / max(pairs, 1)
    return cross_entropy(logits, labels, label_smoothing) + strength * balance


def relaxloss(
    logits: Tensor, labels: Tensor, alpha: float, epoch: int, label_smoothing: float
) -> Tensor:
    """RelaxLoss (Chen, Yu and Fritz 2022, arXiv:2207.05801, Algorithm 1).

    With L the cross-entropy of the batch: in even epochs |L − α|, which is gradient ascent below
    α; in odd epochs L where L > α, else posterior flattening: the cross-entropy with soft targets
    that keep the posterior p_y of the true class and share 1 − p_y among the others.

    Differs from the authors' code: soft targets are constants (there, gradients pass through them),
    and posterior flattening is the same for all data (there, on images it holds for misclassified
    examples alone and the cross-entropy of all is subtracted). Their upper bound on p_y, 1 on the
    CIFARs (no bound) and 0.3 on Purchase-100, is 1 here.

    Args:
        logits: (E, B, K).
        labels: (E, B) int64.
        alpha: α, the loss to aim at.
        epoch: from 0.
        label_smoothing: of L; soft targets are not smoothed.

    Returns:
        (E,). Each model is above or below α for itself.
    """
    losses = cross_entropy(logits, labels, label_smoothing)
    if epoch % 2 == 0:
        return (losses - alpha).abs()
    return torch.where(losses > alpha, losses, _posterior_flattening(logits, labels))


def _posterior_flattening(logits: Tensor, labels: Tensor) -> Tensor:
    index = labels.unsqueeze(2)
    true_EB1 = logits.detach().softmax(dim=2).gather(2, index)
    others_EB1 = (1 - true_EB1) / (logits.shape[2] - 1)
    targets_EBK = others_EB1.expand_as(logits).scatter(2, index, true_EB1)
    return -(targets_EBK * logits.log_softmax(dim=2)).sum(dim=2).mean(dim=1)


def objective(
    defense: Mapping[str, Any], recipe: Mapping[str, Any]
) -> Callable[[Tensor, Tensor, int], Tensor]:
    """What training minimises, but for what a defence adds elsewhere.

    The attack's gain (`shadowmill.defenses.adversarial`) and private gradients
    (`shadowmill.defenses.private`) come on top of the plain cross-entropy.

    Args:
        defense: `name`, `none` or a row of `shadowmill.defenses.DEFENSES`, and its number `value`.
        recipe: with `label_smoothing`.

    Returns:
        From logits (E, B, K), labels (E, B) and the epoch, from 0, to losses (E,).
    """
    smoothing = recipe["label_smoothing"]
    if defense["name"] == "ppb":
        return lambda logits, labels, epoch: ppb(logits, labels, defense["value"], smoothing)
    if defense["name"] == "relaxloss":
        alpha = defense["value"]
        return lambda logits, labels, epoch: relaxloss(logits, labels, alpha, epoch, smoothing)
    return lambda logits, labels, epoch: cross_entropy(logits, labels, smoothing)


def objective_phase(defense: Mapping[str, Any], epoch: int) -> int:
    """What of the epoch the objective depends on: two epochs of one phase have the same."""
    return epoch % 2 if defense["name"] == "relaxloss" else 0
