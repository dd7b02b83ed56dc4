"""Checks of the names of variants."""

import math
import re

from shadowmill.defenses import DEFENSES
from shadowmill.names import Variant
from shadowmill.pruning import METHODS

_PART = re.compile(r"([a-z][a-z0-9_]*)-(.+)", re.DOTALL)


def read_variant(name: str) -> Variant:
    """Read a variant's name: `dense` or METHOD-SPARSITY, then perhaps `+`DEFENCE-STRENGTH.

    Raises:
        ValueError: the name has another form, a sparsity that is not strictly between 0 and 1,
            an unknown defence or more than one, or a number that is not finite or not in
            shortest notation.
    """
    base, plus, defense = name.partition("+")
    if base != "dense":
        _check_pruning(base)
    if plus:
        _check_defense(name, base, defense)
    return Variant.parse(name)


def _check_pruning(base: str) -> None:
    found = _PART.fullmatch(base)
    if not found or found[1] == "dense":
        known = f"dense, {', '.join(f'{method}-SPARSITY' for method in METHODS)}"
        raise ValueError(f"unknown variant. Known: {known}")
    if not 0 < _number(found[2], found[1]) < 1:
        raise ValueError(f"sparsity {found[2]} must lie strictly between 0 and 1")


def _check_defense(name: str, base: str, defense: str) -> None:
    if any(f"+{other}" in defense for other in DEFENSES):
        raise ValueError("a variant has one defence at most")
    if defense in DEFENSES:
        raise ValueError(f"{defense} needs its {DEFENSES[defense].argument}; write {name}-NUMBER")
    found = _PART.fullmatch(defense)
    if not found or found[1] not in DEFENSES:
        known = ", ".join(f"{other}-{row.argument}" for other, row in DEFENSES.items())
        raise ValueError(f"unknown defence {defense!r}. Known: {known}")
    _number(found[2], f"{base}+{found[1]}")


def _number(text: str, before: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number; write {before}-NUMBER") from None
    if not math.isfinite(value):
        raise ValueError(f"{text} is not a finite number; write {before}-NUMBER")
    shortest = f"{value:.6g}"
    if float(shortest) != value:
        raise ValueError(f"{text} has too many digits; numbers in names have six at most")
    if text != shortest:
        # One variant must not have two names: it would be trained twice.
        raise ValueError(f"write it {before}-{shortest}")
    return value
