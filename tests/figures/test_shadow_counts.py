"""Curves against the number of shadows: means and extremes of the table."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from figure_checks import check_layout, check_twice, labels_of, panels_of

from shadowmill.attacks import ATTACKS
from shadowmill.figures import shadow_counts
from shadowmill.tables import identity, read_csv, write_csv

NAMES = [name for name, attack in ATTACKS.items() if attack.learns and attack.fast]
COUNTS = [2, 4, 8, 16, 32, 64]
COLUMNS = ["attack", "num_shadows", "draw", "target", "metric", "value"]


@pytest.fixture
def table_path(tmp_path):
    def write(cells, names=NAMES[:3], counts=COUNTS):
        random = np.random.default_rng(5)
        rows = [
            identity(cell)
            | dict(zip(COLUMNS, row, strict=False))
            | {"value": (0.5 if row[-1] == "auc" else 0) + random.uniform(0, 0.2)}
            for cell in cells
            for row in product(
                names, counts, range(3), ("t-1", "t-2"), ("auc", "tpr_at_fpr_0.01", "accuracy")
            )
        ]
        path = str(tmp_path / "counts.csv")
        write_csv(path, pd.DataFrame(rows))
        return path

    return write


def plot(path, outputs=()):
    shadow_counts.plot(path, list(ATTACKS), outputs)


@pytest.mark.long
def test_valid_files_the_same_every_time(table_path, pruned_cells, tmp_path):
    path = table_path(pruned_cells[:1])
    check_twice(lambda outputs: plot(path, outputs), tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("names", [NAMES, NAMES[:1]], ids=["all", "one"])
def test_texts_neither_overlap_nor_are_cut_off(drawn, table_path, cells, names):
    plot(table_path(cells, names, COUNTS[:4]))
    check_layout(drawn[0])
    assert len(drawn[0].axes) == 2 * 2


def test_lines_are_means_and_bands_extremes_over_draws_and_targets(drawn, table_path, pruned_cells):
    path = table_path(pruned_cells)
    plot(path)
    table = read_csv(path)
    table = table[(table["dataset"] == "cifar10") & (table["variant"] == "dense")]
    panels = [axes for axes in drawn[0].axes if axes.get_title().startswith("CIFAR-10")]
    for panel, metric in zip(panels, ("auc", "tpr_at_fpr_0.01"), strict=True):
        assert panel.get_title().endswith("\ndense")
        lines = {line.get_label(): line for line in panel.get_lines()}
        bands = dict(zip(labels_of(panel)[1:], panel.collections, strict=True))
        for name in NAMES[:3]:
            title = ATTACKS[name].title
            for index, count in enumerate(COUNTS):
                values = [
                    row.value
                    for row in table.itertuples()
                    if (row.attack, row.metric, row.num_shadows) == (name, metric, count)
                ]
                assert len(values) == 6
                x, y = (data[index] for data in lines[title].get_data())
                assert (x, y) == pytest.approx((count, sum(values) / 6))
                edges = bands[title].get_paths()[0].vertices
                heights = edges[edges[:, 0] == count, 1]
                assert (heights.min(), heights.max()) == pytest.approx((min(values), max(values)))


def test_numbers_of_shadows_are_evenly_spaced_and_marked(drawn, table_path, pruned_cells):
    plot(table_path(pruned_cells))
    panel = drawn[0].axes[0]
    drawn[0].canvas.draw()
    assert [label.get_text() for label in panel.get_xticklabels()] == [str(c) for c in COUNTS]
    places = panel.transData.transform([[count, 0.6] for count in COUNTS])[:, 0]
    assert np.diff(places) == pytest.approx(places[1] - places[0])


def test_without_dense_the_first_variant_is_shown(drawn, table_path, pruned_cells):
    plot(table_path([cell for cell in pruned_cells if cell.variant != "dense"]))
    assert {panel.get_title().split("\n")[1] for panel in drawn[0].axes} == {"static, 50% sparse"}


def test_an_undefined_metric_is_left_out_and_a_single_count_is_a_point(
    drawn, table_path, pruned_cells
):
    path = table_path(pruned_cells[:1], NAMES[:2], [8])
    table = read_csv(path)
    undefined = (table["metric"] != "auc") & (table["attack"] == NAMES[0])
    write_csv(path, table.assign(value=table["value"].mask(undefined)))
    plot(path)
    check_layout(drawn[0])
    _, without, with_value = drawn[0].axes[1].get_lines()
    if without.get_label() != ATTACKS[NAMES[0]].title:
        without, with_value = with_value, without
    assert np.isnan(without.get_ydata()).all()
    assert np.isfinite(with_value.get_ydata()).all()
    assert with_value.get_marker() not in ("", "None")


def test_of_many_attacks_the_ten_with_the_largest_auc_with_most_shadows(
    drawn, table_path, pruned_cells
):
    path = table_path(pruned_cells, NAMES)
    plot(path)
    table = read_csv(path)
    most = table[(table["num_shadows"] == 64) & (table["metric"] == "auc")]
    means = most[most["variant"] == "dense"].groupby("attack")["value"].mean()
    expected = [ATTACKS[name].title for name in means.sort_values(ascending=False).index[:10]]
    (legend,) = drawn[0].legends
    assert [text.get_text() for text in legend.get_texts()] == [*expected, "chance"]
    assert f"The 10 of {len(NAMES)} attacks" in drawn[0].get_suptitle()


def test_a_study_whose_attacks_learn_nothing_from_shadows(drawn, tmp_path, pruned_cells):
    path = tmp_path / "counts.csv"
    columns = [*identity(pruned_cells[0]), *COLUMNS]
    write_csv(path, pd.DataFrame(columns=columns))
    plot(str(path))
    assert not panels_of(drawn[0])
    assert "No attack" in drawn[0].get_suptitle().replace("\n", " ")
