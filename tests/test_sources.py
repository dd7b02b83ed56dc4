"""Digests of code: every edit of what a script uses changes them, and nothing else does."""

import ast
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

import shadowmill
from shadowmill import sources
from shadowmill.attacks import ATTACKS
from shadowmill.sources import definitions, source_digest

SCRIPTS = Path(shadowmill.__file__).parents[1]

CODE = {
    "__init__.py": '__version__ = "1"\n',
    "direct.py": '''
"""Documentation."""
import logging
from shadowmill import progress
from shadowmill.beside import LIMIT as limit, Base
from shadowmill.deep.below import below
from shadowmill.table import ROWS

log = logging.getLogger(__name__)
SIZES = [1, 2]
SIZES += [3]


class Direct(Base):
    """Documentation."""
    size: int = 3
    """Documentation."""


def direct(x, name):
    """Documentation."""
    if x > limit:
        raise ValueError(f"{x} is too large, expected at most {limit}")
    assert x, "nothing"
    log.info("x is %s", x)
    for number in progress.bar(SIZES, desc="bar", unit="word"):
        x += below(number, key="a")
    return Direct(x), ROWS[name].size


def neighbour():
    return 5
''',
    "progress.py": "def bar(items, desc, unit):\n    return items\n",
    "lazy.py": "LAZY = 1\nOTHER = 2\n",
    "whole/__init__.py": "from shadowmill.beside import again as third\n",
    "whole/inner.py": "INNER = 1\n",
    "deep/__init__.py": "",
    "deep/below.py": "import numpy\nnumpy.seterr(all='raise')\ndef below(x, key):\n    return x\n",
    "beside.py": (
        "from shadowmill import direct  # a circle\nLIMIT = 4\n"
        "class Base:\n    def base(self):\n        return direct.SIZES\n"
        "def again():\n    return 1\n"
    ),
    "table.py": "ROWS = {'a': 1, 'b': 2}\n",
    "unrelated.py": "UNRELATED = 1\n",
}
SCRIPT = """
from shadowmill.direct import direct
import shadowmill.whole

def later():
    from shadowmill.lazy import LAZY
    return shadowmill.whole.third(), LAZY

direct(1, later())
"""


def forget():
    for cached in (sources._read, sources._used, sources._named):
        cached.cache_clear()


