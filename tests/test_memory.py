"""Batches that are halved where memory is too small."""

import logging

import pytest
import torch

from shadowmill.memory import in_batches


def short_of(most, done):
    """A step for which memory holds `most` examples; it notes what it finished."""

    def step(rows):
        if rows.stop - rows.start > most:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        done.append((rows.start, rows.stop))

    return step


@pytest.mark.parametrize(
    ("size", "most", "expected", "returned"),
    [
        (4, 4, [(3, 7), (7, 11), (11, 13)], 4),
        (100, 100, [(3, 13)], 100),
        (100, 5, [(3, 8), (8, 13)], 5),
        (4, 3, [(3, 5), (5, 7), (7, 9), (9, 11), (11, 13)], 2),
        (4, 1, [(k, k + 1) for k in range(3, 13)], 1),
    ],
)
def test_every_example_once(size, most, expected, returned):
    done, told = [], []
    assert in_batches(short_of(most, done), 3, 13, size, told.append) == returned
    assert done == expected
    assert told == [stop - start for start, stop in expected]


def test_nothing_to_do():
    assert in_batches(short_of(0, []), 5, 5, 8) == 8


def test_it_says_so(caplog):
    with caplog.at_level(logging.INFO):
        in_batches(short_of(5, []), 0, 10, 10)
    assert caplog.messages == ["memory is too small for batches of 10 examples: now of 5"]


def test_one_example_too_large_is_an_error():
    with pytest.raises(torch.OutOfMemoryError):
        in_batches(short_of(0, []), 0, 10, 10)


def test_other_errors_are_not_tried_again():
    def step(rows):
        raise RuntimeError("another")

    with pytest.raises(RuntimeError, match="another"):
        in_batches(step, 0, 10, 10)
