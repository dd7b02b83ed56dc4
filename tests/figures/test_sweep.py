"""Figures of learning curves, and of reconstruction against what a study varies."""

import numpy as np
import pandas as pd
import pytest
from figure_checks import check_layout, check_twice, lines_of, panels_of

from shadowmill.errors import ArtefactError
from shadowmill.figures import reconstruction as figures
from shadowmill.tables import write_csv

# Learning curve.


def test_learning_curve(drawn, tmp_path):
    table = pd.DataFrame(
        {
            "step": np.arange(1, 51) * 20_000,
            "train_loss": 1 / np.arange(1, 51),
            "validation_min_mse": 2 / np.arange(1, 51),
            "validation_null_min_mse": 3 / np.arange(1, 51),
        }
    )
    write_csv(tmp_path / "curve.csv", table)
    figures.plot_learning_curve(str(tmp_path / "curve.csv"), [])
    check_layout(drawn[0])
    loss, validation = panels_of(drawn[0])
    np.testing.assert_allclose(loss.get_lines()[0].get_data()[1], table["train_loss"])
    h0, h1 = (line.get_data() for line in validation.get_lines())
    np.testing.assert_allclose(h0[1], table["validation_min_mse"])
    np.testing.assert_allclose(h1[1], table["validation_null_min_mse"])
    assert [p.get_ylim()[0] for p in (loss, validation)] == [0, 0]


@pytest.mark.long
def test_learning_curve_files(tmp_path):
    row = {"step": 1, "train_loss": 0.5, "validation_min_mse": 1, "validation_null_min_mse": 2}
    write_csv(tmp_path / "curve.csv", pd.DataFrame([row, row | {"step": 2}]))
    check_twice(
        lambda outputs: figures.plot_learning_curve(str(tmp_path / "curve.csv"), outputs), tmp_path
    )


# Sweeps.


@pytest.fixture
def write_table(tmp_path):
    """Of each value of the parameter, rows that must be drawn and rows that must not."""

    def write(parameter, values, tasks=("multiclass",), several=True, epsilon=None):
        rows = []
        for k, value in enumerate(values):
            for task in tasks:
                same = {"study": "s", "setting": f"{parameter}-{value}", "parameter": parameter}
                same |= {"value": value, "dataset": "mnist", "task": task}
                if epsilon is not None:
                    same["epsilon"] = epsilon[k]
                for fpr, tpr in ((0.001, np.nan), (0.01, 0.9 - 0.08 * k), (0.1, 0.95 - 0.05 * k)):
                    limits = {"tpr_lower": tpr - 0.02, "tpr_upper": tpr + 0.01}
                    wide = {"tpr_lower_classes": tpr - 0.1, "tpr_upper_classes": tpr + 0.04}
                    if not several:
                        wide = dict.fromkeys(wide, np.nan)
                    drawn = {"class": "all", "method": "empirical", "fpr": fpr, "tpr": tpr}
                    rows.append(same | drawn | limits | wide)
                    rows.append(rows[-1] | {"class": "digit 3", "tpr": 0.5})
                    rows.append(rows[-2] | {"method": "analytic", "tpr": 0.4})
                    rows.append(rows[-3] | {"parameter": "other", "value": "x", "tpr": 0.3})
        path = str(tmp_path / "table.csv")
        write_csv(path, pd.DataFrame(rows))
        return path

    return write


SWEEPS = {
    "class_size": ("linear", [1, 2, 3, 4], ["1", "2", "3", "4"]),
    "epochs": ("log", [2**k for k in range(10)], None),
    "init_std": ("log", [0.0002, 0.002, 0.02, 0.2], ["0.0002", "0.002", "0.02", "0.2"]),
    "noise_multiplier": ("log", [1.82, 1.23, 0.85, 0.6, 0.435], None),
}


