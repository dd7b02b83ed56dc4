"""shadow_counts: every metric against the number of shadows, from one bank, nothing retrained.

Legend: T targets, M shadows, N examples of the pool.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from shadowmill.attacks import ATTACKS, Attack, ScoreBank, attack_shadows, has_enough
from shadowmill.attacks.run import bank_of
from shadowmill.metrics.evaluation import evaluate, fix_thresholds
from shadowmill.names import Cell
from shadowmill.scores.files import read_scores
from shadowmill.seeds import generator
from shadowmill.tables import identity, write_csv

COUNTS = (2, 4, 8, 16, 32, 64)
DRAWS = 5

_COLUMNS = ["attack", "num_shadows", "draw", "target", "metric", "value"]


def tabulate(
    cell: Cell,
    attacks: Sequence[str],
    target_scores: Sequence[str],
    shadow_scores: Sequence[str],
    output: str,
) -> None:
    """Write the rows of one configuration: one per attack, number of shadows, draw and target.

    The targets are attacked with `COUNTS` of the shadows, those that there are, in `DRAWS` random
    draws of pairs. Thresholds are fixed on the shadows drawn; metrics at them are empty where these
    are too few to be attacked with each other. Draws are nested: the shadows of a smaller number
    are among those of a larger one. All shadows at once are one draw. An attack has no rows for
    numbers below what it needs, nor for draws that leave an example with too few shadows on either
    side.

    Args:
        cell: the configuration.
        attacks: names in `ATTACKS`.
        target_scores: score files of the targets.
        shadow_scores: score files of the shadows, pairs in consecutive rows.
        output: CSV file to write.
    """
    chosen = {name: ATTACKS[name] for name in attacks}
    arrays = sorted(frozenset().union(*(attack.needs for attack in chosen.values())))
    shadows, targets = (
        bank_of(read_scores(paths, arrays)) for paths in (shadow_scores, target_scores)
    )
    rows = [
        {"attack": name} | row
        for name, attack in chosen.items()
        for row in _rows(shadows, targets, attack)
    ]
    table = pd.DataFrame(rows, columns=_COLUMNS)
    for index, (name, value) in enumerate(identity(cell).items()):
        table.insert(index, name, value)
    write_csv(output, table)


def subset(num_shadows: int, count: int, draw: int) -> np.ndarray:
    """Choose some pairs of shadows.

    Args:
        num_shadows: how many there are, in consecutive pairs.
        count: how many to choose, even.
        draw: which draw; its choices are nested.

    Returns:
        (count,) int64 rows, rising.
    """
    pairs = generator("shadow counts", draw).permutation(num_shadows // 2)[: count // 2]
    return np.sort(np.concatenate([2 * pairs, 2 * pairs + 1]))


def _rows(shadows: ScoreBank, targets: ScoreBank, attack: Attack) -> Iterator[dict[str, Any]]:
    num_shadows = len(shadows.names)
    for count in COUNTS:
        if count > num_shadows:
            continue
        for draw in range(1 if count == num_shadows else DRAWS):
            bank = shadows.select(subset(num_shadows, count, draw))
            if not has_enough(attack, bank):
                continue
            for row in _measure(bank, targets, attack):
                yield {"num_shadows": count, "draw": draw} | row


def _measure(bank: ScoreBank, targets: ScoreBank, attack: Attack) -> Iterator[dict[str, Any]]:
    shadow_score_MN = attack_shadows(attack, bank)
    evaluated_MN = ~np.isnan(shadow_score_MN)
    thresholds = fix_thresholds(
        shadow_score_MN, bank.member_MN & evaluated_MN, bank.nonmember_MN & evaluated_MN
    )
    used_TN = targets.member_MN | targets.nonmember_MN
    for name, score_N, member_N, used_N in zip(
        targets.names, attack.score(bank, targets), targets.member_MN, used_TN, strict=True
    ):
        used_N = used_N & ~np.isnan(score_N)
        for found in evaluate(score_N[used_N], member_N[used_N], thresholds):
            yield {"target": name, "metric": found.metric, "value": found.value}
