"""Checks of when and how far a study prunes, and of sizes: batches, validation, subsets."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from shadowmill.data import Dataset
from shadowmill.defenses import is_per_example
from shadowmill.names import Variant
from shadowmill.pruning import METHODS
from shadowmill.training import steps_per_epoch

_TIMES = {"one_shot": ("epoch",), "cubic": ("every", "target_epoch")}
_ORDERS = {
    "scores": ".npy or .csv file with a score per example",
    "order": ".npy file with the number of each example once",
}
_ALL_TIMES = {key for keys in _TIMES.values() for key in keys}
# What a shadow validates on is a stretch of the pool less its members: of 40 examples, 20 on
# average, and none with a chance of 2⁻⁴⁰.
_FEWEST_VALIDATION = 20


def pruning_faults(key: str, study: Mapping[str, Any]) -> Iterator[str]:
    """Keys that a method needs or does not have."""
    for method, given in study["pruning"].items():
        place = f"{key}.pruning.{method}"
        if method == "dense":
            yield f"{place}: dense models are not pruned; remove this, or choose another name"
        elif method in METHODS:
            yield from _known_method_faults(place, method, given)
        else:
            yield from _own_method_faults(place, given)


def _known_method_faults(place: str, method: str, given: Mapping[str, Any]) -> Iterator[str]:
    if METHODS[method].criterion == "batch_norm_scale":
        yield from _layer_faults(place, given)
    for name in sorted({"criterion", "feedback"} & given.keys()):
        yield f"{place}.{name}: {method} has its own; describe another method by another name"
    needed = set(_TIMES[METHODS[method].schedule])
    for name in sorted(needed - given.keys()):
        yield f"{place}.{name}: missing; {method} needs it"
    for name in sorted(_ALL_TIMES & given.keys() - needed):
        yield f"{place}.{name}: {method} has no such key; it has {', '.join(sorted(needed))}"


def _layer_faults(place: str, given: Mapping[str, Any]) -> Iterator[str]:
    if "layers" in given:
        yield f"{place}.layers: what is pruned are channels of BatchNorm; remove this key"


def _own_method_faults(place: str, given: Mapping[str, Any]) -> Iterator[str]:
    if given.get("criterion") == "batch_norm_scale":
        yield from _layer_faults(place, given)
    for name in sorted({"criterion", "feedback"} - given.keys()):
        yield f"{place}.{name}: missing; only {', '.join(METHODS)} are known without it"
    times = _ALL_TIMES & given.keys()
    if times not in [set(keys) for keys in _TIMES.values()]:
        found = ", ".join(sorted(times)) or "none of them"
        yield (
            f"{place}: give either epoch, to prune once, or every and target_epoch, for a ramp; "
            f"found {found}"
        )


def fit_faults(
    key: str,
    study: Mapping[str, Any],
    datasets: Mapping[str, Dataset],
    recipes: Mapping[str, Any],
) -> Iterator[str]:
    """Numbers that do not fit the recipe's epochs or the sizes of the data sets."""
    name = study.get("fine_tune", study["recipe"])
    recipe = recipes[name]
    for method, given in study["pruning"].items():
        yield from _epoch_faults(f"{key}.pruning.{method}", given, f"recipes.{name}", recipe)
    for dataset, row in datasets.items():
        members = _members(study, row)
        # A batch may hold the examples of a short prefix twice, but not if sampled for privacy.
        private = any(
            is_per_example(Variant.parse(variant).defense) for variant in study["variants"]
        )
        sampled = members if private else _members(dict(study) | {"subsets": {}}, row)
        for used in dict.fromkeys([study["recipe"], name]):
            batch = recipes[used]["batch_size"]
            if sampled and batch > min(sampled):
                yield (
                    f"recipes.{used}.batch_size: {batch} is more than the {min(sampled)} members "
                    f"of a model on {dataset} ({key}). Use a smaller batch or more data"
                )
        # The length of an epoch differs with the number of members.
        steps = {steps_per_epoch(number, recipe["batch_size"]) for number in members}
        for method, given in study["pruning"].items():
            yield from _ramp_faults(
                f"{key}.pruning.{method}", given, recipe["epochs"], steps, dataset
            )
        yield from _validation_faults(key, study, row)
    yield from _subset_faults(f"{key}.subsets", study.get("subsets"), datasets)


