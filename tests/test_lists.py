"""Lists of examples that the user gives, and the roles that come of them."""

import re

import numpy as np
import pytest

from shadowmill import roles
from shadowmill.errors import DataError
from shadowmill.roles import MEMBER, NON_MEMBER, UNUSED
from shadowmill.roles.given import read_given
from shadowmill.roles.lists import read_list

# Four of the training part, two of the test part.
IDS = np.array(["a.png", "b.png", "7", "d d.png", "e.png", "f,1.png"])
EXPECTED = [1, 2, 5]


def saved(path, array):
    np.save(path, array)
    return str(path)


def written(path, text):
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("name", "content", "ids"),
    [
        ("a.npy", np.array([False, True, True, False, False, True]), None),
        ("a.npy", np.array([5, 1, 2], np.int32), None),
        ("a.npy", np.array([5, 1, 2], np.uint8), IDS),
        ("a.npy", IDS[[2, 5, 1]], IDS),
        ("a.npy", IDS[[2, 5, 1]].astype("S"), IDS),
        ("a.txt", "5\n\n1\n 2 \n", None),
        ("a.txt", "f,1.png\n7\nb.png", IDS),
        ("a.csv", '\ufeffname,x\nb.png,1\n"f,1.png",2\n7,3\n', IDS),
        ("a.csv", "index\n2\n5\n1\n", None),
        ("a.csv", "2,1\n5,1\n1,1\n", None),
    ],
)
def test_ways_to_list_the_same_examples(tmp_path, name, content, ids):
    path = (saved if name.endswith(".npy") else written)(tmp_path / name, content)
    found = read_list(path, 4, 6, ids)
    assert found.dtype == np.int64
    assert found.tolist() == EXPECTED


def test_ids_of_several_examples_are_not_guessed(tmp_path):
    ids = np.array(["a", "b", "a", "c"])
    with pytest.raises(DataError, match="several examples are called a, so it is not clear"):
        read_list(written(tmp_path / "a.txt", "a\nc\n"), 4, 4, ids)
    assert read_list(written(tmp_path / "a.txt", "b\nc\n"), 4, 4, ids).tolist() == [1, 3]


def test_truth_values_of_the_training_part_alone(tmp_path):
    path = saved(tmp_path / "a.npy", np.array([True, False, False, True]))
    assert read_list(path, 4, 6, None).tolist() == [0, 3]


@pytest.mark.parametrize(
    ("name", "content", "ids", "message"),
    [
        (
            "a.npy",
            np.array([True] * 5),
            None,
            "5 truth values. The data set has 6 examples, the fir",
        ),
        ("a.npy", np.array([0.0, 1.0]), None, "its numbers are float64, expected truth values"),
        ("a.npy", np.array([[1, 2]]), None, "its shape is (1, 2), expected a list with one axis"),
        ("a.npy", np.array([1, {}], object), None, "no NumPy array of numbers"),
        ("a.npy", np.array([1, 6]), None, "6: no index of the 6 examples, which go from 0 to 5"),
        ("a.npy", np.array([-1]), None, "-1: no index"),
        ("a.npy", np.array([1, 2, 1]), None, "example 1 is listed twice"),
        ("a.npy", np.array([], int), None, "it lists no example"),
        ("a.npy", np.array(["a.png"]), None, "but the data set has no ids"),
        ("a.txt", "a.png\n", None, "a.png: no whole numbers. The data set has no ids"),
        ("a.txt", "1\n-2\n", None, "-2: no whole numbers"),
        ("a.txt", "a.png\nA.png\n1\n", IDS, "2 of 3 ids are not in the data set: A.png, 1. Ids"),
        ("a.txt", "a.png\na.png\n", IDS, "example 0 is listed twice"),
        ("a.txt", "\n", IDS, "it lists no example"),
        ("a.csv", "index\n", None, "it lists no example"),
    ],
)
def test_lists_that_cannot_be(tmp_path, name, content, ids, message):
    path = tmp_path / name
    if name.endswith(".npy"):
        np.save(path, content, allow_pickle=True)
    else:
        path.write_text(content)
    with pytest.raises(DataError, match=re.escape(message)) as error:
        read_list(str(path), 4, 6, ids)
    assert str(error.value).startswith(str(path))


