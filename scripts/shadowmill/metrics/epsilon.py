"""The empirical lower bound of ε: how private the training can be at most, given an attack."""

import numpy as np

from shadowmill.metrics.confusion import Confusion
from shadowmill.metrics.intervals import clopper_pearson


def epsilon_lower_bound(decisions: Confusion, delta: float, confidence: float = 0.95) -> float:
    """Bound the ε of (ε, δ)-differential privacy from below by the errors of an attack.

    With upper Clopper–Pearson limits of both error rates,
    max(log((1 − δ − FPR⁺) / FNR⁺), log((1 − δ − FNR⁺) / FPR⁺)): Kairouz et al. (2015) as used by
    Jagielski et al. (2020), arXiv:2006.07709, Algorithm 1, and Nasr et al. (2021),
    arXiv:2101.04535. Each limit fails with probability (1 − confidence) / 2, so the bound holds
    with the confidence, provided the threshold was fixed on other models.

    Unlike there, the trials are the examples of one model, not models: they share its training, so
    the bound is empirical, not a proof (Steinke et al. 2023, arXiv:2305.08846).

    Args:
        decisions: What a threshold fixed elsewhere decides.
        delta: δ, at least 0 and less than 1.
        confidence: Of the bound, between 0 and 1.

    Returns:
        ε in nats; 0 if the errors tell nothing.
    """
    missed = decisions.members - decisions.true_positives
    fnr = clopper_pearson(missed, decisions.members, confidence)[1]
    fpr = clopper_pearson(decisions.false_positives, decisions.nonmembers, confidence)[1]
    ratio = max((1 - delta - fpr) / fnr, (1 - delta - fnr) / fpr)
    return float(np.log(max(ratio, 1.0)))
