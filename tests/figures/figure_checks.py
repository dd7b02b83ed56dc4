"""Checks of files and layout that all figures share."""

import zlib
from itertools import combinations

import numpy as np
from matplotlib import pyplot as plt


def check_png(path):
    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    pixels = plt.imread(path)  # decodes the whole file
    assert min(pixels.shape[:2]) > 300
    assert len(np.unique(pixels.reshape(-1, pixels.shape[-1]), axis=0)) > 10


def check_pdf(path):
    content = path.read_bytes()
    assert content.startswith(b"%PDF-")
    assert content.rstrip().endswith(b"%%EOF")
    # One page that draws: among its streams there are lines to and strokes, or an image.
    drawn = b""
    for piece in content.split(b"stream\n")[1::2]:
        try:
            drawn += zlib.decompressobj().decompress(piece)
        except zlib.error:
            continue
    has_lines = drawn.count(b" l\n") > 10 and drawn.count(b"S\n") > 5
    assert has_lines or b"/Subtype /Image" in content


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


def texts_of(figure):
    """All texts that are shown, with their boxes in pixels."""
    texts = [*figure.texts, *(text for legend in figure.legends for text in legend.get_texts())]
    for panel in figure.axes:
        texts += [panel.title, panel.xaxis.label, panel.yaxis.label, *panel.texts]
        for axis in (panel.xaxis, panel.yaxis):
            low, high = sorted(axis.get_view_interval())
            texts += [
                label
                for tick in axis.get_major_ticks()
                for label in (tick.label1, tick.label2)
                if low <= tick.get_loc() <= high and label.get_visible()
            ]
    renderer = figure.canvas.get_renderer()
    return [(t.get_text(), t.get_window_extent(renderer)) for t in texts if t.get_text()]


def check_layout(figure, narrowest=1.5):
    """Panels are at least so many inches wide."""
    figure.canvas.draw()
    boxes = texts_of(figure)
    assert figure.get_suptitle() in [text for text, _ in boxes]
    width, height = figure.canvas.get_width_height()
    for text, box in boxes:
        assert -1 < box.x0 < box.x1 < width + 1, f"{text!r} is cut off"
        assert -1 < box.y0 < box.y1 < height + 1, f"{text!r} is cut off"
    for (one, box), (other, beside) in combinations(boxes, 2):
        overlap = min(box.x1, beside.x1) - max(box.x0, beside.x0)
        above = min(box.y1, beside.y1) - max(box.y0, beside.y0)
        # Boxes of lines of text are higher than what is printed in them.
        assert overlap < 1 or above < 0.35 * min(box.height, beside.height), (one, other)
    renderer = figure.canvas.get_renderer()
    for panel in panels_of(figure):
        inside = panel.get_window_extent(renderer)
        assert inside.width > narrowest * figure.dpi
        assert inside.height > 0.8 * figure.dpi
        for legend in figure.legends:
            assert not legend.get_window_extent(renderer).overlaps(inside)


def panels_of(figure):
    """All but colour bars."""
    return [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]


def labels_of(axes):
    return axes.get_legend_handles_labels()[1]


def lines_of(panel):
    """Data of each line of a panel by its label."""
    return {line.get_label(): np.array(line.get_data()) for line in panel.get_lines()}
