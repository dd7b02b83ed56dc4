"""per_class: how exposed each class is, and whether the classes differ.

Legend: M models, shadows or targets, N examples of the pool.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from shadowmill.attacks.run import AttackScores, read_attack
from shadowmill.data import store
from shadowmill.metrics.bootstrap import MIN_CLASS_SIZE, Disparity, class_bootstrap
from shadowmill.metrics.evaluation import CONFIDENCE
from shadowmill.metrics.multiplicity import holm
from shadowmill.names import Cell
from shadowmill.tables import identity, read_csv, write_csv
from shadowmill.tables.membership import AGGREGATES, REPLICATES, split

FPRS = (0.1, 0.01)

_COLUMNS = ["attack", "adversary", "target", "class", "metric", "value", "ci_low", "ci_high"]
_COLUMNS += ["num_members", "num_nonmembers", "p_value", "note"]


def tabulate(cell: Cell, attack: str, data_path: str, attack_path: str, output: str) -> None:
    """Write the rows of one configuration.

    Each class is one ranking of its examples in all models, with thresholds of its own. Rows of
    `auc_disparity` and so on have no class: they are the largest value of any class minus the
    smallest, with the p-value of classes that are all alike
    (`shadowmill.metrics.bootstrap.class_bootstrap`); `note` names classes that it is not of.

    Args:
        cell: the configuration.
        attack: the study's headline attack.
        data_path: the prepared data set, for the labels.
        attack_path: scores of the attack.
        output: CSV file to write.
    """
    scores = read_attack(attack_path)
    with store.opened(data_path) as file:
        labels_N = file["labels"][: scores.shadow_score_MN.shape[1]]
    table = pd.DataFrame(list(_rows(scores, labels_N)))
    table = table.assign(attack=attack, adversary=scores.adversary)[_COLUMNS].astype(
        {"class": "Int64"}
    )
    for index, (name, value) in enumerate(identity(cell).items()):
        table.insert(index, name, value)
    write_csv(output, table)


def join(paths: Sequence[str], output: str) -> None:
    """Put the tables of all configurations of a study into one, and adjust its p-values.

    Args:
        paths: tables that `tabulate` wrote.
        output: CSV file to write; `p_holm` is adjusted over all its disparities.
    """
    table = pd.concat([read_csv(path) for path in paths], ignore_index=True)
    table = table.astype({"class": "Int64"})
    write_csv(output, table.assign(p_holm=holm(table["p_value"].to_numpy(dtype=np.float64))))


def _rows(scores: AttackScores, labels_N: np.ndarray) -> Iterator[dict[str, Any]]:
    _, score_MN, roles_MN = scores.judged
    member_MN, nonmember_MN = split(score_MN, roles_MN)
    classes, disparity = class_bootstrap(
        score_MN,
        member_MN,
        labels_N,
        FPRS,
        REPLICATES,
        seed=0,
        confidence=CONFIDENCE,
        nonmember_MN=nonmember_MN,
        group_N=scores.group_N,
    )
    target = f"{scores.judged_by}{AGGREGATES['pooled']}"
    for (metric, label), estimate in classes.items():
        yield {
            "target": target,
            "class": label,
            "metric": metric,
            "value": estimate.value,
            "ci_low": estimate.low,
            "ci_high": estimate.high,
            "num_members": int(member_MN[:, labels_N == label].sum()),
            "num_nonmembers": int(nonmember_MN[:, labels_N == label].sum()),
            "p_value": np.nan,
            "note": None,
        }
    for metric, found in disparity.items():
        yield {
            "target": target,
            "class": None,
            "metric": f"{metric}_disparity",
            "value": found.value,
            "ci_low": np.nan,
            "ci_high": np.nan,
            "num_members": int(member_MN.sum()),
            "num_nonmembers": int(nonmember_MN.sum()),
            "p_value": found.p_value,
            "note": _note(found),
        }


def _note(found: Disparity) -> str | None:
    """Which classes a disparity is not of."""
    if not found.left_out:
        return None
    left_out = ", ".join(map(str, found.left_out))
    return f"without {left_out}: fewer than {MIN_CLASS_SIZE} examples, or undefined"
