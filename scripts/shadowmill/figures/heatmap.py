"""Heat map of all attacks on all variants of a study."""

from collections.abc import Sequence
from textwrap import fill

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize

from shadowmill.attacks import ATTACKS
from shadowmill.figures import style
from shadowmill.names import Variant
from shadowmill.tables import read_csv
from shadowmill.tables.membership import AGGREGATES, judges

# What a number looks like, and what it is multiplied by.
_METRICS = {"auc": ("AUC", ".3f", 1), "tpr_at_fpr_0.01": ("TPR at 1 % FPR, %", ".1f", 100)}
_COLORS = mpl.colormaps["cividis"]
_CELL_INCHES = 0.45
_TITLE_INCHES = 2.3  # the narrowest panel that has room for its title
_COLUMN_CHARACTERS = 24  # of a line of a variant's title


def plot(membership_path: str, outputs: Sequence[str]) -> None:
    """Draw AUC and TPR at 1 % FPR, over all models at once: a row of panels for each setting.

    Args:
        membership_path: membership_metrics.csv.
        outputs: files to write.
    """
    table = read_csv(membership_path)
    table = table[table["target"].str.endswith(AGGREGATES["pooled"])]
    settings = list(table.groupby(["dataset", "architecture"], sort=False))
    attacks = list(table.groupby(["attack", "adversary"], sort=False).groups)
    rows = [_attack_title(*attack) for attack in attacks]
    variants = list(table["variant"].unique())
    columns = [
        fill(style.variant_title(Variant.parse(name)), _COLUMN_CHARACTERS) for name in variants
    ]
    figure, axes = style.panels(len(settings), len(_METRICS), beside=rows, sharex=True, sharey=True)
    width = max(_TITLE_INCHES, _CELL_INCHES * len(variants))
    below = style.text_inches([line for column in columns for line in column.split("\n")])
    figure.set_size_inches(
        style.text_inches(rows) + len(_METRICS) * (width + 0.1) + 0.2,
        figure.get_figheight() + below,
    )
    for row, (setting, part) in enumerate(settings):
        for panel, metric in zip(axes[row], _METRICS, strict=True):
            title, number, factor = _METRICS[metric]
            scale = _scale(factor * table.loc[table["metric"] == metric, "value"])
            value_AV = factor * part[part["metric"] == metric].pivot(
                index=["attack", "adversary"], columns="variant", values="value"
            ).reindex(index=pd.MultiIndex.from_tuples(attacks), columns=variants)
            _draw(panel, value_AV.to_numpy(), scale, number)
            panel.set_title(f"{style.setting_title(*setting)}\n{title}")
            panel.set_xticks(range(len(columns)), columns, rotation=90)
            panel.set_yticks(range(len(rows)), rows)
    named = (f"{row.attack} on {row.variant}" for row in table.itertuples())
    note = style.judges_note(list(zip(named, judges(table), strict=True)))
    style.title(figure, f"All models in one ranking; –: undefined, or not attacked so{note}")
    style.save(figure, outputs)


def _attack_title(attack: str, adversary: str) -> str:
    title = ATTACKS[attack].title
    return title if adversary == "adaptive" else f"{title} ({adversary.replace('_', '-')})"


def _scale(values: pd.Series) -> Normalize:
    """One scale for all panels of a metric, so that their colours can be compared."""
    return Normalize(values.min(), values.max()) if values.notna().any() else Normalize(0, 1)


def _draw(panel: Axes, value_AV: np.ndarray, scale: Normalize, number: str) -> None:
    panel.imshow(value_AV, cmap=_COLORS, norm=scale, aspect="auto", interpolation="nearest")
    for (attack, variant), value in np.ndenumerate(value_AV):
        # The second half of the colour map is bright.
        is_dark = scale(value) < 0.5  # False for NaN, which stays white
        panel.text(
            variant,
            attack,
            "–" if np.isnan(value) else f"{value:{number}}",
            color="white" if is_dark else "black",
            fontsize=7,
            ha="center",
            va="center",
        )
    panel.grid(visible=False)
    panel.spines[:].set_visible(False)
    panel.tick_params(length=0)
