"""The look of all figures: colours safe for colour-blind readers, sizes of a paper's columns."""

import io
from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from textwrap import wrap
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath
from matplotlib.ticker import MaxNLocator, PercentFormatter

from shadowmill import architectures, data, storage
from shadowmill.attacks.run import JUDGES
from shadowmill.defenses import DEFENSES
from shadowmill.figures.letters import in_fonts
from shadowmill.names import Variant
from shadowmill.pruning import METHODS
from shadowmill.tables.membership import judges

_PANEL_INCHES = (3.0, 2.7)
_LINE_INCHES = 0.18  # of a legend, and between rows of an axis
_CHARACTER_INCHES = 0.07  # of a long text, mean
_HANDLE_INCHES = 0.5  # beside the text of a legend

# Okabe and Ito's palette: black for dense, then one colour per pruning method; defences have the
# same colours but for black, with hollow markers. Methods of a user's own are grey.
_COLORS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_OWN_METHOD = ("#777777", "*")
_METHOD_LOOKS = dict(zip(("dense", *METHODS), zip(_COLORS, _MARKERS, strict=True), strict=True))
_DEFENSE_LOOKS = dict(
    zip(DEFENSES, zip((*_COLORS[1:], "#882255"), _MARKERS, strict=True), strict=True)
)

# Attacks get the n-th colour and the n-th dashes: seven and eight have no common divisor, so 56 of
# them differ, and neighbours differ in both.
_DASHES = (
    "-",
    (0, (5, 1.5)),
    (0, (1, 1)),
    (0, (6, 1.5, 1, 1.5)),
    (0, (3, 1, 1, 1, 1, 1)),
    (0, (9, 2)),
    (0, (2.5, 2.5)),
    (0, (9, 1.5, 3, 1.5)),
)
_MAX_NAMED = 4  # in a line of a title
_MAX_ATTACKS = 10  # in one panel; more cannot be told apart

CHANCE = {"color": "#888888", "lw": 0.8, "ls": ":", "label": "chance"}
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
        "axes.axisbelow": True,
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


def look(variant: Variant, others: Sequence[Variant] = ()) -> dict[str, Any]:
    """Colour and marker of a variant, the same in every figure of a study.

    Args:
        variant: the variant.
        others: all variants shown with it. Those that would look alike, as one method at several
            sparsities, are told apart by their shades: sparser or defended more, darker.

    Returns:
        Keyword arguments for matplotlib's lines.
    """
    color, marker = own = _base_look(variant)
    base = np.array(mpl.colors.to_rgb(color))
    alike = {v for v in (variant, *others) if _base_look(v) == own}
    if len(alike) > 1:
        order = sorted(alike, key=lambda v: (v.strength, v.sparsity, v.method))
        rank = order.index(variant) / (len(order) - 1)
        # From half of the way to white to the full colour, then a little darker.
        light, dark = base + (1 - base) * 0.55, base * 0.6
        base = light + (dark - light) * rank
    filling = {} if variant.defense == "none" else {"markerfacecolor": "white"}
    return {"color": tuple(base), "marker": marker, **filling}


def _base_look(variant: Variant) -> tuple[str, str]:
    if variant.defense != "none":
        return _DEFENSE_LOOKS[variant.defense]
    return _METHOD_LOOKS.get(variant.method, _OWN_METHOD)


