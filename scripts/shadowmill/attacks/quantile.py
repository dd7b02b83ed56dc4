"""Quantile regression: is a model surer of an example than it would be of a non-member like it?

Bertran et al. (2023), "Scalable membership inference attacks via quantile regression",
arXiv:2307.03694. A regression learns the distribution of φ given the example and its class from
non-members of the target alone, and each example is scored by how far up in it its own φ lies.
No shadow models are needed. The paper's regressor is a network; here it is gradient boosting on
principal components and the class, fitted in seconds.

Both attacks learn from the population of the bank where there is one; otherwise from a quarter of
the target's non-members, which is then not evaluated (`held_out_nonmembers`). They use the identity
query: there is no other of a population.

Legend: T targets, M models, N examples, Z training examples, D features, L levels.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from shadowmill.attacks.bank import ScoreBank
from shadowmill.attacks.rmia import held_out_nonmembers
from shadowmill.seeds import seed_of

if TYPE_CHECKING:  # takes seconds to import, and planning a workflow imports this module
    from sklearn.ensemble import HistGradientBoostingRegressor

LEVELS = (0.1, 0.5, 0.75, 0.9, 0.97, 0.99)
"""Levels of the quantiles that `quantile_pinball` fits, closer together towards the top."""

NUM_COMPONENTS = 32
"""Most principal components of the features that a regression sees."""

_FEWEST = 20  # training examples: below this the trees have no split to try
_PCA_EXAMPLES = 10_000  # that the components are computed from
_FOLDS = 3
_TAIL_EXAMPLES = 10  # of a leaf that should lie beyond its quantile
_SIGMA_FLOOR = 1e-6  # nats, as in LiRA

Float = NDArray[np.float64]
Score = Callable[[Float, Float, Float, Float], Float]


def quantile_gaussian(shadows: ScoreBank, targets: ScoreBank) -> Float:
    """Score every example by the standard score of its φ among non-members, (φ − μ(x)) / σ(x).

    The paper's Gaussian head, in two steps. μ minimises the squared error. σ is √(π/2) times the
    expected absolute residual, as of a normal distribution; a regression with logarithmic link
    (the Poisson deviance) keeps it positive. The residuals are those of cross-validation, because
    the regression's own are too small.

    Args:
        shadows: not used.
        targets: Scores of the T targets, with ``features`` and ``labels``, and with those
            of the population if it has φ.

    Returns:
        (T, N) float64, higher = more likely a member; NaN where not evaluated.

    Raises:
        ValueError: features or labels are missing, or fewer than 20 examples to learn from.
    """
    return _scores(targets, _standard_score)


def quantile_pinball(shadows: ScoreBank, targets: ScoreBank) -> Float:
    """Score every example by −log(1 − level), with the level at which its φ lies.

    Each of ``LEVELS`` has a regression of its own, by the pinball loss, of what φ lies above or
    below its expected value: trees whose leaves are large enough for a quantile far out are too
    coarse to tell many classes apart. Quantiles that cross are put in order. Between two of them
    −log(1 − level) is linear in φ. Beyond the outer ones it goes on with a slope of 1 per nat of φ,
    so that examples there do not tie: the published margin.

    Args:
        shadows: not used.
        targets: see `quantile_gaussian`.

    Returns:
        (T, N) float64, higher = more likely a member; NaN where not evaluated.

    Raises:
        ValueError: see `quantile_gaussian`.
    """
    return _scores(targets, _level_score)


def interpolated_level(phi_N: Float, quantile_NL: Float, level_L: Float) -> Float:
    """Where φ lies among quantiles, as −log(1 − level).

    Args:
        phi_N: (N,) float64, nats.
        quantile_NL: (N, L) float64, nats, ascending along L.
        level_L: (L,) float64, ascending in (0, 1).

    Returns:
        (N,) float64, strictly increasing in φ: linear between two quantiles, with slope 1 below the
        first and above the last.
    """
    depth_L = -np.log1p(-np.asarray(level_L))
    upper_N = (phi_N[:, None] >= quantile_NL).sum(axis=1).clip(1, len(depth_L) - 1)
    low_N, high_N = (
        np.take_along_axis(quantile_NL, side_N[:, None], axis=1)[:, 0]
        for side_N in (upper_N - 1, upper_N)
    )
    # The gap is only zero where φ lies outside it, and then the fraction is not used.
    gap_N = np.where(high_N > low_N, high_N - low_N, 1)
    fraction_N = (phi_N - low_N) / gap_N
    between_N = depth_L[upper_N - 1] + fraction_N * (depth_L[upper_N] - depth_L[upper_N - 1])
    below_N = depth_L[0] + phi_N - quantile_NL[:, 0]
    above_N = depth_L[-1] + phi_N - quantile_NL[:, -1]
    inside = [phi_N < quantile_NL[:, 0], phi_N >= quantile_NL[:, -1]]
    return np.select(inside, [below_N, above_N], between_N)


def _scores(targets: ScoreBank, score: Score) -> Float:
    feature_ND, population_ZD = _features(targets)
    score_TN = np.empty(targets.phi_MNA.shape[:2])
    for target, phi_NA in enumerate(targets.phi_MNA):
        phi_N = phi_NA[:, 0].astype(np.float64)
        if population_ZD is None:
            held_out = held_out_nonmembers(targets, target)
            feature_ZD, phi_Z = feature_ND[held_out], phi_N[held_out]
        else:
            held_out = np.empty(0, dtype=np.intp)
            feature_ZD = population_ZD
            phi_Z = targets["population_phi"][target].astype(np.float64)
        if len(phi_Z) < _FEWEST:
            raise ValueError(
                f"{targets.names[target]} has {len(phi_Z)} non-members to learn from that are not "
                f"evaluated, expected at least {_FEWEST}; use a larger pool, or a data set with an "
                "official test set"
            )
        score_TN[target] = score(feature_ZD, phi_Z, feature_ND, phi_N)
        score_TN[target, held_out] = np.nan
    return score_TN


def _features(bank: ScoreBank) -> tuple[Float, Float | None]:
    """What the regressions see of the pool (N, D) and of the population (Z, D), if there is one."""
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import OneHotEncoder

    has_population = "population_phi" in bank
    fitted_ZD = bank["population_features" if has_population else "features"]
    # A stride, not the first rows: a data set may be sorted by class.
    fitted_ZD = fitted_ZD[:: -(-len(fitted_ZD) // _PCA_EXAMPLES)]
    seed = seed_of("quantile", "components") % 2**32
    pca = PCA(min(NUM_COMPONENTS, *fitted_ZD.shape), random_state=seed).fit(fitted_ZD)
    one_hot = OneHotEncoder(sparse_output=False, handle_unknown="ignore")
    one_hot.fit(bank["labels"][:, None])

    def transform(raw_ND: NDArray[np.float32], label_N: NDArray[np.int64]) -> Float:
        return np.hstack([pca.transform(raw_ND), one_hot.transform(label_N[:, None])])

    feature_ND = transform(bank["features"], bank["labels"])
    if not has_population:
        return feature_ND, None
    return feature_ND, transform(bank["population_features"], bank["population_labels"])


def _regressor(loss: str, level: float | None = None) -> "HistGradientBoostingRegressor":
    """Boosted trees that stop once a fifth of the examples, held back, are predicted no better."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    # A leaf must be large enough for its quantile to have some examples on either side.
    tail = 1 if level is None else min(level, 1 - level)
    return HistGradientBoostingRegressor(
        loss=loss,
        quantile=level,
        max_leaf_nodes=15,
        min_samples_leaf=max(20, round(_TAIL_EXAMPLES / tail)),
        early_stopping=True,
        validation_fraction=0.2,
        random_state=seed_of("quantile", loss) % 2**32,
    )


