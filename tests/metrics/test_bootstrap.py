import numpy as np
import pytest
from scipy.stats import norm

from shadowmill.metrics import bootstrap, ranking, resampling
from shadowmill.metrics.bootstrap import class_bootstrap, paired_bootstrap, two_way_bootstrap
from shadowmill.metrics.resampling import draw_weights

FPRS = [0.1, 0.2]


def case(num_models, num_examples, *, seed=0, decimals=9):
    rng = np.random.default_rng(seed)
    member_MN = rng.random((num_models, num_examples)) < 0.5
    return np.round(rng.normal(size=member_MN.shape) + member_MN, decimals), member_MN


def naive_tpr(scores, member, fpr):
    allowed = np.floor(fpr * np.sum(~member) + 1e-9)
    return max(
        (
            np.mean(scores[member] >= threshold)
            for threshold in scores
            if np.sum(scores[~member] >= threshold) <= allowed
        ),
        default=0.0,
    )


def naive_statistics(scores_MN, member_MN, nonmember_MN, weight_M, weight_N):
    """Write every resampled pair out, and measure the lists with the plain metrics."""
    rows = np.repeat(np.arange(len(weight_M)), weight_M.astype(int))
    columns = np.repeat(np.arange(len(weight_N)), weight_N.astype(int))
    lists = []
    for row in rows:
        used = columns[member_MN[row, columns] | nonmember_MN[row, columns]]
        lists.append((scores_MN[row, used], member_MN[row, used]))
    pooled = tuple(np.concatenate(part) for part in zip(*lists, strict=True))

    def measure(scores, member):
        return [ranking.auc(scores, member), *(naive_tpr(scores, member, fpr) for fpr in FPRS)]

    return np.array([np.mean([measure(*one) for one in lists], axis=0), measure(*pooled)])


@pytest.mark.parametrize("decimals", [9, 1, 0])
@pytest.mark.parametrize("unused", [0.0, 0.2])
def test_equals_naive_resampling(decimals, unused):
    scores_MN, member_MN = case(4, 40, decimals=decimals)
    used_MN = np.random.default_rng(1).random(member_MN.shape) >= unused
    member_MN, nonmember_MN = member_MN & used_MN, ~member_MN & used_MN
    result = two_way_bootstrap(
        scores_MN, member_MN, FPRS, 12, seed=3, confidence=0.8, nonmember_MN=nonmember_MN
    )
    arguments = scores_MN, member_MN, nonmember_MN
    replicates = [
        naive_statistics(*arguments, *weights) for weights in draw_weights((4, 40), 12, 3)
    ]
    values = naive_statistics(*arguments, np.ones(4), np.ones(40))
    bias = np.mean(replicates, axis=0) - values
    low, high = np.clip(np.quantile(replicates, [0.1, 0.9], axis=0) - bias, 0, 1)
    for row, aggregate in enumerate(["mean", "pooled"]):
        for column, name in enumerate(["auc", "tpr_at_fpr_0.1", "tpr_at_fpr_0.2"]):
            expected = values[row, column], low[row, column], high[row, column]
            assert result[name, aggregate] == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_values_are_the_plain_metrics():
    scores_MN, member_MN = case(5, 300, decimals=1)
    result = two_way_bootstrap(scores_MN, member_MN, [0.01], 2, seed=0)
    rows = list(zip(scores_MN, member_MN, strict=True))
    for name, metric in (
        ("auc", ranking.auc),
        ("tpr_at_fpr_0.01", lambda *row: ranking.tpr_at_fpr(*row, 0.01)),
    ):
        assert result[name, "mean"].value == pytest.approx(np.mean([metric(*row) for row in rows]))
        pooled = metric(scores_MN.ravel(), member_MN.ravel())
        assert result[name, "pooled"].value == pytest.approx(pooled)


def test_constant_scores():
    _, member_MN = case(5, 60)
    result = two_way_bootstrap(np.zeros((5, 60)), member_MN, FPRS, 20, seed=0)
    # None is found, of the n examples that are members of some model: 0.025 = (1 - p)^n.
    members = member_MN.any(axis=0).sum()
    assert 50 < members < 60
    limit = pytest.approx(1 - 0.025 ** (1 / members))
    for (name, _), estimate in result.items():
        assert estimate == ((0.5,) * 3 if name == "auc" else (0, 0, limit))


