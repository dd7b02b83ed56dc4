"""Figures are drawn from small inputs, into valid files, to the same bytes each time."""

import zlib
from pathlib import Path

import numpy as np
import pytest
from matplotlib import pyplot as plt

from shadowmill.attacks import ATTACKS
from shadowmill.figures import curves, examples, roc, style


@pytest.fixture
def draw_leakage(membership_path):
    return lambda outputs: curves.plot_leakage(membership_path, "lira_online", outputs)


@pytest.fixture
def draw_accuracy(training_path):
    return lambda outputs: curves.plot_accuracy(training_path, outputs)


@pytest.fixture
def draw_tradeoff(training_path, membership_path):
    return lambda outputs: curves.plot_tradeoff(
        training_path, membership_path, "lira_online", outputs
    )


@pytest.fixture
def draw_roc(attack_paths):
    return lambda outputs: roc.plot("lira_online", attack_paths, outputs)


@pytest.fixture
def draw_examples(example_files):
    return lambda outputs: examples.plot(**example_files, outputs=outputs)


def check_png(path):
    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    pixels = plt.imread(path)  # decodes the whole file
    assert min(pixels.shape[:2]) > 300
    assert len(np.unique(pixels.reshape(-1, pixels.shape[-1]), axis=0)) > 10


def check_pdf(path):
    content = path.read_bytes()
    assert content.startswith(b"%PDF-")
    assert content.rstrip().endswith(b"%%EOF")
    # One page that draws: among its streams there are lines to and strokes.
    drawn = b""
    for piece in content.split(b"stream\n")[1::2]:
        try:
            drawn += zlib.decompressobj().decompress(piece)
        except zlib.error:
            continue
    assert drawn.count(b" l\n") > 10
    assert drawn.count(b"S\n") > 5


def check_twice(draw, folder):
    """Valid files with something on them, the same bytes every time, and no figure left open."""
    outputs = [folder / f"figure.{suffix}" for suffix in ("png", "pdf")]
    draw([str(path) for path in outputs])
    check_png(outputs[0])
    check_pdf(outputs[1])
    first = [path.read_bytes() for path in outputs]
    assert not plt.get_fignums()  # or a long report fills the memory
    draw([str(path) for path in outputs])
    assert [path.read_bytes() for path in outputs] == first


@pytest.mark.parametrize("kind", ["leakage", "accuracy", "tradeoff", "roc"])
def test_valid_files_with_something_on_them_the_same_every_time(request, tmp_path, kind):
    check_twice(request.getfixturevalue(f"draw_{kind}"), tmp_path)


def test_valid_files_of_examples_the_same_every_time(draw_examples, tmp_path):
    check_twice(draw_examples, tmp_path)


@pytest.fixture
def drawn(monkeypatch):
    """Figures as they are handed over for saving."""
    figures = []
    monkeypatch.setattr(style, "save", lambda figure, paths: figures.append(figure))
    yield figures
    plt.close("all")


def labels_of(axes):
    return axes.get_legend_handles_labels()[1]


def test_the_roc_has_a_row_per_data_set_a_column_per_method_and_all_its_variants(drawn, draw_roc):
    draw_roc([])
    (figure,) = drawn
    assert len(figure.axes) == 2 * 2
    assert figure.get_suptitle().startswith(ATTACKS["lira_online"].title)
    static, dpf = figure.axes[:2]
    assert labels_of(static) == ["dense", "static, 50% sparse", "static, 90% sparse", "chance"]
    assert labels_of(dpf) == ["dense", "DPF, 90% sparse", "chance"]
    for line in static.get_lines()[:3]:
        fpr, tpr = line.get_data()
        assert (np.diff(tpr) >= 0).all()
        assert (fpr[-1], tpr[-1]) == (1, 1)


def test_the_roc_shows_the_pooled_counts(drawn, attack_paths):
    from shadowmill.attacks.run import read_attack
    from shadowmill.roles import MEMBER, NON_MEMBER

    cell = next(cell for cell in attack_paths if cell.variant == "dense")
    roc.plot("lira_online", {cell: attack_paths[cell]}, [])
    scores = read_attack(attack_paths[cell])
    inside = scores.leave_one_out_MN[scores.shadow_roles_MN == MEMBER]
    outside = scores.leave_one_out_MN[scores.shadow_roles_MN == NON_MEMBER]
    thresholds = np.unique([*inside, *outside, np.inf])
    for fpr, tpr in zip(*drawn[0].axes[0].get_lines()[0].get_data(), strict=True):
        allowed = [t for t in thresholds if np.mean(outside >= t) <= fpr + 1e-12]
        assert tpr == pytest.approx(np.mean(inside >= min(allowed)))


def test_leakage_lies_where_the_table_says(drawn, draw_leakage, membership_path):
    from shadowmill.tables import read_csv

    draw_leakage([])
    table = read_csv(membership_path)
    auc = table[
        (table["target"] == "shadows-pooled")
        & (table["metric"] == "auc")
        & (table["dataset"] == "digits")
    ].set_index("variant")["value"]
    lines = {}
    for container in drawn[0].axes[0].containers:
        lines[container.get_label()] = container.lines[0].get_data()
    assert lines["static"][0] == pytest.approx([0.5, 0.9], abs=0.02)  # moved aside a little
    assert lines["static"][1] == pytest.approx(auc[["static-0.5", "static-0.9"]].tolist())
    assert lines["DPF"][1] == pytest.approx([auc["dpf-0.9"]])
    assert lines["dense"][1] == pytest.approx([auc["dense"]])


def test_the_tradeoff_has_a_point_for_every_variant(drawn, draw_tradeoff):
    draw_tradeoff([])
    for axes in drawn[0].axes:
        expected = ["dense", "static, 50% sparse", "static, 90% sparse", "DPF, 90% sparse"]
        assert labels_of(axes) == expected


def test_the_examples_are_the_most_and_the_least_exposed(drawn, draw_examples, example_files):
    from shadowmill.tables import read_csv

    draw_examples([])
    table = read_csv(example_files["examples_path"])
    titles = [axes.get_title() for axes in drawn[0].axes if axes.get_images()]
    numbers = [int(title.split()[1].rstrip(":")) for title in titles]
    assert table["rank"][numbers[:4]].tolist() == [1, 2, 3, 4]
    least = table["separation"].abs().sort_values().index[:4].tolist()
    assert numbers[4:] == least
    assert all(t.endswith("odd" if n % 2 else "even") for t, n in zip(titles, numbers, strict=True))


def test_a_failing_figure_leaves_no_file(tmp_path, draw_leakage, monkeypatch):
    from matplotlib.figure import Figure

    def fail(*arguments, **options):
        raise OSError("disk full")

    monkeypatch.setattr(Figure, "savefig", fail)
    with pytest.raises(OSError, match="disk full"):
        draw_leakage([str(tmp_path / "out" / "figure.png")])
    plt.close("all")
    assert list(Path(tmp_path / "out").iterdir()) == []
