"""How exposed each example is: the per-example statistics behind an attack.

Legend: M models, N examples, A queries.
"""

import numpy as np
from numpy.typing import NDArray

from shadowmill.attacks.bank import ScoreBank
from shadowmill.attacks.sides import SIGMA_FLOOR


def exposure(bank: ScoreBank, score_MN: NDArray[np.float64]) -> dict[str, NDArray]:
    """Summarise each example over the models that hold it and those that do not.

    φ is first averaged over the queries, so σ is the spread between models.

    Args:
        bank: Scores and roles of the M shadows.
        score_MN: (M, N) float64, scores of the shadows in an attack with the same bank; NaN where
            not evaluated.

    Returns:
        Arrays of shape (N,), float64 but for ``rank``:
        ``phi_in``, ``phi_out``: mean φ over IN and OUT models, nats.
        ``sigma_in``, ``sigma_out``: standard deviations (divisor n, as LiRA's), nats.
        ``separation``: d = (μ_in − μ_out) / sqrt((σ_in² + σ_out²) / 2); the root is floored at
        LiRA's ``SIGMA_FLOOR``.
        ``score_in``, ``score_out``: mean score where member and where not; NaN if of no model.
        ``rank``: int64, 1 = largest separation; equals share the smallest rank.

    Raises:
        ValueError: ``score_MN`` does not fit the bank, or an example has no IN or no OUT model.
    """
    if score_MN.shape != bank.member_MN.shape:
        raise ValueError(
            f"score_MN has shape {score_MN.shape}, expected {bank.member_MN.shape} like the bank; "
            "compute it from the same bank"
        )
    phi_MN = bank.phi_MNA.mean(axis=2, dtype=np.float64)
    columns = {}
    for side, side_MN in (("in", bank.member_MN), ("out", bank.nonmember_MN)):
        count_N = side_MN.sum(axis=0)
        if not count_N.all():
            raise ValueError(
                f"example {count_N.argmin()} has no {side.upper()} model, expected at least one; "
                "pass only examples that some models hold and others do not"
            )
        mean_N = phi_MN.sum(axis=0, where=side_MN) / count_N
        variance_N = ((phi_MN - mean_N) ** 2).sum(axis=0, where=side_MN) / count_N
        columns[f"phi_{side}"] = mean_N
        columns[f"sigma_{side}"] = np.sqrt(variance_N)
        scored_MN = side_MN & ~np.isnan(score_MN)
        with np.errstate(invalid="ignore"):
            mean_N = score_MN.sum(axis=0, where=scored_MN) / scored_MN.sum(axis=0)
        columns[f"score_{side}"] = mean_N
    spread_N = np.sqrt((columns["sigma_in"] ** 2 + columns["sigma_out"] ** 2) / 2)
    separation_N = (columns["phi_in"] - columns["phi_out"]) / np.maximum(spread_N, SIGMA_FLOOR)
    larger_N = len(separation_N) - np.searchsorted(
        np.sort(separation_N), separation_N, side="right"
    )
    return columns | {"separation": separation_N, "rank": larger_N + 1}
