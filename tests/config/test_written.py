"""What YAML reads otherwise than it is written, and says nothing: keys given twice, 010, 1:30."""

import re
from pathlib import Path

import pytest
import yaml

from shadowmill.config import load
from shadowmill.config.written import misreadings, require_text
from shadowmill.errors import ConfigError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def faults(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def found(text, name="config.yaml"):
        (tmp_path / name).write_text(text)
        return list(misreadings(tmp_path / name))

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
        load(yaml.safe_load(path.read_text()), [path])
    head, first, second = str(caught.value).splitlines()
    assert "2 faults" in head
    assert first.startswith("  studies.main: written more than once, in lines ")
    assert "build[0]" in second


@pytest.mark.parametrize(
    ("written", "value"),
    [("010", 8), ("-017", -15), ("0_7", 7), ("1:30", 90), ("1:30.5", 90.5), ("1:01:00", 3660)],
)
def test_a_number_that_yaml_takes_for_another_is_told(faults, written, value):
    assert yaml.safe_load(written) == value
    assert faults(f"a:\n  b: [1, {written}]\n") == [
        f"a.b[1]: {written} in line 2 of config.yaml is {value} to YAML. Write that, or put quotes "
        "around a text"
    ]


@pytest.mark.parametrize(
    "written", ["'010'", "0", "0.5", "08", "1:99", "10", "a:30", "1e3", "0x10"]
)
def test_what_yaml_reads_as_it_is_written_is_no_fault(faults, written):
    assert faults(f"a: {written}\n") == []


def test_a_file_in_another_encoding_is_told_with_the_line(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_bytes("a: 1\nb: été\n".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"config\.yaml: line 2 is not in UTF-8"):
        require_text(path)
    path.write_bytes("a: 1\nb: été\n".encode())
    require_text(path)


@pytest.mark.parametrize(
    "path",
    [ROOT / "workflow_config.yaml", *ROOT.glob("rules/*.yaml"), *ROOT.glob("profiles/*/*.yaml")],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_no_shipped_file_has_a_key_twice_or_a_number_of_two_meanings(path):
    assert list(misreadings(path)) == []
