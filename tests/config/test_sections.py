"""What values become, and the page that lists all keys."""

from pathlib import Path

import pytest

from shadowmill.config.reference import reference


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("recipes.short.learning_rate", "1e-3", 0.001),  # text to YAML 1.1
        ("recipes.short.epochs", "8", 8),
        ("studies.main.models_per_job", "4", 4),
        ("keep_models", "false", False),
        ("recipes.short.nesterov", "True", True),
    ],
)
def test_values_that_are_handed_over_as_text_mean_what_they_say(
    raw, change, read, key, text, value
):
    change(key, text)
    read(raw)
    found = raw
    for part in key.split("."):
        found = found[part]
    assert found == value
    assert type(found) is type(value)


def test_paths_may_start_at_home_or_at_a_variable(raw, read, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SCRATCH", "elsewhere")
    raw["data"] = {"root": "~/data", "roots": {"cifar10": "$SCRATCH/./cifar"}}
    read(raw)
    assert raw["data"]["root"] == f"{tmp_path}/data"
    assert raw["data"]["roots"] == {"cifar10": "elsewhere/./cifar"}


def test_every_key_says_what_it_means_and_the_page_of_all_keys_is_up_to_date():
    page = (Path(__file__).parents[2] / "docs" / "keys.md").read_text(encoding="utf-8")
    assert page == reference(), "run make keys"
    assert " |  |" not in page
