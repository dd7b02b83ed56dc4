"""Refusing files that a study does not have, before anything is planned."""

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import PurePath

from shadowmill.config.messages import suggestion, unknown
from shadowmill.config.study import Config, Study
from shadowmill.errors import ConfigError

_MOST_LISTED = 12


# All files that there are, by the folder below results/ that they lie in.
Files = Mapping[str, Callable[[], Collection[str]]]


def check_requested(
    paths: Iterable[str], config: Config, files: Files, needs: Mapping[str, str]
) -> None:
    """Refuse files below results/ that cannot be what is wanted.

    Args:
        paths: what was asked for. Names of rules, and files elsewhere, are left to others.
        config: the configuration.
        files: all files that there are.
        needs: what a table or a figure needs that not every study has, by the first word of its
            name.

    Raises:
        ConfigError: one message on all files that their study does not have.
    """
    faults = [
        fault for path in paths for fault in _faults(os.path.normpath(path), config, files, needs)
    ]
    if faults:
        raise ConfigError("\n".join(["asked for what is not there:", *faults]))


def _faults(path: str, config: Config, files: Files, needs: Mapping[str, str]) -> Iterator[str]:
    top, *parts = path.split("/")
    if top != "results" or len(parts) < 2:
        return
    owner = parts[0]
    if owner == "logs":
        yield f"  {path}: a log cannot be asked for. Ask for the file whose job writes it"
        return
    if owner not in files:
        known = [*config.studies, *config.reconstructions]
        yield f"  {path}: {unknown('study', owner, known)}"
        return
    found = {file.removeprefix("results/") for file in files[owner]()}
    for depth in range(1, len(parts)):
        before = "/".join(parts[:depth]) + "/"
        found = {file for file in found if file.startswith(before)}
        beside = {file.removeprefix(before).split("/")[0] for file in found}
        if parts[depth] not in beside:
            is_folder = depth < len(parts) - 1
            there = {name for name in beside if (f"{before}{name}" in found) != is_folder}
            yield f"  {path}: {_cure(parts[: depth + 1], is_folder, there, config, needs)}"
            return


def _cure(
    parts: Sequence[str],
    is_folder: bool,
    there: Collection[str],
    config: Config,
    needs: Mapping[str, str],
) -> str:
    """What is said of the last part of a path that is not there.

    Args:
        parts: of the path below results/, up to that one.
        is_folder: whether it is a folder.
        there: the folders, or else the files, that there are at its place.
        config: the configuration.
        needs: see `check_requested`.
    """
    owner, *before, last = parts
    suffix = "" if is_folder else PurePath(last).suffix
    name = last.removesuffix(suffix)
    alike = [other.removesuffix(suffix) for other in sorted(there) if other.endswith(suffix)]
    known = [other for other in alike if other not in ("tables", "figures", "roles")]
    if owner == "data":
        return unknown("data set", name, known)
    if owner == "backbones":
        what, advice = _in_backbones(before)
    elif owner in config.studies:
        what, advice = _in_study(config.studies[owner], before, name, is_folder)
    else:
        what, advice = _in_reconstruction(owner, before)
    kind = name.partition("-")[0]
    kinds = {other.partition("-")[0] for other in known}
    if not advice and kind in needs and kind not in kinds:
        return f"{owner} has no {what} {name}; it would need {needs[kind]}"
    listed = ", ".join(known[:_MOST_LISTED]) + (", …" if len(known) > _MOST_LISTED else "")
    cure = [advice] if advice else []
    cure += [f"There is {listed}"] if known else []
    return f"{owner} has no {what} {name}. {suggestion(name, known)}{'. '.join(cure)}"


def _in_study(study: Study, before: Sequence[str], name: str, is_folder: bool) -> tuple[str, str]:
    """What stands at a place below the folder of a study, and where it is decided."""
    key = f"studies.{study.name}"
    seeds = f"{key}.target_seeds and num_shadows decide that"
    match before:
        case []:
            return "data set", f"Add {name} to {key}.datasets"
        case ["tables" | "figures" as kind]:
            return kind.removesuffix("s"), ""
        case [_]:
            return "architecture", f"Add {name} to {key}.architectures"
        case [_, "roles"] | [_, _, _, "scores"]:
            return "block of models", seeds
        case [_, _]:
            return "variant", f"Add {name} to {key}.variants"
        case [_, _, _, "models"]:
            return "model", seeds
        case [_, _, _, "attacks"] if is_folder and name not in study.adversaries:
            return "adversary", f"Add {name} to {key}.adversaries"
        case [_, _, variant, "attacks"] if is_folder:
            return f"attack on {variant} by", "It is the adaptive adversary there"
        case [_, _, variant, "attacks"]:
            folders = " or ".join(study.adversaries_of(variant))
            return "attack", f"Ask for attacks/{folders}/{name}: they lie in folders of adversaries"
        case [_, _, _, "attacks", _]:
            return "attack", f"Add {name} to {key}.attacks"
    return "file", ""


def _in_reconstruction(owner: str, before: Sequence[str]) -> tuple[str, str]:
    key = f"reconstructions.{owner}"
    match before:
        case []:
            return "setting", f"{key}.sweep decides that"
        case ["tables" | "figures" as kind]:
            return kind.removesuffix("s"), ""
        case [_, "heads"]:
            return (
                "shard of heads",
                f"{key}.train_heads and membership_seeds decide that",
            )
    return "file", ""


def _in_backbones(before: Sequence[str]) -> tuple[str, str]:
    match before:
        case []:
            return "network", "The section backbones decides that"
        case [backbone, "features"]:
            return "features of", f"The reconstructions with the backbone {backbone} need others"
    return "file", ""
