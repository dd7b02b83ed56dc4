"""LiRA, the likelihood-ratio attack, against one target or against every shadow in turn.

Carlini et al. (2022), "Membership inference attacks from first principles",
arXiv:2112.03570, Algorithm 1 and Equation 4.

Legend: M shadow models, T targets, N examples, A queries. Scores are put into the order
(A, T, N) for the computation: the examples are then contiguous, and the masks broadcast.
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shadowmill.attacks.bank import ScoreBank, require_finite

Mode = Literal["online", "fixed", "offline"]
MODES: tuple[Mode, ...] = ("online", "fixed", "offline")

SIGMA_FLOOR = 1e-6
"""Smallest σ in nats: shadows that agree to the last bit must not give an infinite score."""

_MIN_PER_SIDE = {"online": 2, "fixed": 1, "offline": 2}
_CHUNK_ELEMENTS = 2**17  # float64 values per temporary array: 1 MB, which a core's cache holds

Float = NDArray[np.float64]


class _Comparison(NamedTuple):
    """Each target against the shadows of one side, IN or OUT, its own score left out."""

    deviation_ATN: Float  # φ of the target minus the side's mean
    sum_squares_ATN: Float  # of the side's residuals about that mean; T may be 1, for all alike
    count_TN: Float  # shadows on the side


def lira(bank: ScoreBank, target_phi_NA: NDArray[np.floating], mode: Mode = "online") -> Float:
    """Score every example for membership in one target that is not in the bank.

    With Gaussians fitted to the shadows' φ, and means taken over the queries:

    - ``online``: log N(φ; μ_in, σ_in) − log N(φ; μ_out, σ_out), per example (Algorithm 1).
      σ is the maximum-likelihood estimate (divisor n), as in the paper and in its code.
    - ``fixed``: the same ratio with μ per example, but one σ_in and one σ_out per query for all
      examples: the root mean squared residual about the per-example means, with divisor
      Σ(n − 1). The paper's "global variance" (§VI-B), without the spread between examples
      that its code mixes in.
    - ``offline``: log Φ((φ − μ_out) / σ_out), one-sided as Equation 4, from OUT shadows alone.
      σ_out as for ``online``.

    Args:
        bank: Scores and roles of the M shadows.
        target_phi_NA: (N, A) float, φ of the target in nats, same examples and queries.
        mode: One of ``MODES``.

    Returns:
        (N,) float64, nats, higher = more likely a member.

    Raises:
        ValueError: unknown mode, target scores that do not fit the bank or are not finite,
            or too few shadows.
    """
    _require_shadows(bank, mode, leave_one_out=False)
    if target_phi_NA.shape != bank.phi_MNA.shape[1:]:
        raise ValueError(
            f"target_phi_NA has shape {target_phi_NA.shape}, expected {bank.phi_MNA.shape[1:]} "
            "(examples, queries) like the bank; select the same examples and queries for both"
        )
    require_finite(target_phi_NA, "the target")
    return _scores(bank, mode, target_phi_NA)[0]


def lira_leave_one_out(bank: ScoreBank, mode: Mode = "online") -> Float:
    """Score every shadow as if it were the target, with the others as its shadows.

    Row m equals ``lira`` on the bank without model m, but all rows come from one set of
    sums: with r = φ − μ over the n shadows of a side, removing one of them moves the
    deviation to r·n/(n−1) and takes r²·n/(n−1) from the sum of squares. O(MNA), not O(M²NA).

    Args:
        bank: Scores and roles of the M shadows.
        mode: One of ``MODES``; see ``lira``.

    Returns:
        (M, N) float64, nats, higher = more likely a member. Examples that a model neither
        trained on nor holds as non-members are scored too.

    Raises:
        ValueError: unknown mode, or too few shadows once one is left out.
    """
    _require_shadows(bank, mode, leave_one_out=True)
    return _scores(bank, mode, None)


def required_shadows(mode: Mode) -> int:
    """Count the shadows that ``lira`` and ``lira_leave_one_out`` need.

    Args:
        mode: One of ``MODES``.

    Returns:
        The smallest even number of shadows in complementary pairs: half of them hold any
        example, and one of those may be left out.

    Raises:
        ValueError: unknown mode.
    """
    _require_mode(mode)
    return 2 * (_MIN_PER_SIDE[mode] + 1)


def _require_mode(mode: str) -> None:
    if mode not in MODES:
        raise ValueError(f"unknown LiRA mode {mode!r}, expected one of {', '.join(MODES)}")


def _sides(bank: ScoreBank, mode: Mode) -> dict[str, NDArray[np.bool_]]:
    out = {"OUT": bank.nonmember_MN}
    return out if mode == "offline" else {"IN": bank.member_MN} | out


def _require_shadows(bank: ScoreBank, mode: Mode, *, leave_one_out: bool) -> None:
    _require_mode(mode)
    needed = _MIN_PER_SIDE[mode]
    when = " once a model is left out" if leave_one_out else ""
    remedy = (
        f"use at least {required_shadows(mode)} shadows in complementary pairs, "
        "or only examples that enough shadows hold"
    )
    for side, side_MN in _sides(bank, mode).items():
        left_N = side_MN.sum(axis=0) - (side_MN.any(axis=0) if leave_one_out else 0)
        worst = int(left_N.argmin())
        if left_N[worst] < needed:
            raise ValueError(
                f"LiRA mode {mode!r} found {left_N[worst]} {side} shadows for example {worst}"
                f"{when}, expected at least {needed} for every example; {remedy}"
            )
        freedom = (side_MN.sum(axis=0) - 1).sum()
        if leave_one_out:
            freedom -= side_MN.sum(axis=1).max()
        if mode == "fixed" and freedom < 1:
            raise ValueError(
                f"LiRA mode 'fixed' found one {side} shadow for every example{when}, expected "
                "two for at least one example to pool σ from; use more shadows or more examples"
            )


def _scores(bank: ScoreBank, mode: Mode, target_phi_NA: NDArray[np.floating] | None) -> Float:
    """Scores (T, N): of the given target (T = 1), or of every shadow left out (T = M)."""
    num_models, num_examples, _ = bank.phi_MNA.shape
    sides = _sides(bank, mode)
    pooled = (
        {side: _pooled_variance(bank, side_MN, target_phi_NA) for side, side_MN in sides.items()}
        if mode == "fixed"
        else {}
    )
    score_TN = np.empty((num_models if target_phi_NA is None else 1, num_examples))
    for chunk in _chunks(bank):
        terms = {}
        for side, side_MN in sides.items():
            against = _compare(bank, side_MN, target_phi_NA, chunk)
            variance = pooled.get(side)
            if variance is None:
                variance = against.sum_squares_ATN / against.count_TN
            terms[side] = (against.deviation_ATN, np.maximum(variance, SIGMA_FLOOR**2))
        if mode == "offline":
            score_ATN = _log_cdf(*terms["OUT"])
        else:
            score_ATN = _log_ratio(terms["IN"], terms["OUT"])
        score_TN[:, chunk] = score_ATN.mean(axis=0)
    return score_TN


def _pooled_variance(
    bank: ScoreBank, side_MN: NDArray[np.bool_], target_phi_NA: NDArray[np.floating] | None
) -> Float:
    """Residual variance (A, T, 1) over all examples: Σ r² / Σ (n − 1)."""
    sum_squares = 0.0
    freedom = 0.0
    for chunk in _chunks(bank):
        against = _compare(bank, side_MN, target_phi_NA, chunk)
        sum_squares = sum_squares + against.sum_squares_ATN.sum(axis=2, keepdims=True)
        freedom = freedom + (against.count_TN - 1).sum(axis=1, keepdims=True)
    return sum_squares / freedom


def _chunks(bank: ScoreBank) -> Iterator[slice]:
    num_models, num_examples, num_queries = bank.phi_MNA.shape
    step = max(1, _CHUNK_ELEMENTS // (num_models * num_queries))
    for start in range(0, num_examples, step):
        yield slice(start, start + step)


def _compare(
    bank: ScoreBank,
    side_MN: NDArray[np.bool_],
    target_phi_NA: NDArray[np.floating] | None,
    chunk: slice,
) -> _Comparison:
    """Compare the given target, or every shadow left out, with one side of the shadows."""
    phi_AMN = bank.phi_MNA[:, chunk].transpose(2, 0, 1).astype(np.float64, order="C")
    own_MN = side_MN[:, chunk]
    weight_MN = own_MN.astype(np.float64)
    count_N = weight_MN.sum(axis=0)
    mean_A1N = np.einsum("mn,amn->an", weight_MN, phi_AMN)[:, None] / count_N
    residual_AMN = phi_AMN - mean_A1N
    square_AMN = residual_AMN * residual_AMN
    total_A1N = np.einsum("mn,amn->an", weight_MN, square_AMN)[:, None]
    if target_phi_NA is not None:
        target_A1N = target_phi_NA[chunk].T[:, None].astype(np.float64)
        return _Comparison(target_A1N - mean_A1N, total_A1N, count_N[None])
    left_MN = count_N - weight_MN
    stretch_MN = count_N / left_MN  # n / (n − 1) where the model is on this side, else 1
    residual_AMN *= stretch_MN
    square_AMN *= weight_MN * stretch_MN
    sum_squares_AMN = np.subtract(total_A1N, square_AMN, out=square_AMN)
    _mend_cancelled(sum_squares_AMN, total_A1N, phi_AMN, own_MN)
    return _Comparison(residual_AMN, sum_squares_AMN, left_MN)


def _mend_cancelled(
    sum_squares_AMN: Float, total_A1N: Float, phi_AMN: Float, own_MN: NDArray[np.bool_]
) -> None:
    """Recompute, in place, the few sums that lost digits because one shadow made most of them.

    With many shadows next to none; with two left of three, one in twenty.
    """
    query_K, model_K, example_K = np.nonzero(own_MN & (sum_squares_AMN < 0.01 * total_A1N))
    phi_KM = phi_AMN[query_K, :, example_K]
    weight_KM = own_MN.T[example_K].astype(np.float64)
    weight_KM[np.arange(len(model_K)), model_K] = 0
    mean_K1 = (weight_KM * phi_KM).sum(axis=1, keepdims=True) / weight_KM.sum(axis=1, keepdims=True)
    sum_squares_AMN[query_K, model_K, example_K] = (weight_KM * (phi_KM - mean_K1) ** 2).sum(axis=1)


def _log_ratio(term_in: tuple[Float, Float], term_out: tuple[Float, Float]) -> Float:
    """Log ratio of two normal densities, each given as deviation from its mean and variance."""
    (dev_in, var_in), (dev_out, var_out) = term_in, term_out
    return 0.5 * (np.log(var_out / var_in) + dev_out**2 / var_out - dev_in**2 / var_in)


def _log_cdf(deviation: Float, variance: Float) -> Float:
    """Log of the normal distribution function; accurate far out in the lower tail."""
    from scipy.special import log_ndtr  # takes longer to import than most modes to run

    return log_ndtr(deviation / np.sqrt(variance))
