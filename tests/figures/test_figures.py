"""Figures are drawn from small inputs, into valid files, to the same bytes each time."""

from itertools import combinations

import numpy as np
import pytest
from figure_checks import check_layout, check_twice, labels_of
from matplotlib import pyplot as plt
from matplotlib.colors import same_color

from shadowmill.attacks import ATTACKS
from shadowmill.attacks.run import read_attack
from shadowmill.figures import curves, examples, roc, style
from shadowmill.names import Variant
from shadowmill.roles import MEMBER, NON_MEMBER
from shadowmill.tables import read_csv, write_csv

ATTACK = "lira_online"


@pytest.fixture
def draw(write_training, write_membership, write_attacks):
    """Draw a figure of a study with these configurations."""

    def drawn(kind, cells, outputs=()):
        if kind == "leakage":
            curves.plot_leakage(write_membership(cells), ATTACK, outputs)
        elif kind == "accuracy":
            curves.plot_accuracy(write_training(cells), outputs)
        elif kind == "tradeoff":
            curves.plot_tradeoff(write_training(cells), write_membership(cells), ATTACK, outputs)
        else:
            roc.plot(ATTACK, write_attacks(cells), outputs)

    return drawn


KINDS = ["leakage", "accuracy", "tradeoff", "roc"]


# Files.


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_valid_files_with_something_on_them_the_same_every_time(draw, cells, tmp_path, kind):
    some = [cell for cell in cells if cell.dataset == "digits"]
    check_twice(lambda outputs: draw(kind, some, outputs), tmp_path)


@pytest.mark.long
def test_valid_files_of_examples_the_same_every_time(example_files, tmp_path):
    check_twice(lambda outputs: examples.plot(**example_files, outputs=outputs), tmp_path)


def test_a_failing_figure_leaves_no_file(tmp_path, draw, pruned_cells, monkeypatch):
    from matplotlib.figure import Figure

    def fail(*arguments, **options):
        raise OSError("disk full")

    monkeypatch.setattr(Figure, "savefig", fail)
    with pytest.raises(OSError, match="disk full"):
        draw("leakage", pruned_cells, [str(tmp_path / "out" / "figure.png")])
    plt.close("all")
    assert not list(tmp_path.glob("out/*"))


# Layout: what a reader needs is on the page, and nothing lies on top of something else.


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_texts_neither_overlap_nor_are_cut_off(drawn, draw, cells, kind):
    draw(kind, cells)
    check_layout(drawn[0])


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_a_study_of_a_single_setting_has_room_too(drawn, draw, defended_cells, kind):
    draw(kind, [cell for cell in defended_cells if cell.dataset == "digits"])
    check_layout(drawn[0])


@pytest.mark.long
def test_texts_of_examples_neither_overlap_nor_are_cut_off(drawn, example_files):
    examples.plot(**example_files, outputs=[])
    check_layout(drawn[0], narrowest=0.9)


# ROC curves.


def panels_by_title(figure):
    """Panels of the first data set by what was done to the models."""
    titled = [axes.get_title().split("\n") for axes in figure.axes]
    first = titled[0][0]
    return {
        name: axes
        for (setting, name), axes in zip(titled, figure.axes, strict=True)
        if setting == first
    }


def test_the_roc_has_a_panel_per_data_set_and_method_with_all_its_variants(
    drawn, draw, pruned_cells
):
    draw("roc", pruned_cells)
    (figure,) = drawn
    assert len(figure.axes) == 2 * 2
    assert figure.get_suptitle().startswith(ATTACKS[ATTACK].title)
    panels = panels_by_title(figure)
    static = panels["static"]
    assert labels_of(static) == ["dense", "static, 50% sparse", "static, 90% sparse", "chance"]
    assert labels_of(panels["DPF"]) == ["dense", "DPF, 90% sparse", "chance"]
    for line in static.get_lines()[:3]:
        fpr, tpr = line.get_data()
        assert (np.diff(tpr) >= 0).all()
        assert (fpr[-1], tpr[-1]) == (1, 1)


