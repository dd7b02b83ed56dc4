"""The curvature study's tables: our attacks beside the published ones, and curvatures of examples.

Legend: M models, N examples of the pool.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd

from shadowmill import architectures, storage
from shadowmill.attacks import ATTACKS, ScoreBank
from shadowmill.attacks.run import bank_of
from shadowmill.data import DATASETS, title_of
from shadowmill.errors import ArtefactError
from shadowmill.scores.arrays import CURVATURES
from shadowmill.scores.files import read_scores
from shadowmill.tables import read_csv, write_csv

# Metric of the table for papers to what has it there, and whether with deviations.
_SHOWN = {
    "bal. acc.": (("balanced_accuracy", "balanced_accuracy_oracle"), True),
    "AUC": (("auc",), True),
    "TPR 1 %": (("tpr_at_fpr_0.01",), False),
    "TPR 0.1 %": (("tpr_at_fpr_0.001",), False),
    "TPR 0.01 %": (("tpr_at_fpr_0.0001",), False),
}
_PUBLISHED = tuple(metrics[0] for metrics, _ in _SHOWN.values())
_METRICS = tuple(metric for metrics, _ in _SHOWN.values() for metric in metrics)
_SETTING = ["dataset", "architecture", "variant", "adversary"]
_ATTACK = ["study", *_SETTING, "attack"]
_NOTE = r"""% percentages, mean ± deviation over targets; TPR at a false-positive rate
% ours: threshold of balanced accuracy fixed on shadows; oracle: the best on the target itself;
% published: at the point of equal errors on the target itself
% needs \usepackage{booktabs}
"""

# Data set to attack to metric to a value, or a value and its deviation; all are per cent.
Published = Mapping[str, Mapping[str, Mapping[str, float | Sequence[float]]]]


def compare(membership_path: str, published: Published, csv_output: str, latex_output: str) -> None:
    r"""Write Table 1 of Ravikumar et al. 2024 (arXiv:2407.02747) anew, with the published values.

    A row for each data set, architecture, variant, adversary and attack, with the mean and the
    deviation (divisor n − 1) over the study's targets of the balanced accuracy, the AUC, and the
    TPR at 1, 0.1 and 0.01 % FPR. A mean is empty if the metric is undefined for a target. Targets
    of subsets of several sizes, and shadows attacked with each other, have no part in it.

    The published balanced accuracy is that of the point of equal error rates on the target's own
    ROC curve, which no attacker knows. Comparable is our `balanced_accuracy_oracle`, the largest on
    that curve and hence no smaller; `balanced_accuracy` has a threshold that was fixed on shadows.
    Published values stand in the rows of `dense` models attacked by the adaptive adversary.

    Args:
        membership_path: membership_metrics.csv.
        published: in per cent, by data set, attack and metric; what the study lacks is left out.
        csv_output: CSV file to write, with `METRIC`, `METRIC_deviation`, `METRIC_published` and
            `METRIC_published_deviation` as fractions, empty where there is none.
        latex_output: LaTeX `tabular` to write, in per cent; needs ``\usepackage{booktabs}``.

    Raises:
        ArtefactError: the table cannot be read, or the study has no target of its own.
        ValueError: a published value has an unknown name or is not from 0 to 100.
    """
    _check(published)
    table = read_csv(membership_path)
    table = table[table["target"].str.fullmatch(r"target-\d+") & table["metric"].isin(_METRICS)]
    if table.empty:
        raise ArtefactError(
            f"{membership_path}: no rows of targets named target-SEED. Give the study target_seeds "
            "and no subsets, and rerun."
        )
    rows = [
        dict(zip(_ATTACK, key, strict=True)) | _measured(part) | _published(key, published)
        for key, part in table.groupby(_ATTACK, sort=False)
    ]
    columns = [f"{metric}{ending}" for metric in _METRICS for ending in ("", "_deviation")]
    columns += [
        f"{metric}_published{ending}" for metric in _PUBLISHED for ending in ("", "_deviation")
    ]
    rows = pd.DataFrame(rows, columns=[*_ATTACK, "num_targets", *columns])
    write_csv(csv_output, rows)
    storage.write_text(latex_output, _NOTE + _as_latex(rows))


def _check(published: Published) -> None:
    for dataset, attacks in published.items():
        for attack, metrics in attacks.items():
            known = dataset in DATASETS and attack in ATTACKS and metrics.keys() <= set(_PUBLISHED)
            if not known:
                raise ValueError(
                    f"published {dataset}, {attack}, {', '.join(metrics)}: expected a data set, an "
                    f"attack, and metrics of {', '.join(_PUBLISHED)}"
                )
            for metric, found in metrics.items():
                if np.size(found) > 2 or not np.all(np.clip(found, 0, 100) == found):
                    raise ValueError(
                        f"published {dataset}, {attack}, {metric} is {found}, expected a "
                        "percentage from 0 to 100, perhaps with its deviation"
                    )


def _measured(table: pd.DataFrame) -> dict[str, Any]:
    """Means and deviations of one attack over targets."""
    found: dict[str, Any] = {"num_targets": table["target"].nunique()}
    for metric, values in table.groupby("metric", sort=False)["value"]:
        found[metric] = values.mean(skipna=False)
        found[f"{metric}_deviation"] = values.std(ddof=1, skipna=False)
    return found


def _published(key: tuple[str, ...], published: Published) -> dict[str, float]:
    names = dict(zip(_ATTACK, key, strict=True))
    if (names["variant"], names["adversary"]) != ("dense", "adaptive"):
        return {}
    metrics = published.get(names["dataset"], {}).get(names["attack"], {})
    return {
        f"{metric}_published{ending}": value / 100
        for metric, found in metrics.items()
        for ending, value in zip(("", "_deviation"), np.atleast_1d(found), strict=False)
    }


def _as_latex(rows: pd.DataFrame) -> str:
    """Rows of `compare`; settings that are the same everywhere have no column."""
    titles = {
        "dataset": ("data set", rows["dataset"].map(title_of)),
        "architecture": ("network", rows["architecture"].map(architectures.title_of)),
        "variant": ("variant", rows["variant"]),
        "adversary": ("shadows", rows["adversary"].str.replace("_", "-")),
    }
    shown = {("", t): column for n, (t, column) in titles.items() if rows[n].nunique() > 1}
    shown["", "attack"] = rows["attack"].map(lambda name: ATTACKS[name].title)
    num_labels = len(shown)
    for title, (metrics, with_deviation) in _SHOWN.items():
        names = dict(zip(("ours", "oracle"), metrics, strict=False))
        if rows[f"{metrics[0]}_published"].notna().any():
            names["published"] = f"{metrics[0]}_published"
        for source, name in names.items():
            deviation = rows[f"{name}_deviation"] if with_deviation else [np.nan] * len(rows)
            shown[title, source] = list(map(_percentage, rows[name], deviation))
    heads = [head for head, _ in shown]
    text = pd.DataFrame(shown).to_latex(
        index=False,
        escape=True,
        multicolumn_format="c",
        column_format="l" * num_labels + "r" * (len(heads) - num_labels),
    )
    return _with_rules(text, heads).replace("±", r"$\pm$")


def _percentage(value: float, deviation: float) -> str:
    if np.isnan(value):
        return "–"
    text = f"{100 * value:.2f}"
    return text if np.isnan(deviation) else f"{text} ± {100 * deviation:.2f}"


def _with_rules(text: str, heads: Sequence[str]) -> str:
    r"""Rules below the heads that span columns; without them it is not seen which they are."""
    spans, first = [], 1
    for head, columns in groupby(heads):
        last = first + len(list(columns)) - 1
        if head and last > first:
            spans.append(rf"\cmidrule(lr){{{first}-{last}}}")
        first = last + 1
    lines = text.splitlines(keepends=True)
    if spans:
        lines.insert(3, " ".join(spans) + "\n")  # below \begin, \toprule and the heads
    return "".join(lines)


def mean_curvature(score_paths: Sequence[str], estimator: str, output: str) -> None:
    """Write the mean curvature of each example, an order for `shadowmill.roles.order.read_scores`.

    Args:
        score_paths: score files of the models to average over, members or not.
        estimator: one of `shadowmill.scores.arrays.CURVATURES`.
        output: CSV file to write, with the columns `example` and `score`.

    Raises:
        ArtefactError: see `read_curvature`.
    """
    _, curvature_MN = read_curvature(score_paths, estimator)
    score_N = curvature_MN.mean(axis=0)
    write_csv(output, pd.DataFrame({"example": np.arange(len(score_N)), "score": score_N}))


def read_curvature(score_paths: Sequence[str], estimator: str) -> tuple[ScoreBank, np.ndarray]:
    """Read the curvature of each example's identity query.

    Args:
        score_paths: score files of the models.
        estimator: one of `shadowmill.scores.arrays.CURVATURES`.

    Returns:
        The models with their roles, and (M, N) float64 curvatures.

    Raises:
        ArtefactError: a file is damaged or lacks the curvature, or one is not a finite number.
    """
    array = CURVATURES[estimator]
    bank = bank_of(read_scores(score_paths, [array], identity_only=True))
    return bank, bank[array][:, :, 0].astype(np.float64)
