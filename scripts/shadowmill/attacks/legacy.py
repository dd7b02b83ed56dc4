"""The pooled "LiRA" of the pruning repositories, so that their numbers can be compared.

One Gaussian for all members of all shadows and one for all their non-members, fitted to the
cross-entropy (Pruning_MIA, `lira_attack`). It has none of what makes LiRA strong: no statistics
per example, no logit scaling, no queries. Since it is published under that name it is offered,
under another.

Legend: M shadow models, T targets, N examples.
"""

import numpy as np
from numpy.typing import NDArray

from shadowmill.attacks.bank import AMONG_OTHERS, ScoreBank
from shadowmill.attacks.loss import cross_entropy
from shadowmill.attacks.sides import log_ratio, pooled_normal

Float = NDArray[np.float64]


def global_gaussian(shadows: ScoreBank, targets: ScoreBank | None) -> Float:
    """Score every example by log N(ℓ; μ_in, σ_in) − log N(ℓ; μ_out, σ_out), ℓ its cross-entropy.

    μ and σ (divisor n) are those of all (shadow, example) pairs of members, and of non-members.
    The published decision is the sign of the score. Where σ_in and σ_out differ, the score is
    not monotone in the loss.

    Args:
        shadows: φ and roles of the M shadows; the examples need not be those of the targets.
        targets: φ of the T targets; None for every shadow in turn, with all others but its
            complement as its shadows.

    Returns:
        (T, N) float64, nats, higher = more likely a member.

    Raises:
        ValueError: the shadows have no members or no non-members.
    """
    shadow_loss_MN = cross_entropy(shadows.phi_MNA)
    in_turn = targets is None
    loss_TN = shadow_loss_MN if in_turn else cross_entropy(targets.phi_MNA)
    complement_M = shadows.complement_M if in_turn else None
    terms = []
    for role, side_MN in (("members", shadows.member_MN), ("non-members", shadows.nonmember_MN)):
        mean_T, variance_T = pooled_normal(shadow_loss_MN, side_MN, complement_M)
        if np.isnan(mean_T).any():
            when = AMONG_OTHERS if in_turn else ""
            raise ValueError(
                f"the global Gaussian attack found no {role} of the shadows{when}, expected some "
                "of both kinds; use more shadows"
            )
        terms.append((loss_TN - mean_T[:, None], variance_T[:, None]))
    return log_ratio(*terms)
