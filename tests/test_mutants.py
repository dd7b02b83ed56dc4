"""Mutants: what is changed, what is left alone, and who is caught."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "benchmarks"))

import mutants  # noqa: E402

SMALL = '''"""2 + 2."""
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy


def clip(x: "list[2]", top: int = 5) -> int:
    """1 < 2."""
    if x < 0:
        raise ValueError(f"{x} is below {1 - 1}, expected 0")
    if x > top:
        log.info("above %s", 3)
        return top
    return x
'''


def test_what_is_changed_and_what_is_not():
    assert [(each.line, each.change) for each in mutants.mutants("small.py", SMALL)] == [
        (8, "5 to 6"),
        (10, "condition negated"),
        (10, "Lt to LtE"),
        (10, "0 to 1"),
        (12, "condition negated"),
        (12, "Gt to GtE"),
        (14, "return None"),
        (15, "return None"),
    ]


@pytest.mark.parametrize(
    ("code", "changed"),
    [
        ("a == b", {"a != b"}),
        ("a < b <= c", {"a <= b <= c", "a < b < c"}),
        ("a - b", {"a + b"}),
        ("a * b", {"a / b"}),
        ("a & b", {"a | b"}),
        ("a and b", {"a or b"}),
        ("f(x, k=True)", {"f(x, k=False)"}),
        ("zip(a, b, strict=True)", set()),
        ("not a", {"not not a"}),
        ("-a", {"--a"}),
        ("a += 2", {"a -= 2", "a += 3"}),
        ("[x for x in y if x]", {"[x for x in y if not x]"}),
        ("b if a else c", {"b if not a else c"}),
        ("x: Annotated[int, 3] = 4", {"x: Annotated[int, 3] = 5"}),
        ("while a is None: pass", {"while a is not None: pass"}),
    ],
)
def test_each_change(code, changed):
    count = len(mutants.mutants("small.py", code))
    found = {mutants.mutated(code, number) for number in range(count)}
    assert found == {ast.unparse(ast.parse(each)) for each in changed}
    assert len(found) == count
    assert mutants.mutated(code, None) == ast.unparse(ast.parse(code))


def test_the_caught_and_the_survivors_are_told_apart(tmp_path):
    package = tmp_path / "scripts" / "shadowmill"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    source = "def is_more(x, y):\n    return x > y\n"
    (package / "small.py").write_text(source)
    (tmp_path / "tests").mkdir()
    test = "from shadowmill.small import is_more\n\n\ndef test():\n    assert is_more(2, 1)\n"
    (tmp_path / "tests" / "test_small.py").write_text(test)
    table = {"small.py": ("test_small.py",)}
    possible = mutants.all_mutants(tmp_path, table)
    assert [each.change for each in possible] == ["return None", "Gt to GtE"]
    found = list(mutants.verdicts(tmp_path, possible, table))
    assert found == [(possible[0], True), (possible[1], False)]
    assert (package / "small.py").read_text() == source


def test_the_tests_of_all_modules_are_there():
    package = ROOT / "scripts" / "shadowmill"
    assert all((package / module).exists() for module in mutants.TESTS)
    assert all((ROOT / "tests" / each).exists() for row in mutants.TESTS.values() for each in row)


def test_all_equivalents_are_mutants():
    package = ROOT / "scripts" / "shadowmill"
    for module, text, change in mutants.EQUIVALENT:
        every = mutants.mutants(module, (package / module).read_text(encoding="utf-8"))
        assert (text, change) in {(each.text, each.change) for each in every}, (module, text)
