"""groups: how exposed each group of examples is, one row per group."""

import numpy as np
import pandas as pd

from shadowmill.attacks.groups import by_group
from shadowmill.attacks.run import read_attack
from shadowmill.data.store import groups
from shadowmill.names import Cell
from shadowmill.tables import identity, write_csv
from shadowmill.tables.attack_examples import example_auc
from shadowmill.tables.membership import split


def tabulate(cell: Cell, attack: str, data_path: str, attack_path: str, output: str) -> None:
    """Write the rows of one configuration.

    The score of a group is the mean of those of its examples. `auc` is the probability that a
    shadow that trained on the group scores it above one that did not; `score_in` and `score_out`
    are the mean scores in shadows that did and did not; `rank` orders the groups by the AUC, then
    by the gap between both means.

    Args:
        cell: the configuration.
        attack: the study's headline attack.
        data_path: the prepared data set, for the names of the groups.
        attack_path: scores of the attack.
        output: CSV file to write.
    """
    scores = read_attack(attack_path)
    of_groups = by_group(scores)
    names, group_N = groups(data_path, len(scores.group_N))
    score_MG = of_groups.shadow_score_MN
    member_MG, nonmember_MG = split(score_MG, of_groups.shadow_roles_MN)
    with np.errstate(invalid="ignore"):
        score_in, score_out = (
            score_MG.sum(axis=0, where=side_MG) / side_MG.sum(axis=0)
            for side_MG in (member_MG, nonmember_MG)
        )
    area = example_auc(score_MG, member_MG, nonmember_MG)
    order = np.lexsort((score_out - score_in, -area))
    table = pd.DataFrame(
        identity(cell)
        | {
            "attack": attack,
            "group": names,
            "num_examples": np.bincount(group_N),
            "auc": area,
            "score_in": score_in,
            "score_out": score_out,
            "rank": np.argsort(order) + 1,
        }
    )
    write_csv(output, table)
