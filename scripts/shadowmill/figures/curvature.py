"""The curvature study's figures: curvatures of examples, and attacks against subset size and ε.

Legend: M models, N examples of the pool.
"""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import (
    EngFormatter,
    FixedLocator,
    Formatter,
    LogLocator,
    NullLocator,
    StrMethodFormatter,
)

from shadowmill.attacks import ATTACKS
from shadowmill.attacks.curvature import log_curvature
from shadowmill.attacks.run import ADAPTIVE
from shadowmill.data import title_of
from shadowmill.data.store import load as load_data
from shadowmill.errors import ArtefactError
from shadowmill.figures import style
from shadowmill.figures.examples import draw_image
from shadowmill.names import Cell, Variant
from shadowmill.tables import read_csv
from shadowmill.tables.curvature import read_curvature
from shadowmill.tables.membership import AGGREGATES

_QUANTITIES = {
    "finite_difference": "curvature by finite differences",
    "trace": "trace of the Hessian",
    "frobenius": "Frobenius norm of the Hessian",
}
_BINS = 60
# A few examples may stand so far out that nothing would be seen of the others.
_SHOWN_PERCENTILES = (0.05, 99.95)
_IMAGES = (2, 6)  # rows and columns of either kind

_METRICS = {"auc": ("AUC", 0.5), "tpr_at_fpr_0.01": ("TPR at 1 % FPR", 0.01)}
_ADVERSARIES = {  # how the lines of each look, and what their shadows are
    "adaptive": ({"linestyle": "-"}, "shadows with DP-SGD"),
    "non_adaptive": (
        {"linestyle": (0, (4, 2)), "markerfacecolor": "white"},
        "shadows without DP-SGD",
    ),
    "original": ({"linestyle": (0, (1, 1.2)), "markerfacecolor": "white"}, "dense shadows"),
}
_MARKERS = "os^Dv"  # five, as there are seven colours: see style.attack_looks
_REFERENCE = {"color": "#555555", "lw": 1, "ls": (0, (8, 2, 1, 2)), "label": "without DP-SGD"}
_BASE = ["dataset", "architecture", "method", "sparsity"]  # of a variant without its defence
_MAX_ATTACKS = 10  # in one panel
_MAX_PRIVATE = 5  # each perhaps with several lines
_MAX_COLUMNS = 3
_FEW = 6  # numbers of an axis that can all be written


def plot_histograms(
    cell: Cell, score_paths: Sequence[str], estimator: str, outputs: Sequence[str]
) -> None:
    """Draw how the log curvature of members and of non-members is distributed, with medians.

    Args:
        cell: the configuration.
        score_paths: score files of the targets, whose examples are put together.
        estimator: one of `shadowmill.scores.arrays.CURVATURES`.
        outputs: files to write.

    Raises:
        ArtefactError: see `shadowmill.tables.curvature.read_curvature`.
    """
    targets, curvature_MN = read_curvature(score_paths, estimator)
    log_MN = log_curvature(curvature_MN)
    used_MN = targets.member_MN | targets.nonmember_MN
    # The log of 0 lies so far out that even a few would squeeze all others together.
    low, high = np.percentile(log_MN[used_MN & (curvature_MN != 0)], _SHOWN_PERCENTILES)
    figure, axes = style.panels(1, 1)
    figure.set_size_inches(4.2, 3)
    panel = axes[0, 0]
    for label, where_MN, color in (
        ("member", targets.member_MN, style.MEMBER_COLOR),
        ("non-member", targets.nonmember_MN, style.NON_MEMBER_COLOR),
    ):
        shown = log_MN[where_MN].clip(low, high)
        median = np.median(log_MN[where_MN])
        options = {"bins": _BINS, "range": (low, high), "density": True, "color": color}
        panel.hist(shown, **options, histtype="stepfilled", alpha=0.3)
        panel.hist(shown, **options, histtype="step", linewidth=1)
        panel.axvline(
            median, color=color, lw=1.2, ls="--", label=f"{label}, median {_minus(median, '.2f')}"
        )
    panel.set(xlabel=f"log |{_QUANTITIES[estimator]}|", ylabel="density")
    style.legend(figure, "below")
    count = len(targets.names)
    who = f"{count} {'target' if count == 1 else 'targets'}"
    setting = style.setting_title(cell.dataset, cell.architecture)
    variant = style.variant_title(Variant.parse(cell.variant))
    style.title(
        figure, f"{setting}, {variant}\n{who}; on the border: the outermost 0.1 %, and zeros"
    )
    style.save(figure, outputs)


