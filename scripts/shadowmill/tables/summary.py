"""The main numbers of a study; as text, they end `make quickstart`."""

import pandas as pd

from shadowmill.attacks.run import JUDGES
from shadowmill.metrics.confusion import ppv
from shadowmill.metrics.evaluation import chance
from shadowmill.tables import read_csv
from shadowmill.tables.membership import judges, pooled

PPV = "PPV at 10 %, 1 %"
PPV_NOTE = f"{PPV}: of those accused at 1 % FPR, so many are members if 10 % of all are, or 1 %"
NONE_NOTE = (
    "none from x: nothing was found; a leak of x would have been, in four of five studies like this"
)


def summarise(training_path: str, membership_path: str) -> str:
    """The headline of a study as aligned text; arguments as of `headline`."""
    attack, table = headline(training_path, membership_path)
    shown = table.to_string(index=False)
    notes = [PPV_NOTE, *([NONE_NOTE] if "(none from" in shown else [])]
    head = f"attack: {attack}; 95 % intervals in brackets"
    return "\n".join([head, shown, *notes])


def headline(training_path: str, membership_path: str) -> tuple[str, pd.DataFrame]:
    """The main numbers of a study, one row per configuration.

    Test accuracy is the mean over all models. The attack is the study's first; its numbers are of
    the models that it is judged by, pooled, with 95 % intervals over models × examples. `judged by`
    says which, unless they are shadows attacked without their complements throughout. "none from x"
    stands behind what chance explains, with the smallest leak that would probably have been seen;
    `PPV` is of TPR and FPR of 1 %.

    Args:
        training_path: training_results.csv.
        membership_path: membership_metrics.csv.

    Returns:
        The attack's name, and the table, all of it text. Data set and architecture are left out
        where there is but one.
    """
    training, membership = read_csv(training_path), read_csv(membership_path)
    cells = ["dataset", "architecture", "variant"]
    accuracy = training.groupby(cells, sort=False)["test_accuracy"].mean()
    attack = membership["attack"].iloc[0]
    columns = {
        "auc": "AUC",
        "tpr_at_fpr_0.001": "TPR at 0.1 % FPR",
        "tpr_at_fpr_0.01": "TPR at 1 % FPR",
    }
    lines = []
    for key, rows in pooled(membership, attack).groupby(cells, sort=False):
        by_metric = rows.set_index("metric")
        line = dict(zip(cells, key, strict=True)) | {"test accuracy": f"{accuracy[key]:.1%}"}
        line["judged by"] = JUDGES[judges(rows).iloc[0]]
        for metric, title in columns.items():
            line[title] = _estimate(by_metric.loc[metric], metric)
        tpr = by_metric.loc["tpr_at_fpr_0.01", "value"]
        shares = ", ".join(f"{ppv(tpr, 0.01, prior):.0%}" for prior in (0.1, 0.01))
        line[PPV] = "undefined" if pd.isna(tpr) else shares
        lines.append(line)
    table = pd.DataFrame(lines)
    constant = [name for name in ("dataset", "architecture") if table[name].nunique() == 1]
    if set(table["judged by"]) == {JUDGES["shadows"]}:
        constant.append("judged by")
    return attack, table.drop(columns=constant)


def _estimate(row: pd.Series, metric: str) -> str:
    if pd.isna(row["value"]):
        return "undefined"
    style = ".3f" if metric == "auc" else ".1%"
    text = f"{row['value']:{style}} [{row['ci_low']:{style}}, {row['ci_high']:{style}}]"
    if row["ci_low"] <= chance(metric):
        text += f" (none from {row['detectable']:{style}})"
    return text
