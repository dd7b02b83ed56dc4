"""How exposed each class is, under each variant."""

from collections.abc import Mapping, Sequence
from textwrap import fill

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from shadowmill import storage
from shadowmill.attacks import ATTACKS
from shadowmill.data import store
from shadowmill.figures import style
from shadowmill.figures.letters import row_labels
from shadowmill.names import Variant
from shadowmill.tables import read_csv

_MAX_CLASSES = 20
_GAP = -1
_MAX_COLUMNS = 6
_COLUMN_INCHES = 1.7
_ROW_INCHES = 0.18
_SETTING_INCHES = 2.2  # for its name, upright
_TITLE_CHARACTERS = 21  # of a line above a column


def plot(per_class_path: str, data_paths: Mapping[str, str], outputs: Sequence[str]) -> None:
    """Draw the AUC of each class with its interval: a column of dots for each variant.

    Classes are in the order of their exposure under dense, or else the first variant. Of more than
    twenty, the ten most and the ten least exposed are shown.

    Args:
        per_class_path: per_class.csv.
        data_paths: prepared data sets by name, for the names of the classes; classes of other data
            sets are numbered.
        outputs: files to write.
    """
    table = read_csv(per_class_path)
    attack = ATTACKS[table["attack"].iloc[0]].title
    table = table[table["metric"] == "auc"].astype({"class": int})
    settings = list(table.groupby(["dataset", "architecture"], sort=False))
    variants = [Variant.parse(name) for name in table["variant"].unique()]
    reference = style.reference(variants)
    orders = [_order(part[part["variant"] == reference.name]) for _, part in settings]
    labels = [
        _class_labels(data_paths.get(dataset), order)
        for ((dataset, _), _), order in zip(settings, orders, strict=True)
    ]
    names = [name for here in labels for name in here]
    figure, axes = style.grid(len(settings), len(variants), _MAX_COLUMNS, sharex=True)
    grid = axes[0, 0].get_gridspec()
    rows_of_setting = grid.nrows // len(settings)
    heights = [max(_ROW_INCHES * len(order), _SETTING_INCHES) for order in orders]
    grid.set_height_ratios(np.repeat(heights, rows_of_setting))
    figure.set_size_inches(
        style.text_inches(names) + _COLUMN_INCHES * grid.ncols + 0.7,
        rows_of_setting * sum(height + 1 for height in heights),
    )
    for group, (setting, part), order, here in zip(axes, settings, orders, labels, strict=True):
        for panel, variant in zip(group, variants, strict=True):
            by_class = part[part["variant"] == variant.name].set_index("class").reindex(order)
            _draw(panel, by_class, style.look(variant, variants))
            panel.set_title(fill(style.variant_title(variant), _TITLE_CHARACTERS))
            panel.set_yticks(range(len(order)), [])
            panel.set_ylim(len(order) - 0.5, -0.5)
        for panel in group[:: grid.ncols]:
            row_labels(panel, here)
        style.label_group(group, "AUC", style.setting_title(*setting))
    title = f"{attack}; bars: 95 % intervals; dotted: chance; sorted by the AUC under "
    note = style.judges_of_variants(table)
    style.title(figure, title + style.variant_title(reference) + note)
    style.save(figure, outputs)


def _order(table: pd.DataFrame) -> np.ndarray:
    """Classes, int64, the most exposed first; those without a value last, if there is room.

    A gap stands for classes that are left out.
    """
    order = table.sort_values("value", ascending=False, kind="stable")["class"].to_numpy()
    if len(order) <= _MAX_CLASSES:
        return order
    defined = order[: table["value"].notna().sum()]
    half = _MAX_CLASSES // 2
    return np.concatenate([defined[:half], [_GAP], defined[half:][-half:]])


def _class_labels(data_path: str | None, order: np.ndarray) -> list[str]:
    if data_path is None:
        return ["⋮" if label == _GAP else f"class {label}" for label in order]
    with store.opened(data_path) as file:
        names = storage.attribute(file, "class_names")
    return ["⋮" if label == _GAP else names[label] for label in order]


def _draw(panel: Axes, by_class: pd.DataFrame, look: dict) -> None:
    value = by_class["value"]
    panel.axvline(0.5, **style.CHANCE)
    panel.errorbar(
        value,
        range(len(value)),
        xerr=np.maximum([value - by_class["ci_low"], by_class["ci_high"] - value], 0),
        linestyle="none",
        **look,
        markersize=4,
        elinewidth=0.8,
    )
    panel.xaxis.set_major_locator(MaxNLocator(4))