def plot_extremes(
    data_path: str, score_paths: Sequence[str], estimator: str, outputs: Sequence[str]
) -> None:
    """Draw the examples of the highest and of the lowest mean curvature.

    Args:
        data_path: the prepared data set.
        score_paths: score files of the shadows, over which the mean is taken.
        estimator: one of `shadowmill.scores.arrays.CURVATURES`.
        outputs: files to write.

    Raises:
        ArtefactError: see `shadowmill.tables.curvature.read_curvature`.
    """
    data = load_data(data_path)
    shadows, curvature_MN = read_curvature(score_paths, estimator)
    mean_N = curvature_MN.mean(axis=0)
    order = np.argsort(mean_N, kind="stable")
    rows, columns = _IMAGES
    count = rows * columns
    figure, axes = style.panels(2 * rows, columns)
    figure.set_size_inches(7, 1.65 * 2 * rows + 0.3)
    for kind, chosen, group in (
        ("highest", order[::-1][:count], axes[:rows]),
        ("lowest", order[:count], axes[rows:]),
    ):
        for panel, example in zip(group.flat, chosen, strict=True):
            draw_image(panel, data, example)
            panel.set_xlabel(_minus(mean_N[example], ".3g"))
        group[0, 0].set_ylabel(kind, rotation=0, ha="right", va="center")
    dataset = title_of(data.name)
    mean = f"mean over {len(shadows.names)} shadow models"
    style.title(figure, f"{dataset}; below: {_QUANTITIES[estimator]}, {mean}")
    style.save(figure, outputs)


def plot_subset_sizes(membership_path: str, attacks: Sequence[str], outputs: Sequence[str]) -> None:
    """Draw AUC and TPR at 1 % FPR against the number of examples that a target trained on.

    A row of panels for each data set, architecture, variant and adversary.

    Args:
        membership_path: membership_metrics.csv of a study with subsets, whose targets are named
            target-SEED-SIZE.
        attacks: those to draw, in the study's order, which gives them their looks; of more than
            ten, those with the largest mean AUC.
        outputs: files to write.

    Raises:
        ArtefactError: the table cannot be read or has no such targets.
    """
    table = read_csv(membership_path)
    table = table[table["attack"].isin(attacks)]
    size = table["target"].str.extract(r"^target-\d+-(\d+)$", expand=False)
    table = table.assign(size=size.astype("Float64"))[size.notna() & table["metric"].isin(_METRICS)]
    if table.empty:
        raise ArtefactError(
            f"{membership_path}: no rows of targets named target-SEED-SIZE. Draw this figure of a "
            "study with subsets."
        )
    table = table.astype({"size": int})
    shown, choice = _strongest(table, _MAX_ATTACKS)
    looks = style.attack_looks(attacks)
    settings = list(table.groupby(["dataset", "architecture", "variant", "adversary"], sort=False))
    titles = {attack: ATTACKS[attack].title for attack in shown}
    figure, axes = style.panels(
        len(settings), len(_METRICS), beside=[*titles.values(), style.CHANCE["label"]]
    )
    for row, ((dataset, architecture, variant, adversary), part) in zip(
        axes, settings, strict=True
    ):
        below = style.variant_title(Variant.parse(variant))
        if adversary not in ADAPTIVE:
            below += f" ({adversary.replace('_', '-')})"
        for panel, (metric, (quantity, chance)) in zip(row, _METRICS.items(), strict=True):
            panel.axhline(chance, **style.CHANCE)
            for number, (attack, title) in enumerate(titles.items()):
                chosen = (part["metric"] == metric) & (part["attack"] == attack)
                by_size = part[chosen].groupby("size")["value"]
                mean, nudge = by_size.mean(), _nudge(number, len(titles))
                panel.errorbar(
                    mean.index * nudge,
                    mean,
                    yerr=_arms(mean, by_size.min(), by_size.max()),
                    **looks[attack],
                    marker=".",
                    markersize=4,
                    elinewidth=0.8,
                    label=title,
                )
            panel.set_title(f"{style.setting_title(dataset, architecture)}\n{below}")
            panel.set(xlabel="training examples", ylabel=quantity)
            _log_axis(panel, part["size"].unique(), EngFormatter(sep=""))
        style.percentages(row[1].yaxis)
    style.legend(figure, "beside")
    style.title(figure, f"Lines: means, bars: extremes, of all targets of a size{choice}")
    style.save(figure, outputs)


