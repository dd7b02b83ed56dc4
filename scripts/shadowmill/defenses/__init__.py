"""The table of defences: ways of training that shall leak less about who was trained on.

Snakemake imports this while it parses: what needs torch is in the modules beside this one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Defense:
    """A row of the table.

    Attributes:
        title: for figures.
        argument: what the number after the name means, as in ``dense+ppb-4``.
        recipe_key: the setting of the recipe that the number replaces, levels joined by dots;
            None for a defence that is more than a setting.
        needs_validation: whether it needs examples that are neither members nor queried.
        per_example: whether it looks at the gradient of each example: models are then trained one
            at a time, and without BatchNorm, through which examples act on each other.
    """

    title: str
    argument: str
    recipe_key: str | None
    needs_validation: bool
    per_example: bool = False


DEFENSES: dict[str, Defense] = {
    # Pair-based posterior balancing: Yuan and Zhang 2022, arXiv:2202.03335. λ weighs the KL term.
    "ppb": Defense("PPB", "λ", None, needs_validation=False),
    # Chen, Yu and Fritz 2022, arXiv:2207.05801. α is the loss, in nats, that training aims at.
    "relaxloss": Defense("RelaxLoss", "α", None, needs_validation=False),
    # Nasr, Shokri and Houmansadr 2018, arXiv:1807.05852. λ weighs the gain of the attack.
    "adversarial": Defense("adversarial regularisation", "λ", None, needs_validation=True),
    # Abadi et al. 2016, arXiv:1607.00133. The study says which of the two the number is.
    "dp_sgd": Defense("DP-SGD", "strength", None, needs_validation=False, per_example=True),
    "label_smoothing": Defense(
        "label smoothing", "smoothing", "label_smoothing", needs_validation=False
    ),
    "weight_decay": Defense("weight decay", "decay", "weight_decay", needs_validation=False),
    "early_stopping": Defense(
        "early stopping", "patience", "early_stopping.patience", needs_validation=True
    ),
}


def is_per_example(name: str) -> bool:
    """Whether a defence, or `none`, looks at the gradient of each example."""
    return name != "none" and DEFENSES[name].per_example


def effective_recipe(recipe: Mapping[str, Any], defense: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe with the setting that a defence replaces, if it is a mere setting.

    Args:
        recipe: left unchanged.
        defense: `name`, `none` or a row of the table, and the number `value`.
    """
    changed = dict(recipe)
    key = DEFENSES[defense["name"]].recipe_key if defense["name"] != "none" else None
    if key is None:
        return changed
    *levels, last = key.split(".")
    part = changed
    for level in levels:
        part[level] = dict(part.get(level, {}))
        part = part[level]
    part[last] = defense["value"]
    return changed
