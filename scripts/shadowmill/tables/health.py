"""health: shadows that did not converge."""

import pandas as pd

from shadowmill.scores.health import limit
from shadowmill.tables import read_csv, write_csv

_SETTING = [
    "study",
    "dataset",
    "architecture",
    "variant",
    "method",
    "sparsity",
    "defense",
    "strength",
]
_QUANTITIES = ["train_accuracy", "test_accuracy"]


def unhealthy(training: pd.DataFrame) -> pd.DataFrame:
    """Find the shadows whose accuracy lies far below that of their siblings.

    Args:
        training: rows of training_results.csv, of any configurations.

    Returns:
        A row for each such shadow and quantity (`train_accuracy`, `test_accuracy`): its value, the
        median of its siblings and the limit that it falls short of; none if all is well.
    """
    shadows = training[training["role"] == "shadow"]
    long = shadows.melt([*_SETTING, "model"], _QUANTITIES, "quantity", "value")
    siblings = long.groupby([*_SETTING, "quantity"], sort=False)["value"]
    long = long.assign(median=siblings.transform("median"), limit=siblings.transform(limit))
    return long[long["value"] < long["limit"]].reset_index(drop=True)


def tabulate(training_path: str, output: str) -> None:
    """Write the table of a study: see `unhealthy`.

    Args:
        training_path: training_results.csv.
        output: CSV file to write; has no rows if all is well.
    """
    write_csv(output, unhealthy(read_csv(training_path)))
