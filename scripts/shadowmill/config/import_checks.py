"""Checks of finished models that studies bring in."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from shadowmill.config.messages import unknown
from shadowmill.imports import MODEL_SUFFIXES
from shadowmill.roles.lists import LIST_SUFFIXES


def import_faults(key: str, study: Mapping[str, Any]) -> Iterator[str]:
    """Faults of what a study imports, or of a study that has no targets at all."""
    imports = study["imports"]
    if not imports:
        if "target_seeds" not in study:
            yield f"{key}.target_seeds: missing; there is one audited model for each seed"
        return
    for part, what in (("datasets", "data set"), ("architectures", "architecture")):
        if len(study[part]) > 1:
            yield (
                f"{key}.{part}: an imported model belongs to one {what}, the study has "
                f"{len(study[part])}. Make a study of each"
            )
    if study["protocol"] != "half":
        yield f"{key}.protocol: imported models need the protocol half; use that"
    for part in ("subsets", "validation", "shadows"):
        if study.get(part):
            yield (
                f"{key}.{part}: says who is a member, which the lists of imported models do; "
                "remove this key, or make a study of its own"
            )
    lists: dict[str, tuple[str, dict[str, Any]]] = {}
    for variant, of_variant in imports.items():
        place = f"{key}.imports.{variant}"
        if variant not in study["variants"]:
            yield f"{place}: {unknown('variant', variant, study['variants'])}"
        for name, model in of_variant["targets"].items():
            model_place = f"{place}.targets.{name}"
            yield from _file_faults(model_place, model)
            own = {part: model.get(part) for part in ("members", "held_out")}
            first = lists.setdefault(name, (model_place, own))
            if first[1] != own:
                yield (
                    f"{model_place}: its members and held_out differ from those of {first[0]}. "
                    "What has one name has one training set: choose another name"
                )


def _file_faults(place: str, model: Mapping[str, Any]) -> Iterator[str]:
    kinds = {"file": MODEL_SUFFIXES, "members": LIST_SUFFIXES, "held_out": LIST_SUFFIXES}
    for part, suffixes in kinds.items():
        if part not in model:
            continue
        if not model[part].endswith(suffixes):
            yield f"{place}.{part}: {model[part]} ends in none of {', '.join(suffixes)}"
        elif not Path(model[part]).is_file():
            yield f"{place}.{part}: there is no file {model[part]}"
    if ("mean" in model) != ("std" in model):
        yield f"{place}: mean and std go together; give both or neither"
