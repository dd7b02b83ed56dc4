"""What is computed from the logits of a model.

Legend: E models, B examples, K classes.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from shadowmill.seeds import seed_of

# Finite differences of prediction sensitivity: Yuan and Zhang 2022, arXiv:2202.03335, Sec. 4.2.
_PERTURBATIONS, _STEP = 10, 1e-3


def logit_scaled_confidence(logits: Tensor, labels: Tensor) -> Tensor:
    """φ = z_y − log Σ_{j≠y} exp z_j, which is log(p_y / (1 − p_y)) without rounding p_y to 1.

    Carlini et al. 2022, Sec. IV-C, in the stable form. The cross-entropy is softplus(−φ).

    Args:
        logits: (…, K).
        labels: (…) int64, of the leading shape of `logits`.

    Returns:
        (…) float64.
    """
    logits = logits.double()
    own = logits.gather(-1, labels[..., None])
    others = logits.scatter(-1, labels[..., None], -torch.inf)
    return own[..., 0] - others.logsumexp(dim=-1)


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """−log p_y as softplus(−φ): neither it nor its derivatives lose digits where p_y is near 1.

    Args:
        logits: (…, K).
        labels: (…) int64, of the leading shape of `logits`.

    Returns:
        (…) float64, nats, at least 0; differentiable twice.
    """
    # Beyond its threshold PyTorch's softplus is the identity; e^−100 is nothing beside 100.
    return F.softplus(-logit_scaled_confidence(logits, labels), threshold=100)


def entropy(logits: Tensor) -> Tensor:
    """Of the posterior, −Σ p log p.

    Args:
        logits: (…, K).

    Returns:
        (…) float64, nats, at least 0.
    """
    log_p = logits.double().log_softmax(dim=-1)
    return -(log_p.exp() * log_p).sum(dim=-1)


def modified_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """−(1 − p_y) log p_y − Σ_{j≠y} p_j log(1 − p_j): small only for the right class, surely.

    Song and Mittal 2021, arXiv:2003.10595, Eq. 8. From the logits, so that no probability rounds to
    1 and no logarithm is of 0.

    Args:
        logits: (…, K).
        labels: (…) int64.

    Returns:
        (…) float64, nats, at least 0.
    """
    logits = logits.double()
    log_p = logits.log_softmax(dim=-1)
    log_rest = torch.log1p(-log_p.exp())
    # Near 1 a probability has lost what is missing to 1; only the largest can be there.
    top = logits.argmax(dim=-1, keepdim=True)
    without_top = logits.scatter(-1, top, -torch.inf).logsumexp(dim=-1, keepdim=True)
    log_rest = log_rest.scatter(-1, top, without_top - logits.logsumexp(dim=-1, keepdim=True))
    terms = -log_p.exp() * log_rest
    own = -log_rest.exp() * log_p
    at_label = labels[..., None]
    return terms.scatter(-1, at_label, own.gather(-1, at_label)).sum(dim=-1)


def sensitivity(ask: Callable[[Tensor], Tensor], inputs: Tensor, posterior: Tensor) -> Tensor:
    """How much each class's probability moves when the input does: mean |p(x + εu) − p(x)| / ε.

    Yuan and Zhang 2022, arXiv:2202.03335, Sec. 4.2, with ε = 0.001 and ten normal u in the space of
    normalised inputs. The ten are the same for every example and model, like queries.

    Args:
        ask: from inputs (B, …) to logits (E, B, K).
        inputs: (B, …) float32.
        posterior: (E, B, K) float64, of the inputs themselves.

    Returns:
        (E, B, K) float64.
    """
    total = torch.zeros_like(posterior)
    for turn in range(_PERTURBATIONS):
        random = torch.Generator().manual_seed(seed_of("sensitivity", turn))
        direction = torch.randn(inputs.shape[1:], generator=random).to(inputs.device)
        moved = ask(inputs + _STEP * direction).double().softmax(dim=-1)
        total += (moved - posterior).abs()
    return total / (_PERTURBATIONS * _STEP)
