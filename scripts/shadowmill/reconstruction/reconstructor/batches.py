"""Batches of heads, with the images that a reconstruction from each may show.

Batch t is a function of the seed and t alone, so training can go on from any step.

Legend: B heads, D numbers of their weights, E of them that vary, N examples of a head's set,
G candidate groups, M candidates of a group, C channels, S × S pixels, n all examples.
"""

from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shadowmill.reconstruction.heads.shards import HeadStore
from shadowmill.reconstruction.heads.study import HeadTrainer
from shadowmill.reconstruction.images import ExampleImages
from shadowmill.reconstruction.sets import Layout
from shadowmill.reconstruction.statistics import Statistics
from shadowmill.seeds import generator

# Streamed heads trained as one: few take nearly as long as many.
_HEADS_TOGETHER = 512


@dataclass(frozen=True)
class Batch:
    """Heads and what a reconstruction from each may show.

    Attributes:
        weights_BE: (B, E) float32, standardised.
        groups_B: (B,) int64, the group whose example is asked for.
        candidates: (B, M, C, S, S) of −1…1.
    """

    weights_BE: Tensor
    groups_B: Tensor
    candidates: Tensor


class HeadSource(Protocol):
    """Where batches of heads come from.

    Attributes:
        facts: what statistics of the heads' weights should say of them: `features_digest`, and
            with stored heads the `count`, `sets` and `settings`.
    """

    facts: dict[str, Any]

    def heads(self, number: int) -> tuple[Tensor, NDArray[np.int64]]:
        """Weights (B, D) float32 and examples (B, N) of batch `number`."""


class StoredHeads:
    """All heads in an order drawn anew for each epoch; what fills no batch is left out of it."""

    def __init__(self, store: HeadStore, batch_size: int, seed: int) -> None:
        """Batches of `batch_size` heads, or of all if there are fewer."""
        self._store, self._seed = store, seed
        self._batch_size = min(batch_size, store.num_heads)
        self._order_H, self._epoch = np.empty(0, np.int64), -1
        self.facts = {
            "count": store.num_heads,
            "sets": store.sets,
            "settings": store.settings,
            "features_digest": store.features_digest,
        }

    def heads(self, number: int) -> tuple[Tensor, NDArray[np.int64]]:
        """See `HeadSource`."""
        epoch, within = divmod(number, self._store.num_heads // self._batch_size)
        if epoch != self._epoch:
            random = generator("reconstructor", self._seed, "order of heads", epoch)
            self._order_H, self._epoch = random.permutation(self._store.num_heads), epoch
        rows_B = self._order_H[within * self._batch_size :][: self._batch_size]
        return self._store.weights(rows_B), self._store.indices(rows_B)


class StreamedHeads:
    """Heads that no other batch has, trained several batches at a time."""

    def __init__(self, trainer: HeadTrainer, batch_size: int, shard_size: int) -> None:
        """Batches of `batch_size` heads, but of no more than a shard has.

        Args:
            trainer: of these heads.
            batch_size: B.
            shard_size: number of heads for which the data set is known to have enough examples.
        """
        self._trainer, self._batch_size = trainer, min(batch_size, shard_size)
        self._batches_together = min(shard_size, _HEADS_TOGETHER) // self._batch_size or 1
        self._chunk = -1
        self.facts = {"features_digest": trainer.features_digest}

    def heads(self, number: int) -> tuple[Tensor, NDArray[np.int64]]:
        """See `HeadSource`."""
        chunk, within = divmod(number, self._batches_together)
        if chunk != self._chunk:
            count = self._batches_together * self._batch_size
            self._weights_HD, self._indices_HN = self._trainer.fresh(chunk, count)
            self._chunk = chunk
        rows = slice(within * self._batch_size, (within + 1) * self._batch_size)
        return self._weights_HD[rows], self._indices_HN[rows]


class Batches:
    """Batches to train a reconstructor with; each is prepared while the one before is in use."""

    def __init__(
        self,
        source: HeadSource,
        statistics: Statistics,
        layout: Layout,
        images: ExampleImages,
        seed: int,
        num_batches: int,
        executor: Executor,
    ) -> None:
        """Describe what batches are made of.

        Args:
            source: of heads.
            statistics: of the weights of all heads.
            layout: which examples of a set a reconstruction may show.
            images: of the data set that the heads were trained on.
            seed: of the groups asked for.
            num_batches: how many will be asked for.
            executor: of one thread, in which batches are prepared.
        """
        self._source, self._statistics, self._layout = source, statistics, layout
        self._images, self._seed = images, seed
        self._num_batches, self._executor = num_batches, executor
        self._ahead: tuple[int, Future[Batch]] | None = None

    def batch(self, number: int) -> Batch:
        """Batch `number`; the next one is begun."""
        if self._ahead is None or self._ahead[0] != number:
            self._begin(number)
        prepared = self._ahead[1].result()
        if number + 1 < self._num_batches:
            self._begin(number + 1)
        return prepared

    def _begin(self, number: int) -> None:
        self._ahead = number, self._executor.submit(self._make, number)

    def _make(self, number: int) -> Batch:
        weights_BD, indices_BN = self._source.heads(number)
        random = generator("reconstructor", self._seed, "groups", number)
        groups_B = random.integers(len(self._layout.candidates_GM), size=len(indices_BN))
        return Batch(
            self._statistics.standardise(weights_BD),
            torch.from_numpy(groups_B).to(weights_BD.device),
            candidates(indices_BN, groups_B, self._layout, self._images),
        )


def candidates(
    indices_BN: NDArray[np.int64],
    groups_B: NDArray[np.int64],
    layout: Layout,
    images: ExampleImages,
) -> Tensor:
    """What a reconstruction from each head may show.

    Args:
        indices_BN: (B, N) examples that the heads were trained on.
        groups_B: (B,) the group whose example is asked for.
        layout: which examples of a set a reconstruction may show.
        images: of the data set.

    Returns:
        (B, M, C, S, S) of −1…1.
    """
    rows_BM = layout.candidates_GM[groups_B]
    return images.targets(np.take_along_axis(indices_BN, rows_BM, axis=1))
