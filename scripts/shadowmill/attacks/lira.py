"""LiRA, the likelihood-ratio attack, against given targets or against every shadow in turn.

Carlini et al. (2022), "Membership inference attacks from first principles",
arXiv:2112.03570, Algorithm 1 and Equation 4. Where the code published with the paper (TensorFlow
Privacy, research/mi_lira_2021) departs from it, its formulas are modes of their own.

Legend: M shadow models, T targets, N examples, A queries.
"""

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from shadowmill.attacks.bank import (
    AMONG_OTHERS,
    ScoreBank,
    require_same_examples,
    require_shadows_of_each_example,
)
from shadowmill.attacks.prior import Moments, Prior
from shadowmill.attacks.sides import (
    SIGMA_FLOOR,
    Comparison,
    Location,
    chunks,
    compare,
    log_ratio,
    pooled_normal,
    queries_first,
    removal,
)

Mode = Literal["online", "fixed", "bayes_n", "bayes_t", "offline", "two_sided_code", "code2021"]
MODES: tuple[Mode, ...] = get_args(Mode)

LOCATIONS: tuple[Location, ...] = get_args(Location)

_MIN_PER_SIDE = dict.fromkeys(MODES, 2) | dict.fromkeys(
    ("fixed", "bayes_n", "bayes_t", "code2021"), 1
)
_OF_ALL_EXAMPLES = ("fixed", "bayes_n", "bayes_t")  # σ is, or has a prior, from residuals of all
_WITHOUT_IN = ("offline", "two_sided_code")
_FROM_CODE = ("two_sided_code", "code2021")

Float = NDArray[np.float64]


def lira(
    shadows: ScoreBank,
    targets: ScoreBank | None,
    mode: Mode = "online",
    location: Location | None = None,
) -> Float:
    """Score every example for membership in targets, or in every shadow by the others.

    With Gaussians fitted to the shadows' φ, and means taken over the queries:

    - ``online``: log N(φ; μ_in, σ_in) − log N(φ; μ_out, σ_out), per example (Algorithm 1).
      σ is the maximum-likelihood estimate (divisor n), as in the paper and in its code.
    - ``fixed``: the same ratio with μ per example, but one σ_in and one σ_out per query for all
      examples: the root mean squared residual about the per-example means, with divisor
      Σ(n − 1). The paper's "global variance" (§VI-B), without the spread between examples
      that its code mixes in.
    - ``bayes_n``: as ``online``, but σ² is between the example's own and that of ``fixed``: the
      posterior variance (d₀·s₀² + Σr²) / (d₀ + n) under an inverse-gamma prior, d₀ and s₀² fitted
      to the variances of all examples, for each side and query.
    - ``bayes_t``: the same with Student's t in place of the Gaussian: the predictive density of
      one more φ, with d₀ + n − 1 degrees of freedom and squared scale
      (d₀·s₀² + Σr²) / (d₀ + n − 1) · (1 + 1/n). The idea is that of Brännvall (2026),
      arXiv:2603.11799; how the prior is fitted is ours (`prior`).
    - ``offline``: log Φ((φ − μ_out) / σ_out), one-sided as Equation 4, from OUT shadows alone.
      σ_out as for ``online``.
    - ``two_sided_code``: −log N(φ; μ_out, σ_out), what the published code computes offline. It
      takes a φ far below the OUT shadows for a member too.
    - ``code2021``: the ratio with the published code's fixed variance: σ_in and σ_out are both
      the standard deviation (divisor n) of the raw φ of all IN pairs, examples and queries
      pooled, so that the spread between examples counts as noise.

    Args:
        shadows: Scores and roles of the M shadows.
        targets: Scores of the T targets, same examples and queries; None for every shadow in turn,
            with all others but its complement as its shadows.
        mode: One of ``MODES``.
        location: Whether μ is the ``mean`` (the paper) or the ``median`` (its code) of the
            shadows' φ; by default that of the mode's source. σ is about the mean in any case,
            as in the code.

    Returns:
        (T, N) float64, nats, higher = more likely a member; T = M if every shadow is one. Examples
        that a model neither trained on nor holds as non-members are scored too.

    Raises:
        ValueError: unknown mode or location, targets that do not fit the shadows, or too few
            shadows.
    """
    _require_shadows(shadows, mode, in_turn=targets is None)
    if targets is not None:
        require_same_examples(shadows, targets)
    return _scores(shadows, mode, _resolve(location, mode), targets)


