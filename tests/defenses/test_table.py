import subprocess
import sys

import pytest

from shadowmill.defenses import DEFENSES, effective_recipe


def test_who_needs_validation_examples():
    needing = {name for name, row in DEFENSES.items() if row.needs_validation}
    assert needing == {"adversarial", "early_stopping"}


def test_titles_are_distinct():
    assert len({row.title for row in DEFENSES.values()}) == len(DEFENSES)


@pytest.mark.parametrize(
    ("name", "value", "changed"),
    [
        ("label_smoothing", 0.1, {"label_smoothing": 0.1}),
        ("weight_decay", 0.01, {"weight_decay": 0.01}),
        ("early_stopping", 5.0, {"early_stopping": {"patience": 5.0}}),
        ("ppb", 4.0, {}),
        ("relaxloss", 1.0, {}),
        ("adversarial", 3.0, {}),
        ("dp_sgd", 8.0, {}),
        ("none", 0.0, {}),
    ],
)
def test_settings_as_defences_change_their_key_alone(name, value, changed):
    recipe = {"epochs": 3, "label_smoothing": 0.0, "weight_decay": 5e-4}
    before = dict(recipe)
    assert effective_recipe(recipe, {"name": name, "value": value}) == recipe | changed
    assert recipe == before


def test_a_nested_key_keeps_its_siblings():
    recipe = {"early_stopping": {"patience": 1, "other": 2}}
    changed = effective_recipe(recipe, {"name": "early_stopping", "value": 7.0})
    assert changed == {"early_stopping": {"patience": 7.0, "other": 2}}
    assert recipe == {"early_stopping": {"patience": 1, "other": 2}}


def test_import_is_light():
    """The workflow reads the names while it is parsed."""
    code = (
        "import sys, shadowmill.defenses;"
        "print([m for m in ('torch', 'torchvision', 'opacus', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