@pytest.mark.parametrize("kind", ["leakage", "tradeoff", "roc"])
def test_variants_that_are_judged_by_targets_are_named(drawn, draw, defended_cells, kind):
    draw(kind, defended_cells)
    (figure,) = drawn
    title = figure.get_suptitle().replace("\n", " ")
    judged = next(cell for cell in defended_cells if cell.variant == "slim-0.7+ppb-4")
    name = style.variant_title(Variant.parse(judged.variant))
    assert title.endswith(f"judged by targets: {name}")


def test_defended_variants_stand_beside_what_they_are_without_their_defence(
    drawn, draw, defended_cells
):
    draw("roc", defended_cells)
    panels = panels_by_title(drawn[0])
    assert list(panels) == [
        "slimming",
        "my_method",
        "early stopping",
        "PPB",
        "adversarial regularisation",
        "label smoothing",
    ]
    assert labels_of(panels["PPB"]) == [
        "dense",
        "slimming, 70% sparse",
        "dense + PPB, λ = 2",
        "dense + PPB, λ = 4",
        "slimming, 70% sparse + PPB, λ = 4",
        "chance",
    ]
    assert labels_of(panels["early stopping"]) == [
        "dense",
        "dense + early stopping, patience = 5",
        "chance",
    ]
    assert labels_of(panels["slimming"]) == ["dense", "slimming, 70% sparse", "chance"]
    assert [line.get_linestyle() for line in panels["PPB"].get_lines()] == [*"--", *["--"] * 3, ":"]


@pytest.mark.parametrize("columns", [1, 3])
def test_long_rows_of_panels_are_broken_and_each_data_set_begins_a_new_one(
    drawn, draw, defended_cells, monkeypatch, columns
):
    monkeypatch.setattr(roc, "_MAX_COLUMNS", columns)
    draw("roc", defended_cells)
    (figure,) = drawn
    assert len(figure.axes) == 2 * 6
    rows = {}
    for axes in figure.axes:
        row = axes.get_subplotspec().rowspan.start
        rows.setdefault(row, set()).add(axes.get_title().split("\n")[0])
    assert len(rows) == 2 * 6 / columns
    assert all(len(settings) == 1 for settings in rows.values())


def test_lines_of_a_panel_can_be_told_apart(drawn, draw, cells):
    draw("roc", cells)
    for axes in drawn[0].axes:
        for one, other in combinations(axes.get_lines(), 2):
            same = same_color(one.get_color(), other.get_color())
            assert not same or one.get_linestyle() != other.get_linestyle()


def test_few_non_members_still_leave_a_decade(drawn, write_attacks, defended_cells):
    paths = write_attacks(defended_cells)
    cell = next(cell for cell in paths if cell.variant == "slim-0.7+ppb-4")
    scores = read_attack(paths[cell])
    assert (scores.target_roles_TN == NON_MEMBER).sum() < 100
    roc.plot(ATTACK, {cell: paths[cell]}, [])
    assert drawn[0].axes[0].get_xlim() == drawn[0].axes[0].get_ylim() == (0.1, 1)


@pytest.mark.long
def test_the_roc_says_how_many_shadows_did_not_converge(drawn, write_attacks, cells, tmp_path):
    paths = write_attacks(cells)
    identity = "study,dataset,architecture,variant,method,sparsity,defense,strength"
    head = f"{identity},model,quantity,value,median,limit\n"
    row = "main,digits,small_convnet,dense,dense,0,none,0,{},{},0.1,0.9,0.8\n"
    for rows, note in (
        ([], ""),
        ([("shadow-0", "train_accuracy"), ("shadow-0", "test_accuracy")], "1 shadow did not"),
        ([("shadow-0", "train_accuracy"), ("shadow-1", "train_accuracy")], "2 shadows did not"),
    ):
        path = tmp_path / "health.csv"
        path.write_text(head + "".join(row.format(*values) for values in rows))
        roc.plot(ATTACK, paths, [], str(path))
        title = drawn[-1].get_suptitle()
        assert note in title
        assert ("converge" in title) == bool(rows)


def test_one_legend_names_all_lines_of_the_roc(drawn, draw, cells):
    draw("roc", cells)
    (legend,) = drawn[0].legends
    named = [text.get_text() for text in legend.get_texts()]
    assert named[-1] == "chance"
    assert set(named) == {label for axes in drawn[0].axes for label in labels_of(axes)}
    assert len(set(named)) == len(named)


