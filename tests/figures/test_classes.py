"""Exposure of the classes: the table's numbers, in the order of the reference."""

import numpy as np
import pandas as pd
import pytest
from figure_checks import check_layout, check_twice

from shadowmill import storage
from shadowmill.figures import classes
from shadowmill.tables import identity, read_csv, write_csv


@pytest.fixture
def table_path(tmp_path):
    def write(cells, num_classes=5):
        random = np.random.default_rng(6)
        rows = [
            identity(cell)
            | {"attack": "lira_online", "adversary": "adaptive", "target": "shadows-pooled"}
            | {"class": label, "metric": metric, "value": value}
            | {"ci_low": value - 0.03, "ci_high": value + 0.02}
            for cell in cells
            for metric in ("auc", "tpr_at_fpr_0.01")
            for label, value in enumerate(random.uniform(0.45, 0.7, num_classes))
        ]
        rows += [
            identity(cell) | {"attack": "lira_online", "metric": "auc_disparity", "value": 0.1}
            for cell in cells
        ]
        path = str(tmp_path / "classes.csv")
        write_csv(path, pd.DataFrame(rows).astype({"class": "Int64"}))
        return path

    return write


@pytest.fixture
def names_path(tmp_path):
    path = tmp_path / "data.h5"
    storage.write_hdf5(path, {}, {}, name="data", class_names=[f"breed no. {n}" for n in range(30)])
    return str(path)


def panels_of_setting(figure, setting):
    """Panels of a setting, left to right and down; its rows are named."""
    rows = {}
    for panel in figure.axes:
        rows.setdefault(panel.get_subplotspec().rowspan.start, []).append(panel)
    return [panel for row in rows.values() if row[0].get_ylabel() == setting for panel in row]


def labels_of(panel):
    return [label.get_text() for label in panel.get_yticklabels()]


def dots_of(panel):
    """Value by height."""
    return dict(zip(*panel.containers[0].lines[0].get_data()[::-1], strict=True))


@pytest.mark.long
def test_valid_files_the_same_every_time(table_path, pruned_cells, tmp_path):
    path = table_path(pruned_cells)
    check_twice(lambda outputs: classes.plot(path, {}, outputs), tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("num_classes", [2, 10, 30])
def test_texts_neither_overlap_nor_are_cut_off(drawn, table_path, cells, names_path, num_classes):
    classes.plot(table_path(cells, num_classes), {"digits": names_path}, [])
    check_layout(drawn[0], narrowest=1.1)


def test_a_study_of_one_variant_has_room(drawn, table_path, defended_cells):
    classes.plot(table_path([defended_cells[6]]), {}, [])
    check_layout(drawn[0], narrowest=1.1)


def test_dots_and_intervals_lie_where_the_table_says(drawn, table_path, pruned_cells):
    path = table_path(pruned_cells)
    classes.plot(path, {}, [])
    table = read_csv(path)
    table = table[(table["metric"] == "auc") & (table["dataset"] == "cifar10")]
    dense = table[table["variant"] == "dense"].sort_values("value", ascending=False)
    order = dense["class"].astype(int).tolist()
    panels = panels_of_setting(drawn[0], "CIFAR-10, Small convnet")
    assert labels_of(panels[0]) == [f"class {label}" for label in order]
    for panel, variant in zip(panels, table["variant"].unique(), strict=True):
        rows = table[table["variant"] == variant].set_index("class")
        assert dots_of(panel) == pytest.approx(dict(enumerate(rows["value"][order])))
        (bars,) = panel.containers[0].lines[2]
        for label, bar in zip(order, bars.get_segments(), strict=True):
            assert bar[:, 0] == pytest.approx(rows.loc[label, ["ci_low", "ci_high"]].tolist())
        top, bottom = panel.transData.transform([[0.5, 0], [0.5, 4]])[:, 1]
        assert top > bottom


def test_the_first_variant_gives_the_order_where_there_is_no_dense(drawn, table_path, pruned_cells):
    classes.plot(table_path([c for c in pruned_cells if c.variant != "dense"]), {}, [])
    values = list(dots_of(drawn[0].axes[0]).values())
    assert values == sorted(values, reverse=True)
    assert "static, 50% sparse" in drawn[0].get_suptitle().replace("\n", " ")


def test_classes_of_prepared_data_have_their_names(drawn, table_path, pruned_cells, names_path):
    classes.plot(table_path(pruned_cells, 30), {"cifar10": names_path}, [])
    named = panels_of_setting(drawn[0], "CIFAR-10, Small convnet")[0]
    numbered = panels_of_setting(drawn[0], "Digits, Small convnet")[0]
    assert all(label.startswith("breed no. ") for label in labels_of(named) if label != "⋮")
    assert all(label.startswith("class ") for label in labels_of(numbered) if label != "⋮")


def test_of_many_classes_the_ten_most_and_the_ten_least_exposed(drawn, table_path, pruned_cells):
    path = table_path(pruned_cells[:1], 30)
    table = read_csv(path)
    here = table["metric"] == "auc"
    lost = here & (table["class"] == 7)
    write_csv(path, table.assign(value=table["value"].mask(lost)).astype({"class": "Int64"}))
    classes.plot(path, {}, [])
    values = table[here & ~lost].set_index("class")["value"].sort_values(ascending=False)
    order = values.index.astype(int).tolist()
    assert labels_of(drawn[0].axes[0]) == [
        *(f"class {label}" for label in order[:10]),
        "⋮",
        *(f"class {label}" for label in order[-10:]),
    ]
    heights = [y for y, x in dots_of(drawn[0].axes[0]).items() if not np.isnan(x)]
    assert heights == [*range(10), *range(11, 21)]


def test_few_classes_keep_those_without_a_value(drawn, table_path, pruned_cells):
    path = table_path(pruned_cells[:1], 3)
    table = read_csv(path)
    lost = table["class"] == 1
    write_csv(path, table.assign(value=table["value"].mask(lost)).astype({"class": "Int64"}))
    classes.plot(path, {}, [])
    assert labels_of(drawn[0].axes[0])[-1] == "class 1"
    assert np.isnan(list(dots_of(drawn[0].axes[0]).values())[-1])
