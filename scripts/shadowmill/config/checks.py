"""Checks of the configuration that no section makes alone: names that exist, numbers that agree."""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import count
from typing import Any

from shadowmill.architectures import ARCHITECTURES, Architecture
from shadowmill.architectures.own import rows as network_rows
from shadowmill.attacks import ATTACKS
from shadowmill.config.dataset_checks import dataset_faults, group_faults
from shadowmill.config.fit import fit_faults, pruning_faults
from shadowmill.config.import_checks import import_faults
from shadowmill.config.messages import suggestion, unknown
from shadowmill.config.network_checks import network_faults
from shadowmill.config.reconstruction_checks import backbone_faults, reconstruction_faults
from shadowmill.config.sharing import order_faults, shadow_faults
from shadowmill.config.variants import read_variant
from shadowmill.data import DATASETS, Dataset
from shadowmill.data.own import rows as data_rows
from shadowmill.defenses import DEFENSES, is_per_example
from shadowmill.names import Variant
from shadowmill.pruning import METHODS
from shadowmill.roles.splits import complete_shadows

# Folders beside the studies' own.
_FOLDERS = ("data", "logs", "backbones")


def name_faults(targets: Mapping[str, Any], rules: Collection[str]) -> Iterator[str]:
    """Faults of studies and reconstructions that are named like something of the workflow.

    Args:
        targets: their key in the configuration, `studies` or `reconstructions`, to their names.
        rules: names of the rules of the workflow.
    """
    for key, names in targets.items():
        for name in names:
            if name in _FOLDERS or name in rules:
                yield f"{key}.{name}: this name is taken by the workflow, choose another"


def sense_faults(raw: Mapping[str, Any]) -> Iterator[str]:
    """Faults of a configuration of the right form, with its defaults, each with its key."""
    studies, reconstructions = raw["studies"], raw["reconstructions"]
    targets = [*studies, *reconstructions]
    for index, name in enumerate(raw["build"]):
        if name not in targets:
            yield f"build[{index}]: {unknown('study', name, targets)}"
    own_faults = list(dataset_faults(raw))
    yield from own_faults
    datasets = DATASETS if own_faults else data_rows(raw)
    own_faults = list(network_faults(raw["architectures"]))
    yield from own_faults
    networks = ARCHITECTURES if own_faults else network_rows(raw["architectures"])
    for name, recipe in raw["recipes"].items():
        yield from _recipe_faults(f"recipes.{name}", recipe)
    for name, study in studies.items():
        key = f"studies.{name}"
        faults = [
            *_name_faults(key, study, raw),
            *_variant_faults(key, study),
            *pruning_faults(key, study),
            *_protocol_faults(key, study),
            *import_faults(key, study),
            *shadow_faults(f"{key}.shadows", name, studies),
            *order_faults(f"{key}.subsets.scores", name, studies),
        ]
        known = datasets.keys() >= {*study["datasets"]}
        if not faults and known and networks.keys() >= {*study["architectures"]}:
            of = {dataset: datasets[dataset] for dataset in study["datasets"]}
            faults = _study_faults(key, study, of, networks, raw["recipes"])
        yield from faults
    for name, backbone in raw["backbones"].items():
        if backbone["dataset"] not in raw["datasets"]:
            yield from backbone_faults(f"backbones.{name}", backbone)
    for name in reconstructions:
        if name in studies:
            yield f"reconstructions.{name}: a study has this name, choose another"
        if reconstructions[name]["dataset"] not in raw["datasets"]:
            yield from reconstruction_faults(f"reconstructions.{name}", name, raw)


_SCHEDULE_KEYS = {  # name: needed, optional
    "constant": (set(), {"warmup_epochs", "warmup_start"}),
    "multistep": ({"milestones", "gamma"}, {"warmup_epochs", "warmup_start"}),
    "cosine": (set(), {"warmup_epochs", "warmup_start"}),
    "one_cycle": ({"warmup"}, set()),
}