def test_a_rate_of_one_has_an_interval():
    _, member_MN = case(5, 60)
    member_MN[:, :10] = True
    members, nonmembers = (role_MN.any(axis=0).sum() for role_MN in (member_MN, ~member_MN))
    assert nonmembers < members
    result = two_way_bootstrap(member_MN.astype(float), member_MN, [0.1], 20, seed=0)
    for (name, _), estimate in result.items():
        trials = nonmembers if name == "auc" else members
        assert estimate == (1, pytest.approx(0.025 ** (1 / trials)), 1)


def test_seed_decides():
    scores_MN, member_MN = case(5, 100)
    first, again, other = (
        two_way_bootstrap(scores_MN, member_MN, FPRS, 30, seed=seed) for seed in (1, 1, 2)
    )
    assert first == again
    assert first["auc", "mean"].value == other["auc", "mean"].value
    assert first["auc", "mean"].low != other["auc", "mean"].low


def test_fpr_that_only_the_pool_resolves():
    scores_MN, member_MN = case(10, 100)
    result = two_way_bootstrap(scores_MN, member_MN, [0.01, 1e-5], 10, seed=0)
    assert np.isnan(result["tpr_at_fpr_0.01", "mean"]).all()
    assert np.isfinite(result["tpr_at_fpr_0.01", "pooled"]).all()
    assert np.isnan(result["tpr_at_fpr_1e-05", "pooled"]).all()
    assert np.isfinite(result["auc", "mean"]).all()


@pytest.mark.long
def test_covers_when_examples_differ():
    """Half of the examples leak (d = 3), half do not: which ones are drawn is most of the noise."""
    rng = np.random.default_rng(0)
    truth = (0.5 + norm.cdf(3 / np.sqrt(2))) / 2
    hits, widths, values = 0, [], []
    for seed in range(80):
        member_MN = rng.random((24, 150)) < 0.5
        leak_N = 3.0 * (rng.random(150) < 0.5)
        scores_MN = rng.normal(size=(24, 150)) + member_MN * leak_N
        value, low, high = two_way_bootstrap(scores_MN, member_MN, [], 60, seed)["auc", "mean"]
        hits += low < truth < high
        widths.append(high - low)
        values.append(value)
    assert hits / 80 >= 0.86
    # Neither too narrow (resampled models alone give less than half) nor far too wide.
    assert 0.8 < np.mean(widths) / (2 * 1.96 * np.std(values)) < 1.4


def test_pairs_that_count_for_nothing_may_be_nan():
    scores_MN, member_MN = case(5, 100)
    aside_MN = np.random.default_rng(1).random(member_MN.shape) < 0.2
    roles = {"member_MN": member_MN & ~aside_MN, "nonmember_MN": ~member_MN & ~aside_MN}
    expected = two_way_bootstrap(scores_MN, fprs=FPRS, replicates=20, seed=0, **roles)
    scores_MN[aside_MN] = np.nan
    assert two_way_bootstrap(scores_MN, fprs=FPRS, replicates=20, seed=0, **roles) == expected


def test_the_order_of_the_models_changes_no_value():
    scores_MN, member_MN = case(5, 100, decimals=1)
    order_M = np.random.default_rng(2).permutation(5)
    first = two_way_bootstrap(scores_MN, member_MN, FPRS, 20, seed=0)
    other = two_way_bootstrap(scores_MN[order_M], member_MN[order_M], FPRS, 20, seed=0)
    for key, estimate in first.items():
        assert other[key].value == pytest.approx(estimate.value, rel=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scores_MN": np.zeros((3, 9))}, r"scores have shape \(3, 9\)"),
        (
            {"member_MN": np.ones((3, 10), dtype=bool)},
            r"models \[0, 1, 2\] of 3 have no non-member",
        ),
        ({"member_MN": np.zeros((3, 10), dtype=bool)}, "have no member, expected"),
        (
            {"nonmember_MN": np.ones((3, 10), dtype=np.int8)},
            "expected one shape .* and bool labels",
        ),
    ],
)
def test_errors(change, message):
    member_MN = np.tile([True, False], (3, 5))
    arguments = {
        "scores_MN": np.zeros((3, 10)),
        "member_MN": member_MN,
        "fprs": [0.5],
        "replicates": 5,
        "seed": 0,
    }
    with pytest.raises(ValueError, match=message):
        two_way_bootstrap(**arguments | change)


