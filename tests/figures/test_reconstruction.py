"""Figures of reconstructions: what they show, and that it can be read."""

import numpy as np
import pytest
from figure_checks import check_layout, check_twice, labels_of, lines_of, panels_of, texts_of

from shadowmill import storage
from shadowmill.figures import reconstruction as figures
from shadowmill.figures.gallery import mse_of_bytes, plot_gallery
from shadowmill.metrics.correlation import spearman
from shadowmill.metrics.intervals import clopper_pearson
from shadowmill.metrics.reconstruction import rates_at_fprs

HEADS, SIZE, NEAREST = 60, 10, 0.075


@pytest.fixture(autouse=True)
def few_replicates(monkeypatch):
    monkeypatch.setattr(figures, "REPLICATES", 20)


def arrays_of(heads=HEADS, groups=10, pictures=12, channels=1, side=16):
    random = np.random.default_rng(heads + groups)
    shape = (heads, groups)
    phi = random.normal(-4, 0.8, shape), random.normal(-2.6, 0.5, shape)
    original = random.integers(256, size=(pictures, side, side, channels), dtype=np.uint8)
    # Alternately near and far.
    shift = np.where(np.arange(pictures) % 2, 80, 10)[:, None, None, None]
    candidates = np.arange(SIZE).reshape(groups, -1)
    return {
        "min_mse_h0": (4 / (1 + np.exp(-phi[0]))).astype(np.float32),
        "min_mse_h1": (4 / (1 + np.exp(-phi[1]))).astype(np.float32),
        "best": candidates[np.arange(groups), random.integers(SIZE // groups, size=shape)],
        "indices": np.arange(heads * SIZE).reshape(heads, SIZE),
        "gallery_originals": original,
        "gallery_reconstructions": np.clip(original + shift, 0, 255).astype(np.uint8),
        "gallery_null": 255 - original,
        "nearest": np.full(shape, NEAREST),
    }


@pytest.fixture
def write(tmp_path):
    def write(heads=HEADS, groups=10, changes=None, **pictures):
        path = str(tmp_path / "reconstructions.h5")
        names = [f"digit {g}" for g in range(groups)] if groups > 1 else ["all"]
        arrays = arrays_of(heads, groups, **pictures) | (changes or {})
        facts = {"nearest_quantile_threshold": NEAREST, "class_names": names, "epsilon": None}
        storage.write_hdf5(path, arrays, {}, **facts)
        return path

    return write


# ROC.


@pytest.mark.long
def test_roc_files(write, tmp_path):
    path = write()
    check_twice(lambda outputs: figures.plot_roc(path, outputs), tmp_path)


@pytest.mark.parametrize(("heads", "groups"), [(60, 10), (300, 1), (12, 2)])
def test_roc_curves_are_the_rates_from_one_reconstruction_on(drawn, write, heads, groups):
    path = write(heads, groups)
    figures.plot_roc(path, [])
    check_layout(drawn[0])
    (panel,) = panels_of(drawn[0])
    floor = 1 / (heads * groups)
    assert panel.get_xlim() == (pytest.approx(floor), 1)
    assert (panel.get_xscale(), panel.get_yscale()) == ("log", "log")
    *curves, chance = lines_of(panel).values()
    np.testing.assert_allclose(chance, [[floor, 1], [floor, 1]])
    arrays = arrays_of(heads, groups)
    pair = [arrays[name].astype(np.float64) for name in ("min_mse_h0", "min_mse_h1")]
    for index in (0, 200, 399):
        (fpr,) = {curve[0, index] for curve in curves}
        rates = rates_at_fprs(*pair, [min(fpr, 1.0)], 2, seed=0)
        assert [curve[1, index] for curve in curves] == pytest.approx([r.tpr for r in rates])
    said = drawn[0].get_suptitle()
    assert said == f"{heads} test heads" + (f" × {groups} classes" if groups > 1 else "")


def test_roc_without_a_width_shows_what_was_counted(drawn, write):
    figures.plot_roc(write(changes={"min_mse_h0": np.full((HEADS, 10), 0.1)}), [])
    assert len(panels_of(drawn[0])[0].get_lines()) == 2


# min-MSE.


@pytest.mark.parametrize("thresholds", [{}, {"published": 0.0696, "own": 0.2}])
def test_min_mse_files_and_layout(drawn, write, thresholds):
    figures.plot_min_mse(write(), thresholds, [])
    check_layout(drawn[0])
    (panel,) = panels_of(drawn[0])
    marked = {"nearest neighbours": NEAREST, **thresholds}
    lines = lines_of(panel)
    for name, value in marked.items():
        assert lines[f"{name}: {value:.3g}"][0] == pytest.approx([value, value])
    assert len(labels_of(panel)) == 3 + len(marked)


@pytest.mark.long
def test_min_mse_written(write, tmp_path):
    path = write(groups=1)
    check_twice(lambda outputs: figures.plot_min_mse(path, {"p": 0.05}, outputs), tmp_path)


def test_every_reconstruction_is_counted_once_and_fits_hold_as_many(drawn, write):
    random = np.random.default_rng(0)
    h0 = np.where(random.random((HEADS, 10)) < 0.1, 0, arrays_of()["min_mse_h0"])
    figures.plot_min_mse(write(changes={"min_mse_h0": h0}), {}, [])
    figures.plot_min_mse(write(), {}, [])
    for figure in drawn:
        (panel,) = panels_of(figure)
        counts = np.array([patch.get_height() for patch in panel.patches]).reshape(2, -1)
        assert counts.sum(axis=1).tolist() == [HEADS * 10] * 2
    curves = panels_of(drawn[1])[0].get_lines()[:2]
    edges = [patch.get_x() for patch in panels_of(drawn[1])[0].patches][:40]
    for curve in curves:
        x, y = curve.get_data()
        # On the logarithmic axis, bins are even: the area in bins is the number.
        area = np.trapezoid(y, np.log(x)) / np.log(edges[1] / edges[0])
        assert area == pytest.approx(HEADS * 10, rel=0.02)


# Gallery.


@pytest.mark.parametrize(
    ("pictures", "channels", "side"), [(12, 1, 8), (10, 3, 64), (3, 1, 28), (1, 3, 32)]
)
def test_gallery_shows_the_first_ten_in_three_rows(drawn, write, pictures, channels, side):
    path = write(pictures=pictures, channels=channels, side=side)
    plot_gallery(path, [])
    figure, count = drawn[0], min(pictures, 10)
    panels = np.array(panels_of(figure)).reshape(3, count)
    arrays = arrays_of(pictures=pictures, channels=channels, side=side)
    names = ("gallery_originals", "gallery_reconstructions", "gallery_null")
    for row, name in zip(panels, names, strict=True):
        for panel, picture in zip(row, arrays[name], strict=False):
            (image,) = panel.get_images()
            np.testing.assert_array_equal(image.get_array(), picture.squeeze())
            if channels == 1:
                assert image.get_clim() == (0, 255)  # not stretched
    for row, name in zip(panels[1:], names[1:], strict=True):
        mse = mse_of_bytes(arrays["gallery_originals"], arrays[name])[:count]
        signs = ["✓" if value <= NEAREST else "✗" for value in mse]
        assert [p.get_xlabel() for p in row] == [
            f"{sign} {value:.3f}" for sign, value in zip(signs, mse, strict=True)
        ]
        if row is panels[1] and count > 1:
            assert set(signs) == {"✓", "✗"}
    assert figure.get_figwidth() < 7.3  # a page


@pytest.mark.parametrize("pictures", [1, 3, 12])
def test_texts_of_the_gallery_can_be_read(drawn, write, pictures):
    plot_gallery(write(pictures=pictures), [])
    drawn[0].canvas.draw()
    width, height = drawn[0].canvas.get_width_height()
    boxes = texts_of(drawn[0])
    assert len(boxes) == 1 + 3 + 2 * min(pictures, 10)
    for number, (text, box) in enumerate(boxes):
        assert -1 < box.x0 < box.x1 < width + 1, text
        assert -1 < box.y0 < box.y1 < height + 1, text
        for other, beside in boxes[:number]:
            assert not box.overlaps(beside), (text, other)
    for panel in panels_of(drawn[0]):
        assert panel.get_window_extent().width > 0.5 * drawn[0].dpi


def test_gallery_files(write, tmp_path):
    path = write(channels=3, pictures=3)
    check_twice(lambda outputs: plot_gallery(path, outputs), tmp_path)


def test_mse_of_bytes_by_hand():
    # Black against white is (−1 − 1)² = 4; half of the pixels so, 2.
    white = np.full((1, 2, 2, 1), 255, dtype=np.uint8)
    half = np.array([[[[0], [255]], [[255], [0]]]], dtype=np.uint8)
    assert mse_of_bytes(white, half) == pytest.approx([2])
    assert mse_of_bytes(half, half) == [0]


# Membership.


@pytest.fixture
def write_members(tmp_path):
    def write(heads=HEADS):
        random = np.random.default_rng(0)
        example = random.permutation(heads * SIZE)
        min_mse = arrays_of(heads)["min_mse_h0"].ravel()[example]
        arrays = {
            "indices": example,
            "head": example // SIZE,
            "group_row": example % SIZE,
            "score_in": random.normal(size=len(example)) - np.log(min_mse),
            "score_out": random.normal(size=len(example)),
        }
        path = str(tmp_path / "membership.h5")
        storage.write_hdf5(path, arrays, {})
        return path, arrays["score_in"], min_mse, arrays["head"]

    return write


@pytest.mark.parametrize("heads", [HEADS, 220], ids=["dots", "hexagons"])
def test_membership(drawn, write, write_members, heads):
    path, score, min_mse, head = write_members(heads)
    figures.plot_membership(path, write(heads), [])
    check_layout(drawn[0])
    left, right = panels_of(drawn[0])
    order = np.argsort(score)
    points = [line for line in left.get_lines() if line.get_marker() == "o"]
    assert len(points) == len(left.collections) == 10
    for tenth, (point, bar) in enumerate(zip(points, left.collections, strict=True)):
        part = order[heads * tenth : heads * (tenth + 1)]
        successes = sum(float(min_mse[e]) <= NEAREST for e in part)
        assert point.get_xydata()[0] == pytest.approx((tenth + 1, successes / heads))
        (segment,) = bar.get_segments()
        assert segment[:, 1] == pytest.approx(clopper_pearson(successes, heads))
    by_chance = (arrays_of(heads)["min_mse_h1"] <= NEAREST).mean()
    assert lines_of(left)["random weights (H1)"][1] == pytest.approx([by_chance] * 2)
    rho = spearman(score, min_mse.astype(np.float64), head, 20, seed=0)
    said = drawn[0].get_suptitle().replace("\n", " ")
    numbers = [f"{number:.2f}".replace("-", "−") for number in rho]
    assert "ρ = {} [{}, {}]".format(*numbers) in said
    assert rho.value < -0.3
    assert right.get_yscale() == "log"
    if heads == HEADS:
        shown = right.get_lines()[0].get_xydata()
        np.testing.assert_allclose(np.sort(shown, axis=0), np.sort(np.c_[score, min_mse], axis=0))
    else:
        assert right.collections[0].get_array().sum() == len(score)


def test_a_few_members_make_fewer_parts(drawn, write, tmp_path):
    path = str(tmp_path / "membership.h5")
    names = ("indices", "head", "group_row", "score_in", "score_out")
    storage.write_hdf5(path, dict.fromkeys(names, np.zeros(1)), {})
    figures.plot_membership(path, write(), [])
    assert len([x for x in panels_of(drawn[0])[0].get_lines() if x.get_marker() == "o"]) == 1


@pytest.mark.long
def test_membership_files(write, write_members, tmp_path):
    path = write_members()[0]
    check_twice(lambda outputs: figures.plot_membership(path, write(), outputs), tmp_path)
