"""reconstruction: rows of a setting; and the files that it and the figures read."""

import re

import numpy as np
import pytest

from shadowmill import storage
from shadowmill.errors import ArtefactError
from shadowmill.metrics.reconstruction import METHODS, rates_at_fprs, rates_at_thresholds
from shadowmill.reconstruction.evaluation.results import (
    min_mse_of_members,
    read_membership,
    read_reconstructions,
)
from shadowmill.tables import concatenate, read_csv, reconstruction, write_csv

HEADS, SIZE, NEAREST = 120, 4, 0.07
IDENTITY = {
    "study": "digits_heads",
    "setting": "class_size-2",
    "parameter": "class_size",
    "value": 2,
    "dataset": "digits",
    "task": "binary",
}
RATES = ["tpr", "tpr_lower", "tpr_upper", "tpr_lower_classes", "tpr_upper_classes"]


@pytest.fixture(autouse=True)
def few_replicates(monkeypatch):
    monkeypatch.setattr(reconstruction, "REPLICATES", 30)


def arrays_of(groups):
    """Of heads with `SIZE` examples in equal groups; those of head h are 4h … 4h + 3, reversed."""
    random = np.random.default_rng(groups)
    shape = (HEADS, groups)
    candidates = np.arange(SIZE).reshape(groups, -1)
    best = random.integers(SIZE // groups, size=shape)
    picture = random.integers(256, size=(3, 2, 8, 8, 1), dtype=np.uint8)
    return {
        "min_mse_h0": np.exp(random.normal(-3, 0.5, shape)).astype(np.float32),
        "min_mse_h1": np.exp(random.normal(-2, 0.4, shape)).astype(np.float32),
        "best": candidates[np.arange(groups), best],
        "indices": np.arange(HEADS * SIZE).reshape(HEADS, SIZE)[:, ::-1],
        "gallery_originals": picture[0],
        "gallery_reconstructions": picture[1],
        "gallery_null": picture[2],
        "nearest": np.full(shape, NEAREST, dtype=np.float32),
    }


@pytest.fixture
def write(tmp_path):
    def write(groups=2, epsilon=None, **changes):
        path = str(tmp_path / f"reconstructions-{groups}.h5")
        names = ["even", "odd"] if groups == 2 else ["all"]
        facts = {"nearest_quantile_threshold": NEAREST, "class_names": names, "epsilon": epsilon}
        storage.write_hdf5(path, arrays_of(groups) | changes, {}, **facts)
        return path

    return write


def tabulate(path, tmp_path, thresholds=None, **changes):
    output = str(tmp_path / "table.csv")
    thresholds = {"published": 0.1} if thresholds is None else thresholds
    reconstruction.tabulate(path, thresholds, output, **IDENTITY | changes)
    return read_csv(output)


def test_columns_and_rows(write, tmp_path):
    table = tabulate(write(), tmp_path)
    head, *lines = (tmp_path / "table.csv").read_text().splitlines()
    assert head == (
        "study,setting,parameter,value,dataset,task,class,method,fpr,tpr,tpr_lower,tpr_upper,"
        "tpr_lower_classes,tpr_upper_classes,threshold,auc,num_h0,num_h1"
    )
    assert lines[0].startswith("digits_heads,class_size-2,class_size,2,digits,binary,all,empirical")
    # Of all and of either class: three ways at three FPRs, two thresholds.
    assert table["class"].tolist() == ["all"] * 11 + ["even"] * 11 + ["odd"] * 11
    methods = [*np.repeat(METHODS, 3), "threshold_nearest", "threshold_published"]
    assert table["method"].tolist() == methods * 3
    assert table["fpr"].tolist()[:9] == [0.001, 0.01, 0.1] * 3
    assert table["num_h0"].tolist() == [240] * 11 + [120] * 22
    assert table["num_h1"].equals(table["num_h0"])
    assert table["auc"].notna().equals(table["method"] == "empirical")


def test_numbers_are_those_of_the_metrics(write, tmp_path):
    path = write()
    found, table = read_reconstructions(path), tabulate(path, tmp_path)
    for name, groups in (("all", slice(None)), ("odd", slice(1, 2))):
        pair = found.min_mse_h0_HG[:, groups], found.min_mse_h1_HG[:, groups]
        rates = rates_at_fprs(*pair, [0.001, 0.01, 0.1], 30, seed=0)
        rates += rates_at_thresholds(*pair, {"a": NEAREST, "b": 0.1}, 30, seed=0)
        rows = table[table["class"] == name]
        expected = [[*rate[2:7], rate.fpr, rate.threshold, rate.auc] for rate in rates]
        columns = rows[[*RATES, "fpr", "threshold", "auc"]].to_numpy()
        np.testing.assert_allclose(columns, expected, rtol=1e-8)


def test_what_is_undefined_is_empty(write, tmp_path):
    table = tabulate(write(), tmp_path)
    too_low = (table["fpr"] == 0.001) & table["method"].isin(METHODS)
    assert table.loc[too_low, RATES].isna().all(axis=None)
    assert table.loc[too_low, "threshold"].isna().all()
    assert table.loc[~too_low, RATES[:3]].notna().all(axis=None)
    over_classes = ~too_low & (table["class"] == "all")
    assert table.loc[over_classes, RATES].notna().all(axis=None)
    assert table.loc[table["class"] != "all", RATES[3:]].isna().all(axis=None)


def test_a_single_group_has_rows_of_all_alone(write, tmp_path):
    table = tabulate(write(groups=1), tmp_path, thresholds={})
    assert table["class"].tolist() == ["all"] * 10
    assert table["method"].tolist()[-1] == "threshold_nearest"
    assert table[RATES[3:]].isna().all(axis=None)


def test_epsilon_is_a_column_where_there_is_one(write, tmp_path):
    table = tabulate(write(groups=1, epsilon=9.5), tmp_path)
    assert table.columns.tolist()[5:8] == ["task", "epsilon", "class"]
    assert (table["epsilon"] == 9.5).all()
    # A setting without privacy beside it.
    other = str(tmp_path / "other.csv")
    reconstruction.tabulate(write(groups=1), {}, other, **IDENTITY)
    concatenate([str(tmp_path / "table.csv"), other], str(tmp_path / "all.csv"))
    assert read_csv(tmp_path / "all.csv")["epsilon"].notna().sum() == len(table)


def test_a_threshold_with_the_name_of_the_data_s(write, tmp_path):
    with pytest.raises(ValueError, match="a threshold is called 'nearest'"):
        tabulate(write(), tmp_path, thresholds={"nearest": 0.1})


# Files.


def test_reconstructions_are_read_as_written(write):
    path = write()
    arrays, found = arrays_of(2), read_reconstructions(path)
    assert found.min_mse_h0_HG.dtype == found.min_mse_h1_HG.dtype == np.float64
    read = [*vars(found).values()][:8]
    names = ["min_mse_h0", "min_mse_h1", "best", "indices"]
    names += ["gallery_originals", "gallery_reconstructions", "gallery_null", "nearest"]
    for array, name in zip(read, names, strict=True):
        np.testing.assert_array_equal(array, arrays[name])
    assert (found.nearest_threshold, found.class_names) == (NEAREST, ("even", "odd"))


def test_rounding_beyond_the_largest_mse_is_no_fault(write):
    beyond = np.full((HEADS, 2), np.nextafter(np.float32(4), np.float32(5)))
    assert (read_reconstructions(write(min_mse_h1=beyond)).min_mse_h1_HG == 4).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"min_mse_h0": np.full((HEADS, 2), 4.1)}, "min_mse_h0 holds 4.1, expected 0 to 4"),
        ({"min_mse_h1": np.full((HEADS, 2), np.nan)}, "min_mse_h1 holds nan, expected 0 to 4"),
        ({"nearest": np.full((HEADS, 2), -1.0)}, "nearest holds -1, expected 0 to 4"),
        ({"min_mse_h1": np.ones((HEADS, 1))}, r"shape \(120, 2\) \(heads, groups\), which the"),
        ({"min_mse_h0": np.ones(HEADS)}, r"shape \(120,\)"),
        ({"best": np.ones((3, 2))}, "do not fit"),
        ({"indices": np.ones((3, 2))}, "do not fit"),
        ({"gallery_null": np.zeros((1, 8, 8, 1), dtype=np.uint8)}, "do not fit"),
        ({"gallery_originals": np.zeros((2, 8, 8), dtype=np.uint8)}, "do not fit"),
    ],
)
def test_reconstructions_that_do_not_fit_are_refused(write, changes, message):
    path = write(**changes)
    with pytest.raises(ArtefactError, match=f"{re.escape(path)}: .*{message}.*rerun"):
        read_reconstructions(path)


