"""Networks that the configuration describes, beside those of the table.

Snakemake imports this while it parses.
"""

import importlib.util
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

from shadowmill.architectures import ARCHITECTURES, Architecture
from shadowmill.errors import ConfigError
from shadowmill.provenance import digest

if TYPE_CHECKING:
    from torch import nn

STACKED_BELOW = 1_000_000
"""Networks of the user's own with fewer parameters are trained in lock-step, if they can be."""


@dataclass(frozen=True)
class Family:
    """Networks of our own that differ by some numbers.

    Attributes:
        builder: MODULE:FUNCTION below this package.
        arguments: all that it takes, beside the shape of inputs and the number of classes.
        kind: of the examples it takes.
        batch_norm: whether it has any BatchNorm layer.
        depths: divisor and remainder of the depths that there are, if it has one.
    """

    builder: str
    arguments: tuple[str, ...]
    kind: Literal["image", "tabular"]
    batch_norm: bool
    depths: tuple[int, int] | None = None


OURS = {
    "wide_resnet": Family("wide_resnet:wide_resnet", ("depth", "width"), "image", True, (6, 4)),
    "cifar_resnet": Family("resnet:cifar_resnet", ("depth",), "image", True, (6, 2)),
    "perceptron": Family("mlp:perceptron", ("hidden", "dropout"), "tabular", False),
}


@dataclass(frozen=True, kw_only=True)
class OwnArchitecture(Architecture):
    """A row of a network of the user's own.

    Attributes:
        kind: as of any row; None where only building it tells.
        batch_norm: likewise.
        given: what the configuration says of it, but for its file.
        file: Python file of the function that builds it, if there is one.
    """

    kind: Literal["image", "tabular"] | None
    batch_norm: bool | None
    given: Mapping[str, Any]
    file: str | None


def file_of(row: Architecture) -> str | None:
    """The user's Python file that builds a network, if there is one."""
    return row.file if isinstance(row, OwnArchitecture) else None


def rows(given: Mapping[str, Mapping[str, Any]]) -> dict[str, Architecture]:
    """All networks that studies can list, by name.

    Args:
        given: the configuration's `architectures`, of the right form.
    """
    return ARCHITECTURES | {name: _row(name, own) for name, own in given.items()}


def _row(name: str, given: Mapping[str, Any]) -> OwnArchitecture:
    if "ours" in given:
        family = OURS[given["ours"]]
        kind, batch_norm = family.kind, family.batch_norm
    else:  # what a file builds is known once it was built
        kind, batch_norm = ("image" if "torchvision" in given else None), None
    return OwnArchitecture(
        title=name,
        builder="own:build",
        kind=kind,
        batch_norm=batch_norm,
        given={key: value for key, value in given.items() if key != "file"},
        file=given.get("file"),
    )


def build(
    own: Mapping[str, Any],
    file: str | None,
    input_shape: tuple[int, ...],
    num_classes: int,
    seed: int,
    *,
    group_norm: bool = False,
) -> "nn.Module":
    """Build a network with weights initialised from `seed` alone.

    Args:
        own: what the configuration says of it, without its file.
        file: Python file of its function, if it is the user's.
        input_shape: of one example: (C, H, W) of an image, or (D,).
        num_classes: number of logits.
        seed: of the initialisation; the global generators are left as they were.
        group_norm: make the network fit for per-example gradients.

    Returns:
        A network in training mode, float32: (B, *input_shape) to logits (B, K). Its dropout is
        drawn from keys.

    Raises:
        ConfigError: there is no such function, or it fails.
    """
    import torch

    from shadowmill.architectures.keyed import with_keyed_dropout

    make = _function(own, file)
    with torch.random.fork_rng(devices=[]):
        # Not torch.manual_seed, which would seed the generators of the GPUs too.
        torch.default_generator.manual_seed(seed)
        try:
            with _beside(file):
                network = make(input_shape, num_classes, **own["arguments"])
        except (Exception, SystemExit) as error:
            raise ConfigError(
                f"{_called(own, file)} fails for inputs of shape {input_shape} and {num_classes} "
                f"classes: {told(error, file)}"
            ) from error
        if not isinstance(network, torch.nn.Module):
            raise ConfigError(
                f"{_called(own, file)} gives a {type(network).__name__}, an nn.Module expected."
            )
        try:
            network = with_keyed_dropout(network.train())
        except (ValueError, RuntimeError) as error:  # a rate of 1, a compiled module
            raise ConfigError(
                f"{_called(own, file)}: its layers of dropout cannot be replaced by such as are "
                f"drawn from keys: {told(error, None)}"
            ) from error
    if group_norm:
        from shadowmill.architectures.group_norm import with_group_norm

        network = with_group_norm(network)
    return network


def told(error: BaseException, file: str | None) -> str:
    """An exception in one line, with the last line of the user's file that led to it."""
    where = ""
    for frame in traceback.extract_tb(error.__traceback__):
        if file is not None and Path(frame.filename) == Path(file).resolve():
            where = f" (line {frame.lineno}: {frame.line})"
    return f"{type(error).__name__}: {' '.join(str(error).split())[:400]}{where}"


def _called(own: Mapping[str, Any], file: str | None) -> str:
    if file is not None:
        return f"{file}: {own['function']}"
    return f"torchvision.models.{own['torchvision']}" if "torchvision" in own else own["ours"]


def _function(own: Mapping[str, Any], file: str | None) -> "Callable[..., nn.Module]":
    if "ours" in own:
        module, name = OURS[own["ours"]].builder.split(":")
        return getattr(import_module(f"shadowmill.architectures.{module}"), name)
    if "torchvision" in own:
        from shadowmill.architectures.adapted import of_torchvision

        return of_torchvision(own["torchvision"])
    found = getattr(_module(file), own["function"], None)
    if not callable(found):
        raise ConfigError(
            f"{file}: there is no function {own['function']} in it. Correct the name."
        )
    return found


@cache
def _module(file: str) -> ModuleType:
    """The user's file as a module, which may import others beside it."""
    path = Path(file).resolve()
    name = f"shadowmill_own_{path.stem}_{digest(str(path))}"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where copies of its classes look for it
    try:
        with _beside(file):
            spec.loader.exec_module(module)
    except FileNotFoundError as error:
        if error.filename != str(path):
            raise ConfigError(f"{file} cannot be loaded: {told(error, file)}") from error
        raise ConfigError(
            f"{file}: there is no such file. Paths are relative to the folder of the workflow."
        ) from error
    except (Exception, SystemExit) as error:
        raise ConfigError(f"{file} cannot be loaded: {told(error, file)}") from error
    return module


@contextmanager
def _beside(file: str | None) -> Iterator[None]:
    """While the user's code runs, it may import what lies beside its file."""
    if file is None:
        yield
        return
    folder = str(Path(file).resolve().parent)
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)
