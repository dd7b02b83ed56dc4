"""Sets of examples that heads are trained on.

Legend: n all examples of the data set (the pool first, then the official test set), N examples of a
set, K groups of a set, c examples of a group, G candidate groups, M candidates of a group.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from shadowmill.errors import ConfigError, DataError
from shadowmill.seeds import generator

# Of a set of the task `identity`, so many times as many examples show others.
_OTHERS = 9


@dataclass(frozen=True)
class Layout:
    """What is the same for every set of a study.

    Attributes:
        labels_N: (N,) int64 labels that heads are trained with: the group, or 0 and 1.
        candidates_GM: (G, M) int64 rows of a set. A reconstruction may show any example of a row.
    """

    labels_N: np.ndarray
    candidates_GM: np.ndarray


def layout(sets: Mapping[str, Any], conditional: bool) -> Layout:
    """Labels of the rows of a set, and which rows a reconstruction may show.

    Groups follow each other: group k has rows k·c to (k + 1)·c − 1. Sets of the task `identity`
    have c examples of one identity, labelled 1, then 9c of others, labelled 0.

    Args:
        sets: settings of the sets.
        conditional: whether a reconstructor is told the group: G = K and M = c. Else G = 1, and
            candidates are all N rows, or those of the identity.

    Raises:
        ValueError: conditional on groups that the task `identity` has not.
    """
    size = sets["class_size"]
    if sets["task"] == "identity":
        if conditional:
            raise ValueError("the task identity has no groups that a reconstructor could be told")
        labels_N = np.repeat([1, 0], [size, _OTHERS * size])
        return Layout(labels_N, np.arange(size)[None])
    if sets["task"] == "binary":
        labels_K = np.isin(sets["classes"], sets["positive"]).astype(np.int64)
    else:
        labels_K = np.arange(_num_groups(sets))
    rows_KC = np.arange(len(labels_K) * size).reshape(len(labels_K), size)
    candidates_GM = rows_KC if conditional else rows_KC.reshape(1, -1)
    return Layout(np.repeat(labels_K, size), candidates_GM)


def _num_groups(sets: Mapping[str, Any]) -> int:
    return sets["random_labels"] or len(sets["classes"])


def group_labels(labels_n: np.ndarray, pool_size: int, sets: Mapping[str, Any]) -> np.ndarray:
    """The group of each example.

    Args:
        labels_n: (n,) int64 of the data set.
        pool_size: examples before the official test set.
        sets: settings of the sets. With `random_labels`, groups are drawn: as many of each as
            possible among the examples in use, in the pool and in the test set.

    Returns:
        (n,) int64, -1 for an example that is not in use; 0 for all with the task `identity`.
    """
    if sets["task"] == "identity":
        return np.zeros_like(labels_n)
    classes_n = np.full_like(labels_n, -1)
    for group, label in enumerate(sets["classes"]):
        classes_n[labels_n == label] = group
    if sets["random_labels"] is None:
        return classes_n
    groups_n = np.full_like(labels_n, -1)
    for name, first, last in (("pool", 0, pool_size), ("test", pool_size, len(labels_n))):
        rows = first + np.flatnonzero(classes_n[first:last] >= 0)
        random = generator("heads", sets["seed"], "labels", name)
        groups_n[rows] = random.permutation(np.arange(len(rows)) % sets["random_labels"])
    return groups_n


def split_examples(
    labels_n: np.ndarray,
    pool_size: int,
    sets: Mapping[str, Any],
    split: str,
    identity_n: np.ndarray | None = None,
) -> np.ndarray:
    """Examples in use of one split.

    The test split is the official test set. If there is none, a share `test_fraction` of each group
    (rounded down, but at least c examples) is drawn from the seed of the sets; of the task
    `identity`, this share of the identities (at least one).

    Args:
        labels_n: (n,) int64 of the data set.
        pool_size: examples before the official test set; n if there is none.
        sets: settings of the sets.
        split: `train` or `test`.
        identity_n: (n,) int64, who is shown; for the task `identity`.

    Returns:
        (n',) int64 increasing indices.

    Raises:
        ConfigError: there is no official test set and no `test_fraction`.
    """
    groups_n = group_labels(labels_n, pool_size, sets)
    in_use = np.flatnonzero(groups_n >= 0)
    if pool_size < len(labels_n):
        return in_use[(in_use < pool_size) == (split == "train")]
    if sets["test_fraction"] is None:
        raise ConfigError(
            "sets: test_fraction is not set, and the data set has no official test set to draw the "
            "sets of the test split from. Give a share between 0 and 1."
        )
    random = generator("heads", sets["seed"], "set aside")
    share = Fraction(str(sets["test_fraction"]))  # 0.29 · 100 is 29, and not a little less
    if sets["task"] == "identity":
        identities = np.unique(_require_identities(identity_n))
        num_aside = max(math.floor(share * len(identities)), 1)
        is_test = np.isin(identity_n, random.permutation(identities)[:num_aside])
    else:
        is_test = np.zeros(len(labels_n), dtype=bool)
        for group in range(_num_groups(sets)):
            rows = random.permutation(np.flatnonzero(groups_n == group))
            num_aside = max(math.floor(share * len(rows)), sets["class_size"])
            is_test[rows[:num_aside]] = True
    return in_use[is_test[in_use] == (split == "test")]


def draw_sets(
    labels_n: np.ndarray,
    pool_size: int,
    sets: Mapping[str, Any],
    split: str,
    permutation_seed: int,
    num_sets: int,
    identity_n: np.ndarray | None = None,
) -> np.ndarray:
    """Sets of one permutation seed; the first of many are those of few.

    Sets of one seed are disjoint: the examples of each group are permuted and cut into chunks of c,
    and set j has the j-th chunk of every group. With the task `identity`, they have different
    identities, of more than c examples each; the 9c others are drawn for each set by itself.

    Args:
        labels_n: (n,) int64 of the data set.
        pool_size: examples before the official test set; n if there is none.
        sets: settings of the sets.
        split: `train` or `test`.
        permutation_seed: of these sets.
        num_sets: how many.
        identity_n: (n,) int64, who is shown; for the task `identity`.

    Returns:
        (num_sets, N) int64 indices of examples, in the order of `layout`.

    Raises:
        ConfigError: there is no official test set and no `test_fraction`.
        DataError: the data set has too few examples of a group.
        ValueError: no identities for the task `identity`.
    """
    rows = split_examples(labels_n, pool_size, sets, split, identity_n)
    key = ("heads", sets["seed"], split, permutation_seed)
    if sets["task"] == "identity":
        return _identity_sets(rows, _require_identities(identity_n), sets, key, num_sets)
    size, groups_n = sets["class_size"], group_labels(labels_n, pool_size, sets)
    permuted = generator(*key).permutation(rows)
    groups = [permuted[groups_n[permuted] == group] for group in range(_num_groups(sets))]
    smallest = min(range(len(groups)), key=lambda group: len(groups[group]))
    possible = len(groups[smallest]) // size
    if num_sets > possible:
        kind = "random label" if sets["random_labels"] else "class"
        label = smallest if sets["random_labels"] else sets["classes"][smallest]
        raise DataError(
            f"{num_sets} disjoint sets of the {split} split with class_size {size} need "
            f"{num_sets * size} examples of each {kind}, but {kind} {label} has "
            f"{len(groups[smallest])}: at most {possible} sets. Lower the number of heads of one "
            "permutation seed, or class_size."
        )
    chunks = [group[: num_sets * size].reshape(num_sets, size) for group in groups]
    return np.concatenate(chunks, axis=1)


def _require_identities(identity_n: np.ndarray | None) -> np.ndarray:
    if identity_n is None:
        raise ValueError("the task identity needs to know who each example shows")
    return identity_n


def _identity_sets(
    rows: np.ndarray,
    identity_n: np.ndarray,
    sets: Mapping[str, Any],
    key: tuple[str | int, ...],
    num_sets: int,
) -> np.ndarray:
    """Sets of one identity each, among the given examples."""
    size, split = sets["class_size"], key[2]
    rows = rows[np.argsort(identity_n[rows], kind="stable")]
    starts, counts = np.unique(identity_n[rows], return_index=True, return_counts=True)[1:]
    chosen = generator(*key).permutation(np.flatnonzero(counts > size))[:num_sets]
    if len(chosen) < num_sets:
        raise DataError(
            f"{num_sets} sets of the {split} split need as many identities of more than "
            f"class_size = {size} examples, but there are {len(chosen)}. Lower the number of heads "
            "of one permutation seed, or class_size."
        )
    fewest = len(rows) - counts[chosen].max(initial=0)
    if fewest < _OTHERS * size:
        raise DataError(
            f"a set of the {split} split with class_size {size} needs {_OTHERS * size} examples of "
            f"other identities, but there are {fewest}. Lower class_size."
        )
    drawn = np.empty((num_sets, (1 + _OTHERS) * size), dtype=np.int64)
    for number, identity in enumerate(chosen):
        random, start, count = generator(*key, number), starts[identity], counts[identity]
        own = start + random.choice(count, size, replace=False)
        others = random.choice(len(rows) - count, _OTHERS * size, replace=False)
        others[others >= start] += count  # skips the identity's own examples
        drawn[number] = rows[np.concatenate([own, others])]
    return drawn
