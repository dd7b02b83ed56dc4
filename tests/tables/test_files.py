"""Tables as CSV files, and the summary."""

import re

import numpy as np
import pandas as pd
import pytest

from shadowmill.errors import ArtefactError
from shadowmill.names import Cell
from shadowmill.tables import concatenate, identity, read_csv, write_csv
from shadowmill.tables.summary import summarise

TABLE = pd.DataFrame(
    {
        "name": ["dense", "none", "NA", "a,b"],
        "count": [1, 2, 3, 60_000],
        "value": [0.1, np.nan, 1e-12, 123456.789],
    }
)


def test_roundtrip(tmp_path):
    write_csv(tmp_path / "t.csv", TABLE)
    pd.testing.assert_frame_equal(read_csv(tmp_path / "t.csv"), TABLE, check_dtype=True, rtol=1e-9)


def test_the_file_to_the_byte(tmp_path):
    write_csv(tmp_path / "t.csv", TABLE)
    # NaN is empty; "none" and "NA" are words; nine digits; Unix line ends.
    assert (tmp_path / "t.csv").read_bytes() == (
        b'name,count,value\ndense,1,0.1\nnone,2,\nNA,3,1e-12\n"a,b",60000,123456.789\n'
    )


def test_numbers_keep_nine_digits(tmp_path):
    write_csv(tmp_path / "t.csv", pd.DataFrame({"x": [2 / 3, 1 / 3e7]}))
    assert (tmp_path / "t.csv").read_text() == "x\n0.666666667\n3.33333333e-08\n"


def test_identifying_columns():
    assert identity(Cell("s", "digits", "resnet18", "dpf-0.95")) == {
        "study": "s",
        "dataset": "digits",
        "architecture": "resnet18",
        "variant": "dpf-0.95",
        "method": "dpf",
        "sparsity": 0.95,
        "defense": "none",
        "strength": 0.0,
    }


def test_identifying_columns_of_a_defended_variant():
    columns = identity(Cell("s", "digits", "resnet18", "slim-0.7+ppb-4"))
    assert list(columns)[3:] == ["variant", "method", "sparsity", "defense", "strength"]
    assert list(columns.values())[3:] == ["slim-0.7+ppb-4", "slim", 0.7, "ppb", 4.0]


def test_tables_are_put_together_in_order(tmp_path):
    for name in ("b", "a"):
        write_csv(tmp_path / f"{name}.csv", TABLE.assign(source=name))
    concatenate([str(tmp_path / "b.csv"), str(tmp_path / "a.csv")], str(tmp_path / "all.csv"))
    table = read_csv(tmp_path / "all.csv")
    assert table["source"].tolist() == ["b"] * 4 + ["a"] * 4
    assert table["count"].tolist() == TABLE["count"].tolist() * 2


@pytest.mark.parametrize("content", [None, b"", b"a,b\n1,2\n3,4,5\n", b"\xff\xfe\x00\x81"])
def test_files_that_are_no_tables_are_named(tmp_path, content):
    path = tmp_path / "t.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ArtefactError, match=rf"{re.escape(str(path))}: .*rerun the workflow"):
        read_csv(path)


# The summary.

VARIANTS = ["dense", "static-0.5", "static-0.9", "dpf-0.9"]


def write_tables(folder, variants, datasets=("digits",)):
    training, membership = [], []
    for number, (dataset, variant) in enumerate((d, v) for d in datasets for v in variants):
        names = identity(Cell("main", dataset, "small_convnet", variant))
        for model, accuracy in (("target-1", 0.5), ("shadow-00-0", 0.7 + number / 100)):
            training.append(names | {"model": model, "test_accuracy": accuracy})
        for attack, shift in (("lira_online", 0.0), ("lira_offline", 0.3)):
            for target, value in (
                ("shadows-pooled", 0.6),
                ("shadows-mean", 0.1),
                ("target-1", 0.2),
            ):
                for metric in ("auc", "tpr_at_fpr_0.001", "tpr_at_fpr_0.01"):
                    value_here = value + shift + number / 100
                    if metric == "tpr_at_fpr_0.001":
                        value_here = np.nan
                    row = {
                        "target": target,
                        "attack": attack,
                        "adversary": "adaptive",
                        "metric": metric,
                        "value": value_here,
                    }
                    row |= {"ci_low": value_here - 0.05, "ci_high": value_here + 0.05}
                    membership.append(names | row)
    paths = str(folder / "training.csv"), str(folder / "membership.csv")
    for path, rows in zip(paths, (training, membership), strict=True):
        write_csv(path, pd.DataFrame(rows))
    return paths


def test_the_summary_has_a_line_for_every_variant_with_its_numbers(tmp_path):
    lines = summarise(*write_tables(tmp_path, VARIANTS)).splitlines()
    assert "lira_online" in lines[0]
    rows = {variant: [line for line in lines if variant in line.split()] for variant in VARIANTS}
    assert [len(found) for found in rows.values()] == [1] * 4
    # Mean accuracy (0.5 + 0.73) / 2, the pooled AUC 0.6 + 0.03, of the first attack.
    (line,) = rows["dpf-0.9"]
    assert "61.5%" in line
    assert "0.630 [0.580, 0.680]" in line
    assert "63.0% [58.0%, 68.0%]" in line
    assert "undefined" in line
    assert "nan" not in "".join(lines)


def test_the_summary_has_a_line_for_every_data_set(tmp_path):
    text = summarise(*write_tables(tmp_path, VARIANTS, ("digits", "cifar10")))
    lines = [line.split() for line in text.splitlines()]
    for dataset in ("digits", "cifar10"):
        for variant in VARIANTS:
            assert sum(dataset in line and variant in line for line in lines) == 1


def test_the_summary_of_defended_variants_reads_the_rows_of_their_targets(tmp_path):
    """Under an adversary that is not adaptive: their shadows say nothing about them."""
    paths = write_tables(tmp_path, ["dense", "dense+ppb-4"])
    table = read_csv(paths[1])
    defended = table["defense"] == "ppb"
    table.loc[defended, "target"] = table.loc[defended, "target"].str.replace("shadows", "targets")
    write_csv(paths[1], table)
    lines = summarise(*paths).splitlines()
    for variant, auc in (("dense", "0.600"), ("dense+ppb-4", "0.610")):
        (line,) = [line for line in lines if line.split()[0] == variant]
        assert f"{auc} [" in line


def test_the_summary_of_a_single_variant_names_it(tmp_path):
    assert "static-0.9" in summarise(*write_tables(tmp_path, ["static-0.9"]))