@pytest.mark.parametrize("name", ["a.npy", "a.txt", "a.csv"])
def test_damaged_and_missing_lists(tmp_path, name):
    path = tmp_path / name
    with pytest.raises(DataError, match="there is no such file"):
        read_list(str(path), 4, 6, None)
    path.write_bytes(b"\x93NUMPY\x01\x00\xff\xff{")
    with pytest.raises(DataError, match=r"damaged|cannot be read as text"):
        read_list(str(path), 4, 6, None)


def lists(tmp_path, **indices):
    return {
        name: saved(tmp_path / f"{name}.npy", np.array(values)) for name, values in indices.items()
    }


def test_without_a_list_the_rest_of_the_training_part_was_held_out(tmp_path):
    given, covered = read_given({"mine": lists(tmp_path, members=[0, 2])}, 4, 6, None, None)
    assert given["mine"].held_out.tolist() == [1, 3]
    assert covered == 4
    assert given["mine"].row(4, None).tolist() == [MEMBER, NON_MEMBER, MEMBER, NON_MEMBER]


def test_lists_may_reach_into_the_test_part(tmp_path):
    asked = {"mine": lists(tmp_path, members=[0, 1, 2, 3], held_out=[5])}
    given, covered = read_given(asked, 4, 6, None, None)
    assert covered == 6
    assert given["mine"].row(6, None).tolist() == [MEMBER] * 4 + [UNUSED, NON_MEMBER]


@pytest.mark.parametrize(
    ("indices", "group_N", "message"),
    [
        ({"members": [0, 1, 2, 3]}, None, "lists the whole training part"),
        (
            {"members": [0, 1], "held_out": [1, 2]},
            None,
            "1 examples, the first is number 1, are in",
        ),
        (
            {"members": [0, 1], "held_out": [2]},
            np.array([0, 1, 1, 2, 3, 3]),
            "1 groups are in part",
        ),
    ],
)
def test_lists_that_do_not_go_together(tmp_path, indices, group_N, message):
    with pytest.raises(DataError, match=message):
        read_given({"mine": lists(tmp_path, **indices)}, 4, 6, None, group_N)


@pytest.fixture
def given(tmp_path):
    """Two models that were trained on 30 of 100 examples each."""
    asked = {
        "one": lists(tmp_path, members=list(range(30)), held_out=list(range(40, 50))),
        "two": lists(tmp_path / "two", members=list(range(10, 40)), held_out=list(range(50, 60))),
    }
    return read_given(asked, 100, 100, None, None)[0]


@pytest.fixture(autouse=True)
def folder(tmp_path):
    (tmp_path / "two").mkdir()


def drawn(path, models, given, **settings):
    roles.draw(path, models, 100, 0, given=given, **settings)
    return roles.load(path)


def test_models_have_the_members_they_were_given(tmp_path, given):
    found = drawn(tmp_path / "roles.h5", {"target-two": ("given", "two")}, given)
    expected = np.full(100, UNUSED)
    expected[10:40], expected[50:60] = MEMBER, NON_MEMBER
    np.testing.assert_array_equal(found.roles_MN, [expected])
    assert found.epoch_size == 30


def test_shadows_are_those_of_a_study_without_finished_models(tmp_path, given):
    keys = {f"shadow-00-{k}": ("shadow", k) for k in range(4)}
    beside = drawn(tmp_path / "a.h5", keys, given)
    alone = drawn(tmp_path / "b.h5", keys, None)
    np.testing.assert_array_equal(beside.roles_MN, alone.roles_MN)
    assert beside.epoch_size == alone.epoch_size == 50


def test_groups_are_in_a_list_as_a_whole(tmp_path):
    group_N = np.arange(100) // 4
    asked = {"one": lists(tmp_path, members=list(range(32)), held_out=list(range(60, 80)))}
    given = read_given(asked, 100, 100, None, group_N)[0]
    found = drawn(tmp_path / "roles.h5", {"target-one": ("given", "one")}, given, group_N=group_N)
    np.testing.assert_array_equal(found.roles_MN[0], given["one"].row(100, None))
    assert (found.roles_MN[0] == MEMBER).sum() == 32
    asked["one"] = lists(tmp_path, members=list(range(32)), held_out=list(range(61, 80)))
    with pytest.raises(DataError, match="1 groups are in part among members or held-out"):
        read_given(asked, 100, 100, None, group_N)
