"""Rates of reconstruction: counted, of Gaussian fits, and their bootstrapped intervals."""

import numpy as np
import pytest
from scipy.special import erf, erfinv, expit
from scipy.stats import norm

from shadowmill.metrics.intervals import clopper_pearson
from shadowmill.metrics.reconstruction import (
    METHODS,
    Gaussians,
    analytic_tpr,
    fit_gaussians,
    log_likelihood_ratio,
    logit_mse,
    rates_at_fprs,
    rates_at_thresholds,
)
from shadowmill.metrics.resampling import draw_weights

FPRS = (0.01, 0.1, 0.3)


def sample(heads, groups, seed=0, truth=(-4.0, 0.8, -2.5, 0.5), decimals=9):
    """Min-MSE under H0 and H1 whose logits are Gaussian, perhaps with ties."""
    random = np.random.default_rng(seed)
    shape = (heads, groups)
    phi = random.normal(*truth[:2], shape), random.normal(*truth[2:], shape)
    return [np.round(4 * expit(each), decimals) for each in phi]


# Slow twins.


def slow_tpr(score_h0, score_h1, fpr):
    """The largest share under H0 of any threshold that keeps to the FPR."""
    allowed = [
        threshold
        for threshold in {*score_h0.flat, *score_h1.flat, np.inf}
        if sum(score >= threshold for score in score_h1.flat) <= fpr * score_h1.size + 1e-9
    ]
    return sum(score >= min(allowed) for score in score_h0.flat) / score_h0.size


def slow_ratio(h0, h1):
    phi = [np.log(h / 4) - np.log(1 - h / 4) for h in (h0, h1)]
    fits = [(each.mean(), each.std()) for each in phi]
    return [norm.logpdf(each, *fits[0]) - norm.logpdf(each, *fits[1]) for each in phi]


def slow_analytic(h0, h1, fpr):
    """As published, with erf."""
    (mu0, sd0), (mu1, sd1) = (
        (each.mean(), each.std()) for each in (np.log(h / (4 - h)) for h in (h0, h1))
    )
    inside = (mu0 - mu1) / (np.sqrt(2) * sd0) + sd1 / sd0 * erfinv(1 - 2 * fpr)
    return (1 - erf(inside)) / 2


def slow_rates(h0, h1):
    return np.array(
        [
            [slow_tpr(-h0, -h1, fpr) for fpr in FPRS],
            [slow_tpr(*slow_ratio(h0, h1), fpr) for fpr in FPRS],
            [slow_analytic(h0, h1, fpr) for fpr in FPRS],
        ]
    )


# Values.


def test_logit_by_hand_and_at_the_ends():
    # 1 of 4 is ¼, odds of 1 to 3.
    assert logit_mse(np.array([1.0, 2.0])) == pytest.approx([np.log(1 / 3), 0])
    assert np.isfinite(logit_mse(np.array([0.0, 4.0]))).all()


def test_fits_by_hand():
    fit = fit_gaussians(np.array([1.0, 3.0]), np.array([0.0, 0.0, 3.0]))
    assert fit == pytest.approx((2, 1, 1, np.sqrt(2)))  # divided by 2 and by 3
    weighted = fit_gaussians(np.array([1.0, 3.0]), np.array([0.0, 3.0]), np.array([2, 1]))
    assert weighted[2:] == pytest.approx((1, np.sqrt(2)))


def test_likelihood_ratio_is_that_of_the_densities():
    phi, fit = np.linspace(-6, 2, 9), Gaussians(-3.0, 0.7, -1.0, 1.3)
    expected = norm.logpdf(phi, -3, 0.7) - norm.logpdf(phi, -1, 1.3)
    assert log_likelihood_ratio(phi, fit) == pytest.approx(expected)


@pytest.mark.parametrize("fpr", [1e-6, 0.01, 0.5, 1.0])
def test_analytic_rate_is_the_published_formula(fpr):
    fit = Gaussians(-3.0, 0.7, -1.0, 1.3)
    inside = (-3 + 1) / (np.sqrt(2) * 0.7) + 1.3 / 0.7 * erfinv(1 - 2 * fpr)
    assert analytic_tpr(fit, fpr) == pytest.approx((1 - erf(inside)) / 2, rel=1e-6)


def test_analytic_rate_of_equal_hypotheses_is_the_fpr():
    assert analytic_tpr(Gaussians(1.0, 2.0, 1.0, 2.0), np.array(FPRS)) == pytest.approx(FPRS)


