"""Exposure under two variants: the same examples, joined by number."""

import numpy as np
import pandas as pd
import pytest
from figure_checks import check_layout, check_twice, panels_of
from scipy.stats import spearmanr

from shadowmill.figures import exposure, style
from shadowmill.names import Variant
from shadowmill.tables import identity, write_csv

NUM_EXAMPLES = 400


@pytest.fixture
def write_examples(tmp_path):
    def write(separations):
        """From separations by configuration; rows in an order of each one's own."""
        parts = [
            pd.DataFrame(
                identity(cell) | {"example": np.arange(len(separation)), "separation": separation}
            ).sample(frac=1, random_state=number)
            for number, (cell, separation) in enumerate(separations.items())
        ]
        path = str(tmp_path / "examples.csv")
        write_csv(path, pd.concat(parts))
        return path

    return write


@pytest.fixture
def table_path(write_examples):
    def write(cells):
        random = np.random.default_rng(7)
        own = random.gamma(1, 1, NUM_EXAMPLES)
        noise = random.normal(0, 0.5, (len(cells), NUM_EXAMPLES))
        return write_examples(dict(zip(cells, own + noise, strict=True)))

    return write


def offsets_of(panel):
    """Centres of hexagons and how many examples each holds."""
    (hexagons,) = panel.collections
    return hexagons.get_offsets(), hexagons.get_array()


@pytest.mark.long
def test_valid_files_the_same_every_time(table_path, pruned_cells, tmp_path):
    path = table_path(pruned_cells)
    check_twice(lambda outputs: exposure.plot(path, outputs), tmp_path)


@pytest.mark.long
def test_texts_neither_overlap_nor_are_cut_off(drawn, table_path, cells):
    exposure.plot(table_path(cells), [])
    check_layout(drawn[0], narrowest=1.2)


@pytest.mark.parametrize("count", [1, 2])
def test_studies_of_one_or_two_variants_have_room(drawn, table_path, defended_cells, count):
    exposure.plot(table_path(defended_cells[6 : 6 + count]), [])
    check_layout(drawn[0], narrowest=1.2)


def test_a_panel_for_every_variant_but_dense_with_all_its_examples(
    drawn, table_path, defended_cells
):
    exposure.plot(table_path(defended_cells[::-1]), [])  # dense comes last
    panels = panels_of(drawn[0])
    variants = [style.variant_title(Variant.parse(cell.variant)) for cell in defended_cells[1:9]]
    assert len(panels) == 2 * 8
    titles = [" ".join(panel.get_title().split("\n")[1:-1]) for panel in panels]
    assert titles[:8] == variants[::-1]
    for panel in panels:
        assert offsets_of(panel)[1].sum() == NUM_EXAMPLES


def test_examples_are_joined_by_their_numbers(drawn, write_examples, pruned_cells):
    dense, same, reversed_, shifted = pruned_cells[:4]
    own = np.random.default_rng(8).permutation(NUM_EXAMPLES) / 100
    exposure.plot(write_examples({dense: own, same: own, reversed_: -own, shifted: own + 1}), [])
    titles = [panel.get_title().split("\n")[-1] for panel in panels_of(drawn[0])]
    assert titles == [f"Spearman ρ = {rho}" for rho in ("1.00", "-1.00", "1.00")]
    straight, against, above = (offsets_of(panel)[0] for panel in panels_of(drawn[0]))
    width = 9 / 40  # of a hexagon; from -4 to 5
    assert np.abs(straight[:, 0] - straight[:, 1]).max() < width
    assert np.abs(against.sum(axis=1)).max() < width
    # A little less where the outermost ones were moved to the border.
    assert np.median(above[:, 1] - above[:, 0]) == pytest.approx(1, abs=width)


def test_the_correlation_is_that_of_the_table(drawn, write_examples, pruned_cells):
    one, other = np.random.default_rng(9).normal(size=(2, NUM_EXAMPLES)) + np.arange(400) / 100
    exposure.plot(write_examples(dict(zip(pruned_cells[:2], (one, other), strict=True))), [])
    expected = spearmanr(one, other).statistic
    assert 0.3 < expected < 0.95
    assert drawn[0].axes[0].get_title().endswith(f"Spearman ρ = {expected:.2f}")


def test_only_examples_with_both_values_are_compared(drawn, write_examples, pruned_cells):
    one = np.arange(100.0)
    other = np.where(one < 90, one, np.nan)
    exposure.plot(write_examples({pruned_cells[0]: one, pruned_cells[1]: other[:95]}), [])
    assert offsets_of(drawn[0].axes[0])[1].sum() == 90


def test_outliers_lie_on_the_border(drawn, write_examples, pruned_cells):
    own = np.random.default_rng(10).normal(size=5_000)
    with_outlier = np.append(own[1:], 1e6)
    exposure.plot(write_examples(dict(zip(pruned_cells[:2], (with_outlier, own), strict=True))), [])
    centres, counts = offsets_of(drawn[0].axes[0])
    assert counts.sum() == 5_000
    assert centres.max() < 6


@pytest.mark.long
def test_colours_mean_the_same_in_all_panels_and_axes_are_alike(drawn, table_path, pruned_cells):
    exposure.plot(table_path(pruned_cells), [])
    panels = panels_of(drawn[0])
    peak = max(offsets_of(panel)[1].max() for panel in panels)
    for panel in panels:
        norm = panel.collections[0].norm
        assert (norm.vmin, norm.vmax) == (1, peak)
        drawn[0].canvas.draw()
        assert panel.get_window_extent().width == pytest.approx(panel.get_window_extent().height)


def test_without_dense_the_first_variant_is_the_reference(drawn, table_path, pruned_cells):
    exposure.plot(table_path([c for c in pruned_cells if c.variant != "dense"]), [])
    labels = {panel.get_xlabel() for panel in panels_of(drawn[0])}
    assert labels == {"d, static, 50% sparse"}


def test_a_single_variant_has_a_histogram(drawn, table_path, pruned_cells):
    exposure.plot(table_path([cell for cell in pruned_cells if cell.variant == "dpf-0.9"]), [])
    assert len(drawn[0].axes) == 2
    for panel in drawn[0].axes:
        assert panel.get_title().endswith("\nDPF, 90% sparse")
        assert sum(bar.get_height() for bar in panel.containers[0]) == NUM_EXAMPLES
