"""reconstruction: how often examples are reconstructed from heads, and how often by chance.

Legend: H heads, G groups of candidates (classes).
"""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from shadowmill.metrics.evaluation import CONFIDENCE
from shadowmill.metrics.reconstruction import EMPIRICAL, Rate, rates_at_fprs, rates_at_thresholds
from shadowmill.progress import bar
from shadowmill.reconstruction.evaluation.results import Reconstructions, read_reconstructions
from shadowmill.tables import read_csv, write_csv

FPRS = (0.001, 0.01, 0.1)
REPLICATES = 1_000

ALL = "all"  # in place of a class: the pairs of heads and groups in one ranking
NEAREST = "nearest"  # the threshold that comes from the data
THRESHOLD = "threshold_"  # begins the methods of thresholds


def tabulate(
    reconstructions_path: str,
    thresholds: Mapping[str, float],
    output: str,
    *,
    study: str,
    setting: str,
    parameter: str,
    value: str | float,
    dataset: str,
    task: str,
) -> None:
    """Write the rows of one setting: for all classes, and for each if there are several.

    Methods are those of `shadowmill.metrics.reconstruction`, at each of `FPRS`, and
    `threshold_<name>` at fixed thresholds, among them `threshold_nearest`: the quantile of the
    distances between the heads' examples and their nearest neighbours among the examples that the
    training heads are made of. `fpr` is what was asked for, or what a threshold brings. A TPR at an
    FPR below one in the number of reconstructions under H1 is left empty. `tpr_lower` and
    `tpr_upper` allow for the choice of heads, `tpr_lower_classes` and `tpr_upper_classes` for that
    of heads and classes. `threshold` is on the min-MSE, with `neyman_pearson` on the log-likelihood
    ratio. A column `epsilon` says what DP-SGD guarantees, if heads were trained by it.

    Args:
        reconstructions_path: the setting's reconstructions.
        thresholds: published ones on the min-MSE, by name.
        output: CSV file to write.
        study: its name.
        setting: its name.
        parameter: what the setting varies; empty for none.
        value: of the parameter; empty for none.
        dataset: its name.
        task: of the heads.

    Raises:
        ArtefactError: the file is missing or damaged.
        ValueError: a threshold has the name of the one that comes from the data.
    """
    if NEAREST in thresholds:
        raise ValueError(f"a threshold is called {NEAREST!r}, the one of the data; rename it")
    found = read_reconstructions(reconstructions_path)
    thresholds = {NEAREST: found.nearest_threshold, **thresholds}
    columns: dict[str, Any] = {
        "study": study,
        "setting": setting,
        "parameter": parameter,
        "value": value,
        "dataset": dataset,
        "task": task,
    }
    if found.epsilon is not None:
        columns["epsilon"] = found.epsilon
    write_csv(output, pd.DataFrame([columns | row for row in _rows(found, thresholds)]))


def _rows(found: Reconstructions, thresholds: Mapping[str, float]) -> Iterator[dict[str, Any]]:
    classes = {ALL: slice(None)}
    if len(found.class_names) > 1:
        classes |= {name: slice(g, g + 1) for g, name in enumerate(found.class_names)}
    named = {f"{THRESHOLD}{name}": threshold for name, threshold in thresholds.items()}
    for name, groups in bar(classes.items(), desc="classes", unit="class"):
        pair = found.min_mse_h0_HG[:, groups], found.min_mse_h1_HG[:, groups]
        options = {"replicates": REPLICATES, "seed": 0, "confidence": CONFIDENCE}
        rates = rates_at_fprs(*pair, FPRS, **options)
        rates += rates_at_thresholds(*pair, named, **options)
        for rate in rates:
            yield {"class": name, **_columns(rate), "num_h0": pair[0].size, "num_h1": pair[1].size}


def _columns(rate: Rate) -> dict[str, str | float]:
    return {
        "method": rate.method,
        "fpr": rate.fpr,
        "tpr": rate.tpr,
        "tpr_lower": rate.low,
        "tpr_upper": rate.high,
        "tpr_lower_classes": rate.low_groups,
        "tpr_upper_classes": rate.high_groups,
        "threshold": rate.threshold,
        "auc": rate.auc,
    }


def summarise(table_path: str) -> str:
    """The main numbers of a study as aligned text: of all classes, counted, one row per setting.

    Args:
        table_path: reconstruction.csv of the study.
    """
    table = read_csv(table_path)
    chosen = table[(table["class"] == ALL) & (table["method"] == EMPIRICAL)]
    lines = []
    for setting, rows in chosen.groupby("setting", sort=False):
        by_fpr = rows.set_index("fpr")
        rates = {f"TPR at {fpr:.0%} FPR": _interval(by_fpr.loc[fpr]) for fpr in (0.01, 0.1)}
        lines.append({"setting": setting, "AUC": f"{rows['auc'].iloc[0]:.3f}"} | rates)
    shown = pd.DataFrame(lines).to_string(index=False)
    return f"reconstruction; 95 % intervals over test heads in brackets\n{shown}"


def _interval(row: pd.Series) -> str:
    if pd.isna(row["tpr"]):
        return "undefined"
    return f"{row['tpr']:.0%} [{row['tpr_lower']:.0%}, {row['tpr_upper']:.0%}]"
