"""reproduction: published results beside ours, and whether ours lie within the stated band."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from shadowmill.tables import read_csv, write_csv

_COLUMNS = ["study", "dataset", "attack", "metric", "published", "band", "ours", "verdict"]


def tabulate(published_path: str, membership_paths: Mapping[str, str], output: str) -> None:
    """Write the table and print it.

    Args:
        published_path: rules/published.yaml.
        membership_paths: membership_metrics.csv of each study that has been run.
        output: CSV file to write; `verdict` is `within`, `outside`, or `not run`.
    """
    blocks = yaml.safe_load(Path(published_path).read_text(encoding="utf-8"))
    tables = {study: read_csv(path) for study, path in membership_paths.items()}
    rows = [
        _row(block, value, tables.get(block["study"]))
        for block in blocks
        for value in block["values"]
    ]
    table = pd.DataFrame(rows)
    write_csv(output, table)
    shown = table[_COLUMNS].to_string(index=False, na_rep="", float_format="{:.4g}".format)
    counts = table["verdict"].value_counts()
    summary = ", ".join(f"{counts.get(v, 0)} {v}" for v in ("within", "outside", "not run"))
    print(f"\n{shown}\n\n{summary}; sources in {output}\n")


def _row(
    block: Mapping[str, Any], value: Mapping[str, Any], table: pd.DataFrame | None
) -> dict[str, Any]:
    row = {
        "study": block["study"],
        "dataset": value["dataset"],
        "attack": value["attack"],
        "metric": value["metric"],
        "published": value["value"],
        "band": value["band"],
        "ours": float("nan"),
        "verdict": "not run",
        "target": block["target"],
        "source": block["source"],
    }
    if table is None:
        return row
    found = table[
        (table["dataset"] == value["dataset"])
        & (table["variant"] == "dense")
        & (table["attack"] == value["attack"])
        & (table["metric"] == value["metric"])
    ]
    if block["target"] == "targets":
        found = found[found["target"].str.fullmatch(r"target-\d+")]
    else:
        found = found[found["target"] == block["target"]]
    ours = found["value"].mean()
    if pd.isna(ours):
        return row
    within = abs(ours - value["value"]) <= value["band"]
    return row | {"ours": ours, "verdict": "within" if within else "outside"}