def required_shadows(mode: Mode) -> int:
    """Count the shadows that ``lira`` needs for a target; for every shadow in turn two more.

    Args:
        mode: One of ``MODES``.

    Returns:
        The smallest number of shadows in complementary pairs: half of them hold any example.

    Raises:
        ValueError: unknown mode.
    """
    _require_mode(mode)
    return 2 * (2 if mode in _OF_ALL_EXAMPLES else _MIN_PER_SIDE[mode])


def _require_mode(mode: str) -> None:
    if mode not in MODES:
        raise ValueError(f"unknown LiRA mode {mode!r}, expected one of {', '.join(MODES)}")


def _resolve(location: Location | None, mode: Mode) -> Location:
    if location is None:
        return "median" if mode in _FROM_CODE else "mean"
    if location not in LOCATIONS:
        raise ValueError(
            f"unknown LiRA location {location!r}, expected one of {', '.join(LOCATIONS)}"
        )
    return location


def _sides(bank: ScoreBank, mode: Mode) -> dict[str, NDArray[np.bool_]]:
    out = {"OUT": bank.nonmember_MN}
    return out if mode in _WITHOUT_IN else {"IN": bank.member_MN} | out


def _require_shadows(bank: ScoreBank, mode: Mode, *, in_turn: bool) -> None:
    _require_mode(mode)
    sides = _sides(bank, mode)
    require_shadows_of_each_example(
        sides, _MIN_PER_SIDE[mode], f"LiRA mode {mode!r}", in_turn=in_turn
    )
    if mode not in _OF_ALL_EXAMPLES:
        return
    for side, side_MN in sides.items():
        freedom = (side_MN.sum(axis=0) - 1).sum()
        if in_turn:
            freedom -= removal(side_MN, bank.complement_M).gone_MN.sum(axis=1).max()
        if freedom < 1:
            when = AMONG_OTHERS if in_turn else ""
            raise ValueError(
                f"LiRA mode {mode!r} found one {side} shadow for every example{when}, expected "
                "two for at least one example to pool σ from; use more shadows or more examples"
            )


def _scores(bank: ScoreBank, mode: Mode, location: Location, targets: ScoreBank | None) -> Float:
    """Scores (T, N): of the given targets, or of every shadow in turn (T = M)."""
    sides = _sides(bank, mode)
    pooled, priors = {}, {}
    if mode == "fixed":
        pooled = {side: _pooled_variance(bank, side_MN, targets) for side, side_MN in sides.items()}
    elif mode in _OF_ALL_EXAMPLES:
        priors = {side: _prior(bank, side_MN, targets) for side, side_MN in sides.items()}
    elif mode == "code2021":
        complement_M = bank.complement_M if targets is None else None
        _, variance_T = pooled_normal(bank.phi_MNA, bank.member_MN, complement_M)
        pooled = dict.fromkeys(sides, variance_T[:, None])
    score_TN = np.empty((bank if targets is None else targets).phi_MNA.shape[:2])
    for chunk in chunks(bank):
        terms = {}
        phi_AMN, asking_ATN = _phi(bank, targets, chunk)
        for side, side_MN in sides.items():
            against = compare(phi_AMN, side_MN[:, chunk], asking_ATN, bank.complement_M, location)
            if mode == "bayes_t":
                terms[side] = _predictive(against, priors[side])
                continue
            if mode == "bayes_n":
                variance = _posterior(against, priors[side])
            else:
                variance = pooled[side] if pooled else against.variance_ATN
            terms[side] = (against.deviation_ATN, np.maximum(variance, SIGMA_FLOOR**2))
        if mode == "offline":
            score_ATN = _log_cdf(*terms["OUT"])
        elif mode == "two_sided_code":
            score_ATN = -_log_density(*terms["OUT"])
        elif mode == "bayes_t":
            score_ATN = terms["IN"] - terms["OUT"]
        else:
            score_ATN = log_ratio(terms["IN"], terms["OUT"])
        score_TN[:, chunk] = score_ATN.mean(axis=0)
    return score_TN


