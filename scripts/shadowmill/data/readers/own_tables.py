"""Tables of the user's own: one row for each example, one column for each feature."""

import warnings
import zlib
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from shadowmill.data.own import is_file
from shadowmill.data.readers import Examples
from shadowmill.data.readers.labels import as_classes, standardised
from shadowmill.errors import DataError, some

if TYPE_CHECKING:
    import pandas as pd

MOST_CATEGORIES = 256
"""A column of more different words is more likely a name than a category."""

# What pandas takes for a missing value. In columns that name something, only nothing at all is.
_MISSING = (
    *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN"),
    *("<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"),
)
# Of pandas, of Arrow and of what decompresses: truncated files.
_UNREADABLE = (OSError, ValueError, EOFError, zlib.error, Warning)


def own_table(
    root: Path,
    *,
    name: str,
    file: str,
    label: str,
    test: str | None = None,
    id: str | None = None,
    group: str | None = None,
    ignore: Sequence[str] = (),
) -> Examples:
    """A CSV or Parquet file.

    Columns of numbers are standardised by the training part; a column of words, categories or truth
    values becomes one column for each of its values in the training part, 1 where it has it.

    Args:
        root: folder of the file.
        name: of the data set.
        file: its name.
        label: column of the label.
        test: a column that is true or 1 for test examples, or another file of the same columns with
            these, relative to `root`.
        id: column by which examples are named; the number of the row without it, from 0.
        group: column of what belongs together.
        ignore: columns that are no features.

    Raises:
        DataError: missing file, columns or values, or values that are no features.
    """
    path = root / file
    as_text = [column for column in (label, id, group) if column]
    table = _read(name, path, as_text)
    if id is not None and id == table.index.name:  # of Parquet
        table = table.reset_index()
    _require(name, table, path, {"label": label, "id": id, "group": group, "ignore": ignore})
    ids = table[id] if id else table.index.to_series()
    if test is not None and is_file(test):
        table, ids, is_test = _with_test_file(name, table, ids, root / test, id, as_text)
    else:
        _require(name, table, path, {"test": test})
        is_test = np.zeros(len(table), bool) if test is None else _truths(name, table[test])
    order = np.argsort(is_test, kind="stable")
    table, ids, is_test = table.iloc[order], ids.iloc[order], is_test[order]
    named = {label, id, group, *ignore} | ({test} if test and not is_file(test) else set())
    columns = [column for column in table if column not in named]
    if not columns:
        raise DataError(f"{name}: {path} has no columns beside {', '.join(filter(None, named))}.")
    needed = [label, *filter(None, (id, group)), *columns]
    _require_whole(name, table, [column for column in needed if column in table])
    labels, class_names = as_classes(_classes(table[label]), is_test, f"{name}: column {label}")
    features, notes = _features(name, table[columns], is_test)
    return Examples(
        features,
        labels,
        is_test,
        class_names,
        str(path),
        ids=ids.astype(str).to_numpy(dtype=str),
        groups=table[group].astype(str).to_numpy(dtype=str) if group else None,
        notes=tuple(notes),
    )


def _read(name: str, path: Path, as_text: Sequence[str]) -> "pd.DataFrame":
    """A table; of the columns that name something, every sign counts."""
    import pandas as pd

    try:
        if path.suffix == ".parquet":
            table = pd.read_parquet(path)
        else:
            table = _read_text(name, path, as_text)
    except FileNotFoundError as error:
        raise DataError(
            f"{name}: there is no file {path}. Correct its path under datasets.{name}."
        ) from error
    except _UNREADABLE as error:
        reason = " ".join(str(error).split())
        raise DataError(
            f"{name}: {path} cannot be read as a table ({reason}). Save it as CSV with commas and "
            "one line of names, or as Parquet."
        ) from error
    if not len(table):
        raise DataError(f"{name}: {path} has no rows. Each example is one.")
    return table


def _read_text(name: str, path: Path, as_text: Sequence[str]) -> "pd.DataFrame":
    import pandas as pd

    separator = "\t" if path.suffix == ".tsv" else ","
    head = pd.read_csv(path, sep=separator, header=None, nrows=1, dtype=str, keep_default_na=False)
    written = head.iloc[0].tolist()
    twice = sorted({column for column in written if column and written.count(column) > 1})
    if twice:
        raise DataError(
            f"{name}: {path} has two columns {twice[0]!r}. Give each column a name of its own."
        )
    columns = pd.read_csv(path, sep=separator, nrows=0, index_col=False).columns
    with warnings.catch_warnings():
        # Of rows with more values than there are names.
        warnings.simplefilter("error", pd.errors.ParserWarning)
        return pd.read_csv(
            path,
            sep=separator,
            index_col=False,
            dtype={column: str for column in as_text if column in columns},
            na_values={column: [""] if column in as_text else _MISSING for column in columns},
            keep_default_na=False,
        )


def _require(
    name: str, table: "pd.DataFrame", path: Path, named: dict[str, str | Sequence[str] | None]
) -> None:
    for key, columns in named.items():
        for column in [columns] if isinstance(columns, str) else columns or ():
            if column not in table:
                shown = ", ".join(map(str, table.columns[:20]))
                more = " and so on" if len(table.columns) > 20 else ""
                raise DataError(
                    f"datasets.{name}.{key}: there is no column {column!r} in {path}. It has "
                    f"{shown}{more}."
                )


