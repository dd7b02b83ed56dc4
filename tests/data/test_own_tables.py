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
    categories = "smokes (2), town (3)"
    assert examples.notes == (
        f"columns that are no numbers, each with so many different values: {categories}",
    )


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
    assert examples.notes[1:] == (
        "column town: only test examples have Bonn, which counts as none",
    )
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
    with pytest.raises(DataError, match=r"column born holds .*datetime64.*no feature"):
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


# What is easily lost or taken for something else


def written(tmp_path, text, **settings):
    (tmp_path / "patients.csv").write_text(text, encoding="utf-8")
    return own_table(tmp_path, name="patients", file="patients.csv", label="outcome", **settings)


def lines(*rows, times=1):
    return "\n".join([*rows[:1], *rows[1:] * times]) + "\n"


def test_rows_with_more_values_than_names_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"cannot be read as a table \(Length of header"):
        written(tmp_path, lines("a,b,outcome", "3,0.12,y,1", "4,0.13,n,0"))
    with pytest.raises(DataError, match="cannot be read as a table"):
        written(tmp_path, lines("a,b,outcome", "3,0.12,y,", "4,0.13,n,"))


def test_names_groups_and_classes_keep_every_sign(tmp_path):
    text = lines("pid,site,a,outcome", "000,01,1,None", "001,1,2,mild", "1,01,3,NA", "0,1,4,null")
    examples = written(tmp_path, text, id="pid", group="site")
    assert examples.ids.tolist() == ["000", "001", "1", "0"]
    assert examples.groups.tolist() == ["01", "1", "01", "1"]
    assert examples.class_names == ("NA", "None", "mild", "null")


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (["01", "02", "10"], ("01", "02", "10")),
        (["1", "2", "10"], ("1", "2", "10")),
        (["1.0", "2.0", "10"], ("1", "2", "10")),
        (["-1", "1", "-1"], ("-1", "1")),
        (["true", "false", "true"], ("false", "true")),
        (["2", "a", "10"], ("10", "2", "a")),
    ],
)
def test_classes_are_numbers_where_nothing_is_lost(tmp_path, labels, names):
    rows = [f"{index},{label}" for index, label in enumerate(labels)]
    assert written(tmp_path, lines("a,outcome", *rows)).class_names == names


def test_empty_labels_are_missing(tmp_path):
    with pytest.raises(DataError, match=r"missing .* in the columns outcome \(1\)"):
        written(tmp_path, lines("a,outcome", "1,x", "2,", "3,y"))


@pytest.mark.parametrize("day", ["2020-01-05", "5.1.2020", "05/01/2020", "2020-01-05 12:30:00"])
def test_days_are_no_categories(tmp_path, day):
    with pytest.raises(DataError, match=r"column born holds dates such as .* no feature"):
        written(tmp_path, lines("born,outcome", f"{day},x", f"{day},y"))


def test_days_and_lists_of_parquet_are_refused_and_decimals_are_numbers(read):
    import datetime
    import decimal

    table = TABLE[["age", "outcome"]].copy()
    table["when"] = [datetime.date(2020, 1, day) for day in range(1, 7)]
    with pytest.raises(DataError, match="column when holds dates such as 2020-01-01"):
        read(table, "patients.parquet")
    table["when"] = [[1, 2]] * 6
    with pytest.raises(DataError, match=r"column when holds values of the type ndarray"):
        read(table, "patients.parquet")
    table["when"] = [decimal.Decimal(f"{value}.5") for value in range(6)]
    examples = read(table, "patients.parquet")
    np.testing.assert_allclose(examples.inputs[:, 1], examples.inputs[:, 0], rtol=1e-6)


def test_the_index_of_parquet_may_name_the_examples(read):
    examples = read(TABLE.set_index("person"), "patients.parquet", id="person", ignore=["site"])
    assert examples.ids.tolist() == TABLE["person"].tolist()


@pytest.mark.parametrize("scale", [1e-200, 1e200, 1e-310])
def test_features_of_any_size(tmp_path, scale):
    rows = [f"{value * scale},{value % 2}" for value in range(1, 7)]
    found = written(tmp_path, lines("a,outcome", *rows)).inputs[:, 0]
    np.testing.assert_allclose(found, (np.arange(6) - 2.5) / np.std(np.arange(6)), rtol=1e-5)


def test_test_examples_in_another_unit_are_refused(tmp_path):
    text = lines("a,is_test,outcome", "1e-200,0,x", "2e-200,0,y", "1,1,x")
    with pytest.raises(DataError, match="column a: values of the test part are too far"):
        written(tmp_path, text, test="is_test")


def test_one_name_for_two_columns(tmp_path):
    with pytest.raises(DataError, match="two columns 'outcome'"):
        written(tmp_path, lines("a,outcome,outcome", "1,x,x", "2,y,y"))


def test_tables_without_rows_and_torn_archives(tmp_path, read):
    with pytest.raises(DataError, match="has no rows"):
        written(tmp_path, "a,outcome\n")
    read(file="patients.csv.gz")
    path = tmp_path / "patients.csv.gz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="cannot be read as a table"):
        own_table(tmp_path, name="patients", file="patients.csv.gz", label="outcome")


def test_all_examples_of_the_test_part(tmp_path):
    text = lines("a,is_test,outcome", "1,1,x", "2,1,y")
    with pytest.raises(DataError, match="all examples are of the test part"):
        written(tmp_path, text, test="is_test")


def test_a_mark_of_byte_order_and_columns_without_a_name_change_nothing(tmp_path):
    text = "\ufeffpid,a,,outcome\n007,1,4,x\n008,2,,y\n"
    with pytest.raises(DataError, match=r"missing .* in the columns .* \(1\)"):
        written(tmp_path, text, id="pid")
    examples = written(tmp_path, text.replace("2,,y", "2,5,y"), id="pid")
    assert examples.ids.tolist() == ["007", "008"]
    assert examples.inputs.shape == (2, 2)