def _residuals(
    feature_ZD: Float, phi_Z: Float, feature_ND: Float, phi_N: Float
) -> tuple[Float, Float]:
    """φ less its expected value: (Z,) by cross-validation, and (N,)."""
    from sklearn.model_selection import KFold, cross_val_predict

    mean = _regressor("squared_error")
    folds = KFold(_FOLDS, shuffle=True, random_state=seed_of("quantile", "folds") % 2**32)
    residual_Z = phi_Z - cross_val_predict(mean, feature_ZD, phi_Z, cv=folds)
    return residual_Z, phi_N - mean.fit(feature_ZD, phi_Z).predict(feature_ND)


def _standard_score(feature_ZD: Float, phi_Z: Float, feature_ND: Float, phi_N: Float) -> Float:
    residual_Z, residual_N = _residuals(feature_ZD, phi_Z, feature_ND, phi_N)
    # The floor lets the fit go on where all residuals are 0.
    deviation_Z = np.maximum(np.abs(residual_Z), _SIGMA_FLOOR)
    deviation_N = _regressor("poisson").fit(feature_ZD, deviation_Z).predict(feature_ND)
    return residual_N / (np.sqrt(np.pi / 2) * deviation_N)


def _level_score(feature_ZD: Float, phi_Z: Float, feature_ND: Float, phi_N: Float) -> Float:
    residual_Z, residual_N = _residuals(feature_ZD, phi_Z, feature_ND, phi_N)
    fits = [_regressor("quantile", level).fit(feature_ZD, residual_Z) for level in LEVELS]
    quantile_NL = np.sort(np.stack([fit.predict(feature_ND) for fit in fits], axis=1), axis=1)
    return interpolated_level(residual_N, quantile_NL, np.array(LEVELS))
