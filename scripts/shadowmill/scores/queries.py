"""Queries: deterministic views of an example, the same for every model.

Legend: B examples, C channels, H × W pixels, A queries.
"""

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import torch.nn.functional as F
from torch import Tensor


def num_queries(queries: Mapping[str, Any]) -> int:
    """A: number of views that the settings `mirror` and `shift` lead to."""
    return (1 + queries["mirror"]) * (2 * queries["shift"] + 1) ** 2


def views(inputs: Tensor, queries: Mapping[str, Any]) -> Iterator[Tensor]:
    """All views of a batch, the identity first.

    Shifts fill the border by reflection, as the queries of Carlini et al. (2022) do; each view
    keeps the size of the images.

    Args:
        inputs: (B, C, H, W), or (B, D) features, of which the identity is the only view.
        queries: `mirror` (also the left-right mirror image of each) and `shift` (by up to so many
            pixels, in both directions and along both axes).

    Yields:
        A tensors of the shape of `inputs`.
    """
    if inputs.dim() == 2:
        yield inputs
        return
    reach = queries["shift"]
    height, width = inputs.shape[-2:]
    padded = F.pad(inputs, (reach,) * 4, mode="reflect") if reach else inputs
    offsets = sorted(product(range(2 * reach + 1), repeat=2), key=lambda o: o != (reach, reach))
    for mirrored in (False, True)[: 1 + queries["mirror"]]:
        for top, left in offsets:
            view = padded[..., top : top + height, left : left + width]
            yield view.flip(-1) if mirrored else view
