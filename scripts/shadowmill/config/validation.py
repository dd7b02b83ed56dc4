"""Checks of the configuration: all faults at once, each with its key and its cure."""

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from shadowmill.config.checks import sense_faults
from shadowmill.config.messages import suggestion
from shadowmill.config.reconstruction import Reconstruction
from shadowmill.config.repeated import repeated_keys
from shadowmill.config.study import Config, Study
from shadowmill.errors import ConfigError
from shadowmill.names import Variant


def load(raw: dict[str, Any], schema: str | Path, files: Iterable[str | Path] = ()) -> Config:
    """Validate the configuration, fill in defaults (in `raw` too) and return a typed view.

    Args:
        raw: the parsed YAML; defaults are added in place.
        schema: path of the JSON schema, in YAML.
        files: those that the configuration was read from.

    Raises:
        ConfigError: one message that lists every fault with its key.
    """
    definition = yaml.load(Path(schema).read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    repeated = [fault for path in files for fault in repeated_keys(path)]
    faults = list(_key_faults(raw)) or list(_schema_faults(raw, definition))
    if not faults:
        _fill_defaults(raw, definition)
        faults = list(sense_faults(raw))
    if faults := repeated + faults:
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        listing = "\n".join(f"  {fault}" for fault in faults)
        raise ConfigError(
            f"the configuration (workflow_config.yaml, --configfile, --config) has {count}:\n"
            f"{listing}"
        )
    return Config(
        build=tuple(raw["build"]),
        keep_models=raw["keep_models"],
        studies={name: _study(name, raw) for name in raw["studies"]},
        backbones={name: _backbone(given) for name, given in raw["backbones"].items()},
        reconstructions={
            name: Reconstruction.of(name, given) for name, given in raw["reconstructions"].items()
        },
    )


def _backbone(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a backbone, with None for what is not given."""
    return {"classes": None, "image_size": None, "weights": None} | dict(raw)


def _study(name: str, raw: Mapping[str, Any]) -> Study:
    settings = dict(raw["studies"][name])
    del settings["description"]
    for key in ("recipe", "fine_tune"):
        if key in settings:
            settings[key] = raw["recipes"][settings[key]]
    settings["variants"] = tuple(Variant.parse(variant) for variant in settings["variants"])
    for key in ("datasets", "architectures", "target_seeds", "adversaries", "attacks"):
        settings[key] = tuple(settings[key])
    return Study(name=name, **settings)


def _key_faults(value: Any, path: str = "") -> Iterator[str]:
    """YAML reads some words as other things: 30, 0.5, yes and null are not text."""
    if isinstance(value, dict):
        for key, part in value.items():
            place = f"{path}.{key}" if path else str(key)
            if not isinstance(key, str):
                yield f"{place}: the key {key!r} is not text. Put it in quotes, or choose a word"
            yield from _key_faults(part, place)


def _is_integer(_: Any, value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(_: Any, value: Any) -> bool:
    return _is_integer(_, value) or (isinstance(value, float) and math.isfinite(value))


def _schema_faults(raw: dict[str, Any], definition: dict[str, Any]) -> Iterator[str]:
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    # JSON Schema takes 16.0 for an integer and .nan for a number.
    types = Draft202012Validator.TYPE_CHECKER.redefine_many(
        {"integer": _is_integer, "number": _is_number}
    )
    errors = extend(Draft202012Validator, type_checker=types)(definition).iter_errors(raw)
    errors = sorted(errors, key=lambda error: [str(part) for part in error.absolute_path])
    not_allowed = [error.absolute_path for error in errors if error.validator == "enum"]
    for error in errors:
        # A value that is none of the allowed ones need not be of their type either.
        if error.validator != "type" or error.absolute_path not in not_allowed:
            yield from _schema_fault(error)


def _schema_fault(error: Any) -> Iterator[str]:
    key = ""
    for part in error.absolute_path:
        key += f"[{part}]" if isinstance(part, int) else f".{part}" if key else str(part)
    found, rule, schema = error.instance, error.validator_value, error.schema
    prefix = f"{key}." if key else ""
    match error.validator:
        case "additionalProperties":
            known = schema.get("properties", {})
            for name in sorted(found.keys() - known.keys()):
                allowed = f"Allowed here: {', '.join(known)}"
                yield f"{prefix}{name}: unknown key. {suggestion(name, known)}{allowed}"
        case "required":
            for name in rule:
                if name not in found and f"'{name}'" in error.message:
                    yield f"{prefix}{name}: missing{_describe(schema['properties'][name])}"
        case "enum":
            allowed = ", ".join(str(value) for value in rule)
            close = suggestion(found, rule) if isinstance(found, str) else ""
            yield f"{key}: {found!r} is not allowed. {close}Allowed: {allowed}"
        case "type":
            yield f"{key or 'the whole'}: {found!r} is not of type {rule}{_describe(schema, found)}"
        case "minimum" | "exclusiveMinimum":
            relation = "at least" if error.validator == "minimum" else "more than"
            yield f"{key}: {found!r} must be {relation} {rule}"
        case "maximum" | "exclusiveMaximum":
            relation = "at most" if error.validator == "maximum" else "less than"
            yield f"{key}: {found!r} must be {relation} {rule}"
        case "minItems" | "minProperties":
            number = f"has {len(found)}" if found else "is empty"
            yield f"{key}: {number}; give at least {rule}"
        case "maxItems" | "maxProperties":
            yield f"{key}: has {len(found)}; give at most {rule}"
        case "uniqueItems":
            yield f"{key}: {found!r} names something twice"
        case "pattern":
            shown = repr(found)[1:-1]
            yield (
                f"{key}.{shown}: a name here is a lower-case letter, then lower-case letters, "
                "digits, _"
            )
        case _:
            yield f"{key}: {error.message}"


def _describe(schema: Mapping[str, Any], found: Any = None) -> str:
    kind = schema.get("type", "")
    hint = f". {schema['description']}" if "description" in schema else ""
    if found is None:
        return hint or f"; give {kind or schema['enum']}"
    if isinstance(found, str) and kind == "number":
        with suppress(ValueError):
            return f"{hint}. YAML reads it as text: write {_with_point(float(found))}"
    return hint


def _with_point(number: float) -> str:
    text = f"{number:g}"
    mantissa, exponent, power = text.partition("e")
    return text if not exponent or "." in mantissa else f"{mantissa}.0e{power}"


def _fill_defaults(value: Any, definition: Mapping[str, Any]) -> None:
    if isinstance(value, list):
        for part in value:
            _fill_defaults(part, definition.get("items", {}))
    if not isinstance(value, dict):
        return
    for name, part in definition.get("properties", {}).items():
        if "default" in part:
            default = part["default"]
            value.setdefault(name, type(default)(default))
        if name in value:
            _fill_defaults(value[name], part)
    others = definition.get("additionalProperties")
    if isinstance(others, dict):
        for name in value.keys() - definition.get("properties", {}).keys():
            _fill_defaults(value[name], others)
