"""Phrases of the messages on faults of the configuration."""

import difflib
from collections.abc import Iterable

# What is meant by words that look like others.
_MEANT = {"gpu": "cuda"}


def suggestion(word: str, known: Iterable[str]) -> str:
    """The known word that an unknown one is nearest to, as the begin of a sentence."""
    names = [str(name) for name in known]
    meant = _MEANT.get(str(word).lower())
    close = [meant] if meant in names else difflib.get_close_matches(str(word), names)
    return f"Did you mean {close[0]}? " if close else ""


def not_one(allowed: Iterable[str], found: Iterable[str]) -> str:
    """Says that not exactly one of some keys is given."""
    given = " and ".join(found) or "none of them"
    return f"give exactly one of {', '.join(allowed)}; found {given}"


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """Says that there is no such thing, and what there is."""
    known = [str(other) for other in known]
    return f"there is no {kind} {name!r}. {suggestion(name, known)}Known: {', '.join(known)}"
