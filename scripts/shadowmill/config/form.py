"""Faults of form: keys that are unknown or missing, values of another type or out of range."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from shadowmill.config.messages import suggestion
from shadowmill.config.sections.fields import is_section
from shadowmill.config.sections.workflow import Workflow

_RELATIONS = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}
_KINDS = {
    bool: "true or false",
    int: "a whole number",
    int | float: "a number",
    str: "text",
}


def form_faults(error: ValidationError) -> Iterator[str]:
    """What pydantic found, in our words, by key."""
    faults = sorted(error.errors(), key=lambda fault: [str(part) for part in fault["loc"]])
    misnamed = {fault["loc"][:-1] for fault in faults if fault["loc"][-1:] == ("[key]",)}
    for fault in faults:
        if fault["loc"] not in misnamed:
            yield _fault(fault["type"], fault["loc"], fault["input"], fault)


def _fault(kind: str, where: Sequence[str | int], found: Any, fault: Mapping[str, Any]) -> str:
    if where[-1:] == ("[key]",):
        return _fault_of_name(where[:-2], found)
    if kind == "invalid_key":
        return _fault_of_name(where[:-1], found)
    key, (field, annotation) = _key(where), _place(where)
    match kind:
        case "extra_forbidden":
            known = _place(where[:-1])[1].model_fields
            allowed = f"Allowed here: {', '.join(known)}"
            return f"{key}: unknown key. {suggestion(str(where[-1]), known)}{allowed}"
        case "missing":
            return f"{key}: missing. {_meaning(field)}"
        case "literal_error":
            values = get_args(annotation)
            close = suggestion(found, values) if isinstance(found, str) else ""
            allowed = ", ".join(str(value) for value in values)
            return f"{key}: {found!r} is not allowed. {close}Allowed: {allowed}"
        case "too_short":
            number = f"has {len(found)}" if found else "is empty"
            return f"{key}: {number}; give at least {fault['ctx']['min_length']}"
        case "not_unique" | "unset_variable" | "one_value":
            return f"{key}: {fault['msg']}"
    if kind in _RELATIONS:
        bound, relation = _RELATIONS[kind]
        return f"{key}: {found!r} must be {relation} {fault['ctx'][bound]}"
    wrong = f"{key or 'the whole'}: {found!r} is not {_kind(annotation)}"
    return ". ".join(filter(None, (wrong, _meaning(field), _as_yaml_reads_it(found, annotation))))


def _fault_of_name(where: Sequence[str | int], name: Any) -> str:
    place = _key([*where, str(name)])
    if isinstance(name, str):
        place = _key([*where, repr(name)[1:-1]])
        return f"{place}: a name here is a lower-case letter, then lower-case letters, digits, _"
    return f"{place}: the key {name!r} is not text. Put it in quotes, or choose a word"


def _key(where: Sequence[str | int]) -> str:
    """Where something is, as users write it: `a.b[0].c`."""
    key = ""
    for part in where:
        key += f"[{part}]" if isinstance(part, int) else f".{part}" if key else part
    return key


def _place(where: Sequence[str | int]) -> tuple[FieldInfo | None, Any]:
    """The field at a place, None where there is a part of one, and the type of what is there."""
    field, annotation = None, Workflow
    for part in where:
        if is_section(annotation):
            field = annotation.model_fields.get(str(part))
            annotation = field.annotation if field else None
        else:
            field, annotation = None, get_args(annotation)[-1]
        while get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
    return field, annotation


def _kind(annotation: Any) -> str:
    """What is expected, in words."""
    if get_origin(annotation) is Literal:
        *others, last = map(str, get_args(annotation))
        return f"one of {', '.join(others)} or {last}"
    if get_origin(annotation) is list:
        return "a list"
    if get_origin(annotation) is dict or is_section(annotation):
        return "a mapping of keys to values"
    return _KINDS[annotation]


def _meaning(field: FieldInfo | None) -> str:
    return " ".join(field.description.split()).removesuffix(".") if field else ""


def _as_yaml_reads_it(found: Any, annotation: Any) -> str:
    if annotation is not str or isinstance(found, list | dict):
        return ""
    if isinstance(found, bool):
        return "YAML reads on, off, yes and no as true and false: put the word in quotes"
    return "If it is a name, put it in quotes"
