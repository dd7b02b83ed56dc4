"""Initial weights of heads, in units of their spread: standard normals; biases begin at 0.

Legend: H heads, J units of the first layer, d features.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from shadowmill.reconstruction.heads.draws import Key, for_purpose, normals
from shadowmill.reconstruction.heads.network import Outer
from shadowmill.reconstruction.heads.settings import num_units


def first_keys(keys: Sequence[Key], attempts: Sequence[int]) -> list[Key]:
    """Keys of the initial weights of the first layer; these are (J, d) float32."""
    return for_purpose("first", keys, attempts)


def initial_first(
    features_HND: Tensor, keys: Sequence[Key], attempts: Sequence[int], settings: Mapping[str, Any]
) -> Tensor:
    """Weights of the first layer, (H, J, d), in the dtype and on the device of the features."""
    shape = (num_units(settings), features_HND.shape[2])
    return normals(first_keys(keys, attempts), shape).to(features_HND)


def initial_outer(
    like: Tensor, keys: Sequence[Key], attempts: Sequence[int], settings: Mapping[str, Any]
) -> Outer | None:
    """The second layer, if there is one, in the dtype and on the device of another tensor."""
    if not settings["hidden"]:
        return None
    weights_HJ1 = normals(for_purpose("outer", keys, attempts), (settings["hidden"], 1)).to(like)
    return Outer(weights_HJ1, like.new_zeros(len(keys), 1, 1))
