"""The heat map: every number of the table in its cell, and no colour where there is none."""

import numpy as np
import pandas as pd
import pytest
from figure_checks import check_layout, check_twice
from matplotlib.colors import rgb_to_hsv, to_rgb

from shadowmill.attacks import ATTACKS
from shadowmill.figures import heatmap, style
from shadowmill.names import Variant
from shadowmill.tables import identity, read_csv, write_csv

NAMES = ["lira_online", "rmia_offline", "lira_two_sided_code", "loss"]
METRICS = {"auc": (0.5, 0.7), "tpr_at_fpr_0.01": (0.0, 0.2)}


@pytest.fixture
def table_path(tmp_path):
    def write(cells, names=NAMES):
        random = np.random.default_rng(4)
        rows = [
            identity(cell)
            | {"attack": name, "adversary": adversary, "metric": metric, "target": target}
            | {"value": random.uniform(*limits)}
            for cell in cells
            for adversary in ("adaptive", "non_adaptive")
            if adversary == "adaptive" or "+" in cell.variant
            for name in names
            for metric, limits in METRICS.items()
            for target in ("target-42", "shadows-mean", "shadows-pooled")
        ]
        path = str(tmp_path / "membership.csv")
        write_csv(path, pd.DataFrame(rows))
        return path

    return write


def cells_shown(figure, panel):
    """Text by the titles of row and column, named at the left and at the bottom."""
    rows = [label.get_text() for label in figure.axes[-2].get_yticklabels()]
    columns = [label.get_text().replace("\n", " ") for label in figure.axes[-2].get_xticklabels()]
    found = {}
    for text in panel.texts:
        x, y = text.get_position()
        found[rows[y], columns[x]] = text.get_text()
    assert len(found) == len(rows) * len(columns) == len(panel.texts)
    return found


@pytest.mark.long
def test_valid_files_the_same_every_time(table_path, cells, tmp_path):
    path = table_path([cell for cell in cells if cell.dataset == "digits"])
    check_twice(lambda outputs: heatmap.plot(path, outputs), tmp_path)


@pytest.mark.long
def test_texts_neither_overlap_nor_are_cut_off(drawn, table_path, cells):
    heatmap.plot(table_path(cells), [])
    check_layout(drawn[0])


@pytest.mark.parametrize("variant", ["dense", "slim-0.7+ppb-4"])
def test_one_attack_on_one_variant_has_room(drawn, table_path, defended_cells, variant):
    one = next(cell for cell in defended_cells if cell.variant == variant)
    heatmap.plot(table_path([one], ["loss"]), [])
    check_layout(drawn[0])


def test_numbers_stand_in_the_cells_of_their_attack_and_variant(drawn, table_path, defended_cells):
    path = table_path(defended_cells)
    heatmap.plot(path, [])
    table = read_csv(path)
    table = table[(table["target"] == "shadows-pooled") & (table["dataset"] == "cifar10")]
    cifar = [panel for panel in drawn[0].axes if panel.get_title().startswith("CIFAR-10")]
    for panel, metric in zip(cifar, METRICS, strict=True):
        found = cells_shown(drawn[0], panel)
        rows = table[table["metric"] == metric]
        for row in rows.itertuples():
            title = ATTACKS[row.attack].title
            if row.adversary != "adaptive":
                title += " (non-adaptive)"
            text = found.pop((title, style.variant_title(Variant.parse(row.variant))))
            expected = f"{row.value:.3f}" if metric == "auc" else f"{100 * row.value:.1f}"
            assert text == expected
        # Undefended variants have no adversary that is unaware of a defence.
        assert len(found) == 3 * len(NAMES)
        assert set(found.values()) == {"–"}


def test_undefined_values_have_no_colour(drawn, table_path, pruned_cells):
    path = table_path(pruned_cells)
    table = read_csv(path)
    undefined = (table["metric"] != "auc") & (table["variant"] == "dpf-0.9")
    write_csv(path, table.assign(value=table["value"].mask(undefined)))
    heatmap.plot(path, [])
    shown = drawn[0].axes[1].get_images()[0].get_array()
    assert np.ma.getmaskarray(shown).sum() == len(NAMES)
    assert np.ma.getmaskarray(shown)[:, 3].all()
    assert not np.ma.getmaskarray(drawn[0].axes[0].get_images()[0].get_array()).any()


def test_a_metric_that_is_nowhere_defined(drawn, table_path, pruned_cells):
    path = table_path(pruned_cells[:1])
    table = read_csv(path)
    write_csv(path, table.assign(value=table["value"].where(table["metric"] == "auc")))
    heatmap.plot(path, [])
    drawn[0].canvas.draw()
    assert {text.get_text() for text in drawn[0].axes[1].texts} == {"–"}


def test_one_scale_of_colours_for_all_panels_of_a_metric(drawn, table_path, pruned_cells):
    path = table_path(pruned_cells)
    heatmap.plot(path, [])
    table = read_csv(path)
    table = table[table["target"] == "shadows-pooled"]
    for column, (metric, factor) in enumerate(zip(METRICS, (1, 100), strict=True)):
        values = factor * table.loc[table["metric"] == metric, "value"]
        for panel in drawn[0].axes[column::2]:
            image = panel.get_images()[0]
            assert (image.norm.vmin, image.norm.vmax) == pytest.approx((values.min(), values.max()))


def test_numbers_can_be_read_on_their_colours(drawn, table_path, pruned_cells):
    heatmap.plot(table_path(pruned_cells), [])
    for panel in drawn[0].axes:
        image = panel.get_images()[0]
        for text in panel.texts:
            x, y = text.get_position()
            behind = image.cmap(image.norm(image.get_array()[y, x]))[:3]
            ink = to_rgb(text.get_color())
            assert abs(rgb_to_hsv(behind)[2] - rgb_to_hsv(ink)[2]) > 0.35