def _with_test_file(
    name: str,
    table: "pd.DataFrame",
    ids: "pd.Series",
    path: Path,
    id: str | None,
    as_text: Sequence[str],
) -> tuple["pd.DataFrame", "pd.Series", np.ndarray]:
    import pandas as pd

    test = _read(name, path, as_text)
    lacking = [str(column) for column in table if column not in test]
    if lacking:
        raise DataError(
            f"datasets.{name}.test: {path} has no column {some(lacking)}, which the training "
            "examples have."
        )
    is_test = np.arange(len(table) + len(test)) >= len(table)
    test_ids = test[id] if id else "test " + test.index.to_series().astype(str)
    return (
        pd.concat([table, test[table.columns]], ignore_index=True),
        pd.concat([ids, test_ids], ignore_index=True),
        is_test,
    )


def _truths(name: str, column: "pd.Series") -> np.ndarray:
    values = set(column.unique())
    if not values <= {0, 1}:  # which True and False are, too
        raise DataError(
            f"datasets.{name}.test: the column {column.name} has {some(list(values))}, where it "
            "should say true or false, 1 or 0. Another file would end in .csv, .tsv or .parquet."
        )
    return column.to_numpy().astype(bool)


def _require_whole(name: str, table: "pd.DataFrame", columns: Sequence[str]) -> None:
    missing = table[columns].isna().sum()
    missing = missing[missing > 0]
    if len(missing):
        shown = ", ".join(f"{column} ({count})" for column, count in missing.items())
        raise DataError(
            f"{name}: values are missing (empty, NA, NaN, null) in the columns {shown} of "
            f"{len(table)} rows. Fill them in, remove these rows, or name the columns under "
            f"datasets.{name}.ignore."
        )


def _classes(column: "pd.Series") -> np.ndarray:
    """Numbers as such, all else as text: 01 is no number, as it would become 1."""
    if column.dtype.kind in "iufb":
        return column.to_numpy()
    words = column.astype(str).str.strip()
    if words.isin(["True", "False", "true", "false"]).all() or words.str.match(r"[-+]?0\d").any():
        return words.to_numpy(str)
    try:
        return words.astype(np.int64).to_numpy()
    except (ValueError, OverflowError):
        pass
    try:
        return words.astype(np.float64).to_numpy()
    except ValueError:
        return words.to_numpy(str)


def _features(
    name: str, table: "pd.DataFrame", is_test: np.ndarray
) -> tuple[np.ndarray, list[str]]:
    """(N, D) float32, and what is to be said."""
    parts, notes, constant, categories = [], [], [], []
    for column in table:
        values = _with_numbers(table[column])
        if values.dtype.kind in "iuf":
            numbers = values.to_numpy(np.float64)
            if not np.isfinite(numbers).all():
                raise DataError(
                    f"{name}: the column {column} has infinite values. Replace them, or name it "
                    f"under datasets.{name}.ignore."
                )
            where = f"{name}: the column {column}"
            parts.append(standardised(numbers[:, None], is_test, where))
        elif kind := _no_feature(values):
            raise DataError(
                f"{name}: the column {column} holds {kind}, which are no feature. Turn them "
                f"into numbers, or name it under datasets.{name}.ignore."
            )
        else:
            parts.append(_one_hot(name, values.astype(str), is_test, notes))
            categories.append(f"{column} ({parts[-1].shape[1]})")
        if values[~is_test].nunique() == 1:
            constant.append(str(column))
    if categories:
        notes.insert(
            0,
            f"columns that are no numbers, each with so many different values: {some(categories)}",
        )
    if constant:
        notes.append(f"columns with one value in all training examples: {', '.join(constant)}")
    return np.concatenate(parts, axis=1), notes


def _with_numbers(column: "pd.Series") -> "pd.Series":
    """The column, with decimals of databases as numbers."""
    is_decimal = column.dtype.kind == "O" and isinstance(column.iloc[0], Decimal)
    return column.astype(np.float64) if is_decimal else column


def _no_feature(column: "pd.Series") -> str:
    """What kind of things a column holds that are neither numbers nor words; "" of words."""
    if column.dtype.kind in "mMc":
        return f"values of the type {column.dtype}"
    first = column.iloc[0]
    if isinstance(first, date) or _are_dates(column):
        return f"dates such as {first}"
    is_word = isinstance(first, str | bool | np.bool_) or column.dtype.kind == "b"
    return "" if is_word else f"values of the type {type(first).__name__}"


def _are_dates(column: "pd.Series") -> bool:
    """Whether all words are dates as 2026-11-28 or 28.11.2026, perhaps with the time of day."""
    if column.dtype.kind == "b" or not isinstance(column.iloc[0], str):
        return False
    return bool(
        column.astype(str).str.match(r"\s*(\d{4}-\d\d?-\d\d?|\d\d?[./]\d\d?[./]\d{4})\b").all()
    )


def _one_hot(name: str, column: "pd.Series", is_test: np.ndarray, notes: list[str]) -> np.ndarray:
    words = column.to_numpy(dtype=str)
    known = np.unique(words[~is_test])
    if len(known) > MOST_CATEGORIES:
        raise DataError(
            f"{name}: the column {column.name} has {len(known)} different words, more than the "
            f"{MOST_CATEGORIES} that a category may have. If it names the examples, say so: "
            f"datasets.{name}.id; else name it under datasets.{name}.ignore, or put its values "
            "together."
        )
    new = np.unique(words[~np.isin(words, known)])
    if len(new):
        notes.append(
            f"column {column.name}: only test examples have {some(new)}, which counts as none"
        )
    return (words[:, None] == known).astype(np.float32)
