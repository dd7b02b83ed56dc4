"""Digests of code: what a result hangs on, definition by definition.

Snakemake tracks the text of a rule's script, not what the script uses. A definition is what the top
level of a module gives one name: a function, a class, an assigned value. A script hangs on its own
statements and on every definition of this package that they name, directly or not, and on nothing
else in the same modules. What is only for readers is no part of it: comments, docstrings,
annotations of the progress bar, and the wording of what is raised and logged.

A table, such as that of the attacks, may be taken by the rows in use where something is looked up
in it (`TABLE[name]`, `TABLE.get(name)`, `name in TABLE`); used in another way it counts as a whole.
A row counts with those fields that the code at hand reads, and with the code that they name.
"""

import ast
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache, partial
from pathlib import Path
from types import FunctionType
from typing import Any, NamedTuple

from shadowmill.provenance import digest

_PACKAGE_FOLDER = Path(__file__).parent

# Full name of a table, such as `shadowmill.attacks.ATTACKS`, to its rows in use by their names.
Tables = Mapping[str, Mapping[str, Any]]


class Definition(NamedTuple):
    """A name at the top level of a file; without a name what else is done there."""

    path: Path
    name: str


def source_digest(script: str | Path, tables: Tables | None = None) -> str:
    """Digest of a script and of all that it uses of this package.

    Args:
        script: path of a Python file.
        tables: those that are taken by their rows.

    Raises:
        TypeError: a row holds what cannot be digested, such as a function that was made by another.
    """
    return _digest(_everything(Path(script)), tables or {})


def code_digest(names: Iterable[str], tables: Tables | None = None) -> str:
    """Digest of some definitions of this package and of all that they use.

    Args:
        names: their full names, such as `shadowmill.architectures.build`.
        tables: those that are taken by their rows.

    Raises:
        TypeError: as for `source_digest`.
        ValueError: there is no definition of such a name.
    """
    return _digest([_definition(name) for name in names], tables or {})


def _digest(start: Iterable[Definition], tables: Tables) -> str:
    found, rows = _closure(start, tables)
    code = [
        (_place(path), name, [statement.tree for statement in _statements(path, name)])
        for path, name in sorted(found)
    ]
    return digest([code, rows])


def definitions(script: str | Path, tables: Tables | None = None) -> set[Definition]:
    """The definitions whose code is in the digest of a script."""
    return _closure(_everything(Path(script)), tables or {})[0]


def _place(path: Path) -> str:
    inside = path.is_relative_to(_PACKAGE_FOLDER)
    return path.relative_to(_PACKAGE_FOLDER).as_posix() if inside else path.name


def _closure(start: Iterable[Definition], tables: Tables) -> tuple[set[Definition], dict[str, Any]]:
    """All that some definitions use, with them, and of each table reached the rows as values."""
    by_rows = {_definition(name): name for name in tables}
    found: set[Definition] = set()
    reached: set[str] = set()
    attributes: set[str] = set()
    pending = [*start]
    while pending:
        while pending:
            place = pending.pop()
            if place in found:
                continue
            found.add(place)
            pending.append(Definition(place.path, ""))
            for statement in _statements(*place):
                attributes |= statement.attributes
                for name in statement.names:
                    pending += _used(place.path, name)
                for name in statement.lookups:
                    for used in _used(place.path, name):
                        if used in by_rows:
                            reached.add(by_rows[used])
                        else:
                            pending.append(used)
        # The rows name more code, which may read more of their fields.
        values = {name: _values(dict(tables[name]), attributes) for name in reached}
        pending += {place for name in _code_named(values) for place in _named(name)} - found
    return found, values


def _definition(full: str) -> Definition:
    module, _, name = full.rpartition(".")
    for place in _named(full):
        if place.name == name:
            return place
    raise ValueError(f"there is no {name} in {module}")


def _values(value: Any, attributes: set[str] | None = None) -> Any:
    """A value of a table as JSON; functions and classes by name, rows by their fields.

    Args:
        value: anything that a table may hold.
        attributes: of rows, only these fields; all if not given.
    """
    if isinstance(value, Mapping):
        return {str(name): _values(part, attributes) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_values(part) for part in value]
    if isinstance(value, set | frozenset):
        return sorted(_values(part) for part in value)
    if isinstance(value, partial):
        return [_values(value.func), _values(value.args), _values(value.keywords)]
    if isinstance(value, type) or (isinstance(value, FunctionType) and not value.__closure__):
        return {"code": f"{value.__module__}.{value.__qualname__}"}
    if is_dataclass(value):
        read = [field.name for field in fields(value)]
        read = [name for name in read if attributes is None or name in attributes]
        return [_values(type(value)), {name: _values(getattr(value, name)) for name in read}]
    try:
        json.dumps(value)
    except TypeError:
        raise TypeError(
            f"{value!r} in a table has no digest. Use numbers, text, functions of a module's top "
            "level, and functools.partial of them"
        ) from None
    return value


def _code_named(value: Any) -> Iterator[str]:
    """Full names of the functions and classes that `_values` found."""
    if isinstance(value, dict):
        yield from [value["code"]] if value.keys() == {"code"} else ()
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from _code_named(part)


# Reading files.


class _Statement(NamedTuple):
    tree: str
    names: frozenset[str]  # that it uses, with the attributes that follow: `np`, `storage.read`
    lookups: frozenset[str]  # those in which it only looks something up
    attributes: frozenset[str]


@dataclass(frozen=True)
class _File:
    imports: Mapping[str, frozenset[str]]  # local name to full names
    statements: Mapping[str, tuple[_Statement, ...]]  # by what they define, "" for nothing