def _pooled_variance(
    bank: ScoreBank, side_MN: NDArray[np.bool_], targets: ScoreBank | None
) -> Float:
    """Residual variance (A, T, 1) over all examples: Σ r² / Σ (n − 1)."""
    sum_squares = 0.0
    freedom = 0.0
    for chunk in chunks(bank):
        phi_AMN, asking_ATN = _phi(bank, targets, chunk)
        against = compare(phi_AMN, side_MN[:, chunk], asking_ATN, bank.complement_M)
        sum_squares = sum_squares + against.sum_squares_ATN.sum(axis=2, keepdims=True)
        freedom = freedom + (against.count_TN - 1).sum(axis=1, keepdims=True)
    return sum_squares / freedom


def _prior(bank: ScoreBank, side_MN: NDArray[np.bool_], targets: ScoreBank | None) -> Prior:
    """Prior (A, T, 1) of the variances of all examples."""
    moments = Moments()
    for chunk in chunks(bank):
        phi_AMN, asking_ATN = _phi(bank, targets, chunk)
        against = compare(phi_AMN, side_MN[:, chunk], asking_ATN, bank.complement_M)
        moments.add(against.sum_squares_ATN, against.count_TN - 1, SIGMA_FLOOR**2)
    return Prior(*(part_AT[..., None] for part_AT in moments.prior()))


def _posterior(against: Comparison, prior: Prior) -> Float:
    """σ² between each example's own variance and that of the prior, (A, T, N)."""
    own = against.count_TN / (prior.freedom + against.count_TN)  # 0 if all variances are alike
    return prior.variance + own * (against.variance_ATN - prior.variance)


def _predictive(against: Comparison, prior: Prior) -> Float:
    """Log density of one more φ on a side, (A, T, N): Student's t, which may be a Gaussian."""
    from scipy.special import betaln

    count, freedom = against.count_TN, prior.freedom + against.count_TN - 1
    # (d₀·s₀² + Σr²) / ν, written so that ∞ is a number of degrees of freedom too.
    variance = prior.variance + (against.sum_squares_ATN - (count - 1) * prior.variance) / freedom
    variance = np.maximum(variance * (1 + 1 / count), SIGMA_FLOOR**2)
    square = against.deviation_ATN**2 / variance
    finite = np.where(np.isinf(freedom), 1, freedom)
    tail = 0.5 * (finite + 1) * np.log1p(square / finite) + betaln(finite / 2, 0.5)
    tail = np.where(
        np.isinf(freedom), 0.5 * (square + np.log(2 * np.pi)), tail + 0.5 * np.log(finite)
    )
    return -tail - 0.5 * np.log(variance)


def _phi(bank: ScoreBank, targets: ScoreBank | None, chunk: slice) -> tuple[Float, Float | None]:
    asking_ATN = None if targets is None else queries_first(targets.phi_MNA, chunk)
    return queries_first(bank.phi_MNA, chunk), asking_ATN


def _log_density(deviation: Float, variance: Float) -> Float:
    return -0.5 * (np.log(2 * np.pi * variance) + deviation**2 / variance)


def _log_cdf(deviation: Float, variance: Float) -> Float:
    """Log of the normal distribution function; accurate far out in the lower tail."""
    from scipy.special import log_ndtr  # takes longer to import than most modes to run

    return log_ndtr(deviation / np.sqrt(variance))
