"""The code that builds a network: models are what it made of their weights."""

from functools import cache

from shadowmill.architectures import ARCHITECTURES
from shadowmill.sources import code_digest


@cache
def network_code(name: str) -> str:
    """Digest of all code that builds an architecture: its own, what it uses, what is around it.

    Args:
        name: row of the table.
    """
    module, function = ARCHITECTURES[name].builder.split(":")
    table = {"shadowmill.architectures.ARCHITECTURES": {name: ARCHITECTURES[name]}}
    builder = f"shadowmill.architectures.{module}.{function}"
    return code_digest([builder, "shadowmill.architectures.build"], table)