def plot_epsilon(membership_path: str, attacks: Sequence[str], outputs: Sequence[str]) -> None:
    """Draw the AUC of each attack on models trained with DP-SGD against ε, with 95 % intervals.

    A panel for each data set, architecture and pruning, where the same without DP-SGD is a line of
    reference if the study has it. All models that an attack is judged by are in one ranking.

    Args:
        membership_path: membership_metrics.csv of a study whose `dp_sgd` has ε for its strength.
        attacks: those to draw, in the study's order, which gives them their looks; of more than
            five, those with the largest mean AUC.
        outputs: files to write.

    Raises:
        ArtefactError: the table cannot be read or has no variant with DP-SGD.
    """
    table = read_csv(membership_path)
    is_pooled = table["target"].str.endswith(AGGREGATES["pooled"])
    table = table[is_pooled & (table["metric"] == "auc") & table["attack"].isin(attacks)]
    table = table.assign(adversary=table["adversary"].replace(dict.fromkeys(ADAPTIVE, "adaptive")))
    private = table[table["defense"] == "dp_sgd"]
    if private.empty:
        raise ArtefactError(
            f"{membership_path}: no rows of variants with dp_sgd. Draw this figure of a study that "
            "has them, such as dense+dp_sgd-8."
        )
    shown, choice = _strongest(private, _MAX_PRIVATE)
    looks = {
        attack: {"color": look["color"], "marker": marker, "markersize": 3.5}
        for (attack, look), marker in zip(
            style.attack_looks(attacks).items(), cycle(_MARKERS), strict=False
        )
    }
    entries = _entries(shown, looks, [n for n in _ADVERSARIES if n in set(private["adversary"])])
    settings = list(private.groupby(_BASE, sort=False))
    references = table[(table["defense"] == "none") & table["attack"].isin(shown)]
    references = references.drop_duplicates([*_BASE, "attack"])  # of the first adversary
    labels = [*(label for label, _ in entries), _REFERENCE["label"], style.CHANCE["label"]]
    figure, axes = style.grid(1, len(settings), _MAX_COLUMNS, beside=labels, sharey=True)
    for label, look in entries:
        axes[0, 0].plot([], [], **look, label=label)
    for panel, (key, part) in zip(axes[0], settings, strict=True):
        panel.axhline(0.5, **style.CHANCE)
        _draw_references(panel, references[(references[_BASE] == list(key)).all(axis=1)], looks)
        _draw_private(panel, part[part["attack"].isin(shown)], looks)
        dataset, architecture, method, sparsity = key
        variant = style.variant_title(Variant(method, sparsity))
        panel.set_title(f"{style.setting_title(dataset, architecture)}\n{variant}")
        _log_axis(panel, part["strength"].unique(), StrMethodFormatter("{x:g}"))
    style.label_group(axes[0], "ε", "AUC")
    style.legend(figure, "beside")
    note = style.judges_of_variants(private[private["attack"].isin(shown)])
    style.title(figure, f"Bars and bands: 95 % intervals{choice}{note}")
    style.save(figure, outputs)


def _entries(
    attacks: Sequence[str], looks: Mapping[str, dict[str, Any]], adversaries: Sequence[str]
) -> list[tuple[str, dict[str, Any]]]:
    """What the legend says of colours, and of dashes where they differ."""
    entries = [(ATTACKS[attack].title, looks[attack]) for attack in attacks]
    if adversaries != ["adaptive"]:
        grey = {"color": _REFERENCE["color"], "marker": "o", "markersize": 3.5}
        for look, label in map(_ADVERSARIES.__getitem__, adversaries):
            entries.append((label, grey | look))
    return entries


def _draw_references(panel: Axes, table: pd.DataFrame, looks: Mapping[str, dict[str, Any]]) -> None:
    for row in table.itertuples():
        own = {"color": looks[row.attack]["color"]}
        panel.axhline(row.value, **_REFERENCE | own | {"label": None})
        panel.axhspan(row.ci_low, row.ci_high, **own, alpha=0.12, lw=0)
    if not table.empty:
        panel.plot([], [], **_REFERENCE)


def _draw_private(panel: Axes, table: pd.DataFrame, looks: Mapping[str, dict[str, Any]]) -> None:
    lines = list(table.groupby(["attack", "adversary"], sort=False))
    for number, ((attack, adversary), part) in enumerate(lines):
        part = part.sort_values("strength")
        panel.errorbar(
            part["strength"] * _nudge(number, len(lines)),
            part["value"],
            yerr=_arms(part["value"], part["ci_low"], part["ci_high"]),
            **looks[attack],
            **_ADVERSARIES[adversary][0],
            elinewidth=0.8,
        )


def _strongest(table: pd.DataFrame, limit: int) -> tuple[list[str], str]:
    """The attacks with the largest mean AUC, and what a title says if there are others."""
    means = table[table["metric"] == "auc"].groupby("attack", sort=False)["value"].mean()
    order = means.sort_values(ascending=False, kind="stable").index
    note = f"; the {limit} of {len(order)} attacks with the largest AUC"
    return list(order[:limit]), note if len(order) > limit else ""


def _arms(value: pd.Series, low: pd.Series, high: pd.Series) -> np.ndarray:
    # A mean of equal values can lie outside them by rounding; its arm has length 0 then.
    return np.maximum([value - low, high - value], 0)


def _nudge(number: int, count: int) -> float:
    """A factor near 1, so that bars at one place do not hide each other."""
    return 1.015 ** (number - (count - 1) / 2)


def _log_axis(panel: Axes, numbers: Sequence[float], formatter: Formatter) -> None:
    """A logarithmic axis that says the numbers themselves, or round ones if there are many."""
    panel.set_xscale("log")
    few = len(numbers) <= _FEW
    panel.xaxis.set_major_locator(FixedLocator(numbers) if few else LogLocator(subs=(1, 2, 5)))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.xaxis.set_major_formatter(formatter)


def _minus(number: float, style_of_number: str) -> str:
    """A number with a minus sign, as matplotlib writes them at axes."""
    return f"{number:{style_of_number}}".replace("-", "−")
