"""Score banks for tests, their further arrays as keywords."""

import dataclasses

from shadowmill.attacks import ScoreBank
from shadowmill.scores.arrays import ARRAYS


def score_bank(phi_MNA, member_MN, nonmember_MN=None, names=None, **arrays):
    return ScoreBank(phi_MNA, member_MN, nonmember_MN, names, arrays)


def replace(bank, **changes):
    """With other fields or arrays; without those that are None."""
    arrays = {n: a for n, a in {**bank.arrays, **changes}.items() if n in ARRAYS and a is not None}
    fields = {name: value for name, value in changes.items() if name not in ARRAYS}
    return dataclasses.replace(bank, arrays=arrays, **fields)


def looped(attack, bank):
    """Every shadow as target in turn, left out with its complement, one after the other: (M, N)."""
    rows = []
    for model, member_N in enumerate(bank.member_MN):
        others = [
            other
            for other, its_N in enumerate(bank.member_MN)
            if other != model and not (its_N == ~member_N).all()
        ]
        rows.append(attack(bank.select(others), bank.select([model]))[0])
    return rows
