"""The loss attack: members have a lower loss.

Yeom et al. (2018), "Privacy risk in machine learning", arXiv:1709.01604, in its form without a
threshold. It needs no shadows, so it works under any protocol.

Legend: M shadow models, N examples, A queries.
"""

import numpy as np
from numpy.typing import NDArray

from shadowmill.attacks.bank import ScoreBank, require_finite

Float = NDArray[np.float64]


def loss(bank: ScoreBank, target_phi_NA: NDArray[np.floating]) -> Float:
    """Score every example by minus its cross-entropy in the target.

    Args:
        bank: not used: the target's own loss is all there is to it.
        target_phi_NA: (N, A) float, φ of the target in nats; the first query is the identity.

    Returns:
        (N,) float64, nats, higher = more likely a member.

    Raises:
        ValueError: a φ is not finite.
    """
    require_finite(target_phi_NA, "the target")
    return _minus_cross_entropy(target_phi_NA)


def loss_leave_one_out(bank: ScoreBank) -> Float:
    """Score every shadow as if it were the target, (M, N) float64."""
    return _minus_cross_entropy(bank.phi_MNA)


def _minus_cross_entropy(phi: NDArray[np.floating]) -> Float:
    # softplus(−φ) is the cross-entropy; logaddexp keeps it exact for large |φ|.
    return -np.logaddexp(0, -phi[..., 0].astype(np.float64))