class Package:
    """A package `shadowmill` in the place of the real one, and a script that uses it."""

    def __init__(self, folder, script, monkeypatch):
        self.folder, self.script, self.monkeypatch = folder, script, monkeypatch

    def digest(self, tables=None):
        self.monkeypatch.setattr(sources, "_PACKAGE_FOLDER", self.folder)
        forget()
        return source_digest(self.script, tables)

    def edit(self, name, old, new):
        path = self.folder / name
        text = path.read_text()
        assert text.count(old) == 1
        path.write_text(text.replace(old, new))


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of a few lines."""
    folder, script = tmp_path / "shadowmill", tmp_path / "script.py"
    for name, text in CODE.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    script.write_text(SCRIPT)
    yield Package(folder, script, monkeypatch)
    forget()


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("direct.py", "x > limit", "x >= limit"),
        ("direct.py", "raise ValueError(", "raise TypeError("),
        ("direct.py", "SIZES += [3]", "SIZES += [4]"),
        ("direct.py", "size: int = 3", "size: int = 4"),
        ("direct.py", "progress.bar(SIZES", "progress.bar(SIZES[1:]"),
        ("direct.py", 'key="a"', 'key="b"'),
        ("direct.py", "assert x,", "assert not x,"),
        ("direct.py", "    log.info(", "    x = x + 1; log.info("),
        ("progress.py", "return items", "return items[1:]"),
        ("beside.py", "LIMIT = 4", "LIMIT = 5"),
        ("beside.py", "return direct.SIZES", "return direct.SIZES[1:]"),
        ("beside.py", "return 1", "return 2"),
        ("whole/__init__.py", "again as third", "Base as third"),
        ("lazy.py", "LAZY = 1", "LAZY = 3"),
        ("deep/below.py", "return x", "return x + 1"),
        ("deep/below.py", "all='raise'", "all='warn'"),
        ("table.py", "'a': 1", "'a': 3"),
    ],
)
def test_an_edit_of_what_a_script_uses_changes_its_digest(package, name, old, new):
    before = package.digest()
    package.edit(name, old, new)
    assert package.digest() != before


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("direct.py", "x > limit", "(x >  # in other words\n limit)"),
        ("direct.py", 'class Direct(Base):\n    """Documentation', 'class Direct(Base):\n    """'),
        ("direct.py", 'f"{x} is too large, expected at most {limit}"', 'f"{limit} < {x}"'),
        ("direct.py", '"nothing"', '"there is nothing"'),
        ("direct.py", '"x is %s"', '"found %s"'),
        ("direct.py", 'desc="bar", unit="word"', 'desc="sizes"'),
        ("direct.py", "return 5", "return 6"),
        ("lazy.py", "OTHER = 2", "OTHER = 3"),
        ("__init__.py", '"1"', '"2"'),
        ("whole/inner.py", "INNER = 1", "INNER = 2"),
        ("unrelated.py", "UNRELATED = 1", "UNRELATED = 2"),
    ],
)
def test_wording_and_what_a_script_does_not_use_change_nothing(package, name, old, new):
    before = package.digest()
    package.edit(name, old, new)
    assert package.digest() == before


def test_the_digest_changes_with_the_script(package):
    before = package.digest()
    package.script.write_text(SCRIPT + "# edited\n")
    assert package.digest() == before
    package.script.write_text(SCRIPT + "direct(2, 'b')\n")
    assert package.digest() != before


def test_the_digest_does_not_depend_on_where_the_checkout_lies(package, tmp_path):
    before = package.digest()
    moved = tmp_path / "another" / "folder"
    shutil.copytree(package.folder, moved / "shadowmill")
    shutil.copy(package.script, moved)
    package.folder, package.script = moved / "shadowmill", moved / "script.py"
    assert package.digest() == before


def rows(**by_name):
    return {"shadowmill.table.ROWS": by_name}


def test_of_a_table_only_the_rows_in_use_count(package):
    before = package.digest(rows(a=1))
    package.edit("table.py", "'b': 2", "'b': 3, 'c': 4")
    assert package.digest(rows(a=1)) == before
    assert package.digest(rows(a=2)) != before
    assert package.digest(rows(b=1)) != before


@pytest.mark.parametrize("use", ["list(ROWS)", "max(ROWS.values())", "{**ROWS}", "ROWS"])
def test_a_table_that_is_not_only_looked_up_in_counts_as_a_whole(package, use):
    package.edit("direct.py", "ROWS[name].size", use)
    before = package.digest(rows(a=1))
    package.edit("table.py", "'b': 2", "'b': 3")
    assert package.digest(rows(a=1)) != before


@pytest.mark.parametrize("use", ["ROWS.get(name)", "name in ROWS", "name not in ROWS", "ROWS[x]"])
def test_looking_something_up(package, use):
    package.edit("direct.py", "ROWS[name].size", use)
    before = package.digest(rows(a=1))
    package.edit("table.py", "'b': 2", "'b': 3")
    assert package.digest(rows(a=1)) == before


def test_a_table_of_no_module_is_refused(package):
    with pytest.raises(ValueError, match=r"there is no ROW in shadowmill\.table"):
        package.digest({"shadowmill.table.ROW": {"a": 1}})


def made(value):
    return lambda: value


@pytest.mark.parametrize("value", [made(1), partial(made(1)), object()])
def test_rows_that_hide_a_value_are_refused(package, value):
    with pytest.raises(TypeError, match="has no digest"):
        package.digest(rows(a=value))


def test_imports_that_cannot_be_followed_are_refused(package):
    (package.folder / "lazy.py").write_text("from .beside import LIMIT as LAZY\n")
    with pytest.raises(ValueError, match="import by the full name"):
        package.digest()


# The real package.


def test_the_package_has_no_import_that_cannot_be_followed():
    for path in SCRIPTS.rglob("*.py"):
        sources._read(path)


RULE_SCRIPTS = [
    path.name
    for path in sorted(SCRIPTS.glob("*.py"))
    if path.name.startswith(("tabulate_", "plot_", "join_", "compare_", "run_", "write_", "widen_"))
]


def attack_rows(*names):
    return {"shadowmill.attacks.ATTACKS": {name: ATTACKS[name] for name in names}}


@pytest.mark.parametrize("script", RULE_SCRIPTS)
def test_cheap_rules_find_no_code_by_its_name(script):
    """What they use can be seen in the text."""
    for path, name in definitions(SCRIPTS / script, attack_rows(*ATTACKS)):
        for statement in sources._statements(path, name):
            assert not statement.names & {"import_module", "__import__", "exec", "eval", "globals"}


def modules_of(script, *attacks):
    found = definitions(SCRIPTS / script, attack_rows(*attacks))
    return {sources._place(path) for path, _ in found}


@pytest.mark.parametrize("script", RULE_SCRIPTS)
def test_cheap_rules_hang_neither_on_the_configuration_nor_on_training(script):
    beside = ("config/", "training/", "data/readers/")
    # What private training claims follows from its number of steps.
    own = {"training/__init__.py"} if script == "tabulate_privacy_audit.py" else set()
    assert {name for name in modules_of(script) if name.startswith(beside)} == own


def test_an_attack_depends_on_its_own_mathematics():
    assert {"attacks/rmia.py", "attacks/bank.py", "scores/files.py", "storage.py"} <= modules_of(
        "run_attack.py", "rmia_online"
    )
    used = modules_of("run_attack.py", "loss")
    assert "attacks/loss.py" in used
    assert not used & {"attacks/rmia.py", "attacks/lira.py", "attacks/networks.py"}


def test_the_real_table_rule_depends_on_its_metrics():
    covered = modules_of("tabulate_membership.py")
    assert {"metrics/ranking.py", "metrics/bootstrap.py", "metrics/intervals.py"} <= covered
    assert not [name for name in covered if name.startswith(("attacks/lira", "figures/"))]


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """A copy of the real package, which may be edited."""
    shutil.copytree(SCRIPTS, tmp_path / "scripts")
    yield Package(tmp_path / "scripts/shadowmill", tmp_path / "scripts/run_attack.py", monkeypatch)
    forget()


SOME = ("lira_online", "rmia_online", "nn", "loss", "attack_p")


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "old", "new", "attacks"),
    [
        ("attacks/rmia.py", "LOG_P_FLOOR = -690.0", "LOG_P_FLOOR = -680.0", {"rmia_online"}),
        ("attacks/networks.py", "_DROPOUT = 0.2", "_DROPOUT = 0.3", {"nn"}),
        ("attacks/networks.py", "leave the attack out", "go on without the attack", set()),
        ("attacks/bank.py", "ndim != 3 or", "ndim != 3 or False or", set(SOME)),
        ("attacks/__init__.py", "Shokri's network", "Network of Shokri", set()),
        (
            "attacks/__init__.py",
            '    "nn": _network(',
            '    "new": loss,\n    "nn": _network(',
            set(),
        ),
    ],
)
def test_an_edit_redoes_the_attacks_that_are_computed_with_it(copied, name, old, new, attacks):
    before = {attack: copied.digest(attack_rows(attack)) for attack in SOME}
    copied.edit(name, old, new)
    assert {a for a in SOME if copied.digest(attack_rows(a)) != before[a]} == attacks


@pytest.mark.long
@pytest.mark.parametrize(
    ("script", "fields"),
    [
        # Titles are for figures.
        ("run_attack.py", {"score", "needs", "learns", "fast", "min_shadows", "per_example"}),
        (
            "tabulate_counts.py",
            {"score", "needs", "learns", "fast", "min_shadows", "per_example"},
        ),
        ("plot_heatmap.py", {"title"}),
        ("tabulate_membership.py", set()),
    ],
)
def test_of_its_row_an_attack_hangs_on_the_fields_that_are_read(copied, script, fields):
    row = ATTACKS["lira_online"]
    changed = {
        "title": "another",
        "score": ATTACKS["lira_fixed"].score,
        "learns": False,
        "fast": False,
        "min_shadows": 10,
        "per_example": False,
        "needs": frozenset({"labels"}),
        "needs_test_set": True,
    }
    copied.script = copied.folder.parent / script

    def digest(**other):
        return copied.digest({"shadowmill.attacks.ATTACKS": {"attack": replace(row, **other)}})

    before = digest()
    differing = {field for field, value in changed.items() if digest(**{field: value}) != before}
    assert differing == fields


@pytest.mark.parametrize("name", ["shadowmill/attacks/rmia.py", "shadowmill/metrics/bootstrap.py"])
def test_the_messages_of_the_real_package_are_wording(name):
    """Each raise of a module may say something else."""
    tree = ast.parse((SCRIPTS / name).read_text())
    raises = [node for node in ast.walk(tree) if isinstance(node, ast.Raise)]
    assert raises
    before = sources._plain(sources._WithoutWording().visit(ast.parse(ast.unparse(tree))))
    for node in raises:
        node.exc.args = [ast.Constant("something else")]
    after = sources._plain(sources._WithoutWording().visit(ast.parse(ast.unparse(tree))))
    assert after == before