@cache
def _read(path: Path) -> _File:
    tree = _WithoutWording().visit(ast.parse(path.read_text(encoding="utf-8")))
    imports: dict[str, set[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                name = alias.asname or alias.name.partition(".")[0]
                imports.setdefault(name, set()).add(alias.name if alias.asname else name)
        elif isinstance(node, ast.ImportFrom):
            if node.level or node.names[0].name == "*":
                raise ValueError(f"{path}:{node.lineno}: import by the full name of the module")
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                imports.setdefault(alias.asname or alias.name, set()).add(full)
    statements: dict[str, list[_Statement]] = {"": []}
    for node in tree.body:
        if not isinstance(node, ast.Import | ast.ImportFrom):
            statement = _statement(node)
            for name in _defined(node):
                statements.setdefault(name, []).append(statement)
    return _File(
        {name: frozenset(full) for name, full in imports.items()},
        {name: tuple(found) for name, found in statements.items()},
    )


def _defined(node: ast.stmt) -> set[str]:
    """The names that a statement gives or changes a value of; "" for one that always counts."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    if not isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
        return {""}
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return {part.id for target in targets for part in ast.walk(target) if hasattr(part, "id")}


def _statement(node: ast.stmt) -> _Statement:
    names: set[str] = set()
    lookups: set[str] = set()
    pending: list[ast.AST] = [node]
    while pending:
        part = pending.pop()
        if dotted := _dotted(part):
            names.add(dotted)
            continue
        place, table = _lookup(part)
        lookups |= {table} - {""}
        pending += [child for child in ast.iter_child_nodes(part) if not table or child != place]
    attributes = {part.attr for part in ast.walk(node) if isinstance(part, ast.Attribute)}
    return _Statement(
        json.dumps(_plain(node)), frozenset(names), frozenset(lookups), frozenset(attributes)
    )


def _lookup(node: ast.AST) -> tuple[ast.AST, str]:
    """The part of a node that is only looked something up in, and its name; "" for others."""
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
        return node.value, _dotted(node.value)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return node.func, _dotted(node.func.value) if node.func.attr == "get" else ""
    if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.In | ast.NotIn):
        last = node.comparators[-1]
        return last, _dotted(last) if len(node.ops) == 1 else ""
    return node, ""


def _dotted(node: ast.AST) -> str:
    """`a.b.c` of such an expression, "" of any other."""
    if isinstance(node, ast.Name):
        return node.id
    before = _dotted(node.value) if isinstance(node, ast.Attribute) else ""
    return f"{before}.{node.attr}" if before else ""


def _plain(node: Any) -> Any:
    """A syntax tree as JSON, the same from each version of Python that reads it alike."""
    if isinstance(node, ast.Constant):
        return ["Constant", repr(node.value)]
    if isinstance(node, ast.AST):
        parts = [
            (name, _plain(value))
            for name, value in ast.iter_fields(node)
            if name not in ("ctx", "type_comment") and value is not None and value != []
        ]
        return [type(node).__name__, *parts]
    return [_plain(part) for part in node] if isinstance(node, list) else node


def without_wording(tree: ast.Module) -> str:
    """A file's syntax tree as text, without what only readers see."""
    return json.dumps(_plain(_WithoutWording().visit(tree)))


class _WithoutWording(ast.NodeTransformer):
    """Takes out of a syntax tree what only readers see."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        if isinstance(node.value, ast.Constant):
            return None  # a docstring
        dotted = _dotted(node.value.func) if isinstance(node.value, ast.Call) else ""
        if dotted.partition(".")[0] in ("log", "logging"):
            _blank_arguments(node.value)
        return self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> ast.Raise:
        if isinstance(node.exc, ast.Call):
            _blank_arguments(node.exc)
        return self.generic_visit(node)

    def visit_Assert(self, node: ast.Assert) -> ast.Assert:
        node.msg = None
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.Call:
        if _dotted(node.func) == "progress.bar":
            node.keywords = [word for word in node.keywords if word.arg not in ("desc", "unit")]
        return self.generic_visit(node)


class _Blank(ast.NodeTransformer):
    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        return ast.Constant("") if isinstance(node.value, str) else node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.Constant:
        return ast.Constant("")


def _blank_arguments(call: ast.Call) -> None:
    call.args = [_Blank().visit(argument) for argument in call.args]
    for keyword in call.keywords:
        keyword.value = _Blank().visit(keyword.value)


# From names to definitions.


def _statements(path: Path, name: str) -> tuple[_Statement, ...]:
    return _read(path).statements[name]


def _everything(path: Path) -> list[Definition]:
    return [Definition(path, name) for name in _read(path).statements]


@cache
def _used(path: Path, name: str) -> list[Definition]:
    """The definitions of this package that a name stands for in a file; none for others' names."""
    first, _, rest = name.partition(".")
    file = _read(path)
    here = [Definition(path, first)] if first in file.statements else []
    full = [f"{found}.{rest}" if rest else found for found in file.imports.get(first, ())]
    return here + [place for other in full for place in _named(other)]


@cache
def _named(full: str) -> list[Definition]:
    """The definitions that a full name stands for, all of its module if it names that or is new.

    Names such as `__version__` are for readers.
    """
    package, *parts = full.split(".")
    if package != _PACKAGE_FOLDER.name:
        return []
    for depth in range(len(parts), -1, -1):
        base = _PACKAGE_FOLDER.joinpath(*parts[:depth])
        for path in (base.with_suffix(".py"), base / "__init__.py"):
            if path.is_file():
                name = ".".join(parts[depth:])
                if name.startswith("__"):
                    return []
                return (_used(path, name) if name else []) or _everything(path)
    return []