def test_names_of_classes_that_do_not_fit(write, tmp_path):
    path = write(groups=2)
    with storage.open_hdf5(path) as file:
        arrays = {name: file[name][:] for name in file}
    storage.write_hdf5(
        path, arrays, {}, nearest_quantile_threshold=0.1, class_names=["all"], epsilon=None
    )
    with pytest.raises(ArtefactError, match="the 1 names of classes or the pictures do not fit"):
        read_reconstructions(path)


def test_files_that_lack_something(tmp_path):
    with pytest.raises(ArtefactError, match=r"no such file. Rerun the workflow"):
        read_reconstructions(str(tmp_path / "absent.h5"))
    storage.write_hdf5(tmp_path / "empty.h5", {}, {})
    for read in (read_reconstructions, read_membership):
        with pytest.raises(ArtefactError, match=r"empty\.h5: it has no array"):
            read(str(tmp_path / "empty.h5"))


@pytest.fixture
def write_members(tmp_path):
    """Every example of every head, in no order, its score its own number."""

    def write(**changes):
        example = np.random.default_rng(0).permutation(HEADS * SIZE)
        arrays = {
            "indices": example,
            "head": example // SIZE,
            "group_row": SIZE - 1 - example % SIZE,
            "score_in": example / 2,
            "score_out": -example / 2,
        }
        path = str(tmp_path / "membership.h5")
        storage.write_hdf5(path, arrays | changes, {})
        return path

    return write


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_members_that_are_nearest_have_the_min_mse(write, write_members, tmp_path, groups):
    path = write(groups) if groups < 4 else str(tmp_path / "four.h5")
    if groups == 4:  # one candidate each: all are kept
        facts = {
            "nearest_quantile_threshold": 0.1,
            "class_names": list("abcd"),
            "epsilon": None,
        }
        storage.write_hdf5(path, arrays_of(4), {}, **facts)
    members, min_mse_E = min_mse_of_members(write_members(), path)
    arrays = arrays_of(groups)
    expected = {
        int(arrays["indices"][h, arrays["best"][h, g]]): float(arrays["min_mse_h0"][h, g])
        for h in range(HEADS)
        for g in range(groups)
    }
    assert len(expected) == HEADS * groups
    assert dict(zip(members.indices_E.tolist(), min_mse_E.tolist(), strict=True)) == expected
    np.testing.assert_array_equal(members.score_in_E, members.indices_E / 2)
    np.testing.assert_array_equal(members.score_out_E, -members.indices_E / 2)


