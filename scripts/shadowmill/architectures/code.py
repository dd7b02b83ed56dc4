"""The code that builds a network: models are what it made of their weights."""

import ast
from functools import cache
from pathlib import Path
from typing import Any

from shadowmill.architectures import ARCHITECTURES, Architecture
from shadowmill.architectures.own import OURS, OwnArchitecture
from shadowmill.errors import ConfigError
from shadowmill.provenance import digest
from shadowmill.sources import code_digest, without_wording


def code_of(name: str, row: Architecture) -> str:
    """Digest of all code that builds a network: its own, what it uses, what is around it.

    Args:
        name: of the network.
        row: of the table, or of the user's own.

    Raises:
        ConfigError: the user's file is not there, or is no Python.
    """
    if not isinstance(row, OwnArchitecture):
        return network_code(name)
    parts: list[Any] = [code_digest(_AROUND)]
    if "ours" in row.given:
        module, function = OURS[row.given["ours"]].builder.split(":")
        parts.append(code_digest([f"shadowmill.architectures.{module}.{function}"]))
    elif "torchvision" in row.given:
        parts.append(code_digest(["shadowmill.architectures.adapted.of_torchvision"]))
    else:
        parts.append(_own_code(row.file))
    return digest(parts)


# What is done to a network of the user's own after its function was called.
_AROUND = [
    "shadowmill.architectures.keyed.with_keyed_dropout",
    "shadowmill.architectures.group_norm.with_group_norm",
]


@cache
def network_code(name: str) -> str:
    """The same of an architecture of the table."""
    module, function = ARCHITECTURES[name].builder.split(":")
    table = {"shadowmill.architectures.ARCHITECTURES": {name: ARCHITECTURES[name]}}
    builder = f"shadowmill.architectures.{module}.{function}"
    return code_digest([builder, "shadowmill.architectures.build"], table)


def _own_code(file: str) -> list[tuple[str, str]]:
    """The user's file, and those beside it that it imports, with their names and trees."""
    found: dict[str, str] = {}
    pending = [Path(file)]
    while pending:
        path = pending.pop()
        if path.name in found:
            continue
        tree = _parsed(path)
        found[path.name] = without_wording(tree)
        pending += [
            beside
            for name in _imported(tree)
            for beside in (path.parent / f"{name}.py", path.parent / name / "__init__.py")
            if beside.is_file()
        ]
    # Not under the name of the first, which may be moved and renamed.
    first, *others = found.items()
    return [("", first[1]), *sorted(others)]


def _parsed(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(
            f"{path}: there is no such file. Paths are relative to the folder of the workflow."
        ) from error
    except (OSError, SyntaxError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read as Python ({error}).") from error


def _imported(tree: ast.Module) -> set[str]:
    """First parts of the names of all modules that are imported, at any place."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names
