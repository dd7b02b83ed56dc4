"""Lower bounds of ε from guesses of who was a member, as many in one training.

A run of m examples, each a member or not by an independent fair coin; of these coins r are guessed,
and v guesses are right. Runs that are independent of each other count as one with all their
coins. A bound holds for the adjacency that a coin decides on: with coins "this one or that one",
replacing one example.
"""

from collections.abc import Callable

import numpy as np

_LARGEST_EPSILON = 50.0
_LARGEST_MU = 50.0


def one_run_p(coins: int, guesses: int, right: int, epsilon: float, delta: float) -> float:
    """The p-value of (ε, δ)-differential privacy.

    Steinke, Nasr and Jagielski (2023), "Privacy auditing with one (1) training run",
    arXiv:2305.08846, Theorem 5.2: with q = e^ε / (1 + e^ε) and W ~ Bin(r, q),
    P[W ≥ v] + 2mδ · max over i = 1 … v of P[v − i ≤ W < v] / i.

    Args:
        coins: m, all coins that were thrown, guessed or not.
        guesses: r, 0 to m.
        right: v, 0 to r.
        epsilon: ε, at least 0.
        delta: δ, from 0 to 1.

    Returns:
        p, at most 1: how probable as many right guesses are at most, if the claim holds.

    Raises:
        ValueError: a count is out of range.
    """
    from scipy.special import bdtr, bdtrc, expit

    _require_counts(coins, guesses, right)
    if right == 0:
        return 1.0
    below = bdtr(np.arange(right), guesses, expit(epsilon))  # P[W ≤ 0], …, P[W < v]
    # P[v − i ≤ W < v] for i = 1 … v.
    missed = below[-1] - np.append(below[:-1][::-1], 0)
    alpha = np.max(missed / np.arange(1, right + 1))
    reached = bdtrc(right - 1, guesses, expit(epsilon))
    return float(min(1.0, reached + 2 * coins * delta * alpha))


def one_run_bound(
    coins: int, guesses: int, right: int, delta: float, confidence: float = 0.95
) -> float:
    """The largest ε that as many right guesses rule out.

    Args:
        coins: see ``one_run_p``.
        guesses: likewise.
        right: likewise.
        delta: likewise.
        confidence: Of the bound, between 0 and 1.

    Returns:
        ε, a lower bound with this confidence; 0 if nothing is ruled out.

    Raises:
        ValueError: as ``one_run_p``.
    """
    return _largest_refused(
        lambda epsilon: one_run_p(coins, guesses, right, epsilon, delta) < 1 - confidence,
        _LARGEST_EPSILON,
    )


def gdp_is_refused(
    coins: int, guesses: int, right: int, mu: float, confidence: float = 0.95
) -> bool:
    """Whether μ-Gaussian differential privacy is ruled out.

    Mahloujifar, Melis and Chaudhuri (2024), "Auditing f-differential privacy in one run",
    arXiv:2410.22235, Algorithm 3 with the trade-off curve of a Gaussian: the curve is stronger than
    any one (ε, δ), so more is ruled out, but of trainings whose privacy has this form.

    Args:
        coins: see ``one_run_p``.
        guesses: likewise.
        right: likewise.
        mu: μ, more than 0.
        confidence: Of the answer, between 0 and 1.

    Raises:
        ValueError: as ``one_run_p``.
    """
    from scipy.special import ndtr, ndtri

    _require_counts(coins, guesses, right)
    if guesses == 0:
        return False
    tail = 1 - confidence
    reach, hold = tail * right / coins, tail * (guesses - right) / coins
    for count in range(right - 1, -1, -1):
        next_hold = max(hold, float(ndtr(ndtri(reach) - mu)))
        reach += count / (guesses - count) * (next_hold - hold)
        hold = next_hold
    return reach + hold > guesses / coins


def gdp_bound(coins: int, guesses: int, right: int, confidence: float = 0.95) -> float:
    """The largest μ that as many right guesses rule out; arguments as of ``gdp_is_refused``.

    Returns:
        μ, a lower bound with this confidence; 0 if nothing is ruled out.
    """
    return _largest_refused(
        lambda mu: gdp_is_refused(coins, guesses, right, mu, confidence), _LARGEST_MU
    )


def epsilon_of_gdp(mu: float, delta: float) -> float:
    """The ε of μ-Gaussian differential privacy.

    Dong, Roth and Su (2022), "Gaussian differential privacy", arXiv:1905.02383, Corollary 1:
    δ = Φ(−ε/μ + μ/2) − e^ε Φ(−ε/μ − μ/2).

    Args:
        mu: μ, at least 0.
        delta: δ, between 0 and 1.

    Returns:
        ε, at least 0.
    """
    from scipy.optimize import brentq
    from scipy.special import log_ndtr, ndtr

    def excess(epsilon: float) -> float:
        second = np.exp(epsilon + log_ndtr(-epsilon / mu - mu / 2))
        return ndtr(-epsilon / mu + mu / 2) - second - delta

    if mu == 0 or excess(0) <= 0:
        return 0.0
    largest = 1.0
    while excess(largest) > 0:
        largest *= 2
    return float(brentq(excess, 0, largest))


def _largest_refused(is_refused: Callable[[float], bool], largest: float) -> float:
    """By bisection, as what refuses a value refuses all smaller ones."""
    if not is_refused(0.0 + 1e-9):
        return 0.0
    low, high = 0.0, largest
    while high - low > 1e-9:
        middle = (low + high) / 2
        low, high = (middle, high) if is_refused(middle) else (low, middle)
    return low


def _require_counts(coins: int, guesses: int, right: int) -> None:
    if not 0 <= right <= guesses <= coins:
        raise ValueError(
            f"{right} right of {guesses} guesses of {coins} coins, expected right ≤ guesses ≤ coins"
        )