@pytest.mark.parametrize(
    "changes",
    [
        {"indices": np.arange(HEADS * SIZE)},
        {"head": np.full(HEADS * SIZE, HEADS)},
        {"group_row": np.full(HEADS * SIZE, -1)},
    ],
)
def test_members_of_other_heads_are_refused(write, write_members, changes):
    with pytest.raises(ArtefactError, match=r"membership\.h5: its heads trained on other examples"):
        min_mse_of_members(write_members(**changes), write())


def test_members_of_whom_none_is_nearest(write, write_members):
    path = write(best=np.full((HEADS, 2), SIZE))
    with pytest.raises(ArtefactError, match=r"membership\.h5: none of its examples is the nearest"):
        min_mse_of_members(write_members(), path)


@pytest.mark.parametrize("shape", [(3,), (0,)])
def test_membership_of_unequal_or_no_length(write_members, shape):
    changes = {"score_in": np.ones(shape)}
    if shape == (0,):
        changes = dict.fromkeys(
            ("indices", "head", "group_row", "score_in", "score_out"), np.ones(0)
        )
    with pytest.raises(ArtefactError, match=r"expected one shape \(examples,\) with at least one"):
        read_membership(write_members(**changes))


def test_the_summary_has_a_row_for_each_setting(write, tmp_path):
    tables = []
    for setting in ("two", "one"):  # in the order of the table
        tables.append(str(tmp_path / f"{setting}.csv"))
        reconstruction.tabulate(write(), {}, tables[-1], **IDENTITY | {"setting": setting})
    concatenate(tables, str(tmp_path / "all.csv"))
    _, head, *rows = reconstruction.summarise(str(tmp_path / "all.csv")).splitlines()
    assert head.endswith("TPR at 1% FPR TPR at 10% FPR")
    counted = read_csv(tables[0]).query("method == 'empirical' and fpr == 0.01").iloc[0]
    assert [row.split()[0] for row in rows] == ["two", "one"]
    assert f"{counted['tpr']:.0%} [{counted['tpr_lower']:.0%}" in rows[0]


def test_the_summary_says_what_is_undefined(write, tmp_path):
    table = tabulate(write(), tmp_path)
    table.loc[table["fpr"] == 0.01, ["tpr", "tpr_lower", "tpr_upper"]] = np.nan
    write_csv(str(tmp_path / "table.csv"), table)
    *_, row = reconstruction.summarise(str(tmp_path / "table.csv")).splitlines()
    assert row.split()[:3] == ["class_size-2", f"{table['auc'].iloc[0]:.3f}", "undefined"]
    assert row.endswith("%]")
