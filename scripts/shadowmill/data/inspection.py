"""What is found while a data set passes by: moments, duplicates, and what the user should know.

Legend: N examples, C channels.
"""

from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b

import numpy as np

from shadowmill.data.readers import Examples
from shadowmill.errors import DataError, some
from shadowmill.large_arrays import Streamed, parts

SMALL_CLASS = 10
"""A class of fewer training examples is told."""


def as_streamed(inputs: np.ndarray | Streamed) -> Streamed:
    """Inputs of either kind, as parts of some rows."""
    if isinstance(inputs, Streamed):
        return inputs
    return Streamed(inputs.shape, inputs.dtype, parts(inputs))


class Inspection:
    """Facts on examples that come in parts, the pool first."""

    def __init__(self, shape: Sequence[int], dtype: np.dtype, pool_size: int) -> None:
        """Begin.

        Args:
            shape: (N, H, W, C) of images or (N, D) of features, of all examples.
            dtype: of the inputs.
            pool_size: number of training examples.
        """
        self._left, self._is_bytes = pool_size, dtype == np.uint8
        self._count, self._low, self._high = 0, np.inf, -np.inf
        # Sums of bytes are exact in integers and need no float copy of the data.
        kind = np.int64 if self._is_bytes else np.float64
        self._first, self._second = np.zeros((2, shape[-1]), kind)
        self.digests: list[bytes] = []

    def passing(self, inputs: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """The same parts, looked at."""
        for part in inputs:
            for example in np.ascontiguousarray(part):
                self.digests.append(blake2b(example.data, digest_size=16).digest())
            pool, self._left = part[: self._left], max(0, self._left - len(part))
            if pool.ndim == 4 and len(pool):
                self._add(pool.reshape(-1, pool.shape[-1]))
            yield part

    def _add(self, pixels: np.ndarray) -> None:
        self._low = min(self._low, float(pixels.min()))
        self._high = max(self._high, float(pixels.max()))
        if self._is_bytes:
            self._first += pixels.sum(axis=0, dtype=np.int64)
            self._second += np.einsum("nc,nc->c", pixels, pixels, dtype=np.int64)
        else:
            # Mean and sum of squared deviations, put together as by Chan et al. (1979).
            mean, added = pixels.mean(axis=0, dtype=np.float64), len(pixels)
            gap, total = mean - self._first, self._count + added
            self._second += ((pixels - mean) ** 2).sum(axis=0)
            self._second += gap**2 * (self._count * added / total)
            self._first += gap * (added / total)
        self._count += len(pixels)

    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation (C,) of the pool's pixels, bytes scaled to 0…1.

        The deviation of a channel that is constant is 1, so that it can be divided by.
        """
        if self._is_bytes:
            mean, square = self._first / self._count, self._second / self._count
            std = np.sqrt(square - mean**2) / 255
            # Exact, where the difference of rounded numbers may not be.
            is_constant = self._first**2 == self._second * self._count
            mean = mean / 255
        else:
            mean, std = self._first, np.sqrt(self._second / self._count)
            is_constant = std == 0
        return mean, np.where(is_constant, 1.0, std)

    @property
    def value_range(self) -> tuple[float, float]:
        """The smallest and the largest pixel, of bytes those that there can be."""
        return (0, 255) if self._is_bytes or not self._count else (self._low, self._high)


def remarks(name: str, examples: Examples, digests: Sequence[bytes]) -> Iterator[str]:
    """What is odd about a data set of the user's own, in words.

    Raises:
        DataError: there is one class only.
    """
    pool_size = int((~examples.is_test).sum())
    counts = np.bincount(examples.labels[:pool_size], minlength=len(examples.class_names))
    if len(counts) < 2:
        raise DataError(
            f"{name}: all examples are of one class, {examples.class_names[0]}. A classifier needs "
            "two at least."
        )
    small = [
        f"{label} ({count})"
        for label, count in zip(examples.class_names, counts, strict=True)
        if count < SMALL_CLASS
    ]
    if small:
        yield (
            f"classes of fewer than {SMALL_CLASS} training examples, of which little can be told: "
            f"{some(small)}"
        )
    if len(examples.labels) > pool_size:
        tested = np.isin(np.arange(len(counts)), examples.labels[pool_size:])
        if not tested.all():
            absent = np.array(examples.class_names)[~tested]
            yield f"classes without test examples: {some(absent)}"
    yield from _duplicate_remarks(examples, digests, pool_size)
    if examples.ids is not None and len(set(examples.ids)) < len(examples.ids):
        called, times = np.unique(examples.ids, return_counts=True)
        yield f"ids of more than one example: {some(called[times > 1])}"
    if examples.groups is not None:
        shared = {*examples.groups[:pool_size]} & {*examples.groups[pool_size:]}
        if shared:
            yield (
                f"{len(shared)} groups have training and test examples: accuracy on the test set "
                "is not that on new groups"
            )


def _duplicate_remarks(
    examples: Examples, digests: Sequence[bytes], pool_size: int
) -> Iterator[str]:
    first: dict[bytes, int] = {}
    pairs = [
        (first[key], index)
        for index, key in enumerate(digests)
        if first.setdefault(key, index) != index
    ]
    within = [pair for pair in pairs if pair[1] < pool_size]
    across = [pair for pair in pairs if pair[0] < pool_size <= pair[1]]
    called = examples.ids if examples.ids is not None else np.arange(len(digests)).astype(str)
    for found, where, what in (
        (within, "of the training part equal", "a copy that is a member gives the other away"),
        (across, "of the test part equal a training example", "they are no test of new examples"),
    ):
        if found:
            shown = some([f"{called[b]} = {called[a]}" for a, b in found])
            earlier = " an earlier one" if found is within else ""
            yield f"{len(found)} examples {where}{earlier} exactly, {what}: {shown}"
    labelled = [pair for pair in pairs if examples.labels[pair[0]] != examples.labels[pair[1]]]
    if labelled:
        shown = some([f"{called[a]} and {called[b]}" for a, b in labelled])
        yield f"{len(labelled)} pairs of equal examples have different labels: {shown}"
