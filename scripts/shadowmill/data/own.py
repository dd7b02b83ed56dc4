"""Rows of the data sets that the configuration describes, beside those of the table.

Snakemake imports this while it parses.
"""

import os
from collections.abc import Mapping
from dataclasses import replace
from glob import escape
from pathlib import Path
from typing import Any

from shadowmill.data import DATASETS, Dataset

IMAGE_SIZES = {"chmnist": 32, "imagenet": 64, "celeba": 64}
"""Of the data sets whose images are scaled: pixels a side, where nothing else is asked for."""

KINDS = {
    "images": ({"size"}, {"group"}),
    "table": ({"label"}, {"test", "id", "group", "ignore"}),
    "arrays": (set(), set()),
}
"""Kinds of own data to the keys that each needs, and to those that it may have."""


ARRAY_SUFFIXES = (".npz", ".h5", ".hdf5")
TABLE_SUFFIXES = (".csv", ".csv.gz", ".tsv", ".parquet")

_READERS = {
    "images": "readers.folders:own_images",
    "table": "readers.own_tables:own_table",
    "arrays": "readers.own_arrays:own_arrays",
}


def rows(config: Mapping[str, Any]) -> dict[str, Dataset]:
    """All data sets that studies can list, by name.

    Args:
        config: the configuration, of the right form: its `datasets`, and `data.sizes`.
    """
    sizes = config["data"]["sizes"]
    published = {
        name: replace(row, settings={"size": sizes[name]}) if name in sizes else row
        for name, row in DATASETS.items()
    }
    return published | {name: _own(name, given) for name, given in config["datasets"].items()}


def kinds_of(given: Mapping[str, Any]) -> list[str]:
    """Which of `KINDS` are given: exactly one, in a configuration that makes sense."""
    return [kind for kind in KINDS if kind in given]


def _own(name: str, given: Mapping[str, Any]) -> Dataset:
    (kind,) = kinds_of(given)
    path = Path(given[kind])
    settings = {"name": name, **{key: value for key, value in given.items() if key != kind}}
    data_kind, has_groups = "tabular", "group" in given
    if kind == "images":
        folder, found_in, data_kind = path, ("train", "test", "val"), "image"
    else:
        folder, found_in = path.parent, (escape(path.name),)
        settings["file"] = path.name
    if is_file(settings.get("test", "")):
        settings["test"] = os.path.relpath(given["test"], folder)
        found_in = (*found_in, escape(settings["test"]))
    if kind == "arrays":
        # Not before it is needed: NumPy takes a moment to load.
        from shadowmill.data.readers.own_arrays import peek

        data_kind, has_groups = peek(path)
    return Dataset(
        name,
        name,
        _READERS[kind],
        data_kind,
        pool_size=None,
        test_size=None,
        num_classes=None,
        found_in=(found_in,),
        settings=settings,
        folder=str(folder),
        has_groups=has_groups,
    )


def is_file(test: str) -> bool:
    """Whether the test set of a table is said to be another file, not a column."""
    return test.endswith(TABLE_SUFFIXES)
