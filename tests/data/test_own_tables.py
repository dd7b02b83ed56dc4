"""Tables of the user's own: features, labels, names, groups, test parts, and what is refused."""

import numpy as np
import pandas as pd
import pytest

from shadowmill.data.own import rows
from shadowmill.data.readers.own_tables import own_table
from shadowmill.errors import DataError

TABLE = pd.DataFrame(
    {
        "person": ["ann", "bob", "cyd", "dan", "eve", "fay"],
        "age": [20, 30, 40, 50, 60, 70],
        "smokes": [True, False, True, True, False, False],
        "town": ["Ulm", "Bonn", "Ulm", "Trier", "Bonn", "Ulm"],
        "site": [1, 1, 2, 2, 3, 3],
        "constant": [5.0] * 6,
        "outcome": ["well", "ill", "ill", "well", "well", "ill"],
    }
)


@pytest.fixture
def read(tmp_path):
    """Write a table and read it."""

    def written(table=TABLE, file="patients.csv", **settings):
        if file.endswith(".parquet"):
            table.to_parquet(tmp_path / file)
        else:
            table.to_csv(tmp_path / file, index=False, sep="\t" if file.endswith("tsv") else ",")
        return own_table(tmp_path, name="patients", file=file, **{"label": "outcome"} | settings)

    return written


@pytest.mark.parametrize(
    "file", ["patients.csv", "patients.parquet", "patients.tsv", "patients.csv.gz"]
)
def test_columns_become_features(read, file):
    examples = read(file=file, id="person", group="site", ignore=["constant"])
    # age standardised; smokes as False, True; town as Bonn, Trier, Ulm.
    ages = (np.arange(6) - 2.5) / np.std(np.arange(6))
    expected = np.column_stack(
        [
            ages,
            TABLE["smokes"] == 0,
            TABLE["smokes"],
            *(TABLE["town"] == t for t in ("Bonn", "Trier", "Ulm")),
        ]
    )
    np.testing.assert_allclose(examples.inputs, expected, rtol=1e-6, atol=1e-7)
    assert examples.inputs.dtype == np.float32
    assert examples.class_names == ("ill", "well")
    assert examples.labels.tolist() == [1, 0, 0, 1, 1, 0]
    assert examples.ids.tolist() == TABLE["person"].tolist()
    assert examples.groups.tolist() == ["1", "1", "2", "2", "3", "3"]
    assert not examples.is_test.any()
    assert examples.notes == ()


def test_a_constant_column_is_zero_and_it_is_said(read):
    examples = read(id="person", ignore=["town", "smokes", "site"])
    assert not examples.inputs[:, 1].any()
    assert np.isfinite(examples.inputs).all()
    assert examples.notes == ("columns with one value in all training examples: constant",)


def test_large_numbers_keep_their_digits(read):
    table = pd.DataFrame({"time": 1.7e9 + np.arange(6), "outcome": [0, 1] * 3})
    found = read(table).inputs[:, 0]
    np.testing.assert_allclose(np.diff(found), 1 / np.std(np.arange(6)), rtol=1e-6)


def test_the_number_of_the_row_is_the_name_without_a_column(read):
    assert read(ignore=["person"]).ids.tolist() == list("012345")


def test_test_examples_of_a_column_come_last_and_do_not_count_in_the_scale(read):
    table = TABLE.assign(held_out=[0, 1, 0, 0, 1, 0])
    examples = read(
        table, id="person", test="held_out", ignore=["town", "smokes", "site", "constant"]
    )
    assert examples.ids.tolist() == ["ann", "cyd", "dan", "fay", "bob", "eve"]
    assert examples.is_test.tolist() == [False] * 4 + [True] * 2
    assert examples.inputs.shape == (6, 1)
    ages = np.array([20, 40, 50, 70])
    expected = (np.array([20, 40, 50, 70, 30, 60]) - ages.mean()) / ages.std()
    np.testing.assert_allclose(examples.inputs[:, 0], expected, rtol=1e-6)


