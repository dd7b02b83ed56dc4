"""Typed view of a validated configuration."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from shadowmill.architectures import Architecture
from shadowmill.architectures.own import OwnArchitecture
from shadowmill.attacks import ATTACKS
from shadowmill.attacks.lira import required_shadows
from shadowmill.attacks.pairs import MODE
from shadowmill.config.reconstruction import Reconstruction
from shadowmill.data import Dataset
from shadowmill.errors import ConfigError
from shadowmill.names import Cell, Variant, shadow_names
from shadowmill.pruning import METHODS
from shadowmill.roles.splits import complete_shadows
from shadowmill.scores.arrays import CURVATURES, on_request


@dataclass(frozen=True)
class Study:
    """One block of `studies:` with the data sets and the recipes it names."""

    name: str
    datasets: Mapping[str, Dataset]
    architectures: Mapping[str, Architecture]
    variants: tuple[Variant, ...]
    recipe: Mapping[str, Any]
    protocol: str
    validation: float
    seed: int
    target_seeds: tuple[int, ...]
    num_shadows: int
    models_per_job: int
    adversaries: tuple[str, ...]
    unhealthy_shadows: str
    pruning: Mapping[str, Mapping[str, Any]]
    defenses: Mapping[str, Mapping[str, Any]]
    queries: Mapping[str, Any]
    curvature: Mapping[str, Any]
    attacks: tuple[str, ...]
    fine_tune: Mapping[str, Any] | None = None
    subsets: Mapping[str, Any] | None = None
    shadows: str | None = None
    imports: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """All configurations: data set × architecture × variant."""
        return tuple(
            Cell(self.name, dataset, architecture, variant.name)
            for dataset in self.datasets
            for architecture in self.architectures
            for variant in self.variants
        )

    def variant(self, name: str) -> Variant:
        """The variant of that name.

        Raises:
            ConfigError: the study has no such variant; another one may.
        """
        for variant in self.variants:
            if variant.name == name:
                return variant
        known = ", ".join(variant.name for variant in self.variants)
        raise ConfigError(
            f"studies.{self.name}.variants: {name!r} is not among them. Ask for one of {known}, or "
            "add it."
        )

    def shadow_variant(self, variant: str, adversary: str) -> str:
        """The variant whose shadows an adversary attacks the targets of a variant with.

        An adaptive adversary trains shadows as the targets were trained; a non-adaptive one does
        not know of the defence; one with `original` shadows only knows the dense models.
        """
        match adversary:
            case "adaptive":
                return variant
            case "non_adaptive":
                return self.variant(variant).undefended.name
        return "dense"

    def adversaries_of(self, variant: str) -> tuple[str, ...]:
        """The adversaries that a variant's targets face, each once.

        Who would train the same shadows as the adaptive one is the adaptive one.
        """
        return tuple(
            dict.fromkeys(
                adversary if self.shadow_variant(variant, adversary) != variant else "adaptive"
                for adversary in self.adversaries
            )
        )

    @property
    def shadow_study(self) -> str:
        """Name of the study that trains the shadows: this one, or one that they are shared with."""
        return self.shadows or self.name

    @cached_property
    def own_shadow_cells(self) -> tuple[Cell, ...]:
        """The configurations with shadows of their own kind, which can speak of their examples."""
        return tuple(c for c in self.cells if "adaptive" in self.adversaries_of(c.variant))

    @cached_property
    def shadow_blocks(self) -> tuple[str, ...]:
        """Names of the blocks of shadow models: `shadow-00` and so on."""
        return tuple(f"shadow-{b:02d}" for b in range(self.num_shadows // self.models_per_job))

    @cached_property
    def targets(self) -> dict[str, list[str | int]]:
        """Name of each target model to what its members are drawn from; each is its own block."""
        if self.subsets:
            return {
                f"target-{seed}-{size}": ["prefix", seed, size]
                for seed in self.target_seeds
                for size in self.subsets["sizes"]
            }
        seeds = {f"target-{seed}": ["target", seed] for seed in self.target_seeds}
        return seeds | {f"target-{name}": ["given", name] for name in self.given}

    @cached_property
    def given(self) -> dict[str, dict[str, str]]:
        """Name of each imported target to the files that list its members and what it never saw."""
        return {
            name: {key: model[key] for key in ("members", "held_out") if key in model}
            for of_variant in self.imports.values()
            for name, model in of_variant["targets"].items()
        }

    def imported(self, variant: str, model: str) -> Mapping[str, Any] | None:
        """What is said of a target of a variant that is brought in; None if it is trained here."""
        models = self.imports.get(variant, {}).get("targets", {})
        return models.get(model.removeprefix("target-"))

    def blocks(self, variant: str) -> tuple[str, ...]:
        """Names of all blocks that are trained of a variant, targets first."""
        has_own = "adaptive" in self.adversaries_of(variant) and self.shadows is None
        return (*self.targets, *(self.shadow_blocks if has_own else ()))

    def models(self, block: str) -> list[str]:
        """Names of the models of a block."""
        return [block] if block in self.targets else shadow_names(block, self.models_per_job)

    def keys(self, block: str) -> dict[str, list[str | int]]:
        """For each model of a block what its members and its seed are drawn from."""
        if block in self.targets:
            return {block: self.targets[block]}
        first = int(block.removeprefix("shadow-")) * self.models_per_job
        return {name: ["shadow", first + slot] for slot, name in enumerate(self.models(block))}

    @property
    def compares_examples(self) -> bool:
        """Whether some shadows trained on each example and some did not."""
        return self.protocol == "half"

    @cached_property
    def fast_attacks(self) -> tuple[str, ...]:
        """The attacks that are quickly run again with fewer shadows."""
        return tuple(name for name in self.attacks if ATTACKS[name].learns and ATTACKS[name].fast)

    @cached_property
    def attack_pairs(self) -> tuple[tuple[str, str], ...]:
        """Attacks on curvature and φ together, each with the LiRA that it should beat."""
        rivals = [name for name in ("lira_online", "lira_fixed") if name in self.attacks]
        joint = [name for name in self.attacks if name.startswith("curvature_lira")]
        return tuple((attack, rival) for attack in joint for rival in rivals)

    @property
    def audits_privacy(self) -> bool:
        """Whether some variants claim differential privacy, and shadows can put it to the test."""
        left = complete_shadows(self.num_shadows, self.validation)
        return (
            any(variant.defense == "dp_sgd" for variant in self.variants)
            and self.compares_examples
            and not self.subsets
            and not self.given  # what was done elsewhere is not known
            and not any(row.has_groups for row in self.datasets.values())
            and left >= required_shadows(MODE)
        )

    @property
    def privacy_budgets(self) -> bool:
        """Whether some variants are named after a privacy budget ε."""
        private = any(variant.defense == "dp_sgd" for variant in self.variants)
        return private and self.defenses["dp_sgd"]["strength"] == "epsilon"

    def num_examples(self, dataset: str) -> int | None:
        """Number of examples that roles are for; None where only the user's files know it."""
        row = self.datasets[dataset]
        if self.given:
            return None
        if row.pool_size is None or self.protocol == "half":
            return row.pool_size
        return row.pool_size + row.test_size

    def is_fine_tuned(self, variant: str) -> bool:
        """Whether the models of a variant start from those of `dense`."""
        return self.fine_tune is not None and variant != "dense"

    @cached_property
    def score_settings(self) -> dict[str, Any]:
        """What models are asked."""
        arrays = on_request(need for name in self.attacks for need in ATTACKS[name].needs)
        asked = {"queries": dict(self.queries), "arrays": arrays}
        return asked | ({"curvature": self.curvature} if self.curvature_estimators else {})

    @cached_property
    def curvature_estimators(self) -> tuple[str, ...]:
        """The estimators of curvature that the attacks of the study use, in their order."""
        used = [
            estimator
            for attack in self.attacks
            for estimator, array in CURVATURES.items()
            if array in ATTACKS[attack].needs
        ]
        return tuple(dict.fromkeys(used))

    def training_settings(self, architecture: str, variant: str) -> dict[str, Any]:
        """What determines the models of a configuration, but for their data and their seeds."""
        chosen, row = self.variant(variant), self.architectures[architecture]
        fine_tuned = self.is_fine_tuned(variant)
        return {
            "architecture": architecture,
            **({"network": row.given} if isinstance(row, OwnArchitecture) else {}),
            "recipe": dict(self.fine_tune if fine_tuned else self.recipe),
            "pruning": self._pruning_settings(chosen),
            "defense": self._defense_settings(chosen),
            "pretraining": self.training_settings(architecture, "dense") if fine_tuned else None,
            "protocol": self.protocol,
            "seed": self.seed,
        }

    def _pruning_settings(self, variant: Variant) -> dict[str, Any]:
        settings = {"method": variant.method, "sparsity": variant.sparsity}
        if variant.method == "dense":
            return settings
        given = dict(self.pruning[variant.method])
        if variant.method in METHODS:
            row = METHODS[variant.method]
            given |= {"criterion": row.criterion, "feedback": row.feedback}
        return settings | {"schedule": "one_shot" if "epoch" in given else "cubic"} | given

    def _defense_settings(self, variant: Variant) -> dict[str, Any]:
        if variant.defense == "none":
            return {"name": "none"}
        settings = {"name": variant.defense, "value": variant.strength}
        return settings | self.defenses.get(variant.defense, {})


@dataclass(frozen=True)
class Config:
    """The whole configuration.

    Attributes:
        build: names of the studies and reconstructions that are built if none is named.
        keep_models: whether models are kept once they are scored.
        studies: by name.
        datasets: all that studies can list, by name.
        architectures: likewise.
        backbones: settings of each, by name.
        reconstructions: by name.
    """

    build: tuple[str, ...]
    keep_models: bool
    studies: Mapping[str, Study]
    datasets: Mapping[str, Dataset]
    architectures: Mapping[str, Architecture]
    backbones: Mapping[str, Mapping[str, Any]]
    reconstructions: Mapping[str, Reconstruction]