def _recipe_faults(key: str, recipe: Mapping[str, Any]) -> Iterator[str]:
    schedule, epochs = recipe["schedule"], recipe["epochs"]
    needed, optional = _SCHEDULE_KEYS[schedule["name"]]
    given = schedule.keys() - {"name"}
    for name in sorted(needed - given):
        yield f"{key}.schedule.{name}: missing; {schedule['name']} needs it"
    for name in sorted(given - needed - optional):
        allowed = ", ".join(sorted(needed | optional))
        yield f"{key}.schedule.{name}: {schedule['name']} has no such key; it has {allowed}"
    milestones = schedule.get("milestones", [])
    if milestones != sorted(set(milestones)) or any(m >= epochs for m in milestones):
        yield f"{key}.schedule.milestones: {milestones} must rise and stay below epochs ({epochs})"
    if "warmup_start" in given & optional and "warmup_epochs" not in given:
        yield (
            f"{key}.schedule.warmup_start: has no meaning without warmup_epochs; give that, or "
            "remove this"
        )
    if schedule.get("warmup_epochs", 0) >= epochs:
        yield (
            f"{key}.schedule.warmup_epochs: {schedule['warmup_epochs']} must stay below epochs "
            f"({epochs})"
        )
    if recipe["nesterov"] and (recipe["optimizer"] != "sgd" or not recipe["momentum"]):
        yield (
            f"{key}.nesterov: needs the optimizer sgd with a momentum above 0, found "
            f"{recipe['optimizer']} with {recipe['momentum']}"
        )


def _name_faults(key: str, study: Mapping[str, Any], raw: Mapping[str, Any]) -> Iterator[str]:
    recipes = raw["recipes"]
    tables = {
        "datasets": ("data set", [*DATASETS, *raw["datasets"]]),
        "architectures": ("architecture", [*ARCHITECTURES, *raw["architectures"]]),
        "attacks": ("attack", ATTACKS),
    }
    for part, (kind, known) in tables.items():
        for index, name in enumerate(study[part]):
            if name not in known:
                yield f"{key}.{part}[{index}]: {unknown(kind, name, known)}"
    for part in (*tables, "variants", "target_seeds"):
        for index, name in enumerate(study.get(part, ())):
            if name in study[part][:index]:
                yield f"{key}.{part}[{index}]: {name} is listed twice"
    for part in ("recipe", "fine_tune"):
        if part in study and study[part] not in recipes:
            yield f"{key}.{part}: {unknown('recipe', study[part], recipes)}"


def _variant_faults(key: str, study: Mapping[str, Any]) -> Iterator[str]:
    own = [name for name in study["pruning"] if name not in METHODS]
    for index, name in enumerate(study["variants"]):
        place = f"{key}.variants[{index}]: {name!r}"
        try:
            variant = read_variant(name)
        except ValueError as error:
            yield f"{place}: {error}"
            continue
        if variant.method not in ("dense", *METHODS, *own):
            close = suggestion(variant.method, (*METHODS, *own))
            known = ", ".join(f"{method}-SPARSITY" for method in (*METHODS, *own))
            yield (
                f"{place}: unknown variant. {close}Known: dense, {known}. Another method can be "
                f"described under {key}.pruning"
            )
        elif variant.method != "dense" and variant.method not in study["pruning"]:
            yield (
                f"{key}.pruning.{variant.method}: missing; the variants need to know when "
                f"{variant.method} prunes"
            )
        if variant.defense != "none":
            yield from _strength_faults(place, variant)


def _strength_faults(place: str, variant: Variant) -> Iterator[str]:
    row, value = DEFENSES[variant.defense], variant.strength
    if value <= 0:
        yield f"{place}: the {row.argument} of {variant.defense} must be more than 0"
    elif variant.defense == "label_smoothing" and value >= 1:
        yield f"{place}: label smoothing must be less than 1"
    elif variant.defense == "early_stopping" and value != int(value):
        yield f"{place}: the patience is a whole number of epochs"


