"""How well training examples are reconstructed from heads: ROC, min-MSE, sweeps, membership.

Legend: H heads, G groups of candidates (classes), E members, F false-positive rates.
"""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator, NullLocator, PercentFormatter
from scipy.special import ndtr

from shadowmill.data import title_of
from shadowmill.errors import ArtefactError
from shadowmill.figures import style
from shadowmill.figures.roc import step_roc
from shadowmill.metrics.correlation import spearman
from shadowmill.metrics.intervals import clopper_pearson
from shadowmill.metrics.reconstruction import (
    ANALYTIC,
    EMPIRICAL,
    METHODS,
    NEYMAN_PEARSON,
    analytic_tpr,
    fit_gaussians,
    log_likelihood_ratio,
    logit_mse,
    ranking,
)
from shadowmill.reconstruction.evaluation.results import (
    Reconstructions,
    min_mse_of_members,
    read_reconstructions,
)
from shadowmill.tables import read_csv
from shadowmill.tables.reconstruction import ALL, REPLICATES

_TITLES = {
    EMPIRICAL: "min-MSE, counted",
    NEYMAN_PEARSON: "likelihood ratio of Gaussian fits, counted",
    ANALYTIC: "Gaussian fits alone",
}
_HYPOTHESES = {
    "trained heads (H0)": style.MEMBER_COLOR,
    "random weights (H1)": style.NON_MEMBER_COLOR,
}
_THRESHOLD_DASHES = ("--", ":", "-.", (0, (6, 1.5, 1, 1.5)))
_MIN_MSE = "min-MSE"
_NUM_BINS = 40
_LEAST = 1e-6  # a perfect reconstruction has no place on a logarithmic axis


def plot_roc(reconstructions_path: str, outputs: Sequence[str]) -> None:
    """Draw the three ROC curves of all heads and groups, down to an FPR of one in all of H1.

    Args:
        reconstructions_path: the setting's reconstructions.
        outputs: files to write.
    """
    found = read_reconstructions(reconstructions_path)
    floor = 1 / found.min_mse_h1_HG.size
    fpr_F = np.geomspace(floor, 1, 400)
    curves = {EMPIRICAL: step_roc(*ranking(-found.min_mse_h0_HG, -found.min_mse_h1_HG), fpr_F)}
    phi = logit_mse(found.min_mse_h0_HG), logit_mse(found.min_mse_h1_HG)
    fit = fit_gaussians(*(each.ravel() for each in phi))
    if fit.proper:
        scores = (log_likelihood_ratio(each, fit) for each in phi)
        curves[NEYMAN_PEARSON] = step_roc(*ranking(*scores), fpr_F)
        curves[ANALYTIC] = analytic_tpr(fit, fpr_F)
    labels = [*_TITLES.values(), style.CHANCE["label"]]
    figure, axes = style.panels(1, 1, below=labels)
    panel = axes[0, 0]
    for name, look in style.attack_looks(METHODS).items():
        if name in curves:
            # The first is wide, to be seen behind others that often agree with it.
            width = 2.6 if name == EMPIRICAL else 1.2
            panel.plot(fpr_F, curves[name], **look, lw=width, label=_TITLES[name])
    panel.plot([floor, 1], [floor, 1], **style.CHANCE)
    panel.set(xscale="log", yscale="log", xlim=(floor, 1), ylim=(floor, 1.1))
    panel.set(xlabel="false-positive rate", ylabel="true-positive rate")
    style.legend(figure, "below")
    style.title(figure, _counts(found))
    style.save(figure, outputs)


