"""Tidy tables: one row per measured thing, the same identifying columns everywhere."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from shadowmill import storage
from shadowmill.errors import ArtefactError
from shadowmill.names import Cell, Variant


def identity(cell: Cell) -> dict[str, str | float]:
    """The columns that say which configuration a row is about."""
    variant = Variant.parse(cell.variant)
    return {
        "study": cell.study,
        "dataset": cell.dataset,
        "architecture": cell.architecture,
        "variant": cell.variant,
        "method": variant.method,
        "sparsity": variant.sparsity,
        "defense": variant.defense,
        "strength": variant.strength,
    }


def write_csv(path: str | Path, table: pd.DataFrame) -> None:
    """Write a table, atomically; numbers with nine significant digits, empty where undefined."""
    storage.write_text(path, table.to_csv(index=False, float_format="%.9g", lineterminator="\n"))


def read_csv(path: str | Path) -> pd.DataFrame:
    """Read a table that `write_csv` wrote.

    Raises:
        ArtefactError: the file is missing or is not such a table.
    """
    try:
        return pd.read_csv(path, keep_default_na=False, na_values=[""])
    except (OSError, ValueError) as error:
        raise ArtefactError(
            f"{path}: cannot be read as a table ({str(error).strip()}). "
            "Move it elsewhere and rerun the workflow, which makes it again."
        ) from error


def concatenate(paths: Sequence[str], output: str) -> None:
    """Put the tables of all configurations of a study into one."""
    write_csv(output, pd.concat([read_csv(path) for path in paths], ignore_index=True))
