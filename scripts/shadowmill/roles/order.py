"""Orders of the examples, whose prefixes are training sets of growing size.

Legend: N examples of the pool.
"""

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


def read_scores(path: str | Path, num_examples: int) -> np.ndarray:
    """Read one score per example.

    Args:
        path: a .npy file with an array of shape (N,), or a .csv file with the columns `example`
            (from 0) and `score`, in any order of rows; other columns are ignored.
        num_examples: N.

    Returns:
        (N,) numbers without NaN.

    Raises:
        DataError: the file is missing, unreadable or of another kind, or has not exactly one score
            for each example.
    """
    path = Path(path)
    if path.suffix not in (".npy", ".csv"):
        raise DataError(f"{path}: scores of examples are read from .npy or .csv files.")
    try:
        scores_N = _read_npy(path) if path.suffix == ".npy" else _read_csv(path, num_examples)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; it should hold a score per example.") from error
    except (OSError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise DataError(f"{path}: cannot be read ({reason}). Make the file anew.") from error
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