def _study_faults(
    key: str,
    study: Mapping[str, Any],
    datasets: Mapping[str, Dataset],
    networks: Mapping[str, Architecture],
    recipes: Mapping[str, Any],
) -> Iterator[str]:
    """Faults of a study whose names are all known, and their rows."""
    variants = [Variant.parse(name) for name in study["variants"]]
    yield from _validation_faults(key, study, variants, recipes)
    yield from _attack_faults(key, study, datasets)
    yield from _defense_faults(key, study, variants)
    yield from _kind_faults(key, study, datasets, networks, recipes)
    yield from _layer_faults(key, study, networks, variants)
    yield from group_faults(key, study, datasets)
    yield from fit_faults(key, study, datasets, recipes)


def _protocol_faults(key: str, study: Mapping[str, Any]) -> Iterator[str]:
    shadows, block = study["num_shadows"], study["models_per_job"]
    disjoint = study["protocol"] == "disjoint"
    step = block if disjoint else math.lcm(block, 2)
    if shadows % step:
        reason = f"is not a multiple of models_per_job ({block})"
        if not disjoint and shadows % 2:
            reason = "is odd; shadows of the protocol half come in complementary pairs"
        below = shadows // step * step
        possible = " or ".join(str(number) for number in (below, below + step) if number)
        yield f"{key}.num_shadows: {shadows} {reason}. Use {possible}"
    if disjoint and study["validation"]:
        yield (
            f"{key}.validation: {study['validation']} cannot be chosen, disjoint always sets a "
            "tenth aside; remove this key"
        )
    if disjoint and "subsets" in study:
        yield f"{key}.subsets: needs the protocol half; use that, or remove this key"


def _validation_faults(
    key: str,
    study: Mapping[str, Any],
    variants: Iterable[Variant],
    recipes: Mapping[str, Any],
) -> Iterator[str]:
    disjoint = study["protocol"] == "disjoint"
    if not disjoint and not study["validation"]:
        used = [study["recipe"], *([study["fine_tune"]] if "fine_tune" in study else [])]
        needing = [
            f"recipes.{name}.early_stopping" for name in used if "early_stopping" in recipes[name]
        ]
        needing += [
            v.name for v in variants if v.defense != "none" and DEFENSES[v.defense].needs_validation
        ]
        if needing:
            yield (
                f"{key}.validation: {', '.join(needing)} needs validation examples. Give a share "
                "of the non-members, for example 0.1, or use the protocol disjoint"
            )


def _attack_faults(
    key: str, study: Mapping[str, Any], datasets: Mapping[str, Dataset]
) -> Iterator[str]:
    shadows, share = study["num_shadows"], study["validation"]
    for index, name in enumerate(study["attacks"]):
        row = ATTACKS[name]
        if row.per_example and study["protocol"] == "disjoint":
            general = ", ".join(n for n, other in ATTACKS.items() if not other.per_example)
            yield (
                f"{key}.attacks[{index}]: {name} needs shadows that trained on the target's "
                f"examples, which the protocol disjoint rules out. Possible: {general}"
            )
            continue
        if row.needs_test_set and (
            study["protocol"] == "disjoint" or any(row.test_size == 0 for row in datasets.values())
        ):
            yield (
                f"{key}.attacks[{index}]: {name} needs examples outside the pool: protocol half "
                "and data sets with an official test set"
            )
        lost = share if row.per_example else 0
        if complete_shadows(shadows, lost) < row.min_shadows:
            needed = next(n for n in count(2, 2) if complete_shadows(n, lost) >= row.min_shadows)
            less = f", as validation takes {needed - row.min_shadows} of them" if lost else ""
            yield (
                f"{key}.num_shadows: {shadows} are too few for {name}, which needs {needed}{less}"
            )


