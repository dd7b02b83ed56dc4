"""What is seen of examples that pass by: moments, and what the user should know."""

import numpy as np
import pytest

from shadowmill.data.inspection import Inspection, as_streamed, remarks
from shadowmill.data.readers import Examples
from shadowmill.errors import DataError
from shadowmill.large_arrays import Streamed


def inspected(inputs, pool_size, size=3):
    """Looked at some rows at a time."""
    seen = Inspection(inputs.shape, inputs.dtype, pool_size)
    parts = [inputs[k : k + size] for k in range(0, len(inputs), size)]
    np.testing.assert_array_equal(np.concatenate(list(seen.passing(parts))), inputs)
    return seen


@pytest.mark.parametrize("size", [1, 3, 100])
def test_moments_of_numbers_are_those_of_the_whole_pool(size):
    images = np.random.default_rng(0).normal(1e4, 0.1, (20, 5, 4, 2)).astype(np.float32)
    images[13:] += 1e6  # the test set
    mean, std = inspected(images, 13, size).moments()
    pool = images[:13].astype(np.float64)
    np.testing.assert_allclose(mean, pool.mean(axis=(0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(std, pool.std(axis=(0, 1, 2)), rtol=1e-9)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_the_deviation_of_a_constant_channel_is_one(dtype):
    images = np.random.default_rng(0).integers(0, 256, (20, 5, 4, 3)).astype(dtype)
    images[..., 1] = 77
    images[15:, ..., 1] = 3  # only the test set differs
    mean, std = inspected(images, 15).moments()
    assert std[1] == 1
    assert mean[1] == pytest.approx(77 / 255 if dtype == np.uint8 else 77)
    assert (std[[0, 2]] != 1).all()


def test_the_range_of_bytes_is_known_and_that_of_numbers_is_seen():
    images = np.arange(2 * 2 * 2, dtype=np.float32).reshape(2, 2, 2, 1) - 3
    assert inspected(images, 2).value_range == (-3, 4)
    assert inspected(images[1:].astype(np.uint8), 1).value_range == (0, 255)


# What is said


def examples(labels, test=(), ids=None, groups=None, names=("cat", "dog", "eel")):
    labels = np.array([*labels, *test])
    is_test = np.arange(len(labels)) >= len(labels) - len(test)
    inputs = np.arange(len(labels) * 2, dtype=np.float32).reshape(-1, 2)
    return Examples(inputs, labels, is_test, names, "here", ids=ids, groups=groups)


def said(of, inputs=None):
    inputs = of.inputs if inputs is None else np.array(inputs, np.float32)
    seen = inspected(inputs, int((~of.is_test).sum()))
    return list(remarks("skin", of, seen.digests))


MANY = [0, 1, 2] * 10


def test_nothing_is_said_of_ordinary_data():
    assert said(examples(MANY)) == []
    assert said(examples(MANY, [0, 1, 2])) == []


def test_one_class_is_refused():
    with pytest.raises(DataError, match="skin: all examples are of one class, cat"):
        said(examples([0] * 30, names=("cat",)))


def test_small_classes_are_named():
    assert said(examples(MANY[:-1])) == [
        "classes of fewer than 10 training examples, of which little can be told: eel (9)"
    ]


def test_classes_without_test_examples_are_named():
    assert said(examples(MANY, [0, 0])) == ["classes without test examples: dog, eel"]


def test_equal_examples_are_named():
    of = examples(MANY[:3] * 10, [0, 1, 2], ids=np.array([f"n{k}" for k in range(33)]))
    inputs = np.arange(33)[:, None].repeat(2, axis=1)
    inputs[9] = inputs[3]  # of one class
    inputs[31] = inputs[1]  # a test example
    assert said(of, inputs) == [
        "1 examples of the training part equal an earlier one exactly, a copy that is a member "
        "gives the other away: n9 = n3",
        "1 examples of the test part equal a training example exactly, they are no test of new "
        "examples: n31 = n1",
    ]


def test_equal_examples_of_different_classes_are_named_by_number():
    inputs = np.arange(30)[:, None].repeat(2, axis=1)
    inputs[7] = inputs[3]
    found = said(examples(MANY), inputs)
    assert found[-1] == "1 pairs of equal examples have different labels: 3 and 7"


def test_long_lists_are_cut():
    inputs = np.zeros((30, 2))
    assert said(examples(MANY), inputs)[0].endswith("5 = 0 and 24 more")


def test_groups_in_both_parts_are_told():
    groups = np.array([f"g{k}" for k in range(30)] + ["g1", "g1", "new"])
    (found,) = said(examples(MANY, [0, 1, 2], groups=groups))
    assert found.startswith("1 groups have training and test examples")


def test_arrays_in_memory_are_looked_at_in_parts():
    array = np.arange(12).reshape(4, 3)
    streamed = as_streamed(array)
    np.testing.assert_array_equal(np.concatenate(list(streamed.parts)), array)
    assert as_streamed(Streamed((1,), np.dtype(int), [])).shape == (1,)
