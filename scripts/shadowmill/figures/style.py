"""The look of all figures: colours safe for colour-blind readers, sizes of a paper's columns."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from shadowmill import storage
from shadowmill.architectures import ARCHITECTURES
from shadowmill.config import Variant
from shadowmill.data import DATASETS
from shadowmill.defenses import DEFENSES
from shadowmill.pruning import METHODS

_PANEL_INCHES = (3.0, 2.7)
_LEGEND_INCHES = 1.4

# Okabe and Ito's palette: black for dense, then one colour per pruning method; defences take the
# same colours with hollow markers. Methods of a user's own are grey.
_COLORS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_OWN_METHOD = ("#777777", "*")
_METHOD_LOOKS = dict(zip(("dense", *METHODS), zip(_COLORS, _MARKERS, strict=True), strict=True))
_DEFENSE_LOOKS = dict(
    zip(
        DEFENSES,
        (
            (color, marker)
            for color, marker in zip(_COLORS[1:] + _COLORS[:1], _MARKERS, strict=True)
        ),
        strict=True,
    )
)

MEMBER_COLOR, NON_MEMBER_COLOR = "#D55E00", "#0072B2"

mpl.use("agg")
mpl.rcParams.update(
    {
        "font.size": 9,
        "axes.labelsize": 9,
        "axes.titlesize": 9,
        "legend.fontsize": 8,
        "legend.frameon": False,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.color": "#dddddd",
        "grid.linewidth": 0.5,
        "lines.linewidth": 1.4,
        "pdf.fonttype": 42,  # text stays text in the PDF
    }
)


def treatment(variant: Variant) -> str:
    """What was done to a variant's models: its defence, or else its pruning method."""
    return variant.method if variant.defense == "none" else variant.defense


def treatment_title(name: str) -> str:
    """What figures call a defence or a pruning method."""
    row = DEFENSES.get(name) or METHODS.get(name)
    return row.title if row else name


def look(variant: Variant, sparsities: Sequence[float] = ()) -> dict[str, Any]:
    """Colour and marker of a variant, the same in every figure.

    Args:
        variant: the variant.
        sparsities: all sparsities of its method in the study; if there are several, sparser models
            are darker.

    Returns:
        Keyword arguments for matplotlib's lines.
    """
    if variant.defense != "none":
        color, marker = _DEFENSE_LOOKS[variant.defense]
        return {"color": color, "marker": marker, "markerfacecolor": "white"}
    color, marker = _METHOD_LOOKS.get(variant.method, _OWN_METHOD)
    base = np.array(mpl.colors.to_rgb(color))
    if len(sparsities) > 1:
        rank = sorted(sparsities).index(variant.sparsity) / (len(sparsities) - 1)
        # From two thirds of the way to white to the full colour, then a little darker.
        light, dark = base + (1 - base) * 0.6, base * 0.6
        base = light + (dark - light) * rank
    return {"color": tuple(base), "marker": marker}


def variant_title(variant: Variant) -> str:
    """What a legend calls a variant."""
    title = treatment_title(variant.method)
    if variant.method != "dense":
        title += f", {100 * variant.sparsity:g}% sparse"
    if variant.defense == "none":
        return title
    row = DEFENSES[variant.defense]
    return f"{title} + {row.title}, {row.argument} = {variant.strength:g}"


def setting_title(dataset: str, architecture: str) -> str:
    """What a panel calls a data set and an architecture."""
    return f"{DATASETS[dataset].title}, {ARCHITECTURES[architecture].title}"


def panels(
    rows: int, columns: int, *, legend_beside: bool = False, **options: Any
) -> tuple[Figure, np.ndarray]:
    """A grid of panels of the usual size, with room for a legend beside it if wanted."""
    width, height = _PANEL_INCHES
    return plt.subplots(
        rows,
        columns,
        figsize=(width * columns + _LEGEND_INCHES * legend_beside, height * rows),
        squeeze=False,
        layout="constrained",
        **options,
    )


def legend_beside(axes: Axes) -> None:
    """Put the legend to the right of the axes, where it hides nothing."""
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))


def percentages(axis: Axis) -> None:
    """Label a few ticks of an axis as percentages."""
    axis.set_major_locator(MaxNLocator(5))
    axis.set_major_formatter(PercentFormatter(1, decimals=1))


def save(figure: Figure, paths: Sequence[str | Path]) -> None:
    """Write a figure to each path, in the format of its suffix, atomically."""
    for path in paths:
        suffix = Path(path).suffix[1:]
        # No dates inside: the same data give the same bytes.
        metadata = {"CreationDate": None} if suffix == "pdf" else {}
        with storage.atomic(path) as temporary:
            figure.savefig(temporary, format=suffix, dpi=200, metadata=metadata)
    plt.close(figure)
