"""Attacks on the curvature of a model's loss in its input: around members the loss is flatter.

Ravikumar et al. (2024), "Curvature clues: decoding deep learning privacy with input loss
curvature", arXiv:2407.02747, compare the log curvature of the target, example by example, with
that of IN and of OUT shadows. The code published with the paper (github.com/DeepakTatachar/
Curvature-Clues) departs from a likelihood ratio of normals; its formulas are forms of their own.
``curvature_lira`` is ours: LiRA on φ and the log curvature together.

Legend: M shadow models, T targets, N examples, A queries.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from shadowmill.attacks.bank import (
    ScoreBank,
    require_same_examples,
    require_shadows_of_each_example,
)
from shadowmill.attacks.sides import (
    SIGMA_FLOOR,
    Comparison,
    chunks,
    compare,
    log_ratio,
    queries_first,
)

Float = NDArray[np.float64]

Form = Literal["nll", "lr", "published_nll", "published_lr"]

EPSILON = 1e-22
"""What the published code adds to curvatures, probabilities, variances and likelihoods."""

NLL_EPSILON = 1e-32
"""What it adds to the variances of its NLL."""

PRIOR_SHADOWS = 4
"""For ``curvature_lira``, the covariance of all examples counts as much as so many shadows.

A compromise on synthetic normal and heavy-tailed shadows, 2 to 64 a side: where all examples
spread alike more is better, where some spread twice as much as others less is.
"""

_MIN_PER_SIDE = 2


def log_curvature(curvature: NDArray[np.floating]) -> Float:
    """Log of the size of a curvature, log(|c| + ``EPSILON``).

    As published, and finite for what the published probe and the Frobenius norm, which are never
    negative, do not give: a trace below 0. Its size counts, because a member is where the loss
    is flat, and because clipping it would make a large curvature the smallest of all. Networks
    of piecewise linear layers have no such examples but for rounding.

    Args:
        curvature: float, any shape.

    Returns:
        float64 of that shape.
    """
    return np.log(np.abs(curvature.astype(np.float64)) + EPSILON)


def likelihood_ratio(
    shadows: ScoreBank, targets: ScoreBank | None, *, form: Form, array: str
) -> Float:
    """Score every example by normals fitted to a statistic of its IN and of its OUT shadows.

    The statistic s is the log curvature, or for `max_phi` the logit of the largest probability
    (LiRA as the study evaluates it). With means μ and variances v (divisor n) per example and
    query:

    - ``lr``: log N(s; μ_in, v_in) − log N(s; μ_out, v_out), mean over the queries.
    - ``nll``: the same ratio, but with one variance under both hypotheses, that of all residuals
      of the example about their side's mean. The published NLL has one variance for both too,
      the IN shadows', and that is what sets it apart from LR: the score is linear in s, so
      that no curvature is too small for a member's.
    - ``published_nll``: Σ_q log N(s; μ_in, v_in²) − log N(s; μ_out, v_in²): v_in for both, and
      where the standard deviation belongs. ``NLL_EPSILON`` is added to v_in.
    - ``published_lr``: Σ_q N(s; μ_in, v_in²) / (Σ_q N(s; μ_out, v_out²) + ``EPSILON``): the
      likelihoods of the queries are added, not multiplied, and the variances again stand where
      standard deviations belong. ``EPSILON`` is added to them too. Where all likelihoods
      underflow, the score is 0.

    Args:
        shadows: The statistic and roles of the M shadows.
        targets: The statistic of the T targets, same examples and queries; None for every
            shadow in turn, with all others but its complement as its shadows.
        form: Which of these scores.
        array: Name of the statistic in the banks, `curvature_…` or `max_phi`.

    Returns:
        (T, N) float64, nats (a ratio for ``published_lr``), higher = more likely a member.

    Raises:
        ValueError: no such statistic, targets that do not fit the shadows, or too few shadows.
    """
    _require(shadows, targets, array, form)
    return _ratios(shadows, targets, form, array)


def curvature_lira(shadows: ScoreBank, targets: ScoreBank | None, *, array: str) -> Float:
    """Score every example by two-dimensional normals of φ and log curvature, mean over queries.

    log N(φ, s; μ_in, Σ_in) − log N(φ, s; μ_out, Σ_out), with μ per example and query. So few
    shadows hold an example that a covariance of their own would be noise; each is shrunk:
    Σ = (S + k·P) / (n − 1 + k), where S sums the products of the residuals of the example's n
    shadows, P is Σ S / Σ (n − 1) over all examples (the query's and the side's), and k is
    ``PRIOR_SHADOWS``: the posterior mean under an inverse Wishart prior with mean P.

    Args:
        shadows: φ, curvature and roles of the M shadows.
        targets: φ and curvature of the T targets, same examples and queries; None for every
            shadow in turn, with all others but its complement as its shadows.
        array: Name of the curvature in the banks.

    Returns:
        (T, N) float64, nats, higher = more likely a member.

    Raises:
        ValueError: no such curvature, targets that do not fit the shadows, or too few shadows.
    """
    _require(shadows, targets, array, "lira")
    return _joint_ratios(shadows, targets, array)


def _require(shadows: ScoreBank, targets: ScoreBank | None, array: str, form: str) -> None:
    require_shadows_of_each_example(
        {"IN": shadows.member_MN, "OUT": shadows.nonmember_MN},
        _MIN_PER_SIDE,
        f"attack {form!r} on {array}",
        in_turn=targets is None,
    )
    if targets is not None:
        require_same_examples(shadows, targets)


def _statistic(bank: ScoreBank, chunk: slice, *, array: str) -> Float:
    """The statistic of an array, (A, M, N)."""
    value_AMN = queries_first(bank[array], chunk)
    if array == "max_phi":
        # log(p / (1 − p + ε)), without the rounding of p.
        return -np.logaddexp(-value_AMN, np.log(EPSILON))
    return log_curvature(value_AMN)


def _joint_statistics(bank: ScoreBank, chunk: slice, *, array: str) -> Float:
    """φ, the log curvature and their sum, (3A, M, N)."""
    phi_AMN = queries_first(bank.phi_MNA, chunk)
    curvature_AMN = _statistic(bank, chunk, array=array)
    return np.concatenate([phi_AMN, curvature_AMN, phi_AMN + curvature_AMN])


def _comparisons(
    shadows: ScoreBank,
    targets: ScoreBank | None,
    statistic: Callable[[ScoreBank, slice], Float],
) -> Iterator[tuple[slice, Comparison, Comparison]]:
    """Compare the targets, or every shadow in turn, with both sides, some examples at a time."""
    for chunk in chunks(shadows):
        value_AMN = statistic(shadows, chunk)
        asking_ATN = None if targets is None else statistic(targets, chunk)
        into, out = (
            compare(value_AMN, side_MN[:, chunk], asking_ATN, shadows.complement_M)
            for side_MN in (shadows.member_MN, shadows.nonmember_MN)
        )
        yield chunk, into, out


def _ratios(shadows: ScoreBank, targets: ScoreBank | None, form: Form, array: str) -> Float:
    score_TN = np.empty((shadows if targets is None else targets).phi_MNA.shape[:2])
    for chunk, into, out in _comparisons(shadows, targets, partial(_statistic, array=array)):
        score_TN[:, chunk] = _FORMS[form](into, out)
    return score_TN


def _nll(into: Comparison, out: Comparison) -> Float:
    sum_squares_ATN = into.sum_squares_ATN + out.sum_squares_ATN
    variance_ATN = _floored(sum_squares_ATN / (into.count_TN + out.count_TN))
    terms = ((side.deviation_ATN, variance_ATN) for side in (into, out))
    return log_ratio(*terms).mean(axis=0)


def _lr(into: Comparison, out: Comparison) -> Float:
    terms = ((side.deviation_ATN, _floored(side.variance_ATN)) for side in (into, out))
    return log_ratio(*terms).mean(axis=0)


def _published_nll(into: Comparison, out: Comparison) -> Float:
    square_ATN = (into.variance_ATN + NLL_EPSILON) ** 2
    terms = ((side.deviation_ATN, square_ATN) for side in (into, out))
    return log_ratio(*terms).sum(axis=0)


def _published_lr(into: Comparison, out: Comparison) -> Float:
    return _summed_likelihood(into) / (_summed_likelihood(out) + EPSILON)


def _summed_likelihood(side: Comparison) -> Float:
    width_ATN = side.variance_ATN + EPSILON
    exponent_ATN = -0.5 * (side.deviation_ATN / width_ATN) ** 2
    return (np.exp(exponent_ATN) / (np.sqrt(2 * np.pi) * width_ATN)).sum(axis=0)


_FORMS: dict[Form, Callable[[Comparison, Comparison], Float]] = {
    "nll": _nll,
    "lr": _lr,
    "published_nll": _published_nll,
    "published_lr": _published_lr,
}


def _joint_ratios(shadows: ScoreBank, targets: ScoreBank | None, array: str) -> Float:
    statistic = partial(_joint_statistics, array=array)
    summed, freedom = [0.0, 0.0], [0.0, 0.0]
    for _, *sides in _comparisons(shadows, targets, statistic):
        for index, side in enumerate(sides):
            summed[index] = summed[index] + _products(side).sum(axis=3, keepdims=True)
            freedom[index] = freedom[index] + (side.count_TN - 1).sum(axis=1, keepdims=True)
    pooled = [total / count for total, count in zip(summed, freedom, strict=True)]

    score_TN = np.empty((shadows if targets is None else targets).phi_MNA.shape[:2])
    for chunk, *sides in _comparisons(shadows, targets, statistic):
        (phi_in, rest_in), (phi_out, rest_out) = map(_factors, sides, pooled)
        score_ATN = log_ratio(phi_in, phi_out) + log_ratio(rest_in, rest_out)
        score_TN[:, chunk] = score_ATN.mean(axis=0)
    return score_TN


def _products(side: Comparison) -> Float:
    """Σ r², Σ s² and Σ r·s of the residuals of φ and log curvature, (3, A, T, N).

    The last follows from Σ (r + s)², and so is as exact when one shadow is left out.
    """
    phi_ATN, curvature_ATN, both_ATN = np.split(side.sum_squares_ATN, 3)
    return np.stack([phi_ATN, curvature_ATN, (both_ATN - phi_ATN - curvature_ATN) / 2])


def _factors(
    side: Comparison, pooled_3AT1: Float
) -> tuple[tuple[Float, Float], tuple[Float, Float]]:
    """The normal of both as that of φ and that of log curvature given φ.

    Each as deviation and variance. Unlike an inverted covariance, they survive a φ and a
    curvature that tell the same.
    """
    deviation_ATN, rest_ATN, _ = np.split(side.deviation_ATN, 3)
    shrunk_3ATN = (_products(side) + PRIOR_SHADOWS * pooled_3AT1) / (
        side.count_TN - 1 + PRIOR_SHADOWS
    )
    variance_ATN, rest_variance_ATN, covariance_ATN = shrunk_3ATN
    variance_ATN = _floored(variance_ATN)
    slope_ATN = covariance_ATN / variance_ATN
    return (
        (deviation_ATN, variance_ATN),
        (
            rest_ATN - slope_ATN * deviation_ATN,
            _floored(rest_variance_ATN - slope_ATN * covariance_ATN),
        ),
    )


def _floored(variance_ATN: Float) -> Float:
    return np.maximum(variance_ATN, SIGMA_FLOOR**2)
