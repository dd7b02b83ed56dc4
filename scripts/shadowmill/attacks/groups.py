"""Attacks on groups of examples that are members together, such as all images of one person.

Legend: M models, N examples, G groups.
"""

from dataclasses import replace

import numpy as np

from shadowmill.attacks.run import AttackScores
from shadowmill.roles import UNUSED


def by_group(scores: AttackScores) -> AttackScores:
    """What an attack says of groups: the mean over the examples of each that it evaluated.

    The mean keeps the scale of the score whatever the size of the group. Groups are drawn
    independently of each other, as examples are where each is on its own.

    Args:
        scores: of examples that belong together.

    Raises:
        ValueError: there are no groups.
    """
    if scores.group_N is None:
        raise ValueError("an attack on data without groups")
    score_TG, target_roles_TG = _means(scores.score_TN, scores.target_roles_TN, scores.group_N)
    shadow_MG, shadow_roles_MG = _means(
        scores.shadow_score_MN, scores.shadow_roles_MN, scores.group_N
    )
    return replace(
        scores,
        score_TN=score_TG,
        target_roles_TN=target_roles_TG,
        shadow_score_MN=shadow_MG,
        shadow_roles_MN=shadow_roles_MG,
        group_N=None,
    )


def _means(
    score_MN: np.ndarray, roles_MN: np.ndarray, group_N: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean score and role of each group in each model, (M, G) float64 and int8."""
    num_groups = int(group_N.max()) + 1
    shape = (len(score_MN), num_groups)
    total_MG, count_MG = np.zeros((2, *shape))
    roles_MG = np.full(shape, UNUSED, dtype=np.int8)
    for model, used_N in enumerate(roles_MN != UNUSED):
        groups = group_N[used_N]
        total_MG[model] = np.bincount(groups, score_MN[model, used_N], num_groups)
        count_MG[model] = np.bincount(groups, minlength=num_groups)
        roles_MG[model, groups] = roles_MN[model, used_N]
    return np.divide(total_MG, count_MG, where=count_MG > 0, out=np.zeros(shape)), roles_MG
