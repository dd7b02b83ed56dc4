"""From the user's lists to the roles of finished models.

Legend: N examples of the data set.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from shadowmill.errors import DataError
from shadowmill.roles import Given
from shadowmill.roles.lists import read_list


def read_given(
    lists: Mapping[str, Mapping[str, Any]],
    pool_size: int,
    num_examples: int,
    ids: np.ndarray | None,
    group_N: np.ndarray | None,
) -> tuple[dict[str, Given], int]:
    """Read what finished models were trained on and what they never saw.

    Args:
        lists: for each model its `members` and perhaps what was `held_out`, paths of files for
            `read_list`. Without the latter, all of the training part that is no member.
        pool_size: examples of the training part, the first ones.
        num_examples: N, with those of the test part.
        ids: (N,) text, what the examples are called; None if they have no names.
        group_N: (N,) integer, which examples belong together; None if each is on its own.

    Returns:
        given: by the names of the models.
        covered: how many examples roles are needed for: the training part, or all if the lists
            reach into the test part.

    Raises:
        DataError: a list cannot be read, an example is in both, none is left that was held out, or
            a group is in a list in part.
    """
    given = {}
    for name, paths in lists.items():
        members = read_list(paths["members"], pool_size, num_examples, ids)
        if "held_out" in paths:
            held_out = read_list(paths["held_out"], pool_size, num_examples, ids)
        else:
            held_out = np.setdiff1d(np.arange(pool_size), members)
        _check(name, paths, members, held_out, group_N)
        given[name] = Given(members, held_out)
    last = max(int(part.max()) for each in given.values() for part in (each.members, each.held_out))
    return given, num_examples if last >= pool_size else pool_size


def _check(
    name: str,
    paths: Mapping[str, Any],
    members: np.ndarray,
    held_out: np.ndarray,
    group_N: np.ndarray | None,
) -> None:
    if not len(held_out):
        raise DataError(
            f"{name}: {paths['members']} lists the whole training part. An attack is judged on "
            "examples that the model never saw: list some under held_out, say of the test part."
        )
    parts = members, held_out
    both = np.intersect1d(members, held_out)
    if len(both):
        raise DataError(
            f"{name}: {len(both)} examples, the first is number {both[0]}, are in both "
            f"{paths['members']} and {paths['held_out']}. An example is a member or held out."
        )
    if group_N is not None:
        sizes = np.bincount(group_N)
        torn = [
            int(np.sum((counts > 0) & (counts < sizes)))
            for counts in (np.bincount(group_N[part], minlength=len(sizes)) for part in parts)
        ]
        if any(torn):
            raise DataError(
                f"{name}: {max(torn)} groups are in part among members or held-out examples. What "
                "belongs together is in one list as a whole, or in none."
            )