def _defense_faults(
    key: str, study: Mapping[str, Any], variants: Iterable[Variant]
) -> Iterator[str]:
    names = study["variants"]
    for index, variant in enumerate(variants):
        place = f"{key}.variants[{index}]: {variant.name}"
        unaware = "non_adaptive" in study["adversaries"] and variant.defense != "none"
        if unaware and variant.undefended.name not in names:
            yield (
                f"{place}: a non-adaptive adversary has shadows without the defence; list "
                f"{variant.undefended.name} too"
            )
        if unaware and variant.method == "dense" and "fine_tune" in study:
            yield (
                f"{place}: is fine-tuned, while dense is not; a non-adaptive adversary would have "
                "no shadows like it. Prune it too, or leave that adversary out"
            )
        if is_per_example(variant.defense) and "fine_tune" in study:
            yield (
                f"{place}: {variant.defense} promises nothing for a model that starts from one "
                "trained without it. Use a study without fine_tune"
            )
    if "original" in study["adversaries"] and "dense" not in names:
        yield f"{key}.adversaries: original shadows are dense; list dense under variants"
    if "fine_tune" in study and "dense" not in names:
        yield f"{key}.fine_tune: starts from the dense models; list dense under variants"


def _kind_faults(
    key: str,
    study: Mapping[str, Any],
    datasets: Mapping[str, Dataset],
    networks: Mapping[str, Architecture],
    recipes: Mapping[str, Any],
) -> Iterator[str]:
    """What does not go together: images and networks for tables of features, and the like."""
    for dataset, row in datasets.items():
        for index, name in enumerate(study["architectures"]):
            kind, wanted = row.kind, networks[name].kind
            if None not in (kind, wanted) and kind != wanted:
                fitting = ", ".join(n for n, other in networks.items() if other.kind == kind)
                yield (
                    f"{key}.architectures[{index}]: {name} is for {wanted} data, {dataset} is "
                    f"{kind}. Possible: {fitting}"
                )
    if any(row.kind == "tabular" for row in datasets.values()):
        if any(study["queries"].values()):
            yield f"{key}.queries: mirror and shift are for images; remove them"
        for part in ("recipe", "fine_tune"):
            augmentation = recipes[study[part]]["augmentation"] if part in study else {}
            if any(value for name, value in augmentation.items() if name != "padding"):
                yield (
                    f"{key}.{part}: {study[part]} augments, which is for images; use another recipe"
                )


def _layer_faults(
    key: str,
    study: Mapping[str, Any],
    networks: Mapping[str, Architecture],
    variants: Sequence[Variant],
) -> Iterator[str]:
    """Pruning of layers that a network does not have, or that tell nothing yet."""
    criteria = {variant: _criterion(study, variant) for variant in variants}
    scaled = [v for v, criterion in criteria.items() if criterion == "batch_norm_scale"]
    convolutional = [
        v
        for v, criterion in criteria.items()
        if criterion not in (None, "layer_magnitude", "batch_norm_scale")
        and "linear" not in study["pruning"][v.method].get("layers", ())
    ]
    for index, name in enumerate(study["architectures"]):
        place, row = f"{key}.architectures[{index}]", networks[name]
        if scaled and row.batch_norm is False:
            yield (
                f"{place}: {name} has no BatchNorm, which {scaled[0].name} prunes. Use another "
                "architecture or method"
            )
        if convolutional and row.kind == "tabular":
            yield (
                f"{place}: {name} has no convolutions, which {convolutional[0].name} prunes. Give "
                f"{key}.pruning.{convolutional[0].method} the key layers: [linear], or use "
                "l1_unstructured"
            )
    for method in dict.fromkeys(variant.method for variant in scaled):
        if study["pruning"][method].get("epoch") == 0 and "fine_tune" not in study:
            yield (
                f"{key}.pruning.{method}.epoch: at initialisation all BatchNorm scales are 1 and "
                "tell nothing; prune at a later epoch, or dense models with fine_tune"
            )
    for index, variant in enumerate(variants):
        if variant in scaled and is_per_example(variant.defense):
            yield (
                f"{key}.variants[{index}]: {variant.name}: {variant.defense} replaces the "
                f"BatchNorm that {variant.method} prunes. Use another method or defence"
            )


def _criterion(study: Mapping[str, Any], variant: Variant) -> str | None:
    if variant.method == "dense":
        return None
    if variant.method in METHODS:
        return METHODS[variant.method].criterion
    return study["pruning"][variant.method]["criterion"]