@pytest.mark.parametrize("decimals", [9, 2], ids=["distinct", "ties"])
def test_rates_equal_those_of_slow_loops(decimals):
    h0, h1 = sample(20, 5, decimals=decimals)
    if decimals == 2:
        h0, h1 = np.maximum(h0, 0.01), np.maximum(h1, 0.01)
    found = rates_at_fprs(h0, h1, FPRS, 2, seed=0)
    assert [(r.method, r.fpr) for r in found] == [(m, fpr) for m in METHODS for fpr in FPRS]
    assert [r.tpr for r in found] == pytest.approx(slow_rates(h0, h1).ravel())
    wins = (h0.ravel()[:, None] < h1.ravel()) + (h0.ravel()[:, None] == h1.ravel()) / 2
    assert [r.auc for r in found] == pytest.approx([wins.mean()] * 3 + [np.nan] * 6, nan_ok=True)


def test_thresholds_bring_the_rates():
    h0, h1 = sample(30, 4)
    empirical, ratio, analytic = (
        [r for r in rates_at_fprs(h0, h1, FPRS, 2, seed=0) if r.method == method]
        for method in METHODS
    )
    llr_h0, llr_h1 = slow_ratio(h0, h1)
    phi_h1 = logit_mse(h1)
    for s, fpr in enumerate(FPRS):
        assert (h0 <= empirical[s].threshold).mean() == empirical[s].tpr
        assert (h1 <= empirical[s].threshold).mean() <= fpr
        # The threshold is a score itself; twins round differently.
        assert (llr_h0 >= ratio[s].threshold - 1e-9).mean() == pytest.approx(ratio[s].tpr)
        assert (llr_h1 >= ratio[s].threshold + 1e-9).mean() <= fpr
        place = norm.cdf(logit_mse(analytic[s].threshold), phi_h1.mean(), phi_h1.std())
        assert place == pytest.approx(fpr)


def test_fixed_thresholds_by_hand():
    h0 = np.array([[0.01, 0.2], [0.05, 0.05], [0.3, 0.06]])
    h1 = np.array([[0.5, 0.05], [0.6, 0.7], [0.8, 0.9]])
    found = rates_at_thresholds(h0, h1, {"a": 0.05, "b": 1.0}, 10, seed=0)
    assert [r.method for r in found] == ["a", "b"]
    assert [r.tpr for r in found] == [0.5, 1.0]  # equal to a threshold is a success
    assert [r.fpr for r in found] == pytest.approx([1 / 6, 1.0])
    assert [r.threshold for r in found] == [0.05, 1.0]
    assert (found[1].low, found[1].high) == (1, 1)


def test_large_samples_approach_the_truth():
    truth = Gaussians(-4.0, 0.8, -2.5, 0.5)
    h0, h1 = sample(20_000, 1, seed=1, truth=truth)
    found = rates_at_fprs(h0, h1, FPRS, 2, seed=0)
    for rate in found:
        if rate.method != "neyman_pearson":
            assert rate.tpr == pytest.approx(analytic_tpr(truth, rate.fpr), abs=0.02)


def test_without_a_difference_every_rate_is_the_fpr():
    h0, h1 = sample(4_000, 3, truth=(-3.0, 0.6, -3.0, 0.6))
    for rate in rates_at_fprs(h0, h1, FPRS, 50, seed=0):
        assert rate.tpr == pytest.approx(rate.fpr, abs=0.02)
        assert np.isnan(rate.auc) or rate.auc == pytest.approx(0.5, abs=0.02)


def test_the_likelihood_ratio_gains_where_a_threshold_cannot():
    """Equal means, other widths: successes lie on one side of the others for no threshold."""
    h0, h1 = sample(2_000, 1, truth=(-3.0, 0.2, -3.0, 2.0))
    rates = {r.method: r.tpr for r in rates_at_fprs(h0, h1, [0.1], 2, seed=0)}
    assert rates["neyman_pearson"] > 0.7
    assert rates["empirical"] < 0.05


# Intervals.


def slow_bootstrap(h0, h1, statistics, replicates, seed, *, groups):
    """Copies of heads, and of groups if these are drawn too."""
    values = []
    for weight_H, weight_G in draw_weights(h0.shape, replicates, seed):
        weight_G = weight_G if groups else np.ones_like(weight_G)
        drawn = [np.repeat(np.repeat(h, weight_H, axis=0), weight_G, axis=1) for h in (h0, h1)]
        values.append(statistics(*drawn))
    limits = np.quantile(values, [0.025, 0.975], axis=0)
    return np.clip(limits - (np.mean(values, axis=0) - statistics(h0, h1)), 0, 1)


