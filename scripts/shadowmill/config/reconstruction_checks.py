"""Checks of backbones and reconstructions that their sections do not make alone."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from shadowmill.config.messages import unknown
from shadowmill.config.reconstruction import Reconstruction, Setting
from shadowmill.data import DATASETS
from shadowmill.reconstruction.backbones import BACKBONES

# Annotations beyond labels: persons and attributes are known of no other data set.
_ANNOTATED = "celeba"
_LEAST_PERCEPTUAL = 16  # pixels; VGG-16 halves the size four times


def backbone_faults(key: str, backbone: Mapping[str, Any]) -> Iterator[str]:
    """Faults of a backbone whose form is right."""
    dataset, labels = backbone["dataset"], backbone["labels"]
    known = dataset in DATASETS and backbone["architecture"] in BACKBONES
    if dataset not in DATASETS:
        yield f"{key}.dataset: {unknown('data set', dataset, DATASETS)}"
    if backbone["architecture"] not in BACKBONES:
        place = f"{key}.architecture"
        yield f"{place}: {unknown('backbone architecture', backbone['architecture'], BACKBONES)}"
    if known:
        yield from _class_faults(f"{key}.classes", dataset, backbone.get("classes", []))
    if labels == "attributes" and dataset != _ANNOTATED:
        yield f"{key}.labels: only {_ANNOTATED} has attributes; use classes"
    if labels == "attributes" and "classes" in backbone:
        yield f"{key}.classes: has no meaning with labels: attributes; remove it"
    if not backbone["phases"] and "weights" not in backbone:
        yield f"{key}.phases: give at least one, or weights that are used as they are"


def _class_faults(place: str, dataset: str, classes: list[int]) -> Iterator[str]:
    if DATASETS[dataset].kind != "image":
        yield f"{place.rpartition('.')[0]}.dataset: {dataset} has no images; use one that has"
        return
    number = DATASETS[dataset].num_classes
    if number is None:
        yield (
            f"{place.rpartition('.')[0]}.dataset: how many classes {dataset} has is not known "
            "beforehand; use another"
        )
        return
    for index, label in enumerate(classes):
        if label >= number:
            yield f"{place}[{index}]: {label} is no label of {dataset}, which has 0 to {number - 1}"


def reconstruction_faults(key: str, name: str, raw: Mapping[str, Any]) -> Iterator[str]:
    """Faults of a reconstruction whose form is right, with its defaults.

    Args:
        key: of the reconstruction.
        name: of it.
        raw: the whole configuration.
    """
    given, backbones = raw["reconstructions"][name], raw["backbones"]
    faults = []
    if given["dataset"] not in DATASETS:
        faults.append(f"{key}.dataset: {unknown('data set', given['dataset'], DATASETS)}")
    else:
        faults += _class_faults(f"{key}.classes", given["dataset"], given.get("classes", []))
    if given["backbone"] not in backbones:
        faults.append(f"{key}.backbone: {unknown('backbone', given['backbone'], backbones)}")
    faults += [*_task_faults(key, given), *_head_faults(f"{key}.heads", given)]
    faults += _perceptual_faults(f"{key}.reconstructor", given["reconstructor"])
    yield from faults
    if faults or next(backbone_faults("", backbones[given["backbone"]]), None):
        return
    yield from _split_faults(key, given, backbones[given["backbone"]])
    study = Reconstruction.of(name, given)
    num_features = BACKBONES[backbones[given["backbone"]]["architecture"]].num_features
    for setting in study.settings:
        yield from _size_faults(key, study, setting, num_features)
    if "test_on" in given:
        yield from _test_on_faults(f"{key}.test_on", study, raw)


def _task_faults(key: str, given: Mapping[str, Any]) -> Iterator[str]:
    task = given["task"]
    if task == "binary" and "positive" not in given:
        yield f"{key}.positive: missing; a binary task needs the classes to say yes to"
    if task != "binary" and "positive" in given:
        yield f"{key}.positive: is for the task binary; use that, or remove this key"
    if task == "binary" and "positive" in given:
        number = DATASETS[given["dataset"]].num_classes if given["dataset"] in DATASETS else None
        classes = set(given.get("classes", range(number or 0)))
        if not set(given["positive"]) < classes:
            yield (
                f"{key}.positive: {given['positive']} must be some, not all, of the classes "
                f"{sorted(classes)}"
            )
    if "random_labels" in given and task != "multiclass":
        yield f"{key}.random_labels: is for the task multiclass; remove it"
    if given["membership_seeds"] == 1:
        yield (
            f"{key}.membership_seeds: 1 is too few, each example needs two shadows at least; ten "
            "or more are sensible, 0 leaves the attack out"
        )
    if task != "identity":
        return
    if given["dataset"] != _ANNOTATED:
        yield f"{key}.task: identity needs to know who is on an image; only {_ANNOTATED} says so"
    if "classes" in given:
        yield f"{key}.classes: the task identity has none; remove this key"
    if given["reconstructor"]["conditional"]:
        yield (
            f"{key}.reconstructor.conditional: the task identity has one person to reconstruct; "
            "set it to false"
        )
    if given["membership_seeds"]:
        yield (
            f"{key}.membership_seeds: permutations of persons do not hold the same examples, so "
            "there is no membership attack on the task identity; set it to 0"
        )


def _head_faults(place: str, given: Mapping[str, Any]) -> Iterator[str]:
    heads, sweep, task = given["heads"], given.get("sweep", {}), given["task"]
    if task == "multiclass":
        for name, default in (("hidden", 0), ("positive_weight", 1)):
            if heads[name] != default:
                yield f"{place}.{name}: is for the tasks binary and identity; remove it"
        if "restart" in heads:
            yield f"{place}.restart: is for the tasks binary and identity; remove it"
    if "privacy" in heads:
        if "adam" in (heads["optimizer"], *sweep.get("optimizer", ())):
            yield f"{place}.privacy: needs the optimizer sgd; remove adam, or this key"
        if "restart" in heads:
            yield (
                f"{place}.restart: looks at the loss, which DP-SGD does not promise to keep "
                "private; remove restart or privacy"
            )
    elif "noise_multiplier" in sweep:
        yield f"{place}.privacy: missing; the sweep over noise_multiplier needs it"


def _perceptual_faults(place: str, reconstructor: Mapping[str, Any]) -> Iterator[str]:
    if "perceptual" not in reconstructor:
        return
    if reconstructor["image_size"] < _LEAST_PERCEPTUAL:
        yield (
            f"{place}.perceptual: needs images of {_LEAST_PERCEPTUAL} pixels or more, image_size "
            f"is {reconstructor['image_size']}; remove it"
        )
    for name, path in reconstructor["perceptual"].items():
        if not Path(path).exists():
            yield (
                f"{place}.perceptual.{name}: there is no file {path}; docs/reconstruction.md says "
                "where to get it"
            )


def _split_faults(key: str, given: Mapping[str, Any], backbone: Mapping[str, Any]) -> Iterator[str]:
    has_test_set = DATASETS[given["dataset"]].test_size != 0
    if has_test_set and "test_fraction" in given:
        yield f"{key}.test_fraction: {given['dataset']} has an official test set; remove this key"
    if not has_test_set and "test_fraction" not in given:
        yield (
            f"{key}.test_fraction: missing; {given['dataset']} has no official test set, so say "
            "what share of it, for example 0.4, is for test heads"
        )
    every = range(DATASETS[given["dataset"]].num_classes)
    shared = set(given.get("classes", every)) & set(backbone.get("classes", every))
    same_data = given["dataset"] == backbone["dataset"] and backbone["phases"]
    if not has_test_set and same_data and shared:
        yield (
            f"{key}.classes: {sorted(shared)} are what the backbone {given['backbone']} was "
            "trained on, test examples included; give them different classes"
        )


def _size_faults(
    key: str, study: Reconstruction, setting: Setting, num_features: int
) -> Iterator[str]:
    size = study.set_size(setting)
    if size >= num_features:
        yield (
            f"{key}.heads: heads of {size} examples ({setting.name}) need more features than "
            f"that, the backbone {study.backbone} has {num_features}. Use fewer classes, a smaller "
            "class size or another backbone"
        )
    for split, place in (("train", "train_heads.per_seed"), ("test", "test_heads")):
        number = study.shard_size(setting, split)
        if number < 2:
            yield (
                f"{key}.{place}: leaves {number} heads a permutation at a class size of "
                f"{setting.class_size}. Give at least {2 * setting.class_size}"
            )
        available = _available(study, split)
        if study.task != "identity" and available and number * size > available:
            yield (
                f"{key}.{place}: {number} heads of {size} examples each (class size "
                f"{setting.class_size}) need {number * size} different ones, and {study.dataset} "
                f"has {available} for {split} heads. Give fewer"
            )


def _available(study: Reconstruction, split: str) -> int | None:
    """Examples that heads of a split are trained on, of all classes; None where not known."""
    row = DATASETS[study.dataset]
    if study.test_fraction is None or row.pool_size is None:
        return row.test_size if split == "test" else row.pool_size
    share = study.test_fraction if split == "test" else 1 - study.test_fraction
    return round(share * row.pool_size)


def _test_on_faults(place: str, study: Reconstruction, raw: Mapping[str, Any]) -> Iterator[str]:
    others = [name for name in raw["reconstructions"] if name != study.name]
    if study.test_on not in others:
        yield f"{place}: {unknown('other reconstruction', study.test_on, others)}"
        return
    if raw["reconstructions"][study.test_on]["dataset"] not in DATASETS:
        return  # has been said there
    other = Reconstruction.of(study.test_on, raw["reconstructions"][study.test_on])
    if study.sweep or other.sweep:
        yield f"{place}: is for reconstructions without a sweep, here and there"
        return
    for what, here, there in (
        ("backbone", study.backbone, other.backbone),
        ("task", study.task, other.task),
        ("classes", study.num_groups, other.num_groups),
        ("class size", study.settings[0].class_size, other.settings[0].class_size),
        ("hidden units", study.heads["hidden"], other.heads["hidden"]),
    ):
        if here != there:
            yield (
                f"{place}: heads of {other.name} are of another kind, {what} {there} instead of "
                f"{here}. Name a reconstruction that agrees"
            )
    if study.membership_seeds:
        yield (
            f"{place.rpartition('.')[0]}.membership_seeds: with test_on there is no membership "
            "attack, it would be on other heads; set it to 0"
        )
    if study.dataset == other.dataset and DATASETS[study.dataset].test_size == 0:
        for key in ("seed", "classes", "test_fraction", "random_labels"):
            here, there = getattr(study, key), getattr(other, key)
            if here != there:
                yield (
                    f"{place}: {other.name} has {key} {there}, and this reconstruction {here}; "
                    f"with another one, examples of {study.dataset} that the one tests on are "
                    "trained on by the other. Give both the same"
                )
