"""What YAML reads otherwise than it is written, and silently: keys given twice, 010, 1:30."""

import re
from collections.abc import Iterator
from pathlib import Path

import yaml

from shadowmill.errors import ConfigError

# YAML 1.1: digits after a zero are octal, digits with colons count in sixties.
_MISREAD = re.compile(r"[-+]?(0[0-7_]+|[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?)")


def require_text(path: str | Path) -> None:
    """Refuse a file that is no text, if there is one.

    Raises:
        ConfigError: it is not in UTF-8.
    """
    content = Path(path).read_bytes() if Path(path).exists() else b""
    try:
        content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{path}: line {line} is not in UTF-8. Save the file in that encoding, or leave out "
            "letters with accents"
        ) from None


def misreadings(path: str | Path) -> Iterator[str]:
    """Faults of a YAML or JSON file: keys written twice in one place, and numbers taken for others.

    Merging (`<<`) and giving a merged key another value are no faults.
    """
    path = Path(path)
    text = path.read_text(encoding="utf-8").expandtabs()  # which JSON may have, YAML not
    shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    root = yaml.compose(text, Loader=yaml.CSafeLoader)
    pending = [] if root is None else [("", root)]
    seen: set[int] = set()  # what has an anchor stands in several places
    while pending:
        place, node = pending.pop(0)
        if id(node) in seen:
            continue
        seen.add(id(node))
        is_number = node.tag in ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
        if is_number and _MISREAD.fullmatch(node.value):
            value = yaml.load(node.value, Loader=yaml.CSafeLoader)
            yield (
                f"{place}: {node.value} in line {node.start_mark.line + 1} of {shown} is {value} "
                "to YAML. Write that, or put quotes around a text"
            )
        if isinstance(node, yaml.SequenceNode):
            pending += [(f"{place}[{index}]", part) for index, part in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode):
            lines: dict[str, list[int]] = {}
            for key, part in node.value:
                name = f"{place}.{key.value}" if place else str(key.value)
                pending.append((name, part))
                if key.tag != "tag:yaml.org,2002:merge":
                    lines.setdefault(name, []).append(key.start_mark.line + 1)
            for name, found in lines.items():
                if len(found) > 1:
                    *others, last = map(str, found)
                    yield (
                        f"{name}: written more than once, in lines {', '.join(others)} and {last} "
                        f"of {shown}; only the last would count. Rename or delete the others"
                    )