@pytest.mark.parametrize("parameter", SWEEPS)
def test_sweeps_over_numbers(drawn, write_table, parameter):
    scale, values, labels = SWEEPS[parameter]
    figures.plot_sweep(write_table(parameter, values), parameter, [])
    check_layout(drawn[0])
    (panel,) = panels_of(drawn[0])
    assert panel.get_xscale() == scale
    lines = lines_of(panel)
    order = np.argsort(values)
    for title, first, slope in (("TPR at 1 % FPR", 0.9, 0.08), ("TPR at 10 % FPR", 0.95, 0.05)):
        x, y = lines[title]
        np.testing.assert_allclose(x, np.sort(values))
        np.testing.assert_allclose(y, first - slope * order)
    shown = [label.get_text() for label in panel.get_xticklabels()]
    assert shown == labels if labels else len(shown) >= 5
    assert all(float(text) in values for text in shown)


def test_both_intervals_are_drawn_where_there_are_classes(drawn, write_table):
    for several in (True, False):
        figures.plot_sweep(write_table("epochs", [1, 8], several=several), "epochs", [])
    bars = [[c.get_segments() for c in panels_of(figure)[0].collections] for figure in drawn]
    heads, both = (np.array(segments)[:, :, 1] for segments in bars[0][:2])
    np.testing.assert_allclose(heads, [[0.88, 0.91], [0.8, 0.83]])
    np.testing.assert_allclose(both, [[0.8, 0.94], [0.72, 0.86]])
    assert "classes" in drawn[0].get_suptitle()
    assert "classes" not in drawn[1].get_suptitle()
    assert not any(np.size(line) and np.isfinite(line).all() for line in bars[1][1])


def test_optimisers_stand_side_by_side_unconnected_and_tasks_in_panels(drawn, write_table):
    path = write_table("optimizer", ["sgd", "adam"], tasks=("multiclass", "binary"))
    figures.plot_sweep(path, "optimizer", [])
    check_layout(drawn[0])
    titles = [panel.get_title() for panel in panels_of(drawn[0])]
    assert titles == ["MNIST, multiclass", "MNIST, binary"]
    for panel in panels_of(drawn[0]):
        assert [label.get_text() for label in panel.get_xticklabels()] == ["SGD", "Adam"]
        assert {line.get_linestyle() for line in panel.get_lines()[::2]} == {"None"}


def test_noise_is_shown_as_epsilon_where_the_table_says_it(drawn, write_table):
    values, epsilon = [0.374, 0.714, 1.48], [160.2, 40.1, 10.05]
    figures.plot_sweep(write_table("noise_multiplier", values, epsilon=epsilon), *_noise())
    (panel,) = panels_of(drawn[0])
    assert panel.get_xlabel() == "privacy ε"
    assert panel.get_xscale() == "log"
    x, y = lines_of(panel)["TPR at 1 % FPR"]
    np.testing.assert_allclose(x, sorted(epsilon))
    np.testing.assert_allclose(y, [0.74, 0.82, 0.9])


def test_no_privacy_stands_last(drawn, write_table):
    values, epsilon = [0, 0.714, 1.48], [np.nan, 40.1, 10.05]
    figures.plot_sweep(write_table("noise_multiplier", values, epsilon=epsilon), *_noise())
    check_layout(drawn[0])
    (panel,) = panels_of(drawn[0])
    assert [label.get_text() for label in panel.get_xticklabels()] == ["10.1", "40.1", "∞"]
    np.testing.assert_allclose(lines_of(panel)["TPR at 1 % FPR"][1], [0.74, 0.82, 0.9])


def _noise():
    return "noise_multiplier", []


def test_a_parameter_that_no_setting_varies(write_table):
    path = write_table("epochs", [1, 2])
    with pytest.raises(
        ArtefactError,
        match=r"table\.csv: no setting varies 'init_std', its settings vary epochs, other\.",
    ):
        figures.plot_sweep(path, "init_std", [])


@pytest.mark.parametrize("parameter", ["epochs", "class_size"])
def test_a_single_value(drawn, write_table, parameter):
    figures.plot_sweep(write_table(parameter, [1024]), parameter, [])
    check_layout(drawn[0])
    assert [x.get_text() for x in panels_of(drawn[0])[0].get_xticklabels()] == ["1,024"]


def test_sweep_files(write_table, tmp_path):
    path = write_table("class_size", [1, 4])
    check_twice(lambda outputs: figures.plot_sweep(path, "class_size", outputs), tmp_path)
