"""The rows of the package's tables that a study uses, for digests of its code."""

from collections.abc import Iterable, Mapping
from typing import Any

from shadowmill.architectures import ARCHITECTURES
from shadowmill.attacks import ATTACKS
from shadowmill.config.study import Study
from shadowmill.data import DATASETS
from shadowmill.defenses import DEFENSES
from shadowmill.pruning import METHODS
from shadowmill.scores.arrays import ARRAYS
from shadowmill.sources import Tables

_TABLES: dict[str, Mapping[str, Any]] = {
    "shadowmill.architectures.ARCHITECTURES": ARCHITECTURES,
    "shadowmill.attacks.ATTACKS": ATTACKS,
    "shadowmill.data.DATASETS": DATASETS,
    "shadowmill.defenses.DEFENSES": DEFENSES,
    "shadowmill.pruning.METHODS": METHODS,
    "shadowmill.scores.arrays.ARRAYS": ARRAYS,
}


def tables_of_study(study: Study, attacks: Iterable[str]) -> Tables:
    """The rows that a job of a study looks up, by the full name of their table.

    Data sets and networks of the user's own are in no table.

    Args:
        study: the study.
        attacks: those of its attacks that the job is about.
    """
    attacks = [*attacks]
    names = {
        *study.datasets,
        *study.architectures,
        *attacks,
        *(need for attack in attacks for need in ATTACKS[attack].needs),
        *(name for name, row in ARRAYS.items() if row.given == "always"),
        *(part for variant in study.variants for part in (variant.method, variant.defense)),
    }
    return {
        full: {name: row for name, row in table.items() if name in names}
        for full, table in _TABLES.items()
    }


def tables_of_datasets(names: Iterable[str]) -> Tables:
    """The same for a job that looks up nothing but data sets."""
    return {"shadowmill.data.DATASETS": {name: DATASETS[name] for name in names}}
