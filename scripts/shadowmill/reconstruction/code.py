"""The code that builds networks of reconstructions: they are what it made of their weights."""

from functools import cache

from shadowmill.reconstruction.backbones import BACKBONES
from shadowmill.sources import code_digest


@cache
def backbone_code(name: str) -> str:
    """Digest of all code that builds a backbone: its own, what it uses, what is around it.

    Args:
        name: row of the table.
    """
    row = BACKBONES[name]
    package = "shadowmill.reconstruction.backbones"
    names = [
        f"{package}.networks.{row.builder}",
        f"{package}.networks.FeatureNetwork",
        f"{package}.build",
    ]
    return code_digest(names, {f"{package}.BACKBONES": {name: row}})


@cache
def generator_code() -> str:
    """Digest of all code that builds the network of a reconstructor."""
    return code_digest(["shadowmill.reconstruction.reconstructor.generator.build_generator"])
