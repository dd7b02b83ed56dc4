"""What is drawn for heads, each head's fixed by its own key.

Drawn on the CPU, so that they are the same on any device, and by torch, which is three times as
fast as NumPy there; on processors of other kinds they may differ in the last digit. Torch lets go
of Python's lock while it draws, so threads share the work.

Legend: H heads, J units of the first layer, d features.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor

from shadowmill.reconstruction.heads.network import Outer, num_units
from shadowmill.seeds import seed_of

Key = tuple[str | int, ...]


def for_purpose(purpose: str, keys: Sequence[Key], attempts: Sequence[int]) -> list[Key]:
    """Keys of what is drawn for one purpose, in the given attempt at each head."""
    return [(*key, purpose, attempt) for key, attempt in zip(keys, attempts, strict=True)]


def fill_normals(rows_HX: Tensor, keys: Sequence[Key]) -> None:
    """Overwrite each row with standard normals from the stream of its key.

    Args:
        rows_HX: (H, X) float32 on the CPU, with contiguous rows.
        keys: H keys.
    """
    num_threads = min(torch.get_num_threads(), len(keys))

    def fill_every(first: int) -> None:
        random = torch.Generator()
        for row in range(first, len(keys), num_threads):
            rows_HX[row].normal_(generator=random.manual_seed(seed_of(*keys[row])))

    if num_threads <= 1:
        fill_every(0)
        return
    with ThreadPoolExecutor(num_threads) as pool:
        list(pool.map(fill_every, range(num_threads)))


def normals(keys: Sequence[Key], shape: tuple[int, ...]) -> Tensor:
    """Standard normals, (H, *shape) float32 on the CPU, each head's from the stream of its key."""
    drawn = torch.empty(len(keys), *shape)
    fill_normals(drawn.flatten(1), keys)
    return drawn


def first_keys(keys: Sequence[Key], attempts: Sequence[int]) -> list[Key]:
    """Keys of the initial weights of the first layer; these are (J, d) float32."""
    return for_purpose("first", keys, attempts)


def initial_first(
    features_HND: Tensor, keys: Sequence[Key], attempts: Sequence[int], settings: Mapping[str, Any]
) -> Tensor:
    """Initial weights of the first layer, (H, J, d), standard normals; biases begin at 0.

    In the dtype and on the device of the features.
    """
    shape = (num_units(settings), features_HND.shape[2])
    return normals(first_keys(keys, attempts), shape).to(features_HND)


def initial_outer(
    like: Tensor, keys: Sequence[Key], attempts: Sequence[int], settings: Mapping[str, Any]
) -> Outer | None:
    """Initial second layer, if there is one, in the dtype and on the device of another tensor."""
    if not settings["hidden"]:
        return None
    weights_HJ1 = normals(for_purpose("outer", keys, attempts), (settings["hidden"], 1)).to(like)
    return Outer(weights_HJ1, like.new_zeros(len(keys), 1, 1))
