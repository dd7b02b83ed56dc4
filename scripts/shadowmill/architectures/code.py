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
    """The user's file, and those beside and below it that it imports: their names and trees."""
    root, found = Path(file).parent, {}
    pending = [Path(file)]
    while pending:
        path = pending.pop()
        if path not in found:
            tree = _parsed(path)
            # Those first, as what only readers see is then taken out of the tree.
            pending += _imported(tree, path, root)
            found[path] = without_wording(tree)
    # Not under the name of the first, which may be moved and renamed.
    first, *others = found.items()
    return [("", first[1]), *sorted((p.relative_to(root).as_posix(), t) for p, t in others)]


def _parsed(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(
            f"{path}: there is no such file. Paths are relative to the folder of the workflow."
        ) from error
    except (OSError, SyntaxError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read as Python ({error}).") from error


def _imported(tree: ast.Module, path: Path, root: Path) -> list[Path]:
    """Files below `root` that a file imports, at any place of it."""
    found = []
    for node in ast.walk(tree):
        names, base = [], root
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                base = [path.parent, *path.parent.parents][node.level - 1]
            module = [node.module] if node.module else []
            names = [".".join([*module, alias.name]) for alias in node.names] + module
        for name in names:
            parts = name.split(".")
            for depth in range(1, len(parts) + 1):
                place = base.joinpath(*parts[:depth])
                found += [place.with_suffix(".py"), place / "__init__.py"]
    return [file for file in found if file.is_file() and file.is_relative_to(root)]
