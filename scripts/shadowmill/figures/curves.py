"""Leakage and accuracy against sparsity, and against each other, from the study's tables."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from shadowmill.attacks import ATTACKS
from shadowmill.figures import style
from shadowmill.metrics.evaluation import chance
from shadowmill.names import Variant
from shadowmill.tables import read_csv
from shadowmill.tables.membership import pooled

_METRICS = {"auc": "AUC", "tpr_at_fpr_0.01": "TPR at 1 % FPR"}
_SETTING = ["dataset", "architecture"]

Values = float | pd.Series


def plot_leakage(membership_path: str, attack: str, outputs: Sequence[str]) -> None:
    """Attack performance with 95 % intervals: against sparsity, or of each defended variant.

    Args:
        membership_path: membership_metrics.csv.
        attack: which attack.
        outputs: files to write.
    """
    table = _headline(membership_path, attack)
    settings = list(table.groupby(_SETTING, sort=False))
    figure, axes = _panels(table, len(settings), len(_METRICS))
    for row, (setting, part) in enumerate(settings):
        for column, (metric, title) in enumerate(_METRICS.items()):
            panel = axes[row, column]
            _draw(
                panel,
                part[part["metric"] == metric],
                f"{title} of the attack",
                as_percentage=metric != "auc",
                level=chance(metric),
            )
            panel.set_title(style.setting_title(*setting))
    title = f"{ATTACKS[attack].title}; bars: 95 % intervals; dotted: chance"
    if _unseen(table[table["metric"].isin(_METRICS)]).any():
        title += "\n×: nothing was found; a leak of this size would have been (power 80 %)"
    _finish(figure, table, title + style.judges_of_variants(table))
    style.save(figure, outputs)


def plot_accuracy(training_path: str, outputs: Sequence[str]) -> None:
    """Test accuracy against sparsity, or of each defended variant; central 95 % of models.

    Args:
        training_path: training_results.csv.
        outputs: files to write.
    """
    table = _accuracy(training_path)
    settings = list(table.groupby(_SETTING, sort=False))
    figure, axes = _panels(table, len(settings), 1)
    for panel, (setting, part) in zip(axes[:, 0], settings, strict=True):
        _draw(panel, part, "test accuracy", as_percentage=True)
        panel.set_title(style.setting_title(*setting))
    _finish(figure, table, "Mean over models; bars: central 95 % of models")
    style.save(figure, outputs)


def plot_tradeoff(
    training_path: str, membership_path: str, attack: str, outputs: Sequence[str]
) -> None:
    """Leakage against test accuracy: towards the lower right is better.

    Args:
        training_path: training_results.csv.
        membership_path: membership_metrics.csv.
        attack: which attack.
        outputs: files to write.
    """
    leakage = _headline(membership_path, attack)
    leakage = leakage[leakage["metric"] == "auc"]
    keys = [*_SETTING, "variant"]
    both = leakage.merge(_accuracy(training_path), on=keys, suffixes=("", "_accuracy"))
    settings = list(both.groupby(_SETTING, sort=False))
    variants = _variants(both)
    figure, axes = style.panels(len(settings), 1, beside=_titles(variants))
    for panel, (setting, part) in zip(axes[:, 0], settings, strict=True):
        for row in part.itertuples():
            variant = Variant.parse(row.variant)
            panel.errorbar(
                row.value_accuracy,
                row.value,
                xerr=_arms(row.value_accuracy, row.ci_low_accuracy, row.ci_high_accuracy),
                yerr=_arms(row.value, row.ci_low, row.ci_high),
                linestyle="none",
                **style.look(variant, variants),
                elinewidth=0.8,
                label=style.variant_title(variant),
            )
        style.percentages(panel.xaxis)
        panel.set(
            xlabel="test accuracy", ylabel="AUC of the attack", title=style.setting_title(*setting)
        )
    style.legend(figure, "beside")
    title = f"{ATTACKS[attack].title}; better: lower right"
    style.title(figure, title + style.judges_of_variants(leakage))
    style.save(figure, outputs)


def _headline(membership_path: str, attack: str) -> pd.DataFrame:
    return pooled(read_csv(membership_path), attack)


def _accuracy(training_path: str) -> pd.DataFrame:
    keys = [*_SETTING, "variant", "method", "sparsity", "defense"]
    accuracy = read_csv(training_path).groupby(keys, sort=False)["test_accuracy"]
    return pd.DataFrame(
        {
            "value": accuracy.mean(),
            "ci_low": accuracy.quantile(0.025),
            "ci_high": accuracy.quantile(0.975),
        }
    ).reset_index()


def _arms(value: Values, low: Values, high: Values) -> np.ndarray:
    # A mean can lie outside the central part of a skewed sample; its arm has length 0 then.
    return np.maximum(np.reshape([value - low, high - value], (2, -1)), 0)


def _variants(table: pd.DataFrame) -> list[Variant]:
    return [Variant.parse(name) for name in table["variant"].unique()]


def _titles(variants: Sequence[Variant]) -> list[str]:
    return [style.variant_title(variant) for variant in variants]


def _is_defended(table: pd.DataFrame) -> bool:
    return bool((table["defense"] != "none").any())


def _panels(table: pd.DataFrame, rows: int, columns: int) -> tuple[Figure, np.ndarray]:
    """Panels for `_draw`."""
    if _is_defended(table):
        return style.panels(rows, columns, beside=_titles(_variants(table)), sharey=True)
    methods = [style.treatment_title(method) for method in table["method"].unique()]
    return style.panels(rows, columns, beside=methods)


def _finish(figure: Figure, table: pd.DataFrame, title: str) -> None:
    """Title and legend of panels that `_draw` has filled; rows are their own legend."""
    if not _is_defended(table):
        style.legend(figure, "beside")
    style.title(figure, title)


def _draw(
    panel: Axes,
    table: pd.DataFrame,
    quantity: str,
    *,
    as_percentage: bool,
    level: float | None = None,
) -> None:
    """A quantity against sparsity; with defences, a row for each variant instead."""
    defended = _is_defended(table)
    if level is not None:
        (panel.axvline if defended else panel.axhline)(level, **style.CHANCE)
        _mark_unseen(panel, table, defended=defended)
    (_draw_rows if defended else _draw_against_sparsity)(panel, table)
    (panel.set_xlabel if defended else panel.set_ylabel)(quantity)
    if as_percentage:
        style.percentages(panel.xaxis if defended else panel.yaxis)


def _unseen(table: pd.DataFrame) -> pd.Series:
    """Rows that chance explains."""
    return table["ci_low"] <= table["metric"].map(chance)


def _mark_unseen(panel: Axes, table: pd.DataFrame, *, defended: bool) -> None:
    """The smallest leak that would have been seen, where none was."""
    unseen = _unseen(table).to_numpy()
    at = np.arange(len(table)) if defended else table["sparsity"].to_numpy()
    places = (table["detectable"][unseen], at[unseen])
    panel.plot(*(places if defended else places[::-1]), "x", color="#777777", ms=4)


def _draw_rows(panel: Axes, table: pd.DataFrame) -> None:
    variants = _variants(table)
    for height, (variant, row) in enumerate(zip(variants, table.itertuples(), strict=True)):
        panel.errorbar(
            row.value,
            height,
            xerr=_arms(row.value, row.ci_low, row.ci_high),
            linestyle="none",
            **style.look(variant, variants),
            elinewidth=0.8,
            capsize=2,
        )
    panel.set_yticks(range(len(variants)), _titles(variants))
    panel.set_ylim(len(variants) - 0.5, -0.5)


def _draw_against_sparsity(panel: Axes, table: pd.DataFrame) -> None:
    methods = [Variant(method) for method in table["method"].unique()]
    for method, nudge in zip(methods, _nudges(len(methods)), strict=True):
        part = table[table["method"] == method.method].sort_values("sparsity")
        panel.errorbar(
            part["sparsity"] + nudge,
            part["value"],
            yerr=_arms(part["value"], part["ci_low"], part["ci_high"]),
            **style.look(method, methods),
            elinewidth=0.8,
            capsize=2,
            label=style.treatment_title(method.method),
        )
    panel.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    panel.set(xlabel="sparsity", xlim=(-0.05, 1.0))


def _nudges(count: int) -> Iterator[float]:
    """Small sideways shifts, so that bars at one sparsity do not hide each other."""
    return (0.008 * (index - (count - 1) / 2) for index in range(count))
