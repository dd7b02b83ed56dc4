"""Orders of the examples, and roles of targets that train on their first ones."""

import re

import numpy as np
import pytest

from shadowmill import roles, storage
from shadowmill.errors import DataError
from shadowmill.provenance import array_digest
from shadowmill.roles import MEMBER
from shadowmill.roles.order import read_order, read_scores, score_order


def drawn(tmp_path, models, num_examples, **settings):
    roles.draw(tmp_path / "drawn.h5", models, num_examples, 5, **settings)
    return roles.load(tmp_path / "drawn.h5")


# By score. Ascending, the examples are 4, 1, 3, 0, 2: 1 and 3 are tied.

SCORES = np.array([0.5, -1.0, 7.25, -1.0, -3.0])
TABLE = "example,label,score\n2,9,7.25\n0,9,0.5\n4,9,-3\n1,9,-1\n3,9,-1.0\n"


@pytest.fixture(params=["npy", "csv"])
def scores_path(request, tmp_path):
    path = tmp_path / f"scores.{request.param}"
    if request.param == "npy":
        np.save(path, SCORES)
    else:
        path.write_text(TABLE)
    return path


def test_scores_are_read_by_example(scores_path):
    np.testing.assert_array_equal(read_scores(scores_path, 5), SCORES)
    np.testing.assert_array_equal(read_scores(str(scores_path), 5), SCORES)


def test_ties_of_scores_go_by_index():
    assert score_order(SCORES).tolist() == [4, 1, 3, 0, 2]
    expected = [*range(0, 1000, 2), *range(1, 1000, 2)]
    assert score_order(np.arange(1000) % 2).tolist() == expected


@pytest.mark.parametrize(("size", "members"), [(1, [4]), (2, [1, 4]), (3, [1, 3, 4])])
def test_prefixes_by_score(tmp_path, scores_path, size, members):
    models = {"target": ["prefix", 0, size]}
    matrix = drawn(tmp_path, models, num_examples=5, scores_path=scores_path)
    assert np.flatnonzero(matrix.roles_MN[0] == MEMBER).tolist() == members
    with storage.open_hdf5(tmp_path / "drawn.h5") as file:
        settings = storage.attribute(file)["settings"]
    assert settings["protocol"] == "prefix"
    assert settings["order_digest"] == array_digest(SCORES)


@pytest.mark.parametrize(
    ("scores", "complaint"),
    [
        (SCORES[:4], r"shape \(4,\), but the pool has 5"),
        (SCORES[None], r"shape \(1, 5\)"),
        (np.array([0, 1, np.nan, 3, np.nan]), "example 2 is NaN"),
        (np.array(list("abcde")), "must be numbers, found <U1"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path, scores, complaint):
    np.save(tmp_path / "scores.npy", scores)
    with pytest.raises(DataError, match=rf"scores\.npy: .*{complaint}"):
        read_scores(tmp_path / "scores.npy", 5)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("example,score\n0,1\n1,2\n", "example 2 is missing"),
        ("example,score\n0,1\n1,2\n2,0\n1,2\n", "example 1 is listed more than once"),
        ("example,score\n0,1\n1,2\n3,0\n", "example 3 is none of the 3.*from 0 to 2"),
        ("example,score\n0,1\n1,2\n-1,0\n", "example -1 is none of the 3"),
        ("example,score\n0,1\n1,\n2,0\n", "example 1 is NaN"),
        ("example,score\n0,1\n1,high\n2,0\n", "must be numbers"),
        ("example,score\n0,1\n1.5,1\n2,0\n", "whole numbers"),
        ("index,score\n0,1\n", "no column example; found index, score"),
        ("1\n2\n3\n", "no column example and score; found 1"),
        ("", "cannot be read"),
        ("example,score\n0,1\n1,2,3,4\n", "cannot be read"),
    ],
)
def test_tables_that_do_not_fit_are_refused(tmp_path, text, complaint):
    (tmp_path / "scores.csv").write_text(text)
    with pytest.raises(DataError, match=rf"scores\.csv: .*{complaint}"):
        read_scores(tmp_path / "scores.csv", 3)


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("gone.npy", "no such file"),
        ("gone.csv", "no such file"),
        ("scores.txt", r"\.npy or \.csv"),
        ("torn.npy", "cannot be read"),
    ],
)
def test_unreadable_scores_are_named(tmp_path, name, complaint):
    (tmp_path / "torn.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(DataError, match=f"{re.escape(name)}: .*{complaint}"):
        read_scores(tmp_path / name, 5)


# As they are.


def test_an_order_is_taken_as_it_is(tmp_path):
    order = np.array([3, 0, 4, 1, 2], np.int32)
    np.save(tmp_path / "order.npy", order)
    for size in (1, 3):
        models = {"target": ("prefix", 1, size)}
        matrix = drawn(tmp_path, models, num_examples=5, order_path=tmp_path / "order.npy")
        assert set(np.flatnonzero(matrix.roles_MN[0] == MEMBER)) == set(order[:size])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0.5, 0.1, 0.2], r"an array \(3,\) of float64, but an order .* from 0 to 2 once"),
        ([0, 1, 1], "each whole number from 0 to 2 once"),
        ([0, 1, 2, 3], r"an array \(4,\)"),
        (["a", "b", "c"], "under subsets.scores"),
    ],
)
def test_what_is_no_order_is_refused(tmp_path, values, message):
    np.save(tmp_path / "order.npy", np.array(values))
    with pytest.raises(DataError, match=message):
        read_order(tmp_path / "order.npy", 3)


def test_a_published_permutation_is_not_taken_for_scores(tmp_path):
    np.save(tmp_path / "sorted.npy", np.array([2, 0, 1]))
    with pytest.raises(
        DataError, match=r"an order of the examples, and no scores .*subsets\.order"
    ):
        read_scores(tmp_path / "sorted.npy", 3)
    np.save(tmp_path / "sorted.npy", np.array([2, 0, 2]))
    assert read_scores(tmp_path / "sorted.npy", 3).tolist() == [2, 0, 2]


def test_a_missing_order_is_told(tmp_path):
    with pytest.raises(DataError, match="no such file; it should hold an order"):
        read_order(tmp_path / "order.npy", 3)
    with pytest.raises(DataError, match=r"is read from a \.npy file"):
        read_order(tmp_path / "order.csv", 3)