def _epoch_faults(
    place: str, given: Mapping[str, Any], recipe_key: str, recipe: Mapping[str, Any]
) -> Iterator[str]:
    final = "epoch" if "epoch" in given else "target_epoch"
    epochs = recipe["epochs"]
    if given[final] >= epochs:
        yield (
            f"{place}.{final}: {given[final]} must be less than {recipe_key}.epochs ({epochs}), or "
            "the models end without the sparsity they are named after"
        )
    elif "freeze_epoch" in given and not given[final] < given["freeze_epoch"] < epochs:
        yield (
            f"{place}.freeze_epoch: {given['freeze_epoch']} must lie between {final} "
            f"({given[final]}) and {recipe_key}.epochs ({epochs})"
        )


def _ramp_faults(
    place: str, given: Mapping[str, Any], epochs: int, steps: Collection[int], dataset: str
) -> Iterator[str]:
    if "every" not in given:
        return
    every, full = given["every"], given["target_epoch"]
    end = given.get("freeze_epoch", epochs)
    for number in sorted(steps):
        if full < end and -(-full * number // every) * every >= end * number:
            yield (
                f"{place}.every: {every} steps between masks leave none to be made from epoch "
                f"{full} on, when sparsity is full, to epoch {end} on {dataset} ({number} steps "
                f"an epoch). Use {(end - full) * min(steps)} steps or fewer"
            )
            return


def _members(study: Mapping[str, Any], row: Dataset) -> set[int]:
    """All sizes of nominal epochs that models on a data set have; empty if only the data know."""
    if row.pool_size is None:
        return set()
    if study["protocol"] == "disjoint":
        total = row.pool_size + row.test_size
        return {9 * side // 20 for side in (total // 2, total - total // 2)}
    return {row.pool_size // 2, *study.get("subsets", {}).get("sizes", [])}


def _validation_faults(key: str, study: Mapping[str, Any], row: Dataset) -> Iterator[str]:
    share, pool = study["validation"], row.pool_size
    if pool is None or not share or study["protocol"] == "disjoint":
        return
    sizes = [size for size in study.get("subsets", {}).get("sizes", []) if size < pool]
    groups = [(pool // 2, _FEWEST_VALIDATION), *((pool - size, 1) for size in sizes)]
    for nonmembers, needed in groups:
        num = round(share * nonmembers)
        if num < needed:
            yield (
                f"{key}.validation: {share} of the {nonmembers} non-members of a model on "
                f"{row.name} makes {num}; at least {needed} must be set aside. Use a larger share"
            )
            return


def _subset_faults(
    place: str, subsets: Mapping[str, Any] | None, datasets: Mapping[str, Dataset]
) -> Iterator[str]:
    if subsets is None:
        return
    for dataset, row in datasets.items():
        pool = row.pool_size
        for index, size in enumerate(subsets["sizes"]):
            if pool is not None and size >= pool:
                yield (
                    f"{place}.sizes[{index}]: {size} must be less than the {pool} examples of "
                    f"{dataset}"
                )
    given = [kind for kind in ("scores", "order") if kind in subsets]
    if len(given) > 1:
        yield f"{place}: scores and order both say which examples come first; give one of them"
    for kind in given:
        path = subsets[kind]
        if len(datasets) > 1:
            yield (
                f"{place}.{kind}: belongs to one data set, the study has "
                f"{len(datasets)}. Make a study of each"
            )
        elif not Path(path).exists() and not path.startswith("results/"):
            yield (
                f"{place}.{kind}: there is no file {path}. Give a {_ORDERS[kind]}, or "
                "remove this key for a random order"
            )
