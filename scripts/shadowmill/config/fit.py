"""Checks of when and how far a study prunes, and of sizes: batches, subsets, epochs."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from shadowmill.config.study import Variant
from shadowmill.data import DATASETS
from shadowmill.pruning import METHODS
from shadowmill.training import steps_per_epoch


def pruning_faults(key: str, study: Mapping[str, Any]) -> Iterator[str]:
    """Keys that a method needs or does not have."""
    for method, given in study["pruning"].items():
        place = f"{key}.pruning.{method}"
        if method in METHODS:
            for name in sorted({"criterion", "feedback"} & given.keys()):
                yield (
                    f"{place}.{name}: {method} has its own; describe another method by another name"
                )
            schedule = METHODS[method].schedule
        else:
            for name in sorted({"criterion", "feedback"} - given.keys()):
                yield f"{place}.{name}: missing; only {', '.join(METHODS)} are known without it"
            schedule = "one_shot" if "epoch" in given else "cubic"
        needed = {"epoch"} if schedule == "one_shot" else {"every", "target_epoch"}
        for name in sorted(needed - given.keys()):
            yield f"{place}.{name}: missing; {method} needs it"
        for name in sorted({"epoch", "every", "target_epoch"} & given.keys() - needed):
            yield f"{place}.{name}: {method} has no such key"


def fit_faults(
    key: str,
    study: Mapping[str, Any],
    variants: Iterable[Variant],
    recipes: Mapping[str, Any],
) -> Iterator[str]:
    """Numbers that do not fit the recipe's epochs or the sizes of the data sets."""
    name = study.get("fine_tune", study["recipe"])
    recipe = recipes[name]
    for method, given in study["pruning"].items():
        yield from _epoch_faults(f"{key}.pruning.{method}", given, recipe["epochs"])
    for dataset in study["datasets"]:
        members = _num_members(study, dataset)
        if members is None:
            continue
        for used in dict.fromkeys([study["recipe"], name]):
            batch = recipes[used]["batch_size"]
            if batch > members:
                yield (
                    f"recipes.{used}.batch_size: {batch} is more than the {members} members "
                    f"of a model on {dataset} ({key})"
                )
                return
        steps = steps_per_epoch(members, recipe["batch_size"])
        for method, given in study["pruning"].items():
            yield from _ramp_faults(
                f"{key}.pruning.{method}", given, recipe["epochs"], steps, dataset
            )
    yield from _subset_faults(f"{key}.subsets", study.get("subsets"), study)


def _epoch_faults(place: str, given: Mapping[str, Any], epochs: int) -> Iterator[str]:
    final = "epoch" if "epoch" in given else "target_epoch"
    if given[final] >= epochs:
        yield (
            f"{place}.{final}: {given[final]} must be less than the recipe's "
            f"epochs ({epochs}), or the models end without the sparsity they are named after"
        )
    elif "freeze_epoch" in given and not given[final] < given["freeze_epoch"] < epochs:
        yield (
            f"{place}.freeze_epoch: {given['freeze_epoch']} must lie between {final} "
            f"({given[final]}) and the recipe's epochs ({epochs})"
        )


def _ramp_faults(
    place: str, given: Mapping[str, Any], epochs: int, steps: int, dataset: str
) -> Iterator[str]:
    if "every" not in given:
        return
    every, full = given["every"], given["target_epoch"]
    end = given.get("freeze_epoch", epochs)
    if full < end and -(-full * steps // every) * every >= end * steps:
        yield (
            f"{place}.every: {every} steps between masks leave none to "
            f"be made from epoch {full} on, when sparsity is full, to epoch {end} on "
            f"{dataset} ({steps} steps an epoch). Use fewer steps"
        )


def _num_members(study: Mapping[str, Any], dataset: str) -> int | None:
    """Members of the smallest model on a data set."""
    row = DATASETS[dataset]
    if row.pool_size is None:
        return None
    if study["protocol"] == "disjoint":
        return int(0.45 * ((row.pool_size + row.test_size) // 2))
    return min([row.pool_size // 2, *study.get("subsets", {}).get("sizes", [])])


def _subset_faults(
    place: str, subsets: Mapping[str, Any] | None, study: Mapping[str, Any]
) -> Iterator[str]:
    if subsets is None:
        return
    for dataset in study["datasets"]:
        pool = DATASETS[dataset].pool_size
        for index, size in enumerate(subsets["sizes"]):
            if pool is not None and size >= pool:
                yield (
                    f"{place}.sizes[{index}]: {size} must be less than the {pool} examples of "
                    f"{dataset}"
                )
    scores = subsets.get("scores")
    if scores is not None and len(study["datasets"]) > 1:
        yield f"{place}.scores: belongs to one data set, the study has {len(study['datasets'])}"
    elif scores is not None and not Path(scores).exists() and not scores.startswith("results/"):
        yield f"{place}.scores: there is no file {scores}"
