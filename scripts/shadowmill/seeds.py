"""Independent random streams, each fixed by what it is for rather than by when it is drawn.

A stream depends on its own key alone (say, model 7, third pass over its examples), so results do
not depend on how many models share a job, nor on whether a job was interrupted.
"""

import hashlib
import json

import numpy as np


def seed_of(*key: str | int) -> int:
    """A 63-bit seed from a key of strings and integers."""
    return int.from_bytes(hashlib.sha256(json.dumps(key).encode()).digest()[:8], "big") >> 1


def generator(*key: str | int) -> np.random.Generator:
    """A NumPy generator whose stream is fixed by `key`."""
    return np.random.Generator(np.random.PCG64(seed_of(*key)))
