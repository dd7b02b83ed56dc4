"""What sections are made of."""

import math
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    WrapValidator,
)
from pydantic_core import PydanticCustomError


class Section(BaseModel):
    """A mapping whose keys are known.

    The default None stands for a key that is not given; None itself cannot be written.
    """

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)


def is_section(annotation: Any) -> bool:
    """Whether a type is that of a section."""
    return isinstance(annotation, type) and issubclass(annotation, Section)


def _number(value: Any) -> int | float:
    value = _read(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise PydanticCustomError("float_type", "not a number")
    return value


def _read(value: Any) -> Any:
    """A number that is handed over as text: by `--config`, and by YAML for 1e-3."""
    for read in (int, float):
        with suppress(ValueError):
            return read(value) if isinstance(value, str) else value
    return value


def _truth(value: Any) -> Any:
    """What `--config key=false` hands over is text."""
    words = {"true": True, "false": False}
    return words.get(value.lower(), value) if isinstance(value, str) else value


def _whole(value: Any, handler: Callable[[Any], Any]) -> Any:
    """Python takes true for 1, and 4.0 for 4, where it looks for one of several values."""
    value = _read(value)
    if type(value) is int:
        return handler(value)
    raise PydanticCustomError("literal_error", "none of the values")


def _different(values: list[Any]) -> list[Any]:
    if any(value in values[:index] for index, value in enumerate(values)):
        raise PydanticCustomError("not_unique", f"{values!r} names something twice")
    return values


def _path(text: str) -> str:
    """A path with ~ and $VARIABLES replaced, and nothing else changed."""
    found = os.path.expandvars(os.path.expanduser(text))  # noqa: PTH111
    if "$" in found:
        raise PydanticCustomError(
            "unset_variable",
            f"{text!r} names a variable that is not set. Set it, or write the path out",
        )
    return found


# A whole number stays one: names of files are made of it.
Number = Annotated[int | float, PlainValidator(_number)]
Positive = Annotated[Number, Field(gt=0)]
NotNegative = Annotated[Number, Field(ge=0)]
Share = Annotated[Number, Field(ge=0, lt=1)]
Whole = Annotated[int, BeforeValidator(_read)]
Count = Annotated[Whole, Field(ge=1)]
CountOrZero = Annotated[Whole, Field(ge=0)]
Truth = Annotated[bool, BeforeValidator(_truth)]
ExactInt = WrapValidator(_whole)
Name = Annotated[str, Field(pattern="^[a-z][a-z0-9_]*$")]
PathText = Annotated[str, AfterValidator(_path)]
NotEmpty = Field(min_length=1)
Different = AfterValidator(_different)