def plot_min_mse(
    reconstructions_path: str, thresholds: Mapping[str, float], outputs: Sequence[str]
) -> None:
    """Draw histograms of the min-MSE under both hypotheses, their fits, and thresholds.

    Args:
        reconstructions_path: the setting's reconstructions.
        thresholds: published ones on the min-MSE, by name.
        outputs: files to write.
    """
    found = read_reconstructions(reconstructions_path)
    thresholds = {"nearest neighbours": found.nearest_threshold, **thresholds}
    both = found.min_mse_h0_HG.ravel(), found.min_mse_h1_HG.ravel()
    fit = fit_gaussians(*(logit_mse(sample) for sample in both))
    samples = [np.maximum(sample, _LEAST) for sample in both]
    labels = [f"{name}: {threshold:.3g}" for name, threshold in thresholds.items()]
    fit_label = "Gaussian fits of logit(min-MSE / 4)"
    figure, axes = style.panels(1, 1, below=[*_HYPOTHESES, fit_label, *labels])
    panel = axes[0, 0]
    edges = _edges(np.concatenate(samples))
    for sample, (name, color), mean, std in zip(
        samples, _HYPOTHESES.items(), fit[::2], fit[1::2], strict=True
    ):
        panel.hist(sample, bins=edges, color=color, alpha=0.35, label=name)
        if fit.proper:
            panel.plot(*_expected(edges, len(sample), mean, std), color=color, lw=1.2)
    if fit.proper:
        panel.plot([], [], color="#555555", lw=1.2, label=fit_label)  # one entry for both
    for threshold, label, dashes in zip(
        thresholds.values(), labels, cycle(_THRESHOLD_DASHES), strict=False
    ):
        panel.axvline(threshold, color="black", lw=1, linestyle=dashes, label=label)
    panel.set(xscale="log", xlabel=f"{_MIN_MSE} (pixels in [−1, 1])", ylabel="reconstructions")
    style.legend(figure, "below")
    style.title(figure, _counts(found))
    style.save(figure, outputs)


def plot_learning_curve(curve_path: str, outputs: Sequence[str]) -> None:
    """Draw the reconstructor's training loss, and the min-MSE on heads that it does not train on.

    Args:
        curve_path: learning_curve.csv.
        outputs: files to write.
    """
    table = read_csv(curve_path)
    figure, axes = style.panels(1, 2, below=list(_HYPOTHESES))
    axes[0, 0].plot(table["step"], table["train_loss"], color="black", marker=".", markersize=3)
    axes[0, 0].set_ylabel("training loss")
    columns = ("validation_min_mse", "validation_null_min_mse")
    for column, (name, color) in zip(columns, _HYPOTHESES.items(), strict=True):
        axes[0, 1].plot(
            table["step"], table[column], color=color, marker=".", markersize=3, label=name
        )
    axes[0, 1].set_ylabel(f"mean {_MIN_MSE}, test heads")
    for panel in axes[0]:
        panel.set_xlabel("step")
        panel.set_ylim(bottom=0)
        panel.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        panel.xaxis.set_major_formatter(EngFormatter(sep=""))
    style.legend(figure, "below")
    style.title(figure, "Training of the reconstructor; test heads are shown, not selected on")
    style.save(figure, outputs)


# Sweeps.

_SWEEP_FPRS = {0.01: "TPR at 1 % FPR", 0.1: "TPR at 10 % FPR"}
_NOISE, _EPSILON = "noise_multiplier", "epsilon"
_PARAMETERS = {
    "class_size": "examples per class",
    "epochs": "epochs of a head",
    "init_std": "standard deviation of initial weights",
    "optimizer": "optimiser",
    _NOISE: "noise multiplier σ",
    _EPSILON: "privacy ε",
}
_LINEAR = ("class_size",)  # others vary by factors
_CATEGORIES = {"sgd": "SGD", "adam": "Adam"}
_LABEL_GAP_INCHES = 0.06


class _Places(NamedTuple):
    """Where the rows of a sweep stand on the axis: by a number, or one beside the other."""

    quantity: str
    place: np.ndarray
    labels: dict[float, str]
    scale: str | None
    ordered: bool


