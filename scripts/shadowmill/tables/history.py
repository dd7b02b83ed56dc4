"""training_history: what each target was like at the end of each epoch, in long form."""

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from shadowmill import storage
from shadowmill.names import Cell
from shadowmill.tables import identity, write_csv


def tabulate(cell: Cell, model_paths: Sequence[str], output: str) -> None:
    """Write the rows of one configuration.

    `quantity` is one of those that `shadowmill.training.history` describes; `parameter` names the
    masked parameter that a sparsity belongs to, and is empty for the others. Epochs count from 1.

    Args:
        cell: the configuration.
        model_paths: files of its targets.
        output: CSV file to write.
    """
    rows = [row for path in model_paths for row in _rows(path)]
    table = pd.DataFrame(rows)
    for index, (name, value) in enumerate(identity(cell).items()):
        table.insert(index, name, value)
    write_csv(output, table)


def _rows(path: str) -> Iterator[dict[str, Any]]:
    metadata = storage.read_metadata(path)
    for name, values in metadata["history"].items():
        quantity, _, parameter = name.partition("/")
        for epoch, value in enumerate(values, start=1):
            yield {
                "model": metadata["provenance"]["model"],
                "epoch": epoch,
                "quantity": quantity,
                "parameter": parameter,
                "value": value,
            }
