"""Checks of data sets of the user's own, and of what studies make of them."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from shadowmill.config.messages import not_one, unknown
from shadowmill.data import DATASETS, Dataset
from shadowmill.data.own import (
    ARRAY_SUFFIXES,
    IMAGE_SIZES,
    KINDS,
    TABLE_SUFFIXES,
    is_file,
    kinds_of,
)


def dataset_faults(raw: Mapping[str, Any]) -> Iterator[str]:
    """Faults of data sets of the user's own, and of what is said of others."""
    for name in raw["data"]["roots"]:
        if name in raw["datasets"]:
            yield f"data.roots.{name}: {name} is your own, its path is under datasets.{name}"
        elif name not in DATASETS:
            yield f"data.roots.{name}: {unknown('data set', name, DATASETS)}"
    for name in raw["data"]["sizes"]:
        if name not in IMAGE_SIZES:
            scaled = ", ".join(IMAGE_SIZES)
            yield f"data.sizes.{name}: only images of {scaled} are scaled; remove this"
    for name, given in raw["datasets"].items():
        key, kinds = f"datasets.{name}", kinds_of(given)
        if name in DATASETS:
            yield f"{key}: there is a published data set of this name, choose another"
        if len(kinds) != 1:
            yield f"{key}: {not_one(KINDS, kinds)}"
            continue
        needed, optional = KINDS[kinds[0]]
        for part in sorted(needed - given.keys()):
            yield f"{key}.{part}: missing; data given as {kinds[0]} need it"
        surplus = sorted(given.keys() - needed - optional - {kinds[0]})
        for part in surplus:
            allowed = ", ".join(sorted(needed | optional)) or "no further keys"
            yield f"{key}.{part}: data given as {kinds[0]} have no such key; they have {allowed}"
        if not surplus and needed <= given.keys():
            yield from _own_faults(key, kinds[0], given)
    for section in ("backbones", "reconstructions"):
        for name, given in raw[section].items():
            if given["dataset"] in raw["datasets"]:
                yield (
                    f"{section}.{name}.dataset: {given['dataset']} is your own; how many classes "
                    "it has must be known beforehand, so only published data sets are possible"
                )


def _own_faults(key: str, kind: str, given: Mapping[str, Any]) -> Iterator[str]:
    allowed = {"table": TABLE_SUFFIXES, "arrays": ARRAY_SUFFIXES}.get(kind, ("",))
    if not given[kind].endswith(allowed):
        yield f"{key}.{kind}: {given[kind]} ends in none of {', '.join(allowed)}"
    if kind == "images" and "group" in given:
        try:
            re.compile(given["group"])
        except re.error as error:
            yield f"{key}.group: {given['group']!r} is no regular expression ({error})"
    if kind == "table":
        roles = [given[part] for part in ("label", "id", "group") if part in given]
        if "test" in given and not is_file(given["test"]):
            roles.append(given["test"])
        for column in dict.fromkeys([*roles, *given.get("ignore", ())]):
            if [*roles, *given.get("ignore", ())].count(column) > 1:
                yield f"{key}: the column {column} is named for two things; each has one"


def group_faults(
    key: str, study: Mapping[str, Any], datasets: Mapping[str, Dataset]
) -> Iterator[str]:
    """Faults of a study whose examples belong together in groups."""
    grouped = [name for name, row in datasets.items() if row.has_groups]
    if grouped and "subsets" in study:
        yield (
            f"{key}.subsets: a training set of the first examples would cut the groups of "
            f"{', '.join(grouped)}. Remove this key, or the groups"
        )
