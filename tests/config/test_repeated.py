"""A key that is written twice: YAML keeps the last and says nothing."""

import re
from pathlib import Path

import pytest
import yaml

from shadowmill.config import load
from shadowmill.config.repeated import repeated_keys
from shadowmill.errors import ConfigError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def faults(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def found(text, name="config.yaml"):
        (tmp_path / name).write_text(text)
        return list(repeated_keys(tmp_path / name))

    return found


def fault(key, lines, name="config.yaml"):
    return (
        f"{key}: written more than once, in lines {lines} of {name}; only the last would count. "
        "Rename or delete the others"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: 2\na: 3\n", fault("a", "1 and 3")),
        ("studies:\n  one: {x: 1}\n\n  one:\n    x: 2\n", fault("studies.one", "2 and 4")),
        ("a:\n  b:\n  - {c: 1}\n  - {c: 1, d: 2, c: 3}\n", fault("a.b[1].c", "4 and 4")),
        ("a: 1\n'a': 2\n", fault("a", "1 and 2")),
        ("a: 1\na: 2\na: 3\n", fault("a", "1, 2 and 3")),
        ("x: &x\n  a: 1\n  a: 2\ny: *x\nz: *x\n", fault("x.a", "2 and 3")),
        ("x: &x {a: 1}\ny:\n  <<: *x\n  a: 2\n  a: 3\n", fault("y.a", "4 and 5")),
    ],
)
def test_both_lines_are_told_at_every_level(faults, text, expected):
    assert faults(text) == [expected]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a: {b: 1}\nc: {b: 1}\n",
        "- {a: 1}\n- {a: 1}\n",
        "x: &x {a: 1, b: 2}\ny:\n  <<: *x\n  a: 3\n",
        "x: &x {a: 1}\ny: &y {b: 1}\nz:\n  <<: [*x, *y]\n  a: 3\n",
        "x: &x {a: 1}\ny: *x\nz: *x\n",
    ],
)
def test_merging_and_overriding_what_was_merged_are_legal(faults, text):
    assert faults(text) == []


def test_json_with_tabs(faults):
    text = '{\n\t"a": {"b": 1},\n\t"a": 2\n}\n'
    assert faults(text, "c.json") == [fault("a", "2 and 3", "c.json")]


def test_a_study_that_was_copied_and_not_renamed_is_refused_with_all_other_faults(raw, tmp_path):
    path = tmp_path / "config.yaml"
    text = yaml.safe_dump(raw, sort_keys=False)
    block = re.search(r"^  main:\n(    .*\n|  - .*\n)+", text, re.MULTILINE)[0]
    text = text.replace("studies:\n", f"studies:\n{block}")
    path.write_text(text.replace("build:\n- main", "build:\n- mane"))
    with pytest.raises(ConfigError) as caught:
        load(yaml.safe_load(path.read_text()), ROOT / "rules/config.schema.yaml", [path])
    head, first, second = str(caught.value).splitlines()
    assert "2 faults" in head
    assert first.startswith("  studies.main: written more than once, in lines ")
    assert "build[0]" in second


@pytest.mark.parametrize(
    "path",
    [ROOT / "workflow_config.yaml", *ROOT.glob("rules/*.yaml"), *ROOT.glob("profiles/*/*.yaml")],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_no_shipped_file_has_a_key_twice(path):
    assert list(repeated_keys(path)) == []
