"""Checks of the configuration: all faults at once, each with its key and its cure."""

import difflib
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from shadowmill.architectures import ARCHITECTURES
from shadowmill.attacks import ATTACKS
from shadowmill.config.study import Config, Study, Variant
from shadowmill.data import DATASETS
from shadowmill.errors import ConfigError
from shadowmill.pruning import METHODS
from shadowmill.training import steps_per_epoch

# Rules of the workflow, and folders beside the studies' own: no study may be named so.
RESERVED = (
    *("all", "models", "scores", "attacks", "tables", "figures"),
    *("dataset", "roles", "train_target", "score_block", "attack", "join_table"),
    *("tabulate_training", "tabulate_membership", "tabulate_examples"),
    *("plot_roc", "plot_leakage", "plot_accuracy", "plot_tradeoff", "plot_examples"),
    *(f"train_shadows_{size}" for size in (1, 2, 4, 8, 16, 32, 64)),
    *("data", "logs"),
)


def load(raw: dict[str, Any], schema: str | Path) -> Config:
    """Validate the configuration, fill in defaults (in `raw` too) and return a typed view.

    Args:
        raw: the parsed YAML; defaults are added in place.
        schema: path of the JSON schema, in YAML.

    Raises:
        ConfigError: one message that lists every fault with its key.
    """
    definition = yaml.load(Path(schema).read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    faults = list(_key_faults(raw)) or list(_schema_faults(raw, definition))
    if not faults:
        _fill_defaults(raw, definition)
        faults = list(_sense_faults(raw))
    if faults:
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
    )


def _study(name: str, raw: Mapping[str, Any]) -> Study:
    settings = dict(raw["studies"][name])
    del settings["description"]
    settings["recipe"] = raw["recipes"][settings["recipe"]]
    settings["variants"] = tuple(Variant.parse(variant) for variant in settings["variants"])
    for key in ("datasets", "architectures", "target_seeds", "attacks"):
        settings[key] = tuple(settings[key])
    return Study(name=name, **settings)


