"""Random numbers of many heads, each head's fixed by its own key.

Drawn on the CPU, so that they are the same on any device, and by torch, which is three times as
fast as NumPy there; on processors of other kinds they may differ in the last digit. Torch lets go
of Python's lock while it draws, so threads share the work.

Legend: H heads.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

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