def plot_sweep(table_path: str, parameter: str, outputs: Sequence[str]) -> None:
    """Draw the empirical TPR at 1 % and 10 % FPR against one parameter of a study.

    A panel for each data set and task. DP noise is shown as ε if the table says it.

    Args:
        table_path: the study's reconstruction.csv.
        parameter: which rows: those of the settings that vary it.
        outputs: files to write.

    Raises:
        ArtefactError: the table is damaged, or no setting varies the parameter.
    """
    table = read_csv(table_path)
    chosen = table[(table["class"] == ALL) & (table["method"] == EMPIRICAL)]
    chosen = chosen[chosen["parameter"] == parameter]
    if chosen.empty:
        varied = ", ".join(sorted(table["parameter"].dropna().astype(str).unique())) or "nothing"
        raise ArtefactError(
            f"{table_path}: no setting varies {parameter!r}, its settings vary {varied}. Move "
            "it elsewhere and rerun the workflow, or choose another parameter."
        )
    settings = list(chosen.groupby(["dataset", "task"], sort=False))
    below = [*_SWEEP_FPRS.values(), style.CHANCE["label"]]
    figure, axes = style.panels(1, len(settings), below=below, sharey=True)
    for panel, ((dataset, task), part) in zip(axes[0], settings, strict=True):
        _draw_sweep(panel, part, parameter)
        panel.set_title(f"{title_of(dataset)}, {task}")
    axes[0, 0].set(ylabel="true-positive rate", ylim=(-0.02, 1.02))
    axes[0, 0].yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    style.legend(figure, "below")
    thin = "; thin: over heads and classes" if chosen["tpr_lower_classes"].notna().any() else ""
    style.title(figure, f"Bars: 95 % intervals over heads{thin}")
    style.save(figure, outputs)


def _draw_sweep(panel: Axes, table: pd.DataFrame, parameter: str) -> None:
    places = _places(table, parameter)
    table = table.assign(place=places.place).sort_values("place", kind="stable")
    looks = style.attack_looks(list(_SWEEP_FPRS.values()))
    for (fpr, title), marker in zip(_SWEEP_FPRS.items(), ("o", "s"), strict=True):
        part, look = table[table["fpr"] == fpr], looks[title]
        line = look if places.ordered else look | {"linestyle": "none"}
        panel.plot(part["place"], part["tpr"], marker=marker, markersize=4, **line, label=title)
        for ending, width in (("", 2.2), ("_classes", 0.8)):
            limits = part[f"tpr_lower{ending}"], part[f"tpr_upper{ending}"]
            panel.vlines(part["place"], *limits, color=look["color"], lw=width)
        panel.axhline(fpr, **style.CHANCE | {"color": look["color"]})
    panel.set_xlabel(places.quantity)
    if places.scale:
        panel.set_xscale(places.scale)
    else:
        panel.set_xlim(-0.5, len(places.labels) - 0.5)
    labels = _legible(panel, places.labels)
    panel.set_xticks(list(labels), list(labels.values()))
    panel.xaxis.set_minor_locator(NullLocator())


def _legible(panel: Axes, labels: Mapping[float, str]) -> dict[float, str]:
    """Labels of a horizontal axis, in rising order: as many, evenly chosen, as do not touch."""
    to_inches = panel.figure.dpi_scale_trans.inverted()
    middles = to_inches.transform(panel.transData.transform([(place, 0) for place in labels]))[:, 0]
    halves = [(style.text_inches([text]) + _LABEL_GAP_INCHES) / 2 for text in labels.values()]
    starts, ends = middles - halves, middles + halves
    stride = 1
    while (starts[::stride][1:] < ends[::stride][:-1]).any():
        stride += 1
    return dict(list(labels.items())[::stride])


def _places(table: pd.DataFrame, parameter: str) -> _Places:
    number = pd.to_numeric(table["value"], errors="coerce").to_numpy(dtype=np.float64)
    name = parameter
    if parameter == _NOISE and _EPSILON in table:
        # No ε is no privacy.
        name, number = _EPSILON, table[_EPSILON].fillna(np.inf).to_numpy(dtype=np.float64)
    quantity = _PARAMETERS[name]
    if np.isnan(number).any():
        index, values = pd.factorize(table["value"].astype(str))
        names = [_CATEGORIES.get(value, value) for value in values]
        return _Places(quantity, index, dict(enumerate(names)), None, ordered=False)
    values = np.unique(number)
    labels = {value: _number(value) for value in values}
    if np.isfinite(number).all() and (name in _LINEAR or number.min() > 0):
        scale = "linear" if name in _LINEAR else "log"
        return _Places(quantity, number, labels, scale, ordered=True)
    index = np.searchsorted(values, number)  # 0 and ∞ have no place on a logarithmic axis
    return _Places(quantity, index, dict(enumerate(labels.values())), None, ordered=True)


def _number(value: float) -> str:
    if np.isinf(value):
        return "∞"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


# Membership.

