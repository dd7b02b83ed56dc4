"""The figure of privacy: claimed and shown."""

import numpy as np
import pandas as pd
import pytest
from figure_checks import check_layout, check_twice

from shadowmill.figures import privacy_audit
from shadowmill.names import Cell
from shadowmill.tables import identity, write_csv

ROWS = {
    "dense": (np.nan, 2.5, 3.1),
    "dense+dp_sgd-2": (3.4, 0.4, 0.6),
    "dense+dp_sgd-8": (12.8, 1.2, 1.7),
}


@pytest.fixture
def write(tmp_path):
    def write(exceeded=False, datasets=("digits",), runs=(9, 9, 9)):
        table = pd.DataFrame(
            [
                identity(Cell("main", dataset, "small_convnet", variant))
                | {
                    "runs": count,
                    "delta": 1e-5,
                    "claimed_epsilon_replace_one": 0.1 if broken else claimed,
                    "shown_epsilon": shown,
                    "shown_epsilon_gdp": gaussian,
                    "p_value": 1e-9,
                    "exceeded": broken,
                }
                for dataset in datasets
                for (variant, (claimed, shown, gaussian)), count in zip(
                    ROWS.items(), runs, strict=True
                )
                for broken in [exceeded and variant == "dense+dp_sgd-8"]
            ]
        )
        write_csv(tmp_path / "audit.csv", table)
        return str(tmp_path / "audit.csv")

    return write


@pytest.mark.long
def test_valid_files_the_same_every_time(write, tmp_path):
    check_twice(lambda outputs: privacy_audit.plot(write(), outputs), tmp_path)


@pytest.mark.parametrize("exceeded", [False, True])
def test_nothing_overlaps(drawn, write, exceeded):
    privacy_audit.plot(write(exceeded, ("digits", "fashion_mnist")), [])
    check_layout(drawn[0])


def test_bounds_are_where_they_are(drawn, write):
    privacy_audit.plot(write(), [])
    (panel,) = drawn[0].axes
    marks = {(line.get_marker(), line.get_mfc() == "none"): [] for line in panel.get_lines()}
    for line in panel.get_lines():
        marks[line.get_marker(), line.get_mfc() == "none"] += list(
            zip(line.get_xdata(), line.get_ydata(), strict=True)
        )
    assert marks[">", False] == [(2.5, 0), (0.4, 1), (1.2, 2)]
    assert marks[">", True] == [(3.1, 0), (0.6, 1), (1.7, 2)]
    assert marks["<", False] == [(3.4, 1), (12.8, 2)]  # dense claims nothing
    assert panel.get_xlim()[1] > 12.8
    assert "claim exceeded" not in [text.get_text() for text in drawn[0].legends[0].get_texts()]


@pytest.mark.parametrize(("runs", "said"), [((9, 9, 9), "9 runs"), ((9, 3, 6), "3 to 9 runs")])
def test_the_title_says_how_many_runs(drawn, write, runs, said):
    privacy_audit.plot(write(runs=runs), [])
    assert f"95 % confidence, {said} of a variant" in drawn[0].get_suptitle()


def test_an_exceeded_claim_is_in_the_title_and_the_legend(drawn, write):
    privacy_audit.plot(write(exceeded=True), [])
    title = drawn[0].get_suptitle().replace("\n", " ")
    assert "CLAIM EXCEEDED: digits, small_convnet, dense+dp_sgd-8 claims ε ≤ 0.1" in title
    assert "claim exceeded" in [text.get_text() for text in drawn[0].legends[0].get_texts()]
