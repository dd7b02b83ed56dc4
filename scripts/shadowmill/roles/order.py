"""Orders of the examples, whose prefixes are training sets of growing size.

Legend: N examples of the pool.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from shadowmill.errors import DataError
from shadowmill.seeds import generator


def random_order(num_examples: int, seed: int) -> np.ndarray:
    """The permutation whose prefixes the models of a study train on.

    Args:
        num_examples: N.
        seed: of the study.

    Returns:
        (N,) int64.
    """
    return generator("prefix", seed).permutation(num_examples)


def score_order(scores_N: np.ndarray) -> np.ndarray:
    """The examples by ascending score, equal scores by index.

    Args:
        scores_N: (N,) numbers without NaN.

    Returns:
        (N,) int64 permutation.
    """
    return np.argsort(scores_N, kind="stable")


def read_order(path: str | Path, num_examples: int) -> np.ndarray:
    """Read an order of the examples.

    Args:
        path: a .npy file with each of 0 … N − 1 once.
        num_examples: N.

    Returns:
        (N,) int64 permutation.

    Raises:
        DataError: the file is missing, unreadable or holds something else.
    """
    path = Path(path)
    if path.suffix != ".npy":
        raise DataError(f"{path}: an order of the examples is read from a .npy file.")
    order_N = _read(path, _read_npy, "an order of the examples")
    if not _is_permutation(order_N, num_examples):
        raise DataError(
            f"{path}: an array {order_N.shape} of {order_N.dtype}, but an order of the "
            f"{num_examples} examples of the pool has each whole number from 0 to "
            f"{num_examples - 1} once. Numbers to sort by belong under subsets.scores."
        )
    return order_N.astype(np.int64)


def _is_permutation(values_N: np.ndarray, num_examples: int) -> bool:
    return values_N.shape == (num_examples,) and np.array_equal(
        np.sort(values_N), np.arange(num_examples)
    )


def _read(path: Path, read: Callable[[Path], np.ndarray], what: str) -> np.ndarray:
    try:
        return read(path)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; it should hold {what}.") from error
    except (OSError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise DataError(f"{path}: cannot be read ({reason}). Make the file anew.") from error


def read_scores(path: str | Path, num_examples: int) -> np.ndarray:
    """Read one score per example.

    Args:
        path: a .npy file with an array of shape (N,), or a .csv file with the columns `example`
            (from 0) and `score`, in any order of rows; other columns are ignored.
        num_examples: N.

    Returns:
        (N,) numbers without NaN.

    Raises:
        DataError: the file is missing, unreadable or of another kind, has not exactly one score
            for each example, or is a permutation of them.
    """
    path = Path(path)
    if path.suffix not in (".npy", ".csv"):
        raise DataError(f"{path}: scores of examples are read from .npy or .csv files.")
    reader = _read_npy if path.suffix == ".npy" else partial(_read_csv, num_examples=num_examples)
    scores_N = _read(path, reader, "a score per example")
    if scores_N.dtype.kind not in "fiu":
        raise DataError(f"{path}: scores must be numbers, found {scores_N.dtype}.")
    if scores_N.shape != (num_examples,):
        raise DataError(
            f"{path}: scores of shape {scores_N.shape}, but the pool has {num_examples} examples. "
            "Give one score for each."
        )
    if np.isnan(scores_N).any():
        example = int(np.isnan(scores_N).argmax())
        raise DataError(f"{path}: the score of example {example} is NaN. Give each a number.")
    if path.suffix == ".npy" and num_examples > 1 and _is_permutation(scores_N, num_examples):
        raise DataError(
            f"{path}: its numbers are 0 to {num_examples - 1}, each once: an order of the "
            "examples, and no scores to sort by. Give it under subsets.order. If it holds the "
            "rank of each example, give numpy.argsort of it there."
        )
    return scores_N


def _read_npy(path: Path) -> np.ndarray:
    with path.open("rb") as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _read_csv(path: Path, num_examples: int) -> np.ndarray:
    import pandas as pd

    table = pd.read_csv(path)
    missing = [name for name in ("example", "score") if name not in table]
    if missing:
        raise DataError(
            f"{path}: no column {' and '.join(missing)}; found {', '.join(map(str, table))}."
        )
    examples = table["example"].to_numpy()
    if examples.dtype.kind not in "iu":
        raise DataError(f"{path}: the column example must hold whole numbers, one in each row.")
    outside = examples[(examples < 0) | (examples >= num_examples)]
    if len(outside):
        raise DataError(
            f"{path}: example {outside[0]} is none of the {num_examples} of the pool, which are "
            f"numbered from 0 to {num_examples - 1}."
        )
    counts = np.bincount(examples, minlength=num_examples)
    for fault, wrong in (("is listed more than once", counts > 1), ("is missing", counts == 0)):
        if wrong.any():
            raise DataError(
                f"{path}: example {wrong.argmax()} {fault} ({wrong.sum()} such). Give one row for "
                "each example."
            )
    return table["score"].to_numpy()[np.argsort(examples)]
