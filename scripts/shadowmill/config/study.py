"""Typed view of a validated configuration."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from shadowmill.pruning import METHODS


@dataclass(frozen=True)
class Variant:
    """How a model is made.

    Attributes:
        method: `dense` or a pruning method.
        sparsity: fraction of the prunable weights that are zero in the end; 0 for `dense`.
    """

    method: str
    sparsity: float

    @classmethod
    def parse(cls, name: str) -> "Variant":
        """Read a variant's name.

        Raises:
            ValueError: the name is not `dense` or METHOD-SPARSITY with a known method and
                0 < sparsity < 1 in shortest notation.
        """
        if name == "dense":
            return cls("dense", 0.0)
        known = f"Known: dense, {', '.join(f'{method}-SPARSITY' for method in METHODS)}"
        method, separator, number = name.partition("-")
        if method not in METHODS or not separator:
            raise ValueError(f"unknown variant. {known}")
        try:
            sparsity = float(number)
        except ValueError:
            raise ValueError(
                f"{number!r} is not a sparsity. {known}, for example {method}-0.9"
            ) from None
        if not 0 < sparsity < 1:
            raise ValueError(f"sparsity {number} must lie strictly between 0 and 1")
        shortest = f"{sparsity:.6g}"
        if float(shortest) != sparsity:
            raise ValueError("sparsities have at most six digits")
        if number != shortest:
            # One variant must not have two names: it would be trained twice.
            raise ValueError(f"write it {method}-{shortest}")
        return cls(method, sparsity)

    @property
    def name(self) -> str:
        """The name that `parse` reads."""
        return self.method if self.method == "dense" else f"{self.method}-{self.sparsity:.6g}"

    @property
    def defense(self) -> str:
        """Name of the defence the models are trained with."""
        return "none"


@dataclass(frozen=True)
class Cell:
    """One configuration of a study: what all its models have in common."""

    study: str
    dataset: str
    architecture: str
    variant: str

    @property
    def path(self) -> tuple[str, str, str]:
        """Data set, architecture and variant: where it stands within its study."""
        return self.dataset, self.architecture, self.variant

    @property
    def folder(self) -> str:
        """Where its files lie, below results/."""
        return "/".join((self.study, *self.path))


@dataclass(frozen=True)
class Study:
    """One block of `studies:` with the recipe it names."""

    name: str
    datasets: tuple[str, ...]
    architectures: tuple[str, ...]
    variants: tuple[Variant, ...]
    recipe: Mapping[str, Any]
    protocol: str
    seed: int
    target_seeds: tuple[int, ...]
    num_shadows: int
    models_per_job: int
    pruning: Mapping[str, Mapping[str, int]]
    queries: Mapping[str, Any]
    attacks: tuple[str, ...]

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
        """The variant of that name."""
        return next(variant for variant in self.variants if variant.name == name)

    @cached_property
    def shadow_blocks(self) -> tuple[str, ...]:
        """Names of the blocks of shadow models: `shadow-00` and so on."""
        return tuple(f"shadow-{b:02d}" for b in range(self.num_shadows // self.models_per_job))

    @cached_property
    def targets(self) -> dict[str, int]:
        """Name to seed of the target models. Each is a block of its own."""
        return {f"target-{seed}": seed for seed in self.target_seeds}

    @cached_property
    def blocks(self) -> tuple[str, ...]:
        """Names of all blocks, targets first."""
        return (*self.targets, *self.shadow_blocks)

    def models(self, block: str) -> list[str]:
        """Names of the models of a block."""
        return [block] if block in self.targets else shadow_names(block, self.models_per_job)

    def keys(self, block: str) -> dict[str, list[str | int]]:
        """For each model of a block what its members and its seed are drawn from."""
        if block in self.targets:
            return {block: ["target", self.targets[block]]}
        first = int(block.removeprefix("shadow-")) * self.models_per_job
        return {name: ["shadow", first + slot] for slot, name in enumerate(self.models(block))}

    def training_settings(self, architecture: str, variant: str) -> dict[str, Any]:
        """What determines the models of a configuration, but for their data and their seeds."""
        chosen = self.variant(variant)
        return {
            "architecture": architecture,
            "recipe": dict(self.recipe),
            "pruning": {
                "method": chosen.method,
                "sparsity": chosen.sparsity,
                **self.pruning.get(chosen.method, {}),
            },
            "protocol": self.protocol,
            "seed": self.seed,
        }


def shadow_names(block: str, models_per_job: int) -> list[str]:
    """Names of the slots of a block of shadow models, all of one length."""
    width = len(str(models_per_job - 1))
    return [f"{block}-{slot:0{width}d}" for slot in range(models_per_job)]


@dataclass(frozen=True)
class Config:
    """The whole configuration."""

    build: tuple[str, ...]
    keep_models: bool
    studies: Mapping[str, Study]