_TENTHS = 10
_MOST_DOTS = 2_000  # more hide each other


def plot_membership(
    membership_path: str, reconstructions_path: str, outputs: Sequence[str]
) -> None:
    """Draw how well members are reconstructed against their LiRA score.

    Left: the share of successes, by the threshold that comes from the data, in each tenth of the
    members, with Clopper–Pearson intervals. Right: all members; Spearman's ρ has a bootstrapped
    interval over heads.

    Args:
        membership_path: of the heads that were reconstructed from.
        reconstructions_path: their reconstructions.
        outputs: files to write.

    Raises:
        ArtefactError: a file is missing or damaged, or they are not about the same heads.
    """
    found = read_reconstructions(reconstructions_path)
    members, min_mse_E = min_mse_of_members(membership_path, reconstructions_path)
    score_E = members.score_in_E
    figure, axes = style.panels(1, 2, below=["random weights (H1)"])
    _draw_tenths(axes[0, 0], score_E, min_mse_E <= found.nearest_threshold)
    by_chance = (found.min_mse_h1_HG <= found.nearest_threshold).mean()
    axes[0, 0].axhline(by_chance, **style.CHANCE | {"label": "random weights (H1)"})
    _draw_members(figure, axes[0, 1], score_E, min_mse_E)
    rho = spearman(score_E, min_mse_E, members.head_E, REPLICATES, seed=0)
    value, low, high = (f"{number:.2f}".replace("-", "−") for number in rho)
    style.legend(figure, "below")
    style.title(
        figure,
        f"{len(score_E):,} members, the nearest candidate of each head and class; success: "
        f"min-MSE at most {found.nearest_threshold:.3g}; Spearman’s ρ = {value} "
        f"[{low}, {high}], 95 % interval over heads",
    )
    style.save(figure, outputs)


def _draw_tenths(panel: Axes, score_E: np.ndarray, success_E: np.ndarray) -> None:
    order = np.argsort(score_E, kind="stable")
    for number, part in enumerate(np.array_split(order, min(_TENTHS, len(order))), start=1):
        successes = int(success_E[part].sum())
        panel.plot(number, successes / len(part), "o", color="black", markersize=4)
        panel.vlines(number, *clopper_pearson(successes, len(part)), color="black", lw=0.8)
    panel.set(xlabel="tenth of the members, by LiRA score", ylabel="successful reconstructions")
    panel.set_ylim(-0.02, 1.02)
    panel.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    panel.xaxis.set_major_locator(MaxNLocator(_TENTHS, integer=True))


def _draw_members(figure: Figure, panel: Axes, score_E: np.ndarray, min_mse_E: np.ndarray) -> None:
    min_mse_E = np.maximum(min_mse_E, _LEAST)
    if len(score_E) <= _MOST_DOTS:
        panel.plot(score_E, min_mse_E, ".", color=style.MEMBER_COLOR, markersize=3, alpha=0.5)
        panel.set_yscale("log")
    else:
        bins = panel.hexbin(
            score_E, min_mse_E, yscale="log", gridsize=30, mincnt=1, bins="log", cmap="cividis"
        )
        figure.colorbar(bins, ax=panel, label="members")
    panel.set(xlabel="LiRA score (nats)", ylabel=_MIN_MSE)


# Shared parts.


def _edges(min_mse: np.ndarray) -> np.ndarray:
    """Edges of bins that are even on a logarithmic axis."""
    return np.geomspace(min_mse.min() / 1.05, min_mse.max() * 1.05, _NUM_BINS + 1)


def _expected(
    edges: np.ndarray, count: int, mean: float, std: float
) -> tuple[np.ndarray, np.ndarray]:
    """Middles of bins of this width, and how many of so many values a Gaussian φ puts there."""
    half_bin = np.sqrt(edges[1] / edges[0])
    middles = np.geomspace(edges[0], edges[-1], 400)
    below, above = (
        ndtr((logit_mse(middles * factor) - mean) / std) for factor in (1 / half_bin, half_bin)
    )
    return middles, count * (above - below)


def _counts(found: Reconstructions) -> str:
    heads, groups = found.min_mse_h0_HG.shape
    return f"{heads:,} test heads" + (f" × {groups} classes" if groups > 1 else "")
