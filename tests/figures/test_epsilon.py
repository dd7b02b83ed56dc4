"""Figures of leakage against the privacy budget show what the tables hold."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from figure_checks import check_layout, check_twice, panels_of
from matplotlib.colors import same_color

from shadowmill.attacks import ATTACKS
from shadowmill.errors import ArtefactError
from shadowmill.figures import curvature, style
from shadowmill.names import Cell
from shadowmill.tables import identity, read_csv, write_csv

NUM_EXAMPLES, NUM_MODELS = 400, 4
NAMES = list(ATTACKS)[:12]
ESTIMATORS = ["finite_difference", "trace", "frobenius"]
CELL = Cell("clues", "cifar100", "resnet18", "dense")


EPSILONS = [0.5, 1, 2, 3, 5, 10, 50]
DENSE = ["dense", *(f"dense+dp_sgd-{epsilon:g}" for epsilon in EPSILONS)]
SPARSE = ["static-0.9", "static-0.9+dp_sgd-1", "static-0.9+dp_sgd-8"]
BOTH = ("adaptive", "non_adaptive")


@pytest.fixture
def write_epsilons(tmp_path):
    def write(variants=DENSE, names=NAMES[:3], adversaries=BOTH):
        random = np.random.default_rng(6)
        rows = []
        for variant, name, adversary in product(variants, names, adversaries):
            if adversary == "non_adaptive" and "+" not in variant:
                continue  # is the adaptive one
            who = "shadows" if adversary == "adaptive" else "targets"
            for target in (f"{who}-pooled", f"{who}-mean", "target-1"):
                value = random.uniform(0.5, 0.9)
                row = {"attack": name, "adversary": adversary, "target": target, "metric": "auc"}
                row |= {"value": value, "ci_low": value - 0.01, "ci_high": value + 0.02}
                rows.append(identity(Cell("s", "cifar100", "resnet18", variant)) | row)
        path = str(tmp_path / "membership.csv")
        write_csv(path, pd.DataFrame(rows))
        return path

    return write


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"variants": DENSE[1:3], "names": NAMES[:1], "adversaries": BOTH[:1]},
        {"variants": [*DENSE, *SPARSE, "static-0.5+dp_sgd-8", "dpf-0.5+dp_sgd-8"], "names": NAMES},
        {"adversaries": (*BOTH, "original")},
    ],
    ids=["usual", "least", "most", "three adversaries"],
)
def test_layout_of_epsilons(drawn, write_epsilons, options):
    curvature.plot_epsilon(write_epsilons(**options), NAMES, [])
    check_layout(drawn[0])


@pytest.mark.long
def test_valid_epsilons_the_same_every_time(write_epsilons, tmp_path):
    path = write_epsilons()
    check_twice(lambda outputs: curvature.plot_epsilon(path, NAMES, outputs), tmp_path)


@pytest.mark.parametrize("adversary", ["shared", "imported"])
def test_adversaries_that_train_as_the_targets_were_look_alike(drawn, write_epsilons, adversary):
    for whose in ("adaptive", adversary):
        curvature.plot_epsilon(write_epsilons(adversaries=[whose]), NAMES, [])
    one, other = (
        [line.get_linestyle() for panel in panels_of(figure) for line in panel.lines]
        for figure in drawn
    )
    assert one == other


def test_lines_are_pooled_values_with_their_intervals_against_epsilon(drawn, write_epsilons):
    path = write_epsilons()
    curvature.plot_epsilon(path, NAMES, [])
    table = read_csv(path)
    table = table[table["target"].str.endswith("-pooled")].set_index(
        ["attack", "adversary", "strength"]
    )
    (panel,) = panels_of(drawn[0])
    assert panel.get_xscale() == "log"
    assert panel.get_title() == "CIFAR-100, ResNet-18\ndense"
    assert len(panel.containers) == 3 * 2
    lines = zip(panel.containers, product(NAMES[:3], BOTH), strict=True)
    for container, (name, adversary) in lines:
        line, _, (bars,) = container.lines
        assert same_color(line.get_color(), style.attack_looks(NAMES)[name]["color"])
        assert line.is_dashed() == (adversary != "adaptive")
        for epsilon, (x, y), bar in zip(
            EPSILONS, line.get_xydata(), bars.get_segments(), strict=True
        ):
            row = table.loc[name, adversary, epsilon]
            assert x == pytest.approx(epsilon, rel=0.05)
            assert y == pytest.approx(row["value"])
            assert bar[:, 1] == pytest.approx([row["ci_low"], row["ci_high"]])


def test_the_same_without_dp_sgd_is_the_reference_of_its_panel(drawn, write_epsilons):
    """Of its first adversary: pruned models can be attacked with dense shadows, too."""
    path = write_epsilons([*DENSE, *SPARSE], adversaries=("adaptive", "original"))
    curvature.plot_epsilon(path, NAMES, [])
    table = read_csv(path)
    table = table[(table["defense"] == "none") & (table["target"] == "shadows-pooled")]
    for panel, variant in zip(panels_of(drawn[0]), ("dense", "static-0.9"), strict=True):
        expected = sorted(table.loc[table["variant"] == variant, "value"])
        levels = [line.get_ydata() for line in panel.get_lines() if len(line.get_ydata()) == 2]
        found = sorted(y[0] for y in levels if y[0] == y[1] != 0.5)
        assert found == pytest.approx(expected)


def legend_of(figure):
    (legend,) = figure.legends
    return [text.get_text() for text in legend.get_texts()]


def test_the_legend_tells_attacks_shadows_and_reference(drawn, write_epsilons):
    curvature.plot_epsilon(write_epsilons(), NAMES, [])
    attacks, others = legend_of(drawn[0])[:3], legend_of(drawn[0])[3:]
    assert set(attacks) == {ATTACKS[name].title for name in NAMES[:3]}
    shadows = ["shadows with DP-SGD", "shadows without DP-SGD"]
    assert others == [*shadows, "without DP-SGD", "chance"]


@pytest.mark.parametrize(
    ("adversary", "told"), [("adaptive", []), ("non_adaptive", ["shadows without DP-SGD"])]
)
def test_what_is_not_there_is_not_in_the_legend(drawn, write_epsilons, adversary, told):
    path = write_epsilons(DENSE[1:], NAMES[:1], [adversary])
    curvature.plot_epsilon(path, NAMES, [])
    assert legend_of(drawn[0]) == [ATTACKS[NAMES[0]].title, *told, "chance"]


def test_the_five_strongest_attacks_against_dp_sgd_are_shown(drawn, write_epsilons):
    path = write_epsilons(names=NAMES)
    curvature.plot_epsilon(path, NAMES, [])
    table = read_csv(path)
    table = table[table["target"].str.endswith("-pooled") & (table["defense"] == "dp_sgd")]
    means = table.groupby("attack")["value"].mean().sort_values(ascending=False)
    assert legend_of(drawn[0])[:5] == [ATTACKS[name].title for name in means.index[:5]]
    assert "the 5 of 12 attacks" in drawn[0].get_suptitle()


def test_a_study_without_dp_sgd(write_epsilons):
    with pytest.raises(ArtefactError, match=r"membership.csv: no rows of variants with dp_sgd"):
        curvature.plot_epsilon(write_epsilons(["dense", "dense+ppb-4"]), NAMES, [])
