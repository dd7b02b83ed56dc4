"""Data reconstruction as a test between two hypotheses: rates, Gaussian fits and intervals.

H0: the reconstruction is made from a head that trained on the candidates; H1: from weights that
know nothing of them. Judged is the min-MSE, to the nearest candidate; smaller speaks for H0. The
TPR is the probability of success under H0, the FPR under H1.

Three ways to a TPR at an FPR. "empirical": the threshold on the min-MSE found by counting. The
others fit a Gaussian to φ = logit(min-MSE / 4) under either hypothesis: "neyman_pearson" thresholds
the ratio of their likelihoods, again by counting; "analytic" is what the Gaussians alone say of a
threshold on the min-MSE. The fits are by maximum likelihood (variances divide by the number of
values), to the values that are then judged by them.

Intervals are bootstraps that draw the same heads under H0 and H1, as both are judged on the same
examples, once over the heads and once over heads and groups; every threshold and fit is made anew
in each replicate. Limits as in `shadowmill.metrics.bootstrap`.

Legend: H heads, G groups of candidates (classes), P = H·G pairs, S statistics (one per FPR or
threshold), J measures, R replicates.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shadowmill.metrics.intervals import bootstrap_limits, clopper_pearson
from shadowmill.metrics.ranking import allowed_false_positives, auc, operating_point
from shadowmill.metrics.resampling import Measure, Pooled, Weights, resample

Float = NDArray[np.float64]

LARGEST_MSE = 4.0  # between pictures with values in [-1, 1]
_CLOSEST = 1e-12  # to 0 or 1, so that the logit of a perfect reconstruction is finite
_NARROWEST = 1e-9  # standard deviation of φ; equal values have one of a rounding error

EMPIRICAL, NEYMAN_PEARSON, ANALYTIC = METHODS = ("empirical", "neyman_pearson", "analytic")


class Gaussians(NamedTuple):
    """Mean and standard deviation of φ under either hypothesis."""

    mean_h0: float
    std_h0: float
    mean_h1: float
    std_h1: float

    @property
    def proper(self) -> bool:
        """Whether both have a width, without which there is no likelihood."""
        return min(self.std_h0, self.std_h1) >= _NARROWEST


class Rate(NamedTuple):
    """A TPR with its intervals; NaN where undefined.

    Attributes:
        method: One of `METHODS`, or the name of a threshold.
        fpr: The nominal FPR; at a given threshold, the one found.
        tpr: Value in [0, 1].
        low: Lower limit over heads.
        high: Upper limit over heads.
        low_groups: Lower limit over heads and groups; NaN with a single group.
        high_groups: Upper limit over heads and groups.
        threshold: On the min-MSE; of "neyman_pearson", on the log-likelihood ratio, nats.
        auc: Of "empirical"; NaN otherwise.
    """

    method: str
    fpr: float
    tpr: float
    low: float
    high: float
    low_groups: float
    high_groups: float
    threshold: float
    auc: float


def logit_mse(min_mse: Float) -> Float:
    """φ = logit(min-MSE / 4), nearly Gaussian; finite even where the MSE is 0 or 4."""
    from scipy.special import logit

    return logit(np.clip(np.asarray(min_mse) / LARGEST_MSE, _CLOSEST, 1 - _CLOSEST))


def fit_gaussians(phi_h0_P: Float, phi_h1_P: Float, weight_P: Weights | None = None) -> Gaussians:
    """Fit a Gaussian to φ under either hypothesis, by maximum likelihood.

    Args:
        phi_h0_P: (P,) float64.
        phi_h1_P: (P,) float64.
        weight_P: (P,) how often each value counts; once, if not given.
    """
    mean_h0, std_h0 = _moments(phi_h0_P, weight_P)
    mean_h1, std_h1 = _moments(phi_h1_P, weight_P)
    return Gaussians(mean_h0, std_h0, mean_h1, std_h1)


def log_likelihood_ratio(phi: Float, fit: Gaussians) -> Float:
    """Logarithm of the density of φ under H0 over that under H1, nats."""
    z_h0 = (phi - fit.mean_h0) / fit.std_h0
    z_h1 = (phi - fit.mean_h1) / fit.std_h1
    return (z_h1**2 - z_h0**2) / 2 + np.log(fit.std_h1 / fit.std_h0)


def analytic_tpr(fit: Gaussians, fpr: float | Float) -> Float:
    """TPR of a threshold on the min-MSE, for Gaussian φ.

    Φ((μ1 + σ1 Φ⁻¹(FPR) − μ0) / σ0), which is
    ½ [1 − erf((μ0 − μ1) / (√2 σ0) + (σ1 / σ0) erf⁻¹(1 − 2 FPR))].
    """
    from scipy.special import ndtr, ndtri

    return ndtr((fit.mean_h1 + fit.std_h1 * ndtri(fpr) - fit.mean_h0) / fit.std_h0)


def ranking(score_h0: Float, score_h1: Float) -> tuple[Float, NDArray[np.bool_]]:
    """Put scores of both hypotheses in a row, as `shadowmill.metrics.ranking` takes them.

    Args:
        score_h0: Of any shape, higher = speaks for H0.
        score_h1: Of any shape.

    Returns:
        All scores, and which are of H0, the "members".
    """
    is_h0 = np.repeat([True, False], [score_h0.size, score_h1.size])
    return np.concatenate([score_h0.ravel(), score_h1.ravel()]), is_h0


def rates_at_fprs(
    min_mse_h0_HG: Float,
    min_mse_h1_HG: Float,
    fprs: Sequence[float],
    replicates: int,
    seed: int,
    confidence: float = 0.95,
) -> list[Rate]:
    """TPR at low FPRs in all three ways, with bootstrapped intervals.

    Args:
        min_mse_h0_HG: (H, G) float64, in [0, 4].
        min_mse_h1_HG: (H, G) float64, against the same candidates.
        fprs: False-positive rates.
        replicates: Number of resamples, at least 2.
        seed: Of the resampling; the same seed draws the same heads and groups.
        confidence: Coverage, between 0 and 1.

    Returns:
        A rate for each method and FPR. One at an FPR below 1 / (H·G) is NaN, and so are those of
        the Gaussians where a hypothesis has a single value.

    Raises:
        ValueError: shapes that differ, an MSE outside [0, 4].
    """
    _require_valid(min_mse_h0_HG, min_mse_h1_HG)
    measures = [of(min_mse_h0_HG, min_mse_h1_HG, fprs) for of in _MEASURES.values()]
    estimate_5JS = _bootstrap(measures, min_mse_h0_HG.shape, replicates, seed, confidence)
    area = auc(*ranking(-min_mse_h0_HG, -min_mse_h1_HG))
    return [
        Rate(
            method,
            fpr,
            *estimate_5JS[:, j, s].tolist(),
            threshold=measure.threshold(s) if measure.defined[s] else np.nan,
            auc=area if method == EMPIRICAL else np.nan,
        )
        for j, (method, measure) in enumerate(zip(_MEASURES, measures, strict=True))
        for s, fpr in enumerate(fprs)
    ]


def rates_at_thresholds(
    min_mse_h0_HG: Float,
    min_mse_h1_HG: Float,
    thresholds: Mapping[str, float],
    replicates: int,
    seed: int,
    confidence: float = 0.95,
) -> list[Rate]:
    """TPR and FPR at thresholds fixed beforehand: the shares of min-MSE that do not exceed them.

    With a single group the heads' successes are independent, and the interval over heads is
    Clopper–Pearson's; otherwise it is bootstrapped.

    Args:
        min_mse_h0_HG: (H, G) float64, in [0, 4].
        min_mse_h1_HG: (H, G) float64, against the same candidates.
        thresholds: On the min-MSE, by name.
        replicates: Number of resamples, at least 2.
        seed: Of the resampling; the same seed draws the same heads and groups.
        confidence: Coverage, between 0 and 1.

    Returns:
        A rate for each threshold.

    Raises:
        ValueError: shapes that differ, an MSE outside [0, 4].
    """
    _require_valid(min_mse_h0_HG, min_mse_h1_HG)
    limits_S = np.array(list(thresholds.values()), dtype=np.float64)
    measure = _AtThresholds(min_mse_h0_HG, limits_S)
    estimate_5S = _bootstrap([measure], min_mse_h0_HG.shape, replicates, seed, confidence)[:, 0]
    if min_mse_h0_HG.shape[1] == 1:
        heads = len(min_mse_h0_HG)
        successes_S = (min_mse_h0_HG <= limits_S).sum(axis=0)
        exact_S2 = [clopper_pearson(int(count), heads, confidence) for count in successes_S]
        estimate_5S[1:3] = np.transpose(exact_S2)
    return [
        Rate(
            name,
            float((min_mse_h1_HG <= threshold).mean()),
            *estimate_5S[:, s].tolist(),
            threshold=threshold,
            auc=np.nan,
        )
        for s, (name, threshold) in enumerate(thresholds.items())
    ]


class _Empirical:
    """A `Measure` over heads × groups: TPR at each FPR by counting the smallest min-MSE."""

    def __init__(self, min_mse_h0_HG: Float, min_mse_h1_HG: Float, fprs: Sequence[float]) -> None:
        score = -np.hstack([min_mse_h0_HG, min_mse_h1_HG])
        is_h0 = np.zeros(score.shape, dtype=bool)
        is_h0[:, : min_mse_h0_HG.shape[1]] = True
        self._pooled = Pooled(score, is_h0, ~is_h0, fprs)
        self._ranking = ranking(-min_mse_h0_HG, -min_mse_h1_HG)
        self._fprs = fprs

    def __call__(self, weight_RH: Weights, weight_RG: Weights) -> Float:
        return self._pooled(weight_RH, np.tile(weight_RG, 2))[:, 1:]

    @property
    def defined(self) -> NDArray[np.bool_]:
        return self._pooled.defined[1:]

    def threshold(self, s: int) -> float:
        return -operating_point(*self._ranking, self._fprs[s]).threshold


class _OfGaussians:
    """What the two measures that fit Gaussians have in common."""

    def __init__(self, min_mse_h0_HG: Float, min_mse_h1_HG: Float, fprs: Sequence[float]) -> None:
        self._phi_h0_P = logit_mse(min_mse_h0_HG).ravel()
        self._phi_h1_P = logit_mse(min_mse_h1_HG).ravel()
        self._fprs = fprs

    def __call__(self, weight_RH: Weights, weight_RG: Weights) -> Float:
        return np.stack([*map(self._of_resample, weight_RH, weight_RG)])

    def _of_resample(self, weight_H: Weights, weight_G: Weights) -> Float:
        weight_P = np.outer(weight_H, weight_G).ravel()
        fit = fit_gaussians(self._phi_h0_P, self._phi_h1_P, weight_P)
        if not fit.proper:  # a resample of one head alone
            return np.full(len(self._fprs), np.nan)
        return self._rates(fit, weight_P)

    @property
    def defined(self) -> NDArray[np.bool_]:
        allowed = [allowed_false_positives(fpr, len(self._phi_h1_P)) for fpr in self._fprs]
        return (np.array(allowed) >= 1) & fit_gaussians(self._phi_h0_P, self._phi_h1_P).proper

    def _rates(self, fit: Gaussians, weight_P: Weights) -> Float:
        raise NotImplementedError


class _NeymanPearson(_OfGaussians):
    """TPR at each FPR by counting the largest likelihood ratios of the fitted Gaussians."""

    def _rates(self, fit: Gaussians, weight_P: Weights) -> Float:
        score_h0_P = log_likelihood_ratio(self._phi_h0_P, fit)
        score_h1_P = log_likelihood_ratio(self._phi_h1_P, fit)
        order = np.argsort(-score_h1_P)
        false_positives_P = np.cumsum(weight_P[order])
        total = int(weight_P.sum())
        allowed = [allowed_false_positives(fpr, total) for fpr in self._fprs]
        # As in `resampling`: the first under H1 that is one too many, and what ties, is out.
        closing = np.searchsorted(false_positives_P, allowed, side="right")
        above = np.append(score_h1_P[order], -np.inf)[closing]
        return np.array([weight_P[score_h0_P > limit].sum() / total for limit in above])

    def threshold(self, s: int) -> float:
        fit = fit_gaussians(self._phi_h0_P, self._phi_h1_P)
        scores = (log_likelihood_ratio(phi, fit) for phi in (self._phi_h0_P, self._phi_h1_P))
        return operating_point(*ranking(*scores), self._fprs[s]).threshold


class _Analytic(_OfGaussians):
    """TPR at each FPR of the fitted Gaussians themselves."""

    def _rates(self, fit: Gaussians, weight_P: Weights) -> Float:
        return analytic_tpr(fit, np.array(self._fprs))

    def threshold(self, s: int) -> float:
        from scipy.special import expit, ndtri

        fit = fit_gaussians(self._phi_h0_P, self._phi_h1_P)
        return float(LARGEST_MSE * expit(fit.mean_h1 + fit.std_h1 * ndtri(self._fprs[s])))


_MEASURES = {EMPIRICAL: _Empirical, NEYMAN_PEARSON: _NeymanPearson, ANALYTIC: _Analytic}


class _AtThresholds:
    """TPR at each of some thresholds."""

    def __init__(self, min_mse_h0_HG: Float, thresholds_S: Float) -> None:
        self._success_HGS = (min_mse_h0_HG[..., None] <= thresholds_S).astype(np.float64)
        self.defined = np.ones(len(thresholds_S), dtype=bool)

    def __call__(self, weight_RH: Weights, weight_RG: Weights) -> Float:
        per_group_RGS = np.tensordot(weight_RH, self._success_HGS, axes=1)
        found_RS = np.einsum("rg,rgs->rs", weight_RG, per_group_RGS)
        return found_RS / (weight_RH.sum(axis=1) * weight_RG.sum(axis=1))[:, None]


@dataclass(frozen=True)
class _OverHeads:
    """A measure with every group once, whichever are drawn."""

    measure: Measure

    def __call__(self, weight_RH: Weights, weight_RG: Weights) -> Float:
        return self.measure(weight_RH, np.ones_like(weight_RG))

    @property
    def defined(self) -> NDArray[np.bool_]:
        return self.measure.defined


def _bootstrap(
    measures: Sequence[Measure],
    shape: tuple[int, int],
    replicates: int,
    seed: int,
    confidence: float,
) -> Float:
    """Value, limits over heads, limits over heads and groups: (5, J, S), NaN where undefined."""
    count, several = len(measures), shape[1] > 1
    together = [_OverHeads(measure) for measure in measures] + list(measures) * several
    value_JS, value_RJS = resample(together, shape, replicates, seed)
    estimate_5JS = np.full((5, count, value_JS.shape[1]), np.nan)
    estimate_5JS[0] = value_JS[:count]
    parts = [(1, slice(count))]
    if several:
        parts.append((3, slice(count, None)))
    for first, part in parts:
        defined_JS = ~np.isnan(value_JS[part])
        limits_2D = bootstrap_limits(
            value_JS[part][defined_JS], value_RJS[:, part][:, defined_JS], confidence
        )
        estimate_5JS[first : first + 2, defined_JS] = np.clip(limits_2D, 0, 1)
    return estimate_5JS


def _moments(values_P: Float, weight_P: Weights | None) -> tuple[float, float]:
    mean = np.average(values_P, weights=weight_P)
    return float(mean), float(np.sqrt(np.average((values_P - mean) ** 2, weights=weight_P)))


def _require_valid(min_mse_h0_HG: Float, min_mse_h1_HG: Float) -> None:
    if min_mse_h0_HG.ndim != 2 or min_mse_h0_HG.shape != min_mse_h1_HG.shape:
        raise ValueError(
            f"min-MSE has shape {min_mse_h0_HG.shape} under H0 and {min_mse_h1_HG.shape} under H1, "
            "expected one shape (heads, groups); reconstruct both against the same sets"
        )
    for name, mse_HG in (("H0", min_mse_h0_HG), ("H1", min_mse_h1_HG)):
        if not ((mse_HG >= 0) & (mse_HG <= LARGEST_MSE)).all():
            raise ValueError(
                f"min-MSE under {name} is not within 0 to {LARGEST_MSE:g} throughout; "
                "scale pixels to [-1, 1]"
            )
