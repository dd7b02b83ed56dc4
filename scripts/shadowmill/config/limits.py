"""What a study is too small for, and what is shown instead: warnings, not faults."""

from collections.abc import Iterator

from shadowmill.attacks import ATTACKS
from shadowmill.config.study import Study
from shadowmill.roles.splits import complete_shadows


def limits(study: Study) -> Iterator[str]:
    """Say, with its key, what a study is too small for."""
    if study.shadows is None:
        yield from _shadow_limits(study)


def _shadow_limits(study: Study) -> Iterator[str]:
    left_out = 2 if study.compares_examples else 1
    for name in study.attacks:
        row = ATTACKS[name]
        lost = study.validation if row.per_example else 0
        left = complete_shadows(study.num_shadows, lost) if lost else study.num_shadows
        if row.learns and left - left_out < row.min_shadows:
            yield (
                f"studies.{study.name}.num_shadows: {study.num_shadows} are too few to be attacked "
                f"with each other by {name}, which takes {row.min_shadows + left_out}. It is "
                "judged by the targets alone, and has no metrics at thresholds of the shadows."
            )
