"""Errors a user can mend: one clear message each, never a traceback."""

from collections.abc import Sequence


def some(names: Sequence[str], most: int = 5) -> str:
    """The first of some names as a list in a message, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(str, names[:most])) + more


class ShadowmillError(Exception):
    """Base of all errors caused by input, settings or files rather than by a defect in the code.

    The message names the key or file, what was found, what is allowed and what to do.
    Rule scripts print it and exit with a non-zero status.
    """


class ConfigError(ShadowmillError):
    """One or more faults in the workflow configuration."""


class DataError(ShadowmillError):
    """A data set that is missing, incomplete or not what it claims to be."""


class ArtefactError(ShadowmillError):
    """A file under results/ that is missing, truncated or does not belong to the others."""


class DiskError(ShadowmillError):
    """A disk that is full, or a quota that is used up."""


class TrainingError(ShadowmillError):
    """Training that cannot go on: a model diverged."""


class Interrupted(ShadowmillError):
    """A job was asked to stop and saved its state; not a fault, but not a result either."""


class BusyError(ShadowmillError):
    """Another job is at the same work."""