def test_test_examples_may_be_in_another_file(read, tmp_path):
    TABLE.iloc[[1, 4]][[*reversed(TABLE.columns)]].to_csv(tmp_path / "later.csv", index=False)
    examples = read(TABLE.iloc[[0, 2, 3, 5]], test="later.csv", id="person", ignore=["constant"])
    assert examples.ids.tolist() == ["ann", "cyd", "dan", "fay", "bob", "eve"]
    assert examples.is_test.tolist() == [False] * 4 + [True] * 2
    assert examples.labels.tolist() == [1, 0, 1, 0, 0, 1]
    assert examples.notes == ("column town: only test examples have Bonn, which counts as none",)
    named = read(TABLE.iloc[[0, 2, 3, 5]], test="later.csv", ignore=["constant", "person"]).ids
    assert named.tolist() == ["0", "1", "2", "3", "test 0", "test 1"]


def test_the_test_file_is_found_from_where_the_workflow_runs():
    given = {"table": "data/a/x.csv", "label": "y", "test": "data/b/t.csv"}
    row = rows({"data": {"sizes": {}}, "datasets": {"patients": given}})["patients"]
    assert (row.folder, row.settings["file"], row.settings["test"]) == (
        "data/a",
        "x.csv",
        "../b/t.csv",
    )
    assert row.found_in == (("x.csv", "../b/t.csv"),)


def test_numbers_are_labels_too(read):
    examples = read(TABLE.assign(outcome=[3.0, 7.0, 3.0, 3.0, 7.0, 7.0]), ignore=["person"])
    assert examples.class_names == ("3", "7")
    assert examples.labels.tolist() == [0, 1, 0, 0, 1, 1]


# What is refused


def missing(table, **cells):
    table = table.astype(object)
    for column, row in cells.items():
        table.loc[row, column] = None
    return table


@pytest.mark.parametrize(
    ("table", "settings", "words"),
    [
        (TABLE, {"label": "result"}, r"datasets\.patients\.label: .* no column 'result'.*outcome"),
        (TABLE, {"id": "nr"}, r"datasets\.patients\.id: .*'nr'"),
        (TABLE, {"group": "nr"}, r"datasets\.patients\.group: .*'nr'"),
        (TABLE, {"ignore": ["nr"]}, r"datasets\.patients\.ignore: .*'nr'"),
        (TABLE, {"test": "nr"}, r"datasets\.patients\.test: .*'nr'"),
        (TABLE, {"test": "town"}, r"datasets\.patients\.test: the column town has .*Ulm"),
        (TABLE, {"test": "none.csv"}, r"there is no file .*none\.csv"),
        (
            missing(TABLE, age=2, town=[0, 3]),
            {},
            r"missing .* columns age \(1\), town \(2\) of 6.*ignore",
        ),
        (missing(TABLE, outcome=2), {}, r"missing .* outcome \(1\)"),
        (TABLE.assign(age=np.inf), {}, "the column age has infinite values"),
        (
            TABLE.assign(outcome=[0.5, 1, 2, 3, 4, 5]),
            {},
            r"outcome: labels such as 0\.5 are no classes",
        ),
        (TABLE[["outcome"]], {}, "no columns beside outcome"),
    ],
)
def test_one_message_says_what_is_wrong(read, table, settings, words):
    with pytest.raises(DataError, match=words):
        read(table, **{"ignore": [n for n in ("person",) if n in table]} | settings)


def test_dates_are_no_features(read):
    table = TABLE.assign(born=pd.Timestamp("2001-02-03"))
    with pytest.raises(DataError, match=r"column born holds datetime64.*no feature"):
        read(table, file="patients.parquet", ignore=["person"])


def test_names_are_not_taken_for_categories(read):
    table = pd.DataFrame({"name": [f"n{k}" for k in range(300)], "outcome": [0, 1] * 150})
    with pytest.raises(DataError, match=r"column name has 300 different words.*patients\.id"):
        read(table)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"there is no file .*none\.csv.*datasets\.patients"):
        own_table(tmp_path, name="patients", file="none.csv", label="y")


@pytest.mark.parametrize("file", ["patients.csv", "patients.parquet"])
def test_what_is_no_table_is_refused(tmp_path, file):
    (tmp_path / file).write_bytes(b"\xff\x00\xfe\xfa" * 9)
    with pytest.raises(DataError, match=f"{file} cannot be read as a table"):
        own_table(tmp_path, name="patients", file=file, label="y")


def test_a_test_file_without_a_column_is_refused(read, tmp_path):
    TABLE.drop(columns="town").to_csv(tmp_path / "later.csv", index=False)
    with pytest.raises(DataError, match=r"later\.csv has no column town"):
        read(test="later.csv", ignore=["person"])
