"""Checks of networks of the user's own that can be made without building them."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from shadowmill.architectures import ARCHITECTURES
from shadowmill.architectures.own import OURS
from shadowmill.config.messages import not_one, unknown

_KINDS = ("file", "torchvision", "ours")


def network_faults(given: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Faults of the configuration's `architectures`."""
    for name, own in given.items():
        key, kinds = f"architectures.{name}", [kind for kind in _KINDS if kind in own]
        if name in ARCHITECTURES:
            yield f"{key}: there is an architecture of this name, choose another"
        if len(kinds) != 1:
            yield f"{key}: {not_one(_KINDS, kinds)}"
            continue
        if ("file" in own) != ("function" in own):
            cure = (
                "name the one that builds the network" if "file" in own else "only a file has one"
            )
            yield f"{key}.function: {cure}"
        if "file" in own and not Path(own["file"]).is_file():
            yield f"{key}.file: there is no file {own['file']} below {Path.cwd().name}"
        if "ours" in own:
            yield from _family_faults(key, own)


def _family_faults(key: str, own: Mapping[str, Any]) -> Iterator[str]:
    if own["ours"] not in OURS:
        yield f"{key}.ours: {unknown('family', own['ours'], OURS)}"
        return
    family, given = OURS[own["ours"]], own["arguments"]
    for name in family.arguments:
        if name not in given:
            yield f"{key}.arguments.{name}: missing; {own['ours']} needs it"
        elif fault := _value_fault(name, given[name]):
            yield f"{key}.arguments.{name}: {given[name]!r} {fault}"
    for name in given.keys() - {*family.arguments}:
        yield f"{key}.arguments.{name}: {own['ours']} has {', '.join(family.arguments)}"
    depth = given.get("depth")
    if family.depths and not _value_fault("depth", depth):
        by, rest = family.depths
        if depth < by + rest or depth % by != rest:
            yield (
                f"{key}.arguments.depth: {depth} must be {by}n + {rest}, such as {by + rest}, "
                f"{2 * by + rest} or {3 * by + rest}"
            )


def _value_fault(name: str, value: Any) -> str:
    """What is wrong with an argument of ours, "" if nothing is."""
    if name == "hidden":
        is_right = isinstance(value, list) and value and all(_is_count(width) for width in value)
        return "" if is_right else "must be a list of widths, such as [256, 128]"
    if name == "dropout":
        is_right = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1
        return "" if is_right else "must be at least 0 and less than 1"
    return "" if _is_count(value) else "must be a whole number, at least 1"


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
