"""membership_metrics: how well each attack does, one row per model, attack and metric.

Legend: M shadows, N examples of the pool.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from shadowmill.attacks.run import AttackScores, read_attack
from shadowmill.config import Cell
from shadowmill.metrics.bootstrap import two_way_bootstrap
from shadowmill.metrics.intervals import auc_interval, balanced_accuracy_interval, clopper_pearson
from shadowmill.metrics.ranking import (
    allowed_false_positives,
    auc,
    balanced_accuracy,
    balanced_accuracy_oracle,
    best_threshold,
    operating_point,
)
from shadowmill.roles import MEMBER, NON_MEMBER
from shadowmill.tables import identity, write_csv

FPRS = (0.1, 0.01, 0.001, 0.0001, 0.00001)
CONFIDENCE = 0.95
REPLICATES = 1_000

# Ends of `target` in rows on all the models that an attack is judged by (`shadows-pooled` and so
# on): the mean over their own metrics, and the metric of all their scores in one ranking, which
# reaches lower false-positive rates.
_MEAN, _POOLED = "-mean", "-pooled"


def pooled(table: pd.DataFrame, attack: str) -> pd.DataFrame:
    """The rows of an attack on all models in one ranking."""
    return table[(table["attack"] == attack) & table["target"].str.endswith(_POOLED)]


def tabulate(cell: Cell, attack: str, attack_path: str, output: str) -> None:
    """Write the rows of one attack on one configuration.

    Targets have intervals over their examples (DeLong for the AUC, Clopper–Pearson for the TPR at
    the threshold found). Shadows attacked with each other have a two-way bootstrap over models ×
    examples; if they lack the targets' defence, the targets take their place. A TPR at an FPR
    below one in the number of non-members is undefined; its value is left empty.

    Args:
        cell: the configuration.
        attack: name of the attack.
        attack_path: its scores.
        output: CSV file to write.
    """
    scores = read_attack(attack_path)
    rows = [*_target_rows(scores), *_joint_rows(scores)]
    columns = ["target", "attack", "metric", "value", "ci_low", "ci_high"]
    columns += ["num_members", "num_nonmembers"]
    table = pd.DataFrame(rows).assign(attack=attack)[columns]
    for index, (name, value) in enumerate(identity(cell).items()):
        table.insert(index, name, value)
    write_csv(output, table)


def _row(
    target: str, metric: str, estimate: tuple[float, float, float], members: int, nonmembers: int
) -> dict[str, Any]:
    value, low, high = estimate
    return {
        "target": target,
        "metric": metric,
        "value": value,
        "ci_low": low,
        "ci_high": high,
        "num_members": members,
        "num_nonmembers": nonmembers,
    }


def _target_rows(scores: AttackScores) -> Iterator[dict[str, Any]]:
    member_MN = scores.shadow_roles_MN == MEMBER
    used_MN = member_MN | (scores.shadow_roles_MN == NON_MEMBER)
    # The threshold of balanced accuracy is fixed on the shadows, never on the target.
    threshold = best_threshold(scores.leave_one_out_MN[used_MN], member_MN[used_MN])
    for name, score_N, role_N in zip(
        scores.targets, scores.score_TN, scores.target_roles_TN, strict=True
    ):
        used_N = (role_N == MEMBER) | (role_N == NON_MEMBER)
        member = (role_N == MEMBER)[used_N]
        counts = int(member.sum()), int((~member).sum())
        for metric, estimate in _target_metrics(score_N[used_N], member, threshold):
            yield _row(name, metric, estimate, *counts)


def _target_metrics(
    score: np.ndarray, member: np.ndarray, threshold: float
) -> Iterator[tuple[str, tuple[float, float, float]]]:
    members, nonmembers = int(member.sum()), int((~member).sum())
    yield "auc", (auc(score, member), *auc_interval(score, member, CONFIDENCE))
    for fpr in FPRS:
        if not allowed_false_positives(fpr, nonmembers):
            estimate = (np.nan, np.nan, np.nan)
        else:
            found = operating_point(score, member, fpr).true_positives
            estimate = (found / members, *clopper_pearson(found, members, CONFIDENCE))
        yield f"tpr_at_fpr_{fpr:g}", estimate
    called = score >= threshold
    yield (
        "balanced_accuracy",
        (
            balanced_accuracy(score, member, threshold),
            *balanced_accuracy_interval(
                int(called[member].sum()),
                members,
                int((~called[~member]).sum()),
                nonmembers,
                CONFIDENCE,
            ),
        ),
    )
    yield "balanced_accuracy_oracle", (balanced_accuracy_oracle(score, member), np.nan, np.nan)


def _joint_rows(scores: AttackScores) -> Iterator[dict[str, Any]]:
    who, score_MN, roles_MN = scores.audited
    member_MN, nonmember_MN = roles_MN == MEMBER, roles_MN == NON_MEMBER
    estimates = two_way_bootstrap(
        score_MN,
        member_MN,
        FPRS,
        REPLICATES,
        seed=0,
        confidence=CONFIDENCE,
        nonmember_MN=nonmember_MN,
    )
    counts = {
        _MEAN: (int(member_MN.sum(axis=1).min()), int(nonmember_MN.sum(axis=1).min())),
        _POOLED: (int(member_MN.sum()), int(nonmember_MN.sum())),
    }
    for (metric, aggregate), estimate in estimates.items():
        end = {"mean": _MEAN, "pooled": _POOLED}[aggregate]
        yield _row(f"{who}{end}", metric, estimate, *counts[end])