ONE = (np.zeros((1, 4)), np.array([[True, False, True, False]]))
# Of the first, a mean of 0.8 is a bias of -0.1 and the quantiles are 0.61 and 0.99.
HIGH, LOW = (0.9, 0.71, 1), (0.1, 0, 0.29)


@pytest.mark.parametrize(
    ("call", "value_J", "expected"),
    [
        (lambda: two_way_bootstrap(*ONE, [], 2, 0), [0.9, 0.1], [HIGH, LOW]),
        (
            lambda: class_bootstrap(*ONE, np.array([0, 0, 1, 1]), [], 2, 0)[0],
            [0.9, 0.1],
            [HIGH, LOW],
        ),
        (
            lambda: paired_bootstrap(ONE[0], *ONE, [], 2, 0),
            [0.9, 0.0, 0.0, 0.9],
            [HIGH, (-0.9, -1, -0.71)],
        ),
    ],
)
def test_limits_stay_within_what_is_possible(monkeypatch, call, value_J, expected):
    value_J1 = np.array(value_J)[:, None]
    higher_J1, lower_J1 = (
        np.where(value_J1 == 0, 0, np.where(value_J1 == 0.9, *at)) for at in ((1, 0), (0.6, 0.4))
    )
    replicates = np.array([higher_J1, lower_J1])
    # Of a class one statistic, otherwise those of both aggregates side by side.
    shape = (-1, 1) if "class_bootstrap" in call.__code__.co_names else (-1, 2)
    resampled = value_J1.reshape(shape), replicates.reshape(2, *value_J1.reshape(shape).shape)
    monkeypatch.setattr(bootstrap, "resample", lambda *_: resampled)
    assert [each[:3] for each in call().values()] == [pytest.approx(each) for each in expected]


@pytest.mark.parametrize(
    ("shape", "expected"), [((1, 2**31 - 1), np.int32), ((2**16, 2**15), np.int64)]
)
def test_weights_are_wide_enough_for_the_sum_of_all_pairs(shape, expected):
    # All weight may fall on one pair: that of the model and the example drawn every time.
    assert np.iinfo(expected).max >= shape[0] * shape[1]
    assert resampling._weight_type(shape, None) is expected
    assert resampling._weight_type(shape, np.zeros(1, np.intp)) is np.int64  # of any size


@pytest.mark.parametrize("decimals", [9, 1])
@pytest.mark.parametrize("cells", [2, 7, 40])
def test_cells_of_the_one_ranking_leave_its_tprs_exact(monkeypatch, decimals, cells):
    monkeypatch.setattr(resampling, "_CELLS", cells)
    scores_MN, member_MN = case(6, 200, decimals=decimals)
    roles = member_MN, ~member_MN
    measure = resampling.MeanAndPooled(scores_MN, *roles, FPRS)
    drawn = list(draw_weights(scores_MN.shape, 10, 1))
    found_RS = measure(*map(np.stack, zip(*drawn, strict=True)))
    for weights, found_S in zip(drawn, found_RS, strict=True):
        mean_S, pooled_S = naive_statistics(scores_MN, *roles, *weights)
        np.testing.assert_allclose(found_S[: len(mean_S)], mean_S, rtol=1e-12)
        np.testing.assert_allclose(found_S[len(mean_S) + 1 :], pooled_S[1:], rtol=1e-12)
        # Half of the pairs within a cell are right by chance; at worst all are, or none.
        assert abs(found_S[len(mean_S)] - pooled_S[0]) < 0.5 / (cells - 1)


def test_the_error_of_the_cells_is_small():
    scores_MN, member_MN = case(20, 3000, decimals=9)
    roles = member_MN, ~member_MN
    measure = resampling.MeanAndPooled(scores_MN, *roles, FPRS)
    exact = resampling.Pooled(scores_MN, *roles, FPRS)
    weights = [np.stack(each) for each in zip(*draw_weights(scores_MN.shape, 5, 0), strict=True)]
    pooled_RS, exact_RS = measure(*weights)[:, 1 + len(FPRS) :], exact(*weights)
    np.testing.assert_array_equal(pooled_RS[:, 1:], exact_RS[:, 1:])
    assert np.abs(pooled_RS[:, 0] - exact_RS[:, 0]).max() < 2e-6
