"""Names of the grid, as they stand in paths and tables. Imports nothing, so all can hang on it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Variant:
    """How a model is made.

    Attributes:
        method: `dense` or a pruning method.
        sparsity: fraction of the prunable weights that are zero in the end; 0 for `dense`.
        defense: `none` or a defence.
        strength: the number after the defence's name; 0 for `none`.
    """

    method: str
    sparsity: float = 0.0
    defense: str = "none"
    strength: float = 0.0

    @classmethod
    def parse(cls, name: str) -> "Variant":
        """Read a name of the configuration, which `config.variants.read_variant` has checked.

        It is `dense` or METHOD-SPARSITY, then perhaps `+`DEFENCE-STRENGTH.
        """
        base, _, defended = name.partition("+")
        method, _, sparsity = base.partition("-")
        defense, _, strength = defended.partition("-")
        return cls(method, float(sparsity or 0), defense or "none", float(strength or 0))

    @property
    def name(self) -> str:
        """The name that `parse` reads."""
        base = self.method if self.method == "dense" else f"{self.method}-{self.sparsity:.6g}"
        return base if self.defense == "none" else f"{base}+{self.defense}-{self.strength:.6g}"

    @property
    def undefended(self) -> "Variant":
        """The same without its defence."""
        return Variant(self.method, self.sparsity)


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


def shadow_names(block: str, models_per_job: int) -> list[str]:
    """Names of the slots of a block of shadow models, all of one length."""
    width = len(str(models_per_job - 1))
    return [f"{block}-{slot:0{width}d}" for slot in range(models_per_job)]
