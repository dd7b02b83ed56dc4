"""How well attacks do with fewer shadows."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter

from shadowmill.attacks import ATTACKS
from shadowmill.figures import style
from shadowmill.names import Variant
from shadowmill.tables import read_csv

_METRICS = {"auc": "AUC", "tpr_at_fpr_0.01": "TPR at 1 % FPR"}


def plot(counts_path: str, attacks: Sequence[str], outputs: Sequence[str]) -> None:
    """Draw AUC and TPR at 1 % FPR of each attack against the number of shadows.

    A row of panels for each data set and architecture, about dense, or else the first variant.

    Args:
        counts_path: shadow_counts.csv.
        attacks: all attacks of the study, in its order: it gives them their looks. Those of the
            table are drawn; of more than a panel can show, those with the largest AUC.
        outputs: files to write.
    """
    table = read_csv(counts_path)
    if table.empty:
        _say_that_there_is_none(outputs)
        return
    settings = [
        (key, _of_reference(part))
        for key, part in table.groupby(["dataset", "architecture"], sort=False)
    ]
    shown, choice = style.strongest(_best(pd.concat([part for _, part in settings])))
    titles = {attack: ATTACKS[attack].title for attack in shown}
    looks = style.attack_looks(attacks)
    figure, axes = style.panels(
        len(settings), len(_METRICS), beside=[*titles.values(), style.CHANCE["label"]]
    )
    for row, (setting, part) in enumerate(settings):
        variant = style.variant_title(Variant.parse(part["variant"].iloc[0]))
        for panel, (metric, quantity) in zip(axes[row], _METRICS.items(), strict=True):
            panel.axhline(0.5 if metric == "auc" else 0.01, **style.CHANCE)
            for attack, title in titles.items():
                chosen = (part["metric"] == metric) & (part["attack"] == attack)
                _draw(panel, part[chosen], looks[attack], title)
            panel.set_title(f"{style.setting_title(*setting)}\n{variant}")
            panel.set(xlabel="shadow models", ylabel=quantity)
            _mark_counts(panel, sorted(part["num_shadows"].unique()))
        style.percentages(axes[row, 1].yaxis)
    style.legend(figure, "beside")
    style.title(
        figure, f"{choice}; lines: means, bands: extremes, of all draws of shadows and all targets"
    )
    style.save(figure, outputs)


def _of_reference(table: pd.DataFrame) -> pd.DataFrame:
    variants = [Variant.parse(name) for name in table["variant"].unique()]
    return table[table["variant"] == style.reference(variants).name]


def _best(table: pd.DataFrame) -> dict[str, float]:
    """AUC of each attack with the most shadows, over all settings."""
    most = table[(table["metric"] == "auc") & (table["num_shadows"] == table["num_shadows"].max())]
    return {
        name: most.loc[most["attack"] == name, "value"].mean() for name in table["attack"].unique()
    }


def _draw(panel: Axes, table: pd.DataFrame, look: dict, title: str) -> None:
    by_count = table.groupby("num_shadows")["value"]
    panel.plot(by_count.mean(), **look, marker=".", markersize=4, label=title)
    panel.fill_between(
        by_count.mean().index, by_count.min(), by_count.max(), color=look["color"], alpha=0.1, lw=0
    )


def _mark_counts(panel: Axes, counts: Sequence[int]) -> None:
    panel.set_xscale("log", base=2)
    panel.xaxis.set_major_locator(FixedLocator(counts))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.xaxis.set_major_formatter(ScalarFormatter())


def _say_that_there_is_none(outputs: Sequence[str]) -> None:
    figure, axes = style.panels(1, 1)
    axes[0, 0].remove()
    style.title(figure, "No attack of this study can be\nrun again with fewer shadows")
    style.save(figure, outputs)
