"""How exposed each example is: the per-example statistics behind an attack.

Legend: M models, N examples, A queries, D draws.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shadowmill.attacks.bank import ScoreBank
from shadowmill.attacks.sides import SIGMA_FLOOR
from shadowmill.metrics.ranking import allowed_false_positives, operating_point
from shadowmill.seeds import generator

TOP_SHARE = 0.01
"""Of the examples: those that are called the most vulnerable."""

FPR = 0.01
"""Of all pairs of a model and a non-member, at the threshold that all examples share."""

DRAWS = 50

Float = NDArray[np.float64]


class _Side(NamedTuple):
    """φ of each example over the models of one side, all (N,)."""

    count_N: Float
    mean_N: Float
    variance_N: Float  # divisor n


def exposure(bank: ScoreBank, score_MN: Float, confidence: float = 0.95) -> dict[str, NDArray]:
    """Summarise each example over the models that hold it and those that do not.

    φ is first averaged over the queries, so σ is the spread between models.

    Args:
        bank: Scores and roles of the M shadows.
        score_MN: (M, N) float64, scores of the shadows in an attack with the same bank; NaN where
            not evaluated.
        confidence: Of the interval, between 0 and 1.

    Returns:
        Arrays of shape (N,), float64 but for ``rank``:
        ``phi_in``, ``phi_out``: mean φ over IN and OUT models, nats.
        ``sigma_in``, ``sigma_out``: standard deviations (divisor n, as LiRA's), nats.
        ``separation``: d = (μ_in − μ_out) / sqrt((σ_in² + σ_out²) / 2); the root is floored at
        LiRA's ``SIGMA_FLOOR``.
        ``separation_low``, ``separation_high``: an interval of the d that infinitely many models
        would have.
        ``p_value``: of no difference between μ_in and μ_out, against μ_in > μ_out, by Welch's test.
        ``q_value``: among the examples with no larger p-value, the share that chance is expected
        to have put there (Benjamini and Hochberg 1995).
        ``score_in``, ``score_out``: mean score where member and where not; NaN if of no model.
        ``tpr_at_0.01``, ``fpr_at_0.01``: the share of the models with it, and without it, that
        score it above the threshold which a part ``FPR`` of all pairs of a model and a non-member
        reaches; NaN if there are too few pairs for that.
        ``rank``: int64, 1 = largest separation; equals share the smallest rank.
        ``top_share``: in what share of ``DRAWS`` random halves of the models it is among the
        ``TOP_SHARE`` with the largest separation.
        What needs two models on either side is NaN with one.

    Raises:
        ValueError: ``score_MN`` does not fit the bank, or an example has no IN or no OUT model.
    """
    if score_MN.shape != bank.member_MN.shape:
        raise ValueError(
            f"score_MN has shape {score_MN.shape}, expected {bank.member_MN.shape} like the bank; "
            "compute it from the same bank"
        )
    into, out = sides = _sides(bank)
    columns = {}
    for side, of, side_MN in zip(
        ("in", "out"), sides, (bank.member_MN, bank.nonmember_MN), strict=True
    ):
        columns[f"phi_{side}"] = of.mean_N
        columns[f"sigma_{side}"] = np.sqrt(of.variance_N)
        columns[f"score_{side}"] = _share(score_MN, side_MN & ~np.isnan(score_MN))
    separation_N = _separation(into, out)
    low_N, high_N, p_N = _inference(into, out, confidence)
    larger_N = len(separation_N) - np.searchsorted(
        np.sort(separation_N), separation_N, side="right"
    )
    return columns | {
        "separation": separation_N,
        "separation_low": low_N,
        "separation_high": high_N,
        "p_value": p_N,
        "q_value": _q_values(p_N),
        **_at_shared_threshold(bank, score_MN),
        "rank": larger_N + 1,
        "top_share": _top_share(bank),
    }


def separation(bank: ScoreBank) -> Float:
    """The separation of each example alone, (N,) float64, as of ``exposure``."""
    return _separation(*_sides(bank))


def most_vulnerable(bank: ScoreBank) -> NDArray[np.intp]:
    """Indices of the ``TOP_SHARE`` of the examples with the largest separation, at least one."""
    separation_N = separation(bank)
    count = max(1, round(TOP_SHARE * len(separation_N)))
    return np.argsort(-separation_N, kind="stable")[:count]


def halves(bank: ScoreBank, draws: int) -> Iterator[tuple[ScoreBank, ScoreBank]]:
    """Draw halves of the shadows, which keep complements together.

    Args:
        bank: Of the M shadows.
        draws: How many.

    Yields:
        A random half, and the rest. No model is in both.
    """
    groups = bank.left_out_together
    for draw in range(draws):
        order = generator("halves of shadows", draw).permutation(len(groups))
        parts = order[: len(groups) // 2], order[len(groups) // 2 :]
        yield tuple(
            bank.select(np.sort(np.concatenate([groups[index] for index in part])))
            for part in parts
        )


def _sides(bank: ScoreBank) -> tuple[_Side, _Side]:
    phi_MN = bank.phi_MNA.mean(axis=2, dtype=np.float64)
    found = []
    for name, side_MN in (("IN", bank.member_MN), ("OUT", bank.nonmember_MN)):
        count_N = side_MN.sum(axis=0)
        if not count_N.all():
            raise ValueError(
                f"example {count_N.argmin()} has no {name} model, expected at least one; "
                "pass only examples that some models hold and others do not"
            )
        mean_N = phi_MN.sum(axis=0, where=side_MN) / count_N
        variance_N = ((phi_MN - mean_N) ** 2).sum(axis=0, where=side_MN) / count_N
        found.append(_Side(count_N, mean_N, variance_N))
    return tuple(found)


def _separation(into: _Side, out: _Side) -> Float:
    spread_N = np.sqrt((into.variance_N + out.variance_N) / 2)
    return (into.mean_N - out.mean_N) / np.maximum(spread_N, SIGMA_FLOOR)


def _inference(into: _Side, out: _Side, confidence: float) -> tuple[Float, Float, Float]:
    """Limits of the separation, and p-values of Welch's test.

    The standard error of d is that of its numerator and of its denominator together, the latter
    with Welch's degrees of freedom ν: SE² = (v_in + v_out) / σ² + d² / 2ν, where v is the squared
    standard error of a mean and σ² the mean of both variances.
    """
    from scipy.special import ndtri, stdtr

    with np.errstate(invalid="ignore", divide="ignore"):
        # Unbiased: divisor n − 1, which leaves NaN of a single model.
        in_N, out_N = (side.variance_N * side.count_N / (side.count_N - 1) for side in (into, out))
        error_in_N, error_out_N = in_N / into.count_N, out_N / out.count_N
        error_N = np.maximum(error_in_N + error_out_N, SIGMA_FLOOR**2)
        freedom_N = error_N**2 / (
            error_in_N**2 / (into.count_N - 1) + error_out_N**2 / (out.count_N - 1)
        )
        variance_N = np.maximum((in_N + out_N) / 2, SIGMA_FLOOR**2)
        difference_N = into.mean_N - out.mean_N
        p_N = stdtr(freedom_N, -difference_N / np.sqrt(error_N))
        d_N = difference_N / np.sqrt(variance_N)
        reach_N = ndtri((1 + confidence) / 2) * np.sqrt(
            error_N / variance_N + d_N**2 / (2 * freedom_N)
        )
    return d_N - reach_N, d_N + reach_N, p_N


def _q_values(p_N: Float) -> Float:
    from scipy.stats import false_discovery_control

    q_N = np.full(len(p_N), np.nan)
    tested_N = ~np.isnan(p_N)
    if tested_N.any():
        q_N[tested_N] = false_discovery_control(p_N[tested_N])
    return q_N


def _at_shared_threshold(bank: ScoreBank, score_MN: Float) -> dict[str, Float]:
    scored_MN = ~np.isnan(score_MN)
    sides = {"tpr": bank.member_MN & scored_MN, "fpr": bank.nonmember_MN & scored_MN}
    used_MN = sides["tpr"] | sides["fpr"]
    names = {side: f"{side}_at_{FPR:g}" for side in sides}
    if not allowed_false_positives(FPR, int(sides["fpr"].sum())) or not sides["tpr"].any():
        return {name: np.full(score_MN.shape[1], np.nan) for name in names.values()}
    at = operating_point(score_MN[used_MN], bank.member_MN[used_MN], FPR).threshold
    reached_MN = np.greater_equal(score_MN, at, where=scored_MN, out=np.zeros_like(scored_MN))
    return {names[side]: _share(reached_MN, side_MN) for side, side_MN in sides.items()}


def _share(value_MN: NDArray, where_MN: NDArray[np.bool_]) -> Float:
    """Mean over some models, NaN where there is none."""
    with np.errstate(invalid="ignore"):
        return value_MN.sum(axis=0, where=where_MN, dtype=np.float64) / where_MN.sum(axis=0)


def _top_share(bank: ScoreBank) -> Float:
    num_examples = bank.phi_MNA.shape[1]
    if len(bank.left_out_together) < 2:
        return np.full(num_examples, np.nan)
    counts_N = np.zeros(num_examples)
    for half, _ in halves(bank, DRAWS):
        if not all(side.any(axis=0).all() for side in (half.member_MN, half.nonmember_MN)):
            return np.full(num_examples, np.nan)
        counts_N[most_vulnerable(half)] += 1
    return counts_N / DRAWS