@pytest.mark.parametrize("variant", ["dense", "slim-0.7+ppb-4"])
def test_the_roc_shows_the_pooled_counts(drawn, write_attacks, defended_cells, variant):
    """Of the shadows; of the targets, where the shadows lack their defence."""
    paths = write_attacks(defended_cells)
    cell = next(cell for cell in paths if cell.variant == variant)
    roc.plot(ATTACK, {cell: paths[cell]}, [])
    scores = read_attack(paths[cell])
    score_MN, roles_MN = (
        (scores.shadow_score_MN, scores.shadow_roles_MN)
        if variant == "dense"
        else (scores.score_TN, scores.target_roles_TN)
    )
    inside, outside = score_MN[roles_MN == MEMBER], score_MN[roles_MN == NON_MEMBER]
    thresholds = np.unique([*inside, *outside, np.inf])
    for fpr, tpr in zip(*drawn[0].axes[0].get_lines()[0].get_data(), strict=True):
        allowed = [t for t in thresholds if np.mean(outside >= t) <= fpr + 1e-12]
        assert tpr == pytest.approx(np.mean(inside >= min(allowed)))


# Tables as curves, rows and points.


def pooled_values(path, dataset, metric):
    table = read_csv(path)
    rows = table[table["target"].str.endswith("-pooled")]
    rows = rows[(rows["metric"] == metric) & (rows["dataset"] == dataset)]
    return rows.set_index("variant")["value"]


def test_leakage_lies_where_the_table_says(drawn, draw, pruned_cells, write_membership):
    draw("leakage", pruned_cells)
    auc = pooled_values(write_membership(pruned_cells), "digits", "auc")
    lines = {}
    for container in drawn[0].axes[0].containers:
        lines[container.get_label()] = container.lines[0].get_data()
    assert lines["static"][0] == pytest.approx([0.5, 0.9], abs=0.02)  # moved aside a little
    assert lines["static"][1] == pytest.approx(auc[["static-0.5", "static-0.9"]].tolist())
    assert lines["DPF"][1] == pytest.approx([auc["dpf-0.9"]])
    assert lines["dense"][1] == pytest.approx([auc["dense"]])


@pytest.mark.parametrize("kind", ["pruned_cells", "defended_cells"])
def test_where_nothing_was_found_a_cross_says_what_would_have_been(
    drawn, write_membership, request, kind
):
    cells = [c for c in request.getfixturevalue(kind) if c.dataset == "digits"]
    path = write_membership(cells)
    table = read_csv(path)
    one = (table["variant"] == cells[-1].variant) & (table["metric"] == "auc")
    table.loc[~one, "ci_low"] = table["value"]
    table.loc[one, ["ci_low", "detectable"]] = 0.49, 0.56
    write_csv(path, table)
    curves.plot_leakage(path, ATTACK, [])
    crosses = [
        xy
        for axes in drawn[0].axes
        for line in axes.get_lines()
        if line.get_marker() == "x"
        for xy in line.get_xydata().tolist()
    ]
    defended = kind == "defended_cells"
    place = len(cells) - 1 if defended else Variant.parse(cells[-1].variant).sparsity
    assert crosses == [[0.56, place] if defended else [place, 0.56]]
    assert "×: nothing was found" in drawn[0].get_suptitle()
    table["ci_low"] = table["value"]
    write_csv(path, table)
    curves.plot_leakage(path, ATTACK, [])
    assert "×" not in drawn[1].get_suptitle()


def test_with_defences_each_variant_has_a_row(drawn, draw, defended_cells, write_membership):
    draw("leakage", defended_cells)
    table = write_membership(defended_cells)
    for axes, dataset, metric in zip(
        drawn[0].axes, ["digits"] * 2 + ["cifar10"] * 2, ["auc", "tpr_at_fpr_0.01"] * 2, strict=True
    ):
        values = pooled_values(table, dataset, metric)
        titles = [style.variant_title(Variant.parse(name)) for name in values.index]
        shown = [label.get_text() for label in axes.get_yticklabels()]
        assert shown == (titles if metric == "auc" else [])  # named once, at the left
        points = [container.lines[0].get_data() for container in axes.containers]
        assert [y for _, (y,) in points] == list(range(len(values)))
        found = [x for (x,), _ in points]
        assert found == pytest.approx(values.tolist(), nan_ok=True)
        top, bottom = axes.transData.transform([[0, 0], [0, len(values) - 1]])[:, 1]
        assert top > bottom  # the first at the top


