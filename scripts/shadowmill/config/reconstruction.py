"""Typed view of reconstruction studies: what heads are trained, and where their files lie."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from shadowmill.data import DATASETS
from shadowmill.errors import ConfigError

# The heads of learning curves: few, on a permutation of their own, so that more test heads do not
# train the reconstructor again.
VALIDATION_SHARD = "test-9999"
TEST_SHARD = "test-0000"
_VALIDATION_HEADS = 100


@dataclass(frozen=True)
class Setting:
    """One way to train heads: a point of a study's sweep.

    Attributes:
        name: of its folder: PARAMETER-VALUE, or `default` if the study has no sweep.
        parameter: what is swept; empty if nothing is.
        value: of that parameter; empty likewise.
        heads: the settings of the heads, with `class_size`.
    """

    name: str
    parameter: str
    value: str | float
    heads: Mapping[str, Any]

    @property
    def class_size(self) -> int:
        """c, training examples of each class."""
        return self.heads["class_size"]


@dataclass(frozen=True)
class Reconstruction:
    """One block of `reconstructions:`."""

    name: str
    backbone: str
    dataset: str
    classes: tuple[int, ...]
    task: str
    positive: tuple[int, ...]
    seed: int
    heads: Mapping[str, Any]
    train_heads: Mapping[str, int]
    test_heads: int
    membership_seeds: int
    materialise: bool
    stream: bool
    reconstructor: Mapping[str, Any]
    nearest_quantile: float
    random_labels: int | None = None
    test_fraction: float | None = None
    sweep: Mapping[str, Any] | None = None
    threshold: float | None = None
    test_on: str | None = None

    @classmethod
    def of(cls, name: str, raw: Mapping[str, Any]) -> "Reconstruction":
        """Read a validated block with its defaults."""
        given = {key: value for key, value in raw.items() if key != "description"}
        every = () if raw["task"] == "identity" else range(DATASETS[raw["dataset"]].num_classes)
        given["classes"] = tuple(raw.get("classes", every))
        given["positive"] = tuple(raw.get("positive", ()))
        return cls(name=name, **given)

    @cached_property
    def settings(self) -> tuple[Setting, ...]:
        """All points of the sweep."""
        if not self.sweep:
            return (Setting("default", "", "", self.heads),)
        ((parameter, values),) = self.sweep.items()
        return tuple(
            Setting(
                f"{parameter}-{value}",
                parameter,
                value,
                with_value(self.heads, parameter, value),
            )
            for value in values
        )

    def setting(self, name: str) -> Setting:
        """The setting of that name.

        Raises:
            ConfigError: the study has no such setting; another one may.
        """
        for setting in self.settings:
            if setting.name == name:
                return setting
        known = ", ".join(setting.name for setting in self.settings)
        raise ConfigError(
            f"reconstructions.{self.name}: has no setting {name!r}. Ask for one of {known}, or add "
            "it to the sweep."
        )

    def folder(self, setting: str) -> str:
        """Where the files of a setting lie, below results/."""
        return f"{self.name}/{setting}"

    @property
    def num_groups(self) -> int:
        """K, groups of training examples that a head's set consists of (without negatives)."""
        return self.random_labels or len(self.classes) or 1

    def set_size(self, setting: Setting) -> int:
        """N, training examples of a head; an identity has nine others for each of its own."""
        groups = 10 if self.task == "identity" else self.num_groups
        return groups * setting.class_size

    def _per_class_size(self, setting: Setting) -> int:
        # Persons are not used up by larger sets, the examples of a class are.
        return 1 if self.task == "identity" else setting.class_size

    def train_shards(self, setting: Setting) -> list[str]:
        """Names of the shards that the reconstructor learns from."""
        seeds = self.train_heads["seeds"] * self._per_class_size(setting)
        return [f"train-{seed:04d}" for seed in range(seeds)]

    def membership_shards(self) -> list[str]:
        """Names of the shards of the membership attack, its target first; empty without one."""
        seeds = 1 + self.membership_seeds
        return [f"test-{seed:04d}" for seed in range(seeds)] if self.membership_seeds else []

    def shard_size(self, setting: Setting, shard: str) -> int:
        """Number of heads of a shard, by its name."""
        heads = self.train_heads["per_seed"] if shard.startswith("train") else self.test_heads
        if shard == VALIDATION_SHARD:
            heads = min(heads, _VALIDATION_HEADS)
        return heads // self._per_class_size(setting)

    def set_settings(self, setting: Setting) -> dict[str, Any]:
        """What the sets of training examples are drawn from."""
        return {
            "task": self.task,
            "classes": list(self.classes),
            "positive": list(self.positive),
            "random_labels": self.random_labels,
            "class_size": setting.class_size,
            "test_fraction": self.test_fraction,
            "seed": self.seed,
        }

    def head_settings(self, setting: Setting) -> dict[str, Any]:
        """How heads are trained."""
        given = dict(setting.heads)
        class_size, per_class_size = given.pop("class_size"), given.pop("epochs_per_class_size")
        privacy = given.pop("privacy", None)
        if privacy is not None and "delta" not in privacy:
            privacy = dict(privacy) | {"delta": self.set_size(setting) ** -1.1}
        return given | {
            "epochs": given["epochs"] + per_class_size * class_size,
            "outputs": self.num_groups if self.task == "multiclass" else 1,
            "restart": given.get("restart"),
            "privacy": privacy,
        }

    def reconstructor_settings(self) -> dict[str, Any]:
        """How the reconstructor is trained."""
        optional = {"perceptual": None, "stream": self.stream, "seed": self.seed}
        return optional | dict(self.reconstructor)


def with_value(heads: Mapping[str, Any], parameter: str, value: Any) -> dict[str, Any]:
    """Settings of heads with one of them replaced."""
    if parameter == "noise_multiplier":
        return dict(heads) | {"privacy": dict(heads["privacy"]) | {parameter: value}}
    return dict(heads) | {parameter: value}
