"""comprehensive_mia_results: the metrics of all attacks, one row per model."""

from shadowmill.tables import read_csv, write_csv
from shadowmill.tables.membership import single_models

_MEASURED = ["attack", "adversary", "metric", "value", "ci_low", "ci_high"]
_MEASURED += ["num_members", "num_nonmembers", "false_positives", "detectable"]


def tabulate(membership_path: str, output: str) -> None:
    """Write the table of a study, made from its tidy one.

    Each target is a row; each attack and metric is a column, such as `lira_online_auc`. Attacks
    whose adversary is not adaptive have it in front, as in `non_adaptive_lira_online_auc`.

    Args:
        membership_path: membership_metrics.csv.
        output: CSV file to write.
    """
    table = single_models(read_csv(membership_path))
    prefix = (table["adversary"] + "_").where(table["adversary"] != "adaptive", "")
    table = table.assign(column=prefix + table["attack"] + "_" + table["metric"])
    keys = [name for name in table.columns if name not in (*_MEASURED, "column")]
    wide = table.pivot(index=keys, columns="column", values="value")
    # Pivoting sorts; rows and columns stay as they come.
    rows = table[keys].drop_duplicates()
    wide = rows.merge(wide[table["column"].unique()].reset_index(), on=keys)
    write_csv(output, wide.rename(columns={"target": "model"}))