def _suggestion(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(str(word), [str(name) for name in known], n=1)
    return f"Did you mean {close[0]}? " if close else ""


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
                yield f"{prefix}{name}: unknown key. {_suggestion(name, known)}{allowed}"
        case "required":
            for name in rule:
                if name not in found and f"'{name}'" in error.message:
                    yield f"{prefix}{name}: missing{_describe(schema['properties'][name])}"
        case "enum":
            allowed = ", ".join(str(value) for value in rule)
            yield f"{key}: {found!r} is not allowed. {_suggestion(found, rule)}Allowed: {allowed}"
        case "type":
            yield f"{key or 'the whole'}: {found!r} is not of type {rule}{_describe(schema, found)}"
        case "minimum" | "exclusiveMinimum":
            relation = "at least" if error.validator == "minimum" else "more than"
            yield f"{key}: {found!r} must be {relation} {rule}"
        case "maximum" | "exclusiveMaximum":
            relation = "at most" if error.validator == "maximum" else "less than"
            yield f"{key}: {found!r} must be {relation} {rule}"
        case "minItems" | "minProperties":
            yield f"{key}: is empty; give at least {rule}"
        case "uniqueItems":
            yield f"{key}: {found!r} names something twice"
        case "pattern":
            shown = repr(found)[1:-1]
            yield f"{key}.{shown}: a study's name is a lower-case letter, then letters, digits, _"
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


def _sense_faults(raw: Mapping[str, Any]) -> Iterator[str]:
    studies = raw["studies"]
    for index, name in enumerate(raw["build"]):
        if name not in studies:
            yield f"build[{index}]: {_unknown('study', name, studies)}"
    for name in raw["data"]["roots"]:
        if name not in DATASETS:
            yield f"data.roots.{name}: {_unknown('data set', name, DATASETS)}"
    for name, recipe in raw["recipes"].items():
        yield from _recipe_faults(f"recipes.{name}", recipe)
    for name, study in studies.items():
        key = f"studies.{name}"
        if name in RESERVED:
            yield f"{key}: this name is taken by the workflow, choose another"
        yield from _name_faults(key, study)
        yield from _variant_faults(key, study)
        yield from _shadow_faults(key, study)
        if study["recipe"] not in raw["recipes"]:
            yield f"{key}.recipe: {_unknown('recipe', study['recipe'], raw['recipes'])}"
        else:
            yield from _fit_faults(key, study, raw["recipes"][study["recipe"]])


def _unknown(kind: str, name: str, known: Iterable[str]) -> str:
    known = [str(other) for other in known]
    return f"there is no {kind} {name!r}. {_suggestion(name, known)}Known: {', '.join(known)}"


def _recipe_faults(key: str, recipe: Mapping[str, Any]) -> Iterator[str]:
    schedule, epochs = recipe["schedule"], recipe["epochs"]
    needed = {"multistep": {"milestones", "gamma"}, "one_cycle": {"warmup"}}[schedule["name"]]
    given = schedule.keys() - {"name"}
    for name in sorted(needed - given):
        yield f"{key}.schedule.{name}: missing; {schedule['name']} needs it"
    for name in sorted(given - needed):
        yield f"{key}.schedule.{name}: {schedule['name']} has no such key"
    milestones = schedule.get("milestones", [])
    if milestones != sorted(set(milestones)) or any(m >= epochs for m in milestones):
        yield f"{key}.schedule.milestones: {milestones} must rise and stay below epochs ({epochs})"
    if recipe["nesterov"] and not recipe["momentum"]:
        yield f"{key}.nesterov: needs a momentum above 0"


def _name_faults(key: str, study: Mapping[str, Any]) -> Iterator[str]:
    tables = {
        "datasets": ("data set", DATASETS),
        "architectures": ("architecture", ARCHITECTURES),
        "attacks": ("attack", ATTACKS),
    }
    for part, (kind, known) in tables.items():
        for index, name in enumerate(study[part]):
            if name not in known:
                yield f"{key}.{part}[{index}]: {_unknown(kind, name, known)}"
    for part in (*tables, "variants", "target_seeds"):
        for index, name in enumerate(study[part]):
            if name in study[part][:index]:
                yield f"{key}.{part}[{index}]: {name} is listed twice"


def _variant_faults(key: str, study: Mapping[str, Any]) -> Iterator[str]:
    methods = set()
    for index, name in enumerate(study["variants"]):
        try:
            methods.add(Variant.parse(name).method)
        except ValueError as error:
            yield f"{key}.variants[{index}]: {name!r}: {error}"
    for method in sorted(methods & METHODS.keys() - study["pruning"].keys()):
        yield f"{key}.pruning.{method}: missing; the variants need to know when {method} prunes"


def _shadow_faults(key: str, study: Mapping[str, Any]) -> Iterator[str]:
    shadows, block = study["num_shadows"], study["models_per_job"]
    if shadows % 2:
        yield f"{key}.num_shadows: {shadows} is odd; shadows come in complementary pairs"
    elif shadows % block:
        yield f"{key}.num_shadows: {shadows} is not a multiple of models_per_job ({block})"
    for name in study["attacks"]:
        if name in ATTACKS and shadows < ATTACKS[name].min_shadows:
            needed = ATTACKS[name].min_shadows
            yield f"{key}.num_shadows: {shadows} are too few for {name}, which needs {needed}"


def _fit_faults(key: str, study: Mapping[str, Any], recipe: Mapping[str, Any]) -> Iterator[str]:
    epochs, batch = recipe["epochs"], recipe["batch_size"]
    for method, row in METHODS.items():
        epoch = study["pruning"].get(method, {}).get(row.final_epoch, 0)
        if epoch >= epochs:
            yield (
                f"{key}.pruning.{method}.{row.final_epoch}: {epoch} must be less than the recipe's "
                f"epochs ({epochs}), or the models end without the sparsity they are named after"
            )
    for name in study["datasets"]:
        if name not in DATASETS:
            continue
        members = DATASETS[name].pool_size // 2
        if batch > members:
            yield (
                f"recipes.{study['recipe']}.batch_size: {batch} is more than the {members} members "
                f"of a model on {name} ({key})"
            )
            continue
        steps = steps_per_epoch(members, batch)
        for method, row in METHODS.items():
            if row.schedule == "cubic" and method in study["pruning"]:
                pruning = study["pruning"][method]
                every, full = pruning["every"], pruning[row.final_epoch]
                if full < epochs and -(-full * steps // every) * every >= epochs * steps:
                    yield (
                        f"{key}.pruning.{method}.every: {every} steps between masks leave none to "
                        f"be made from epoch {full} on, when sparsity is full, to the end on "
                        f"{name} ({steps} steps an epoch). Use fewer steps"
                    )
