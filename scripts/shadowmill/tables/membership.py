"""membership_metrics: how well each attack does, one row per model, attack and metric.

Legend: M models, shadows or targets, N examples of the pool.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from shadowmill.attacks.groups import by_group
from shadowmill.attacks.run import AttackScores, read_attack
from shadowmill.metrics.bootstrap import two_way_bootstrap
from shadowmill.metrics.evaluation import CONFIDENCE, FPRS, chance, evaluate, fix_thresholds
from shadowmill.metrics.intervals import detectable
from shadowmill.metrics.ranking import allowed_false_positives, operating_point
from shadowmill.names import Cell
from shadowmill.roles import MEMBER, NON_MEMBER
from shadowmill.tables import identity, write_csv

REPLICATES = 1_000

# Ends of `target` in rows on all the models that an attack is judged by (`shadows-pooled` and so
# on): the mean over their own metrics, and the metric of all their scores in one ranking, which
# reaches lower false-positive rates.
AGGREGATES = {"mean": "-mean", "pooled": "-pooled"}


def pooled(table: pd.DataFrame, attack: str) -> pd.DataFrame:
    """The rows of an attack, by each configuration's first adversary, on all models at once."""
    first = table.groupby(["dataset", "architecture", "variant"])["adversary"].transform("first")
    chosen = (table["attack"] == attack) & (table["adversary"] == first)
    return table[chosen & table["target"].str.endswith(AGGREGATES["pooled"])]


def judges(rows: pd.DataFrame) -> pd.Series:
    """Which models each row on all models at once is of, one of `JUDGES`."""
    return rows["target"].str.rpartition("-")[0]


def single_models(table: pd.DataFrame) -> pd.DataFrame:
    """The rows on one model each, of all attacks."""
    return table[~table["target"].str.endswith(tuple(AGGREGATES.values()))]


def split(scores_MN: np.ndarray, roles_MN: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Say which examples of each model count.

    Args:
        scores_MN: float64, NaN where the attack did not evaluate the example.
        roles_MN: int8.

    Returns:
        member_MN, nonmember_MN: bool, both False where an example takes no part.
    """
    evaluated_MN = ~np.isnan(scores_MN)
    return (roles_MN == MEMBER) & evaluated_MN, (roles_MN == NON_MEMBER) & evaluated_MN


def tabulate(
    cell: Cell, attack: str, attack_path: str, output: str, *, of_groups: bool = False
) -> None:
    """Write the rows of one attack on one configuration.

    Targets have the metrics and intervals of `shadowmill.metrics.evaluation`, but no intervals
    where examples belong together: these are in the table of groups. The models that the
    attack is judged by, see `shadowmill.attacks.run.judged_by`, have a two-way bootstrap over
    models × examples of the AUC and the TPRs. A TPR at an FPR below one in the
    number of non-members is undefined; its value is left empty. `false_positives` is the count
    behind a TPR, the smallest of any model in rows of means, and empty for other metrics.
    `detectable` is the AUC, or TPR, from which a study like this would find something in four of
    five cases.

    Args:
        cell: the configuration.
        attack: name of the attack.
        attack_path: its scores.
        output: CSV file to write.
        of_groups: whether groups of examples are judged, see `shadowmill.attacks.groups`.
    """
    scores = read_attack(attack_path)
    if of_groups:
        scores = by_group(scores)
    columns = ["target", "attack", "adversary", "metric", "value", "ci_low", "ci_high"]
    columns += ["num_members", "num_nonmembers", "false_positives", "detectable"]
    table = pd.DataFrame([*_target_rows(scores), *_joint_rows(scores)])
    limits = zip(table["metric"].map(chance), table["ci_low"], table["ci_high"], strict=True)
    seen = [detectable(*each, CONFIDENCE) for each in limits]
    table = table.assign(attack=attack, adversary=scores.adversary, detectable=seen)[columns]
    for index, (name, value) in enumerate(identity(cell).items()):
        table.insert(index, name, value)
    write_csv(output, table)


def _target_rows(scores: AttackScores) -> Iterator[dict[str, Any]]:
    shadow_split = split(scores.shadow_score_MN, scores.shadow_roles_MN)
    thresholds = fix_thresholds(scores.shadow_score_MN, *shadow_split)
    member_MN, nonmember_MN = split(scores.score_TN, scores.target_roles_TN)
    for name, score_N, member_N, nonmember_N in zip(
        scores.targets, scores.score_TN, member_MN, nonmember_MN, strict=True
    ):
        used_N = member_N | nonmember_N
        for found in evaluate(score_N[used_N], member_N[used_N], thresholds):
            # Those of one model take each example for a trial of its own.
            low, high = (found.low, found.high) if scores.group_N is None else (np.nan, np.nan)
            yield {
                "target": name,
                "metric": found.metric,
                "value": found.value,
                "ci_low": low,
                "ci_high": high,
                "num_members": int(member_N.sum()),
                "num_nonmembers": int(nonmember_N.sum()),
                "false_positives": found.false_positives,
            }


def _joint_rows(scores: AttackScores) -> Iterator[dict[str, Any]]:
    _, score_MN, roles_MN = scores.judged
    member_MN, nonmember_MN = split(score_MN, roles_MN)
    estimates = two_way_bootstrap(
        score_MN,
        member_MN,
        FPRS,
        REPLICATES,
        seed=0,
        confidence=CONFIDENCE,
        nonmember_MN=nonmember_MN,
        group_N=scores.group_N,
    )
    counts = {
        "mean": (int(member_MN.sum(axis=1).min()), int(nonmember_MN.sum(axis=1).min())),
        "pooled": (int(member_MN.sum()), int(nonmember_MN.sum())),
    }
    false_positives = _false_positives(score_MN, member_MN, nonmember_MN)
    for (metric, aggregate), estimate in estimates.items():
        yield {
            "target": f"{scores.judged_by}{AGGREGATES[aggregate]}",
            "metric": metric,
            "value": estimate.value,
            "ci_low": estimate.low,
            "ci_high": estimate.high,
            "num_members": counts[aggregate][0],
            "num_nonmembers": counts[aggregate][1],
            "false_positives": false_positives.get((metric, aggregate), np.nan),
        }


def _false_positives(
    score_MN: np.ndarray, member_MN: np.ndarray, nonmember_MN: np.ndarray
) -> dict[tuple[str, str], int]:
    """The counts behind each TPR that is defined: smallest of any model, and pooled."""
    used_MN = member_MN | nonmember_MN
    rankings = {
        "mean": [
            (score_N[used_N], member_N[used_N])
            for score_N, member_N, used_N in zip(score_MN, member_MN, used_MN, strict=True)
        ],
        "pooled": [(score_MN[used_MN], member_MN[used_MN])],
    }
    return {
        (f"tpr_at_fpr_{fpr:g}", aggregate): min(
            operating_point(score, member, fpr).false_positives for score, member in parts
        )
        for aggregate, parts in rankings.items()
        for fpr in FPRS
        if all(allowed_false_positives(fpr, int((~member).sum())) for _, member in parts)
    }
