"""Keys that a configuration file has twice, of which YAML silently keeps the last."""

from collections.abc import Iterator
from pathlib import Path

import yaml


def repeated_keys(path: str | Path) -> Iterator[str]:
    """Faults of a YAML or JSON file: each key that is written more than once in one place.

    Merging (`<<`) and giving a merged key another value are no faults.
    """
    path = Path(path)
    text = path.read_text(encoding="utf-8").expandtabs()  # which JSON may have, YAML not
    shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    root = yaml.compose(text, Loader=yaml.CSafeLoader)
    pending: list[tuple[str, yaml.Node | None]] = [("", root)]
    seen: set[int] = set()  # what has an anchor stands in several places
    while pending:
        place, node = pending.pop(0)
        if id(node) in seen:
            continue
        seen.add(id(node))
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
