"""What a study is too small for is said, and does not stop it."""

import pytest

from shadowmill.config.limits import limits


def said_of(raw, study, **changes):
    raw["studies"]["other"] |= {"models_per_job": 2} | changes
    return list(limits(study("other")))


def test_enough_shadows_are_passed_over_in_silence(raw, study):
    attacks = ["lira_online", "rmia_online", "entropy_per_class", "loss"]
    assert said_of(raw, study, num_shadows=6, attacks=attacks) == []


@pytest.mark.parametrize(
    ("attack", "num_shadows", "validation", "needed"),
    [("lira_online", 4, 0, 6), ("lira_online", 6, 0.2, 6), ("entropy_per_class", 2, 0, 3)],
)
def test_shadows_that_are_too_few_for_each_other(
    raw, study, attack, num_shadows, validation, needed
):
    changes = {"num_shadows": num_shadows, "validation": validation, "attacks": [attack, "loss"]}
    assert said_of(raw, study, **changes) == [
        f"studies.other.num_shadows: {num_shadows} are too few to be attacked with each other by "
        f"{attack}, which takes {needed}. It is judged by the targets alone, and has no metrics at "
        "thresholds of the shadows."
    ]
