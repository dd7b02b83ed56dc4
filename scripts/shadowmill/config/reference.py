"""The reference of all keys, docs/keys.md, made from the sections: `make keys`."""

import json
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MinLen
from pydantic.fields import FieldInfo

from shadowmill.config.sections.fields import Section, is_section
from shadowmill.config.sections.workflow import Workflow

_HEAD = """# All keys of the configuration

<!-- Made by `make keys` from scripts/shadowmill/config/sections. Edit there. -->

What can stand in `workflow_config.yaml`, one table for each mapping. NAME is a name of your own.
[Configuration](configuration.md) says how the keys work together.
"""
_BOUNDS: dict[type, str] = {
    Gt: "above {bound.gt}",
    Ge: "{bound.ge} or more",
    Lt: "below {bound.lt}",
    Le: "{bound.le} or less",
    MinLen: "at least {bound.min_length}",
}
_KINDS = {bool: "`true` or `false`", int: "whole number", int | float: "number", str: "text"}


def reference() -> str:
    """The whole page, in Markdown."""
    return "\n".join([_HEAD, *_tables("", Workflow)])


def _tables(place: str, section: type[Section]) -> Iterator[str]:
    if place:
        yield f"## `{place}`\n\n{section.__doc__}\n"
    yield "| key | value | default | meaning |\n|---|---|---|---|"
    inner: list[tuple[str, type[Section]]] = []
    for name, field in section.model_fields.items():
        kind = _kind(field.annotation, field.metadata)
        meaning = " ".join(field.description.split())
        yield f"| `{name}` | {kind} | {_default(field)} | {meaning} |"
        inner += _sections(f"{place}.{name}".lstrip("."), field.annotation)
    yield ""
    for key, part in inner:
        yield from _tables(key, part)


def _sections(key: str, annotation: Any) -> Iterator[tuple[str, type[Section]]]:
    """The mappings below a key, each with its place."""
    if is_section(annotation):
        yield key, annotation
    elif get_origin(annotation) is dict:
        yield from _sections(f"{key}.NAME", get_args(annotation)[1])
    elif get_origin(annotation) is list:
        yield from _sections(f"{key}[…]", get_args(annotation)[0])


def _kind(annotation: Any, bounds: Sequence[Any] = ()) -> str:
    """A type in words."""
    if get_origin(annotation) is Annotated:
        annotation, *bounds = get_args(annotation)
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        kind = " or ".join(f"`{value}`" for value in inner)
    elif origin is list:
        kind = f"list of: {_kind(inner[0])}"
    elif origin is dict or is_section(annotation):
        kind = "mapping"
    else:
        kind = _KINDS[annotation]
    words = [text.format(bound=bound) for bound in bounds if (text := _BOUNDS.get(type(bound)))]
    return ", ".join([kind, *words])


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "must be given"
    value = field.get_default(call_default_factory=True)
    if value is None:
        return "none"
    if isinstance(value, Section | dict):
        return "see below" if isinstance(value, Section) else "empty"
    return f"`{json.dumps(value)}`"


if __name__ == "__main__":
    print(reference(), end="")