def attack_looks(attacks: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Colour and dashes of each attack, the same in every figure of a study.

    Args:
        attacks: all attacks of the study, in its order.

    Returns:
        Keyword arguments for matplotlib's lines, by attack.
    """
    looks = zip(cycle(_COLORS), cycle(_DASHES), strict=False)
    return {
        attack: {"color": color, "linestyle": dashes}
        for attack, (color, dashes) in zip(attacks, looks, strict=False)
    }


def strongest(auc: Mapping[str, float]) -> tuple[list[str], str]:
    """Choose as many attacks as a panel can show.

    Args:
        auc: of each attack; NaN where there is none.

    Returns:
        The attacks with the largest AUC, the largest first, and what a title says of the choice.
    """
    order = sorted(auc, key=lambda attack: -np.nan_to_num(auc[attack], nan=-1))
    if len(order) <= _MAX_ATTACKS:
        return order, "All attacks"
    return order[:_MAX_ATTACKS], f"The {_MAX_ATTACKS} of {len(order)} attacks with the largest AUC"


def reference(variants: Sequence[Variant]) -> Variant:
    """The variant that others are compared with: dense, or else the first."""
    dense = Variant("dense")
    return dense if dense in variants else variants[0]


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
    return f"{data.title_of(dataset)}, {architectures.title_of(architecture)}"


def panels(
    rows: int,
    columns: int,
    *,
    beside: Sequence[str] = (),
    below: Sequence[str] = (),
    **options: Any,
) -> tuple[Figure, np.ndarray]:
    """A grid of panels of the usual size, with room for texts.

    Args:
        rows: of panels.
        columns: of panels.
        beside: lines of a legend at the right, or names of the rows of a shared axis at the left:
            the figure gets wider, and panels that lack the height for them higher.
        below: entries of a legend at the bottom.
        options: for `matplotlib.pyplot.subplots`.
    """
    width, height = _PANEL_INCHES
    height = rows * max(height, _LINE_INCHES * len(beside) + 0.8)
    height += _LINE_INCHES * -(-len(below) // _legend_columns(width * columns, below))
    return plt.subplots(
        rows,
        columns,
        figsize=(width * columns + _entry_inches(beside), height),
        squeeze=False,
        layout="constrained",
        **options,
    )


def grid(
    groups: int, panels_of_a_group: int, max_columns: int, **options: Any
) -> tuple[Figure, np.ndarray]:
    """Groups of panels, each of which begins a new row; the last row of each may have gaps.

    Args:
        groups: how many.
        panels_of_a_group: how many.
        max_columns: longer groups are broken into rows.
        options: for `panels`.

    Returns:
        The figure, and the panels of shape (groups, panels of a group).
    """
    columns = min(panels_of_a_group, max_columns)
    rows = -(-panels_of_a_group // columns)
    figure, axes = panels(groups * rows, columns, **options)
    axes = axes.reshape(groups, rows * columns)
    for panel in axes[:, panels_of_a_group:].flat:
        panel.remove()
    return figure, axes[:, :panels_of_a_group]


def label_group(group: np.ndarray, horizontal: str, vertical: str) -> None:
    """Name the axes of a group that `grid` made, at its left and at its bottom."""
    columns = group[0].get_gridspec().ncols
    for panel in group[::columns]:
        panel.set_ylabel(vertical)
    for panel in group[-columns:]:  # above gaps, too
        panel.set_xlabel(horizontal)
        panel.tick_params(labelbottom=True)


def title(figure: Figure, text: str) -> None:
    """Put a text above all panels, and make room for the lines that it needs.

    Args:
        figure: of its final width.
        text: perhaps with line breaks; what is wider than the figure is broken.
    """
    characters = int(figure.get_figwidth() / _CHARACTER_INCHES)
    lines = [part for line in text.split("\n") for part in wrap(line, characters)]
    figure.suptitle("\n".join(lines), fontsize=9)
    figure.set_figheight(figure.get_figheight() + _LINE_INCHES * (len(lines) - 1))


def judges_note(judged: Sequence[tuple[str, str]]) -> str:
    """Say of which models a figure is, as one more line of its title; nothing if of shadows.

    Args:
        judged: what is drawn, for example a variant, and the models it is judged by, of `JUDGES`.
    """
    names = {name for name, _ in judged}
    lines = []
    for judge in set(JUDGES) - {"shadows"}:
        of = list(dict.fromkeys(name for name, its_judge in judged if its_judge == judge))
        if of:
            which = ", ".join(of) if len(of) <= _MAX_NAMED else f"{len(of)} of {len(names)}"
            which = "" if len(of) == len(names) else f": {which}"
            lines.append(f"\njudged by {JUDGES[judge]}{which}")
    return "".join(sorted(lines))


def judges_of_variants(table: pd.DataFrame) -> str:
    """The same of rows on all models at once, by `variant`."""
    titles = (variant_title(Variant.parse(name)) for name in table["variant"])
    return judges_note(list(zip(titles, judges(table), strict=True)))


def legend(figure: Figure, place: str) -> None:
    """Put one legend for all panels where it hides nothing, chance last.

    Args:
        figure: made by `panels`.
        place: "beside" or "below".
    """
    entries = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    labels = sorted(entries, key=lambda label: label == CHANCE["label"])
    figure.legend(
        [entries[label] for label in labels],
        labels,
        loc={"beside": "outside right center", "below": "outside lower center"}[place],
        ncols=_legend_columns(figure.get_figwidth(), labels) if place == "below" else 1,
        handlelength=2.6,
        columnspacing=1.2,
    )


def _legend_columns(width: float, labels: Sequence[str]) -> int:
    return max(1, int(width / _entry_inches(labels))) if labels else 1


def _entry_inches(labels: Sequence[str]) -> float:
    """Width of the longest of some texts, with its place in a legend."""
    return text_inches(labels) + _HANDLE_INCHES if labels else 0.0


def text_inches(texts: Sequence[str]) -> float:
    """Width of the longest of some lines of text."""
    size = mpl.rcParams["font.size"]
    widths = []
    for text in texts:
        shown, families = in_fonts(text)
        font = FontProperties(family=families)
        widths.append(TextPath((0, 0), shown, size=size, prop=font).get_extents().width)
    return max(widths) / 72


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
        content = io.BytesIO()
        figure.savefig(content, format=suffix, dpi=200, metadata=metadata)
        storage.write_bytes(path, content.getbuffer())
    plt.close(figure)
