"""What each model sees at each step: the order of its examples and their augmentation.

All is drawn on the CPU from generators keyed by model, purpose and pass, epoch or step. So a model
sees the same batches alone, in a stack, on any device, and after a resume.

Legend: E models, S steps of an epoch, B examples of a batch; images are H × W with C channels,
tabular examples have D features.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from shadowmill.data.store import Data
from shadowmill.seeds import generator

_PART = 4096  # examples that are looked at together


def example_order(seed: int, members: np.ndarray, start: int, count: int) -> np.ndarray:
    """A stretch of the endless sequence of shuffled passes over a model's members.

    Batches are cut from this sequence, so all are full, no member is left out, and after any number
    of batches no member was seen more than one time more often than another.

    Args:
        seed: of the model.
        members: (n,) indices of the model's examples.
        start: first position in the sequence.
        count: length of the stretch.

    Returns:
        (count,) indices.
    """
    num = len(members)
    first, last = start // num, (start + count - 1) // num
    passes = [generator(seed, "order", p).permutation(members) for p in range(first, last + 1)]
    return np.concatenate(passes)[start - first * num :][:count]


class Normaliser:
    """From stored examples to the float32 inputs of a network, by the moments of the data set."""

    def __init__(self, data: Data, device: torch.device) -> None:
        """Move the moments to the device."""
        self._is_image = data.kind == "image"
        self._is_bytes = data.inputs.dtype == np.uint8
        self._mean = torch.from_numpy(data.mean).float().to(device)
        self._std = torch.from_numpy(data.std).float().to(device)

    def __call__(self, inputs: Tensor) -> Tensor:
        """Images (…, H, W, C) to (…, C, H, W) float32; features (…, D) float32 likewise."""
        values = inputs.float() / 255 if self._is_bytes else inputs
        normalised = (values - self._mean) / self._std
        return normalised.movedim(-1, -3) if self._is_image else normalised


class Pool:
    """The examples of a data set for all models of a job: on the device, if there is room."""

    def __init__(self, data: Data, num_examples: int, device: torch.device) -> None:
        """Move the examples to the device.

        Args:
            data: the data set.
            num_examples: how many of its examples are needed, from the first.
            device: where the batches are needed.
        """
        self.device = device
        inputs = torch.from_numpy(data.inputs[:num_examples])
        self.is_on_device = device.type == "cpu" or inputs.nbytes < _room(device)
        # Else they stay where they are, often on the disk, and each batch is fetched from there.
        self._inputs = inputs.to(device) if self.is_on_device else inputs
        self._labels = torch.from_numpy(data.labels[:num_examples]).to(device)
        self._normalise = Normaliser(data, device)
        self._shape = data.input_shape

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of images."""
        _, height, width = self._shape
        return height, width

    @property
    def largest_input(self) -> float:
        """The largest input of a network, in standard deviations from the mean."""
        parts = self._inputs.split(_PART)
        return max(float(self._normalise(part.to(self.device)).abs().max()) for part in parts)

    def _at(self, *index: Tensor) -> Tensor:
        """Some of the inputs, on the device."""
        return self._inputs[tuple(i.to(self._inputs.device) for i in index)].to(self.device)

    def plain(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Examples without augmentation.

        Args:
            index: (…) int64.

        Returns:
            (…, C, H, W) or (…, D) float32 normalised inputs and (…) int64 labels.
        """
        return self._normalise(self._at(index)), self._labels[index]

    def cropped(
        self, index: Tensor, offset: Tensor, is_flipped: Tensor, crop: int, padding: str
    ) -> tuple[Tensor, Tensor]:
        """Images, each cut from its padded self and perhaps flipped.

        Args:
            index: (E, B) int64.
            offset: (E, B, 2) int64: row and column where the cut begins, from 0 to 2·crop.
            is_flipped: (E, B) bool: mirrored left to right after the cut.
            crop: width of the padding in pixels.
            padding: `zero` for black pixels, `reflect` for the image mirrored at its outermost
                pixels.

        Returns:
            (E, B, C, H, W) float32 normalised images and (E, B) int64 labels.
        """
        height, width = self.image_size
        rows = torch.arange(height, device=self.device) + offset[..., 0, None] - crop
        columns = torch.arange(width, device=self.device).expand(*index.shape, width)
        columns = torch.where(is_flipped[..., None], columns.flip(-1), columns)
        columns = columns + offset[..., 1, None] - crop
        inner_rows, inner_columns = (
            _mirrored(at, size) for at, size in ((rows, height), (columns, width))
        )
        images = self._at(
            index[..., None, None], inner_rows[..., :, None], inner_columns[..., None, :]
        )
        if crop and padding == "zero":
            is_black = (rows != inner_rows)[..., :, None] | (columns != inner_columns)[..., None, :]
            images = images.masked_fill(is_black[..., None], 0)
        return self._normalise(images), self._labels[index]


def _room(device: torch.device) -> float:
    """Bytes that the examples may take of a GPU: half of what is free, as training needs it too."""
    return torch.cuda.mem_get_info(device)[0] / 2


def _mirrored(at: Tensor, size: int) -> Tensor:
    """Positions beyond either end of an axis, mirrored at its outermost pixels."""
    period = max(1, 2 * (size - 1))
    within = at % period
    return torch.minimum(within, period - within) if size > 1 else torch.zeros_like(at)


class BatchSource:
    """Batches for a stack of models."""

    def __init__(
        self,
        pool: Pool,
        seeds: Sequence[int],
        members: Sequence[np.ndarray],
        recipe: Mapping[str, Any],
        steps_per_epoch: int,
        *,
        poisson: bool = False,
    ) -> None:
        """Prepare to draw.

        Args:
            pool: the data set on the device.
            seeds: of the E models.
            members: (n,) int64 indices of the examples of each model.
            recipe: with `batch_size` and `augmentation`: `crop` and `padding`, see `Pool.cropped`;
                `flip`, whether images are mirrored left to right with probability ½; and `cutout`,
                the side of a square whose pixels take the mean of the data set (0 after
                normalisation), or 0. Its centre is uniform over the image and what lies outside the
                image is cut off (DeVries and Taylor 2017, arXiv:1708.04552, Sec. 3.2).
            steps_per_epoch: S.
            poisson: whether each member is in the batch of each step independently, with
                probability `sample_rate`, as the accountants of DP-SGD assume (Abadi et al. 2016,
                arXiv:1607.00133, Sec. 3.1). For one model; the size of its batches varies.

        Raises:
            ValueError: Poisson sampling for more than one model.
        """
        augmentation = recipe["augmentation"]
        self._crop, self._flip = augmentation["crop"], augmentation["flip"]
        self._cutout = augmentation["cutout"]
        self._padding = augmentation["padding"]
        if poisson and len(seeds) != 1:
            raise ValueError(
                f"Poisson sampling for {len(seeds)} models, whose batches would differ"
            )
        self._is_augmented = bool(self._crop or self._flip or self._cutout)
        self._pool, self._poisson = pool, poisson
        self._seeds, self._members, self._steps = seeds, members, steps_per_epoch
        self._batch_size = recipe["batch_size"]
        self._epoch = -1

    @property
    def sample_rate(self) -> float:
        """Probability q = batch size / n that a member is in a batch of Poisson sampling."""
        return self._batch_size / len(self._members[0])

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """The batches of all models at a step.

        Returns:
            (E, B, C, H, W) or (E, B, D) float32 normalised inputs and (E, B) int64 labels. With
            Poisson sampling B varies and may be 0.
        """
        return self.examples(*self.draws(step))

    def draws(self, step: int) -> list[Tensor]:
        """What is drawn for a step: indices (E, B), and of each example how it is augmented."""
        return self._poisson_batch(step) if self._poisson else self._full_batch(step)

    def examples(self, index: Tensor, *augmentation: Tensor) -> tuple[Tensor, Tensor]:
        """The batches of all models, from what `draws` returned."""
        if not augmentation:
            return self._pool.plain(index)
        offset, is_flipped, *corner = augmentation
        images, labels = self._pool.cropped(index, offset, is_flipped, self._crop, self._padding)
        if corner:
            images = images.masked_fill(self._blank(*corner), 0)
        return images, labels

    def _full_batch(self, step: int) -> list[Tensor]:
        epoch, within = divmod(step, self._steps)
        if epoch != self._epoch:
            self._draw_epoch(epoch)
        return [draw[:, within] for draw in (self._index, *self._draws)]

    def _draw_epoch(self, epoch: int) -> None:
        shape = (self._steps, self._batch_size)
        stretch = self._steps * self._batch_size
        index = [
            example_order(seed, members, epoch * stretch, stretch).reshape(shape)
            for seed, members in zip(self._seeds, self._members, strict=True)
        ]
        self._index = torch.from_numpy(np.stack(index)).to(self._pool.device)
        self._draws = self._draw_augmentation(
            [generator(seed, "augmentation", epoch) for seed in self._seeds], shape
        )
        self._epoch = epoch

    def _poisson_batch(self, step: int) -> list[Tensor]:
        # A stream for each step: an epoch of numbers for all members can be gigabytes.
        random, members = generator(self._seeds[0], "poisson", step), self._members[0]
        index = members[random.random(len(members)) < self.sample_rate]
        draws = self._draw_augmentation([random], index.shape)
        return [torch.from_numpy(index[None]).to(self._pool.device), *draws]

    def _draw_augmentation(
        self, randoms: Sequence[np.random.Generator], shape: tuple[int, ...]
    ) -> list[Tensor]:
        """Offset, flip and, with cutout, corner of each example; axis 0 is that of the models."""
        if not self._is_augmented:
            return []
        drawn = [self._draw_model(random, shape) for random in randoms]
        return [
            torch.from_numpy(np.stack(arrays)).to(self._pool.device)
            for arrays in zip(*drawn, strict=True)
        ]

    def _draw_model(self, random: np.random.Generator, shape: tuple[int, ...]) -> list[np.ndarray]:
        # In this order, or recipes without what comes later would lead to other models.
        offset = random.integers(0, 2 * self._crop + 1, (*shape, 2))
        is_flipped = (random.random(shape) < 0.5) & self._flip
        if not self._cutout:
            return [offset, is_flipped]
        centre = random.integers(0, self._pool.image_size, (*shape, 2))
        return [offset, is_flipped, centre - self._cutout // 2]

    def _blank(self, corner: Tensor) -> Tensor:
        """Where the square lies whose top left corner is (E, B, 2): (E, B, 1, H, W) bool."""
        inside = []
        for axis, size in enumerate(self._pool.image_size):
            distance = torch.arange(size, device=corner.device) - corner[..., axis, None]
            inside.append((distance >= 0) & (distance < self._cutout))
        rows, columns = inside
        return (rows[..., :, None] & columns[..., None, :])[..., None, :, :]
