"""Published privacy budgets against those of two ways of sampling."""

import re
from pathlib import Path

import numpy as np
import pytest

from shadowmill.defenses.private import epsilon
from shadowmill.errors import ArtefactError
from shadowmill.tables import read_csv
from shadowmill.tables.privacy import tabulate

PUBLISHED = Path(__file__).parents[2] / "rules" / "published_epsilon.yaml"
COLUMNS = ["data", "num_examples", "noise_multiplier", "epochs", "delta", "published_epsilon"]
COLUMNS += ["epsilon_as_run", "epsilon_as_documented"]


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Of all that is published."""
    path = tmp_path_factory.mktemp("privacy") / "privacy.csv"
    tabulate(str(PUBLISHED), str(path))
    return read_csv(path)


@pytest.mark.long
def test_there_is_a_row_for_each_published_budget(table):
    assert table.columns.tolist() == COLUMNS
    assert table.groupby(["data", "num_examples"], sort=False).size().to_dict() == {
        ("mnist", 10): 5,
        ("mnist", 40): 5,
        ("cifar10", 10): 5,
        ("cifar10", 40): 5,
    }
    np.testing.assert_allclose(table["delta"], table["num_examples"] ** -1.1, rtol=1e-8)
    c = table["num_examples"] // 10
    expected = np.where(table["data"] == "mnist", 26 + 6 * c, 38 + 10 * c)
    np.testing.assert_array_equal(table["epochs"], expected)
    # More noise, less ε: a check on the pairs as they were copied.
    for _, block in table.groupby(["data", "num_examples"]):
        assert (block["noise_multiplier"].diff().dropna() < 0).all()
        assert (block["published_epsilon"].diff().dropna() > 0).all()


def test_published_budgets_are_those_of_the_code_as_it_runs(table):
    np.testing.assert_allclose(table["epsilon_as_run"], table["published_epsilon"], rtol=0.02)


def test_published_budgets_are_too_small_for_the_documented_sampling(table):
    assert (table["epsilon_as_documented"] > 1.05 * table["published_epsilon"]).all()


@pytest.mark.parametrize(
    ("data", "num_examples", "noise_multiplier", "epochs", "documented"),
    [("mnist", 10, 1.82, 32, 7.1), ("mnist", 10, 0.435, 32, 89), ("cifar10", 40, 0.477, 78, 202)],
)
def test_entries_computed_one_by_one(
    table, data, num_examples, noise_multiplier, epochs, documented
):
    """Against the accountant, and numbers of an independent composition of loss distributions."""
    chosen = (table["data"] == data) & (table["num_examples"] == num_examples)
    (row,) = table[chosen & (table["noise_multiplier"] == noise_multiplier)].itertuples()
    assert row.epochs == epochs
    assert row.epsilon_as_documented == pytest.approx(documented, rel=0.01)
    delta = num_examples**-1.1
    for found, rate, steps in (
        (row.epsilon_as_run, 0.5, 2 * epochs),
        (row.epsilon_as_documented, (num_examples - 1) / num_examples, epochs),
    ):
        assert found == pytest.approx(epsilon(noise_multiplier, rate, steps, delta), rel=1e-8)


def test_what_is_printed(table, tmp_path, capsys):
    tabulate(str(PUBLISHED), str(tmp_path / "privacy.csv"))
    shown = capsys.readouterr().out
    assert len(re.findall(r"^ *(?:mnist|cifar10) ", shown, flags=re.MULTILINE)) == len(table)
    apart = (table["epsilon_as_run"] / table["published_epsilon"] - 1).abs().max()
    assert f"as run within {apart:.1%} of the published" in shown


@pytest.mark.parametrize("content", [None, "- {data: mnist"])
def test_a_file_that_cannot_be_read_is_named(tmp_path, content):
    path = tmp_path / "published_epsilon.yaml"
    if content:
        path.write_text(content)
    with pytest.raises(ArtefactError, match=rf"{re.escape(str(path))}: .*restore it"):
        tabulate(str(path), str(tmp_path / "privacy.csv"))
    assert not (tmp_path / "privacy.csv").exists()
