"""The main numbers of a study; as text, they end `make quickstart`."""

import pandas as pd

from shadowmill.attacks.run import JUDGES
from shadowmill.tables import read_csv
from shadowmill.tables.membership import judges, pooled


def summarise(training_path: str, membership_path: str) -> str:
    """The headline of a study as aligned text; arguments as of `headline`."""
    attack, table = headline(training_path, membership_path)
    return f"attack: {attack}; 95 % intervals in brackets\n{table.to_string(index=False)}"


def headline(training_path: str, membership_path: str) -> tuple[str, pd.DataFrame]:
    """The main numbers of a study, one row per configuration.

    Test accuracy is the mean over all models. The attack is the study's first; its numbers are of
    the models that it is judged by, pooled, with 95 % intervals over models × examples. `judged by`
    says which, unless they are shadows attacked without their complements throughout.

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
            line[title] = _estimate(by_metric.loc[metric], as_percentage=metric != "auc")
        lines.append(line)
    table = pd.DataFrame(lines)
    constant = [name for name in ("dataset", "architecture") if table[name].nunique() == 1]
    if set(table["judged by"]) == {JUDGES["shadows"]}:
        constant.append("judged by")
    return attack, table.drop(columns=constant)


def _estimate(row: pd.Series, as_percentage: bool) -> str:
    if pd.isna(row["value"]):
        return "undefined"
    style = ".1%" if as_percentage else ".3f"
    return f"{row['value']:{style}} [{row['ci_low']:{style}}, {row['ci_high']:{style}}]"