def test_markers_of_defended_variants_are_hollow(drawn, draw, defended_cells):
    draw("leakage", defended_cells)
    variants = [Variant.parse(cell.variant) for cell in defended_cells[: len(defended_cells) // 2]]
    for variant, container in zip(variants, drawn[0].axes[0].containers, strict=True):
        filling = container.lines[0].get_markerfacecolor()
        assert same_color(filling, "white") == (variant.defense != "none")


def test_accuracy_of_defended_variants_has_rows_as_well(drawn, draw, defended_cells, tmp_path):
    draw("accuracy", defended_cells)
    table = read_csv(tmp_path / "training.csv")
    digits = table[table["dataset"] == "digits"]
    means = digits.groupby("variant", sort=False)["test_accuracy"].mean()
    points = [container.lines[0].get_xdata()[0] for container in drawn[0].axes[0].containers]
    assert points == pytest.approx(means.tolist())
    assert not drawn[0].legends  # the rows are named


def test_a_method_of_the_users_own_is_grey(drawn, draw, defended_cells):
    cells = [cell for cell in defended_cells if "+" not in cell.variant]
    draw("accuracy", cells)
    line = next(c for c in drawn[0].axes[0].containers if c.get_label() == "my_method").lines[0]
    red, green, blue = line.get_color()
    assert red == green == blue
    assert 0.2 < red < 0.8


def test_the_tradeoff_has_a_point_for_every_variant(drawn, draw, cells):
    draw("tradeoff", cells)
    names = dict.fromkeys(cell.variant for cell in cells)
    expected = [style.variant_title(Variant.parse(name)) for name in names]
    for axes in drawn[0].axes:
        assert labels_of(axes) == expected
    (legend,) = drawn[0].legends
    assert [text.get_text() for text in legend.get_texts()] == expected


# Single examples.


def test_the_examples_are_the_most_and_the_least_exposed(drawn, example_files):
    examples.plot(**example_files, outputs=[])
    table = read_csv(example_files["examples_path"])
    titles = [axes.get_title() for axes in drawn[0].axes if axes.get_images()]
    numbers = [int(title.split()[1].rstrip(":")) for title in titles]
    assert table["rank"][numbers[:4]].tolist() == [1, 2, 3, 4]
    least = table["separation"].abs().sort_values().index[:4].tolist()
    assert numbers[4:] == least
    assert all(t.endswith("odd" if n % 2 else "even") for t, n in zip(titles, numbers, strict=True))


def test_examples_are_shown_as_they_are_and_features_row_by_row(drawn, example_files):
    from shadowmill.data.store import load

    examples.plot(**example_files, outputs=[])
    data = load(example_files["data_path"])
    for axes in (axes for axes in drawn[0].axes if axes.get_images()):
        number = int(axes.get_title().split()[1].rstrip(":"))
        shown, expected = axes.get_images()[0].get_array(), data.inputs[number].squeeze()
        if data.kind == "tabular":
            # Eleven features in a square of four by four, ones white.
            assert shown.shape == (4, 4)
            assert shown.ravel()[:11].tolist() == (255 * expected).tolist()
            assert not shown.ravel()[11:].any()
        else:
            np.testing.assert_array_equal(shown, expected)


def test_histograms_leave_out_models_that_set_the_example_aside(drawn, example_files):
    from shadowmill.scores.files import read_scores

    examples.plot(**example_files, outputs=[])
    shadows = read_scores(example_files["score_paths"])
    pictures = [axes for axes in drawn[0].axes if axes.get_images()]
    histograms = [axes for axes in drawn[0].axes if not axes.get_images()]
    for picture, histogram in zip(pictures, histograms, strict=True):
        number = int(picture.get_title().split()[1].rstrip(":"))
        assert labels_of(histogram) == ["member", "non-member"]
        assert [sum(bar.get_height() for bar in bars) for bars in histogram.containers] == [
            shadows.member_MN[:, number].sum(),
            shadows.nonmember_MN[:, number].sum(),
        ]
