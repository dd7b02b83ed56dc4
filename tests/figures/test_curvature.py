"""The curvature study's figures show what the files hold."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from figure_checks import check_layout, check_twice, labels_of, panels_of
from halves import halves
from matplotlib.colors import same_color, to_rgba

from shadowmill import roles, storage
from shadowmill.attacks import ATTACKS
from shadowmill.errors import ArtefactError
from shadowmill.figures import curvature, style
from shadowmill.names import Cell
from shadowmill.tables import identity, read_csv, write_csv

NUM_EXAMPLES, NUM_MODELS = 400, 4
NAMES = list(ATTACKS)[:12]
ESTIMATORS = ["finite_difference", "trace", "frobenius"]
CELL = Cell("clues", "cifar100", "resnet18", "dense")


# Curvatures of examples.


@pytest.fixture(params=["image", "tabular"])
def data_path(tmp_path, request):
    is_table = request.param == "tabular"
    random, shape = np.random.default_rng(3), (11,) if is_table else (8, 8, 3)
    inputs = random.integers(0, 2 if is_table else 256, (NUM_EXAMPLES, *shape))
    name = "location" if is_table else "cifar100"
    storage.write_hdf5(
        tmp_path / f"{name}.h5",
        {
            "features" if is_table else "images": inputs.astype("f4" if is_table else "u1"),
            "labels": np.arange(NUM_EXAMPLES) % 2,
            "mean": np.full(shape[-1], 0.5),
            "std": np.full(shape[-1], 0.3),
        },
        {},
        name=name,
        kind=request.param,
        pool_size=NUM_EXAMPLES,
        class_names=["aquarium_fish", "apple"],
        digest="x",
    )
    return str(tmp_path / f"{name}.h5")


@pytest.fixture
def scores(tmp_path):
    """A score file, and its roles and (M, N) traces, of which some are 0 and some negative."""
    random = np.random.default_rng(4)
    roles_MN = halves(NUM_MODELS, NUM_EXAMPLES, seed=0)
    roles_MN[1, ::9] = roles.VALIDATION
    trace = np.exp(
        random.normal(-3, 2, (*roles_MN.shape, 1)) - (roles_MN == roles.MEMBER)[..., None]
    )
    trace *= random.choice([-1, 1], trace.shape, p=[0.1, 0.9])
    trace[0, :3] = 0
    trace = trace.astype(np.float32)
    nothing = np.full(NUM_MODELS, np.nan)
    arrays = {
        "phi": trace,
        "correct": roles_MN > 0,
        "roles": roles_MN,
        "test_accuracy": nothing,
        "test_loss": nothing,
        "models": [f"target-{k}" for k in range(NUM_MODELS)],
        "sparsity": np.zeros(NUM_MODELS),
        "epochs": np.ones(NUM_MODELS, dtype=int),
        "training_seconds": np.ones(NUM_MODELS),
        "curvature_trace": trace,
        "curvature_frobenius": np.abs(trace),
        "curvature_finite_difference": np.abs(trace) / 1000,
    }
    path = str(tmp_path / "target.h5")
    storage.write_hdf5(path, arrays, {}, training_settings={})
    return path, roles_MN, trace[..., 0].astype(np.float64)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_layout_of_histograms(drawn, scores, estimator):
    curvature.plot_histograms(CELL, [scores[0]], estimator, [])
    check_layout(drawn[0])
    assert drawn[0].get_suptitle().startswith("CIFAR-100, ResNet-18, dense\n4 targets; ")


def test_valid_histograms_the_same_every_time(scores, tmp_path):
    check_twice(
        lambda outputs: curvature.plot_histograms(CELL, [scores[0]], "trace", outputs), tmp_path
    )


def test_histograms_are_of_members_and_of_non_members_with_their_medians(drawn, scores):
    path, roles_MN, trace_MN = scores
    curvature.plot_histograms(CELL, [path], "trace", [])
    (panel,) = panels_of(drawn[0])
    outlines = [patch for patch in panel.patches if not patch.get_fill()]
    log_MN = np.log(np.abs(trace_MN) + 1e-22)
    low, high = np.percentile(
        log_MN[(trace_MN != 0) & (roles_MN != roles.VALIDATION)], [0.05, 99.95]
    )
    for role, line, outline, color in zip(
        (roles.MEMBER, roles.NON_MEMBER),
        panel.get_lines(),
        outlines,
        (style.MEMBER_COLOR, style.NON_MEMBER_COLOR),
        strict=True,
    ):
        shown = log_MN[roles_MN == role]
        assert line.get_xdata() == pytest.approx([np.median(shown)] * 2)
        assert same_color(line.get_color(), color)
        name = "member" if role == roles.MEMBER else "non-member"
        number = f"{np.median(shown):.2f}".replace("-", "−")
        assert line.get_label() == f"{name}, median {number}"
        density, edges = np.histogram(shown.clip(low, high), 60, (low, high), density=True)
        corners = outline.get_xy()
        assert same_color(outline.get_edgecolor(), to_rgba(color))
        assert (corners[:, 0].min(), corners[:, 0].max()) == pytest.approx((edges[0], edges[-1]))
        for start, height in zip(edges[:-1], density, strict=True):
            assert height == pytest.approx(max(corners[np.isclose(corners[:, 0], start), 1][-1:]))
        # Zeros, whose log is -50, are in the first bin, and squeeze nothing.
        assert low > -15


def test_histograms_of_several_files_are_of_all_their_models(drawn, scores):
    curvature.plot_histograms(CELL, [scores[0]] * 2, "frobenius", [])
    assert "8 targets" in drawn[0].get_suptitle()


def test_layout_of_extremes(drawn, data_path, scores):
    curvature.plot_extremes(data_path, [scores[0]], "frobenius", [])
    check_layout(drawn[0], narrowest=0.8)


@pytest.mark.long
@pytest.mark.parametrize("data_path", ["image"], indirect=True)
def test_valid_extremes_the_same_every_time(data_path, scores, tmp_path):
    check_twice(
        lambda outputs: curvature.plot_extremes(data_path, [scores[0]], "trace", outputs), tmp_path
    )


def test_extremes_are_those_of_the_mean_over_models(drawn, data_path, scores):
    path, _, trace_MN = scores
    curvature.plot_extremes(data_path, [path], "trace", [])
    panels = panels_of(drawn[0])
    mean = [sum(trace_MN[:, n]) / NUM_MODELS for n in range(NUM_EXAMPLES)]
    ranked = sorted(range(NUM_EXAMPLES), key=mean.__getitem__)
    assert mean[ranked[0]] < 0
    for panel, example in zip(panels, [*ranked[::-1][:12], *ranked[:12]], strict=True):
        name = ("aquarium_fish", "apple")[example % 2]
        assert panel.get_title() == f"no. {example}\n{name}"
        assert float(panel.get_xlabel().replace("−", "-")) == pytest.approx(mean[example], rel=6e-3)
        (image,) = panel.get_images()
        with storage.open_hdf5(data_path) as file:
            if "images" in file:
                np.testing.assert_array_equal(image.get_array(), file["images"][example])
    assert [panel.get_ylabel() for panel in panels[::6]] == ["highest", "", "lowest", ""]


# Subset sizes.

SIZES = [500, 1_000, 3_000, 7_000, 12_000, 25_000, 45_000]


@pytest.fixture
def write_sizes(tmp_path):
    def write(names=NAMES[:3], sizes=SIZES, variants=("dense",), adversary="adaptive"):
        random = np.random.default_rng(5)
        rows = [
            identity(Cell("s", "cifar100", "resnet18", variant))
            | {"attack": name, "adversary": adversary, "target": target, "metric": metric}
            | {"value": random.uniform(0, 0.2) + 0.5 * (metric == "auc")}
            for variant, name, target, metric in product(
                variants,
                names,
                [*(f"target-{s}-{n}" for s in (1, 2) for n in sizes), "target-7", "shadows-pooled"],
                ("auc", "tpr_at_fpr_0.01", "accuracy"),
            )
        ]
        path = str(tmp_path / "membership.csv")
        write_csv(path, pd.DataFrame(rows))
        return path

    return write


@pytest.mark.parametrize(
    "options",
    [{}, {"names": NAMES}, {"sizes": SIZES[:3]}, {"variants": ("dense", "static-0.9")}],
    ids=["many sizes", "many attacks", "few sizes", "variants"],
)
def test_layout_of_subset_sizes(drawn, write_sizes, options):
    curvature.plot_subset_sizes(write_sizes(**options), NAMES, [])
    check_layout(drawn[0])
    assert len(panels_of(drawn[0])) == 2 * len(options.get("variants", "1"))


@pytest.mark.long
def test_valid_subset_sizes_the_same_every_time(write_sizes, tmp_path):
    path = write_sizes()
    check_twice(lambda outputs: curvature.plot_subset_sizes(path, NAMES, outputs), tmp_path)


def test_lines_are_means_and_bars_extremes_over_the_targets_of_a_size(drawn, write_sizes):
    path = write_sizes()
    curvature.plot_subset_sizes(path, NAMES, [])
    table = read_csv(path)
    looks = style.attack_looks(NAMES)
    for panel, metric in zip(panels_of(drawn[0]), ("auc", "tpr_at_fpr_0.01"), strict=True):
        assert panel.get_xscale() == "log"
        chance, *lines = panel.get_lines()
        assert set(chance.get_ydata()) == {0.5 if metric == "auc" else 0.01}
        assert set(labels_of(panel)) == {"chance", *(ATTACKS[name].title for name in NAMES[:3])}
        for container in panel.containers:
            (name,) = [n for n in NAMES if ATTACKS[n].title == container.get_label()]
            line, _, (bars,) = container.lines
            assert same_color(line.get_color(), looks[name]["color"])
            for size, (x, y), bar in zip(
                SIZES, line.get_xydata(), bars.get_segments(), strict=True
            ):
                chosen = table[(table["attack"] == name) & (table["metric"] == metric)]
                values = [chosen.set_index("target")["value"][f"target-{s}-{size}"] for s in (1, 2)]
                assert x == pytest.approx(size, rel=0.1)
                assert y == pytest.approx(sum(values) / 2)
                assert bar[:, 1] == pytest.approx(sorted(values))
        assert len(lines) == 3


def test_equal_values_whose_mean_is_rounded(drawn, write_sizes):
    """The mean of three times 0.1 is above 0.1: no bar may have a negative length."""
    path = write_sizes()
    table = read_csv(path)
    third = table.assign(target=table["target"].str.replace("target-1-", "target-3-"))
    table = pd.concat([table, third[third["target"].str.startswith("target-3")]]).assign(value=0.1)
    assert table["value"][:3].mean() != 0.1
    write_csv(path, table)
    curvature.plot_subset_sizes(path, NAMES, [])
    assert len(drawn) == 1


def test_only_the_strongest_of_many_attacks_are_shown(drawn, write_sizes):
    path = write_sizes(NAMES)
    curvature.plot_subset_sizes(path, NAMES, [])
    table = read_csv(path)
    table = table[(table["metric"] == "auc") & table["target"].str.fullmatch(r"target-\d-\d+")]
    means = table.groupby("attack")["value"].mean().sort_values(ascending=False)
    (legend,) = drawn[0].legends
    titles = [ATTACKS[name].title for name in means.index[:10]]
    assert [text.get_text() for text in legend.get_texts()] == [*titles, "chance"]
    assert "the 10 of 12 attacks" in drawn[0].get_suptitle()


def test_attacks_that_were_not_asked_for_are_not_shown(drawn, write_sizes):
    curvature.plot_subset_sizes(write_sizes(), NAMES[1:2], [])
    (legend,) = drawn[0].legends
    assert [text.get_text() for text in legend.get_texts()] == [ATTACKS[NAMES[1]].title, "chance"]
    assert "attacks" not in drawn[0].get_suptitle()


def test_another_adversary_is_named(drawn, write_sizes):
    curvature.plot_subset_sizes(
        write_sizes(variants=["static-0.9"], adversary="original"), NAMES, []
    )
    titles = {panel.get_title() for panel in panels_of(drawn[0])}
    assert titles == {"CIFAR-100, ResNet-18\nstatic, 90% sparse (original)"}


def test_a_study_without_subsets(write_sizes):
    with pytest.raises(
        ArtefactError, match=r"membership.csv: no rows of targets named target-SEED"
    ):
        curvature.plot_subset_sizes(write_sizes(sizes=[]), NAMES, [])
