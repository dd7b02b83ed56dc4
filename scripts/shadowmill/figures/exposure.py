"""Exposure of the same examples under different variants."""

from collections.abc import Sequence
from textwrap import fill

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator
from scipy.stats import spearmanr

from shadowmill.figures import style
from shadowmill.names import Variant
from shadowmill.tables import read_csv

_MAX_COLUMNS = 4
_PANEL_INCHES = (2.5, 3.2)  # room for a square and a title of three lines
_LINE_INCHES = 0.16
_HEXAGONS = 40  # along an axis
_TITLE_CHARACTERS = 28  # of a line
# A few examples may stand so far out that nothing would be seen of the others.
_SHOWN_PERCENTILES = (0.05, 99.95)
_NOTE = "Separation d of φ with and without training; the outermost 0.1 % lie on the border"

Setting = tuple[tuple[str, str], pd.DataFrame]


def plot(examples_path: str, outputs: Sequence[str]) -> None:
    """Draw the separation of examples under each variant against that under the reference.

    The reference is dense, or else the first variant. Where there is no other, the distribution
    of the separation is drawn. Examples are joined by their numbers.

    Args:
        examples_path: examples.csv of a study; see `shadowmill.attacks.exposure`.
        outputs: files to write.
    """
    table = read_csv(examples_path)
    variants = [Variant.parse(name) for name in table["variant"].unique()]
    reference = style.reference(variants)
    others = [variant for variant in variants if variant != reference]
    settings = [
        (setting, part.pivot(index="example", columns="variant", values="separation").dropna())
        for setting, part in table.groupby(["dataset", "architecture"], sort=False)
    ]
    figure = (
        _compare(settings, reference, others) if others else _distributions(settings, reference)
    )
    style.save(figure, outputs)


def _compare(settings: Sequence[Setting], reference: Variant, others: Sequence[Variant]) -> Figure:
    titles = [fill(style.variant_title(variant), _TITLE_CHARACTERS) for variant in others]
    below = fill(f"d, {style.variant_title(reference)}", _TITLE_CHARACTERS)
    figure, axes = style.grid(len(settings), len(others), _MAX_COLUMNS)
    rows, columns = axes[0, 0].get_gridspec().get_geometry()
    width, height = _PANEL_INCHES
    height += _LINE_INCHES * (max(title.count("\n") for title in titles) + below.count("\n"))
    figure.set_size_inches(width * columns + 0.6, height * rows + 0.3)
    hexagons = []
    for group, (setting, separation) in zip(axes, settings, strict=True):
        limits = _limits(separation)
        for panel, variant, title in zip(group, others, titles, strict=True):
            pair = separation[reference.name], separation[variant.name]
            hexagons.append(_draw_pairs(panel, *pair, limits))
            correlation = f"Spearman ρ = {spearmanr(*pair).statistic:.2f}"
            panel.set_title(f"{style.setting_title(*setting)}\n{title}\n{correlation}")
        style.label_group(group, below, "d, this variant")
    peak = max(drawn.get_array().max() for drawn in hexagons)
    for drawn in hexagons:
        drawn.set_norm(LogNorm(1, max(peak, 2)))
    figure.colorbar(
        hexagons[0],
        ax=axes.ravel().tolist(),
        label="examples",
        aspect=15 * rows,
        ticks=LogLocator(subs=(1, 2, 5)),
        format="%d",
    ).minorticks_off()
    style.title(figure, f"{_NOTE}; dotted: equal")
    return figure


def _distributions(settings: Sequence[Setting], variant: Variant) -> Figure:
    figure, axes = style.panels(len(settings), 1)
    title = fill(style.variant_title(variant), _TITLE_CHARACTERS)
    for panel, (setting, separation) in zip(axes[:, 0], settings, strict=True):
        limits = _limits(separation)
        color = style.look(variant)["color"]
        panel.hist(separation[variant.name].clip(*limits), bins=40, range=limits, color=color)
        panel.set_title(f"{style.setting_title(*setting)}\n{title}")
        panel.set(xlabel="d", ylabel="examples")
    style.title(figure, _NOTE)
    return figure


def _limits(separation: pd.DataFrame) -> tuple[float, float]:
    low, high = np.percentile(separation, _SHOWN_PERCENTILES)
    return low, high


def _draw_pairs(
    panel: Axes, reference: pd.Series, separation: pd.Series, limits: tuple[float, float]
) -> PolyCollection:
    hexagons = panel.hexbin(
        reference.clip(*limits),
        separation.clip(*limits),
        gridsize=_HEXAGONS,
        extent=(*limits, *limits),
        mincnt=1,
        cmap="cividis",
        linewidths=0.2,
    )
    panel.axline((limits[0], limits[0]), slope=1, **style.CHANCE)
    panel.set_aspect("equal")
    return hexagons
