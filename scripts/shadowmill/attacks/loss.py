"""The loss attack: members have a lower loss.

Yeom et al. (2018), "Privacy risk in machine learning", arXiv:1709.01604, in its form without a
threshold. It needs no shadows, so it works under any protocol.

Legend: M shadow models, T targets, N examples, A queries.
"""

import numpy as np
from numpy.typing import NDArray

from shadowmill.attacks.bank import ScoreBank

Float = NDArray[np.float64]


def loss(shadows: ScoreBank, targets: ScoreBank) -> Float:
    """Score every example by minus its cross-entropy in the target.

    Args:
        shadows: not used: the target's own loss is all there is to it.
        targets: φ of the T targets.

    Returns:
        (T, N) float64, nats, higher = more likely a member.
    """
    return -cross_entropy(targets.phi_MNA)


def cross_entropy(phi_MNA: NDArray[np.floating]) -> Float:
    """Cross-entropy of the identity query, softplus(−φ).

    Args:
        phi_MNA: (M, N, A) float, nats; the first query is the identity.

    Returns:
        (M, N) float64, nats; exact for large φ, where 1 − p no longer fits beside 1.
    """
    return np.logaddexp(0, -phi_MNA[..., 0].astype(np.float64))
