"""Rows of a role matrix: how each protocol divides the examples for one model.

Legend: M models, N examples of the pool.
"""

import math
from collections.abc import Sequence

import numpy as np

from shadowmill.errors import ConfigError, DataError
from shadowmill.seeds import generator

UNUSED, MEMBER, VALIDATION, NON_MEMBER = 0, 1, 2, 3


def _half_row(num_examples: int, seed: int, *key: str | int) -> np.ndarray:
    row = np.full(num_examples, NON_MEMBER, dtype=np.int8)
    members = generator("half", seed, *key).permutation(num_examples)[: num_examples // 2]
    row[members] = MEMBER
    return row


def target_half(target_seed: int, num_examples: int, seed: int) -> np.ndarray:
    """A random half for a target model, drawn from its own seed.

    Args:
        target_seed: of the target.
        num_examples: N.
        seed: of the study.

    Returns:
        (N,) int8 with N // 2 of MEMBER, the rest NON_MEMBER.
    """
    return _half_row(num_examples, seed, "target", target_seed)


def shadow_half(index: int, num_examples: int, seed: int) -> np.ndarray:
    """The half of one shadow model: random for an even index, the complement for the next.

    Args:
        index: k of the shadow, which belongs to pair k // 2.
        num_examples: N; of an odd number, the second of a pair gets the one more.
        seed: of the study.

    Returns:
        (N,) int8 of MEMBER and NON_MEMBER, fixed by `seed` and the pair.
    """
    row = _half_row(num_examples, seed, "pair", index // 2)
    return np.where(row == MEMBER, NON_MEMBER, MEMBER).astype(np.int8) if index % 2 else row


# Random streams of the protocol disjoint are named as in its source, where targets are those of
# victims and shadows an attacker's: under other names all numbers would be others.
_DISJOINT_STREAMS = {"target": "victim", "shadow": "attacker"}


def stream(protocol: str, key: Sequence[str | int]) -> tuple[str | int, ...]:
    """What the random numbers of a model are drawn from.

    Args:
        protocol: of its study.
        key: `target` or `shadow` and a number, or more.
    """
    kind, *rest = key
    return (_DISJOINT_STREAMS[kind] if protocol == "disjoint" else kind, *rest)


def _disjoint_row(kind: str, number: int, num_examples: int, seed: int) -> np.ndarray:
    order = generator("disjoint", seed).permutation(num_examples)
    targets, shadows = np.split(order, [num_examples // 2])
    own = generator("disjoint", seed, *stream("disjoint", (kind, number))).permutation(
        targets if kind == "target" else shadows
    )
    num_members = 9 * len(own) // 20  # 45 %, in integers
    if num_members == 0:
        raise DataError(
            f"{num_examples} examples are too few for the protocol disjoint: 45 % of half of them "
            "must be at least one. Use more data, or the protocol half."
        )
    row = np.full(num_examples, UNUSED, dtype=np.int8)
    row[own] = VALIDATION
    row[own[:num_members]] = MEMBER
    row[own[num_members : 2 * num_members]] = NON_MEMBER
    return row


def target_split(target_seed: int, num_examples: int, seed: int) -> np.ndarray:
    """One split of the targets' side, which is a random half of all examples.

    Args:
        target_seed: of the target.
        num_examples: N; the targets' side has n = N // 2 of them, the same for every target.
        seed: of the study; it alone fixes the sides.

    Returns:
        (N,) int8: ⌊0.45·n⌋ of MEMBER, as many of NON_MEMBER, the rest of the side VALIDATION, and
        UNUSED on the shadows' side.

    Raises:
        DataError: N is so small that there is no member.
    """
    return _disjoint_row("target", target_seed, num_examples, seed)


def shadow_split(index: int, num_examples: int, seed: int) -> np.ndarray:
    """One split of the shadows' side: all that is not the targets'.

    Args:
        index: k of the shadow; each splits the side independently of the others.
        num_examples: N; the shadows' side has n = N − N // 2 of them.
        seed: of the study.

    Returns:
        (N,) int8 as that of `target_split`, with UNUSED on the targets' side.

    Raises:
        DataError: N is so small that there is no member.
    """
    return _disjoint_row("shadow", index, num_examples, seed)


def prefix(size: int, order_N: np.ndarray) -> np.ndarray:
    """The first examples of an order.

    Args:
        size: number of members, at least 1 and less than N.
        order_N: (N,) permutation of the examples.

    Returns:
        (N,) int8 with MEMBER for the first `size` of the order, the rest NON_MEMBER.

    Raises:
        ConfigError: there are not so many examples, or no others would be left.
    """
    if not 0 < size < len(order_N):
        raise ConfigError(
            f"a training set of the first {size} examples: the pool has {len(order_N)}, of which "
            f"some must be left out. Choose a size from 1 to {len(order_N) - 1}."
        )
    row = np.full(len(order_N), NON_MEMBER, dtype=np.int8)
    row[order_N[:size]] = MEMBER
    return row


def with_validation(row_N: np.ndarray, share: float, seed: int, *key: str | int) -> np.ndarray:
    """Set some of the non-members of a model aside for validation.

    Args:
        row_N: (N,) int8.
        share: of the NON_MEMBER to become VALIDATION, from 0 to 1, rounded to a whole number of
            examples (half to even). A larger share includes the smaller one.
        seed: of the study.
        key: of the model.

    Returns:
        (N,) int8; all but those examples are as before.
    """
    nonmembers = np.flatnonzero(row_N == NON_MEMBER)
    chosen = generator("validation", seed, *key).permutation(nonmembers)
    row_N = row_N.copy()
    row_N[chosen[: round(share * len(nonmembers))]] = VALIDATION
    return row_N


def with_rotating_validation(row_N: np.ndarray, share: float, pair: int, seed: int) -> np.ndarray:
    """Set some of the non-members of a shadow aside, taking turns among the pairs.

    Drawn for each shadow by itself, the validation parts would leave some examples without enough
    shadows that never saw them. Here pair p takes the p-th stretch of an endless repetition of one
    permutation, and each of its two shadows those of the stretch that it does not train on. So P
    pairs use each example ⌊P·share⌋ or ⌈P·share⌉ times, and further pairs change nothing.

    Args:
        row_N: (N,) int8 of a shadow.
        share: length of a stretch over N, from 0 to 1.
        pair: p.
        seed: of the study.

    Returns:
        (N,) int8; about `share` of the NON_MEMBER are VALIDATION.
    """
    num = len(row_N)
    order = generator("validation", seed, "pairs").permutation(num)
    positions = np.arange(round(pair * share * num), round((pair + 1) * share * num)) % num
    is_next = np.zeros(num, dtype=bool)
    is_next[order[positions]] = True
    return np.where(is_next & (row_N == NON_MEMBER), VALIDATION, row_N).astype(np.int8)


def complete_shadows(num_shadows: int, share: float) -> int:
    """How many shadows, at least, are of pairs that do not validate on a given example.

    Args:
        num_shadows: how many there are, in pairs.
        share: as of ``with_rotating_validation``.
    """
    pairs = num_shadows // 2
    return 2 * (pairs - math.ceil(pairs * share))
