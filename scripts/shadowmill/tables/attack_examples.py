"""attack_examples: which examples fall to which attacks, one row per example.

Legend: M shadows, N examples of the pool.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shadowmill.attacks.exposure import TOP_SHARE
from shadowmill.attacks.run import read_attack
from shadowmill.names import Cell
from shadowmill.tables import identity, write_csv
from shadowmill.tables.membership import split


def tabulate(cell: Cell, attack_paths: Mapping[str, str], output: str) -> None:
    """Write the rows of one configuration.

    Each attack has a column with the AUC of the example: the probability that a shadow that
    trained on it scores it above one that did not. `top_of` counts the attacks of which the example
    is among the 1 % with the largest; equals are in together.

    Args:
        cell: the configuration.
        attack_paths: attack files of the adaptive adversary by attack.
        output: CSV file to write.
    """
    areas = {}
    for attack, path in attack_paths.items():
        scores = read_attack(path)
        areas[attack] = example_auc(
            scores.shadow_score_MN, *split(scores.shadow_score_MN, scores.shadow_roles_MN)
        )
    table = pd.DataFrame(areas)
    smallest = table.quantile(1 - TOP_SHARE, interpolation="higher")
    is_top = (table >= smallest) & (table > 0.5)
    table.insert(0, "top_of", is_top.sum(axis=1))
    table.insert(0, "example", np.arange(len(table)))
    for index, (name, value) in enumerate(identity(cell).items()):
        table.insert(index, name, value)
    write_csv(output, table)


def example_auc(
    score_MN: NDArray[np.float64],
    member_MN: NDArray[np.bool_],
    nonmember_MN: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """AUC of each example over models, ties counting ½.

    Args:
        score_MN: (M, N) float64, higher = more likely a member.
        member_MN: (M, N) bool.
        nonmember_MN: (M, N) bool; scores of pairs that are neither do not count.

    Returns:
        (N,) float64; NaN where no model, or every one, holds the example.
    """
    from scipy.stats import rankdata

    members_N, nonmembers_N = member_MN.sum(axis=0), nonmember_MN.sum(axis=0)
    # Behind all others, so that they do not move the ranks of those.
    ranked_MN = rankdata(np.where(member_MN | nonmember_MN, score_MN, np.inf), axis=0)
    wins_N = ranked_MN.sum(axis=0, where=member_MN) - members_N * (members_N + 1) / 2
    with np.errstate(invalid="ignore"):
        return wins_N / (members_N * nonmembers_N)
