import numpy as np

from shadowmill.metrics.multiplicity import holm


def test_by_hand():
    # 0.01 · 4 = 0.04; 0.02 · 3 = 0.06; 0.03 · 2 = 0.06; 0.5 · 1.
    np.testing.assert_allclose(holm(np.array([0.03, 0.5, 0.01, 0.02])), [0.06, 0.5, 0.04, 0.06])
    # 0.011 · 3 = 0.033, and 0.012 · 2 = 0.024 may not fall below it.
    np.testing.assert_allclose(holm(np.array([0.012, 0.011, 0.9])), [0.033, 0.033, 0.9])


def test_bounds():
    assert holm(np.array([0.04])).tolist() == [0.04]
    assert holm(np.array([0.6, 0.7])).tolist() == [1, 1]
    assert holm(np.array([])).tolist() == []


def test_what_was_not_tested_counts_for_nothing():
    found = holm(np.array([np.nan, 0.02, np.nan, 0.01]))
    np.testing.assert_allclose(found, [np.nan, 0.02, np.nan, 0.02])
    assert np.isnan(holm(np.array([np.nan, np.nan]))).all()


def test_rejects_as_the_step_down_procedure_does():
    p_P = np.random.default_rng(0).beta(0.3, 3, size=40)
    for level in (0.01, 0.05, 0.2):
        rejected = set()
        for step, index in enumerate(np.argsort(p_P)):
            if p_P[index] > level / (40 - step):
                break
            rejected.add(index)
        assert set(np.flatnonzero(holm(p_P) <= level)) == rejected
        assert 0 < len(rejected) < 40


def test_the_order_changes_nothing():
    rng = np.random.default_rng(1)
    p_P, order = rng.random(20) ** 3, rng.permutation(20)
    np.testing.assert_array_equal(holm(p_P[order]), holm(p_P)[order])
