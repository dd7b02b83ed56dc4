"""Checks of what a study takes from another one: its shadows, or an order of the examples."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from shadowmill.attacks import ATTACKS
from shadowmill.config.messages import unknown
from shadowmill.scores.arrays import CURVATURES, on_request

# What studies that share their shadows must agree in.
_OF_SHADOWS = (
    "recipe",
    "fine_tune",
    "protocol",
    "validation",
    "seed",
    "num_shadows",
    "models_per_job",
    "defenses",
    "queries",
    "curvature",
)


def shadow_faults(place: str, name: str, studies: Mapping[str, Any]) -> Iterator[str]:
    """Faults of `shadows`: another study that trains others than this one would."""
    study = studies[name]
    if "shadows" not in study:
        return
    others = [other for other in studies if other != name]
    if study["shadows"] not in others:
        yield f"{place}: {unknown('other study', study['shadows'], others)}"
        return
    other = studies[study["shadows"]]
    if "shadows" in other:
        yield f"{place}: {study['shadows']} has its own from {other['shadows']}; name that one"
    for key in _OF_SHADOWS:
        if study.get(key) != other.get(key):
            yield (
                f"{place}: {study['shadows']} has {key} {other.get(key)}, this study "
                f"{study.get(key)}. Shadows can be shared where they agree"
            )
    for method in sorted({name.split("-")[0] for name in study["variants"]}):
        if study["pruning"].get(method) != other["pruning"].get(method):
            yield (
                f"{place}: {study['shadows']} prunes {method} by {other['pruning'].get(method)}, "
                f"this study by {study['pruning'].get(method)}. Shadows can be shared where they "
                "agree"
            )
    for key in ("datasets", "architectures", "variants"):
        missing = [part for part in study[key] if part not in other[key]]
        if missing:
            yield f"{place}: {study['shadows']} lacks {', '.join(missing)} among its {key}"
    needed, there = (_arrays(attacks) for attacks in (study["attacks"], other["attacks"]))
    if lacking := [array for array in needed if array not in there]:
        yield (
            f"{place}: the scores of {study['shadows']} have no {', '.join(lacking)}, which "
            "attacks of this study need; list one of them there too"
        )


def _arrays(attacks: Iterable[str]) -> list[str]:
    """What the models are asked for by some attacks alone."""
    return on_request(need for name in attacks if name in ATTACKS for need in ATTACKS[name].needs)


def order_faults(place: str, name: str, studies: Mapping[str, Any]) -> Iterator[str]:
    """Faults of an order by the curvature that another study finds."""
    scores = studies[name].get("subsets", {}).get("scores", "")
    parts = scores.split("/")
    if parts[0] != "results" or parts[-1] != "mean_curvature.csv" or len(parts) != 6:
        return
    other, dataset = parts[1:3]
    if other not in studies:
        yield f"{place}: {unknown('study', other, studies)}"
        return
    if dataset not in studies[name]["datasets"]:
        yield f"{place}: {scores} is about {dataset}, the study about other data"
    if not set(CURVATURES.values()) & set(_arrays(studies[other]["attacks"])):
        yield (
            f"{place}: no attack of {other} looks at curvature, so it has none; list one, for "
            "example curvature_nll, under its attacks"
        )