def test_intervals_equal_those_of_copied_heads_and_groups():
    h0, h1 = sample(12, 3, truth=(-3.5, 0.8, -2.5, 0.8))
    found = rates_at_fprs(h0, h1, FPRS, 25, seed=4)
    limits = slow_bootstrap(h0, h1, slow_rates, 25, 4, groups=False).reshape(2, -1)
    # 36 reconstructions: 1 % of these is none.
    defined = [s for s, r in enumerate(found) if not np.isnan(r.tpr)]
    assert defined == [1, 2, 4, 5, 7, 8]
    both = slow_bootstrap(h0, h1, slow_rates, 25, 4, groups=True).reshape(2, -1)
    for s in defined:
        assert (found[s].low, found[s].high) == pytest.approx(limits[:, s])
        assert (found[s].low_groups, found[s].high_groups) == pytest.approx(both[:, s])


def test_intervals_at_thresholds_equal_those_of_copies():
    h0, h1 = sample(12, 3)
    (found,) = rates_at_thresholds(h0, h1, {"a": 0.08}, 40, seed=1)
    for groups, limits in ((False, found[3:5]), (True, found[5:7])):
        expected = slow_bootstrap(h0, h1, lambda h0, _: (h0 <= 0.08).mean(), 40, 1, groups=groups)
        assert limits == pytest.approx(expected)


def test_a_single_group_has_exact_limits_at_thresholds_and_none_over_groups():
    h0, h1 = sample(50, 1)
    (at_threshold,) = rates_at_thresholds(h0, h1, {"a": 0.08}, 10, seed=0)
    successes = int((h0 <= 0.08).sum())
    assert at_threshold[3:5] == clopper_pearson(successes, 50)
    for rate in (at_threshold, *rates_at_fprs(h0, h1, FPRS, 10, seed=0)):
        assert np.isnan((rate.low_groups, rate.high_groups)).all()


@pytest.mark.long
@pytest.mark.parametrize("method", METHODS)
def test_intervals_cover_the_truth(method):
    truth = Gaussians(-3.6, 0.7, -2.5, 0.7)  # equal widths: all three have the same true rate
    inside = []
    for seed in range(60):
        h0, h1 = sample(100, 1, seed, truth)
        (rate,) = (r for r in rates_at_fprs(h0, h1, [0.1], 60, seed=0) if r.method == method)
        inside.append(rate.low <= analytic_tpr(truth, 0.1) <= rate.high)
    assert np.mean(inside) >= 0.85


def test_groups_that_differ_widen_the_interval_over_groups():
    h0, h1 = sample(200, 6)
    h0[:, :3] = np.minimum(3 * h0[:, :3], 4)
    for rate in rates_at_fprs(h0, h1, [0.1], 100, seed=0):
        assert rate.high_groups - rate.low_groups > 2 * (rate.high - rate.low)


def test_heads_that_differ_count_as_one_each():
    """Ten groups that repeat each other say no more than one."""
    h0, h1 = sample(80, 1)
    alone = rates_at_fprs(h0, h1, [0.1], 100, seed=0)
    repeated = rates_at_fprs(np.tile(h0, 10), np.tile(h1, 10), [0.1], 100, seed=0)
    for one, many in zip(alone, repeated, strict=True):
        assert many.high - many.low > 0.6 * (one.high - one.low)


# What is undefined, and what is refused.


def test_fprs_below_one_reconstruction_are_undefined():
    for rate in rates_at_fprs(*sample(33, 3), [0.01, 0.0102], 5, seed=0):
        assert np.isnan(rate[2:8]).all() == (rate.fpr == 0.01)


def test_no_width_no_likelihood():
    h0, h1 = sample(15, 2)
    found = rates_at_fprs(np.full_like(h0, 0.1), h1, [0.1], 5, seed=0)
    assert [np.isnan(rate.tpr) for rate in found] == [False, True, True]
    assert not fit_gaussians(np.full(7, 0.1), np.arange(3.0)).proper


def test_perfect_reconstructions_have_finite_rates():
    h0, h1 = sample(20, 2)
    h0[::2] = 0
    assert np.isfinite([rate[2:7] for rate in rates_at_fprs(h0, h1, [0.1], 20, seed=0)]).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"h1": np.ones((4, 3))}, r"\(4, 2\) under H0 and \(4, 3\) under H1, expected one shape"),
        ({"h0": np.full((4, 2), 4.1)}, "under H0 is not within 0 to 4 throughout; scale pixels"),
        ({"h1": np.full((4, 2), np.nan)}, "under H1 is not within 0 to 4"),
    ],
)
@pytest.mark.parametrize("function", [rates_at_fprs, rates_at_thresholds])
def test_errors(function, change, message):
    h0, h1 = sample(4, 2)
    settings = {"h0": h0, "h1": h1} | change
    at = [0.5] if function is rates_at_fprs else {"a": 0.1}
    with pytest.raises(ValueError, match=message):
        function(settings["h0"], settings["h1"], at, 3, 0)
