"""Lists of examples that the user gives: what a model was trained on, and what it never saw.

Legend: N examples of the data set, the pool first, then the official test set.
"""

import csv
from collections import Counter
from pathlib import Path

import numpy as np

from shadowmill.errors import DataError, some

LIST_SUFFIXES = (".npy", ".txt", ".csv")


def read_list(path: str, pool_size: int, num_examples: int, ids: np.ndarray | None) -> np.ndarray:
    """Read which examples of a data set are meant.

    A `.npy` file holds one truth value for each example, or each of the pool, or indices from 0,
    or ids; a `.txt` or
    `.csv` file one example a line: its id if the data set has ids, its index from 0 otherwise. The
    first column of a `.csv` file counts, and its first line may be a heading.

    Args:
        path: the file.
        pool_size: how many of them are of the pool, the first ones.
        num_examples: N.
        ids: (N,) text, what the examples are called; None if they have no names.

    Returns:
        (n,) int64 indices, rising.

    Raises:
        DataError: the file is missing or damaged, or names something twice, nothing, or examples
            that are not there.
    """
    if not Path(path).is_file():
        raise DataError(f"{path}: there is no such file. Give a list of examples.")
    if path.endswith(".npy"):
        found = _of_array(path, pool_size, num_examples, ids)
    else:
        found = _of_lines(path, num_examples, ids)
    if not len(found):
        raise DataError(f"{path}: it lists no example.")
    return np.sort(found)


def _of_array(path: str, pool_size: int, num_examples: int, ids: np.ndarray | None) -> np.ndarray:
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(
            f"{path}: no NumPy array of numbers, truth values or text, or a damaged one ({error})."
        ) from error
    if not isinstance(array, np.ndarray) or array.ndim != 1:
        shape = getattr(array, "shape", "an archive")
        raise DataError(f"{path}: its shape is {shape}, expected a list with one axis.")
    if array.dtype == bool:
        if len(array) not in (pool_size, num_examples):
            raise DataError(
                f"{path}: {len(array)} truth values. The data set has {num_examples} examples, the "
                f"first {pool_size} of the training part. Give one for each, or a list of indices "
                "or ids."
            )
        return np.flatnonzero(array)
    if np.issubdtype(array.dtype, np.integer):
        return _checked(path, array.astype(np.int64), num_examples)
    if array.dtype.kind in "US":
        return _by_id(path, array.astype(str).tolist(), ids)
    raise DataError(
        f"{path}: its numbers are {array.dtype}, expected truth values, whole numbers or text."
    )


def _of_lines(path: str, num_examples: int, ids: np.ndarray | None) -> np.ndarray:
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as text ({error}).") from error
    lines = text.splitlines()
    if path.endswith(".csv"):
        lines = [row[0] if row else "" for row in csv.reader(lines)]
    lines = [line.strip() for line in lines]
    lines = [line for line in lines if line]
    if path.endswith(".csv") and lines and not _is_example(lines[0], ids):
        lines = lines[1:]
    if ids is not None:
        return _by_id(path, lines, ids)
    wrong = [line for line in lines if not _is_example(line, None)]
    if wrong:
        raise DataError(
            f"{path}: {some(wrong)}: no whole numbers. The data set has no ids, so examples are "
            "named by their index, from 0. Give the data ids, or indices here."
        )
    return _checked(path, np.array([int(line) for line in lines], np.int64), num_examples)


def _is_example(line: str, ids: np.ndarray | None) -> bool:
    return line in ids if ids is not None else line.isascii() and line.isdigit()


def _by_id(path: str, names: list[str], ids: np.ndarray | None) -> np.ndarray:
    if ids is None:
        raise DataError(
            f"{path}: it names examples ({some(names)}), but the data set has no ids. Give the "
            "data ids, or indices here."
        )
    place = {name: index for index, name in enumerate(ids.tolist())}
    unknown = [name for name in names if name not in place]
    if unknown:
        raise DataError(
            f"{path}: {len(unknown)} of {len(names)} ids are not in the data set: {some(unknown)}. "
            f"Ids there are such as {some(list(place)[:3])}."
        )
    if len(place) < len(ids):
        counts = Counter(ids.tolist())
        unclear = [name for name in names if counts[name] > 1]
        if unclear:
            raise DataError(
                f"{path}: several examples are called {some(unclear)}, so it is not clear which "
                "one is meant. Give each an id of its own, or indices in a .npy file."
            )
    return _checked(path, np.array([place[name] for name in names], np.int64), len(ids))


def _checked(path: str, indices: np.ndarray, num_examples: int) -> np.ndarray:
    beyond = indices[(indices < 0) | (indices >= num_examples)]
    if len(beyond):
        raise DataError(
            f"{path}: {some([str(index) for index in beyond])}: no index of the {num_examples} "
            f"examples, which go from 0 to {num_examples - 1}."
        )
    twice = [str(index) for index, times in Counter(indices.tolist()).items() if times > 1]
    if twice:
        raise DataError(f"{path}: example {some(twice)} is listed twice. List each once.")
    return indices
