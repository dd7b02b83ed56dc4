"""What each model sees at each step: the order of its examples and their augmentation.

All is drawn on the CPU from generators keyed by model, purpose and pass or epoch. So a model sees
the same batches alone, in a stack, on any device, and after a resume.

Legend: E models, S steps of an epoch, B examples of a batch; images are H × W with C channels.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from shadowmill.data.store import ImageData
from shadowmill.seeds import generator


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
    """From bytes to the float32 inputs of a network, by the moments of the pool."""

    def __init__(self, data: ImageData, device: torch.device) -> None:
        """Move the moments to the device."""
        self._mean = torch.from_numpy(data.mean).float().to(device)
        self._std = torch.from_numpy(data.std).float().to(device)

    def __call__(self, images: Tensor) -> Tensor:
        """(…, H, W, C) uint8 to (…, C, H, W) float32."""
        return ((images.float() / 255 - self._mean) / self._std).movedim(-1, -3)


class BatchSource:
    """The data set on the device, and batches of it for a stack of models."""

    def __init__(
        self,
        data: ImageData,
        seeds: list[int],
        members: list[np.ndarray],
        recipe: Mapping[str, Any],
        steps_per_epoch: int,
        device: torch.device,
    ) -> None:
        """Move the pool to the device.

        Args:
            data: the data set.
            seeds: of the E models.
            members: indices of the examples of each model.
            recipe: with `batch_size` and `augmentation`.
            steps_per_epoch: S.
            device: where the batches are needed.
        """
        self._seeds, self._members, self._steps = seeds, members, steps_per_epoch
        self._batch = recipe["batch_size"]
        self._crop = recipe["augmentation"]["crop"]
        self._flip = recipe["augmentation"]["flip"]
        self._size = data.images.shape[1:3]
        pad = [(0, 0), (self._crop, self._crop), (self._crop, self._crop), (0, 0)]
        self._images = torch.from_numpy(np.pad(data.images[: data.pool_size], pad)).to(device)
        self._labels = torch.from_numpy(data.labels[: data.pool_size]).to(device)
        self._normalise = Normaliser(data, device)
        self._epoch = -1

    def _draw_epoch(self, epoch: int) -> None:
        device, shape = self._images.device, (self._steps, self._batch)
        stretch = self._steps * self._batch
        index, offset, flip = [], [], []
        for seed, members in zip(self._seeds, self._members, strict=True):
            index.append(example_order(seed, members, epoch * stretch, stretch).reshape(shape))
            random = generator(seed, "augmentation", epoch)
            offset.append(random.integers(0, 2 * self._crop + 1, (*shape, 2)))
            flip.append(random.random(shape) < 0.5)
        self._index = torch.from_numpy(np.stack(index)).to(device)
        self._offset = torch.from_numpy(np.stack(offset)).to(device)
        self._flipped = torch.from_numpy(np.stack(flip)).to(device)
        self._epoch = epoch

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """The batches of all models at a step.

        Returns:
            (E, B, C, H, W) float32 normalised images and (E, B) int64 labels.
        """
        epoch, within = divmod(step, self._steps)
        if epoch != self._epoch:
            self._draw_epoch(epoch)
        index = self._index[:, within]
        images = self._augment(index, within) if self._crop or self._flip else self._images[index]
        return self._normalise(images), self._labels[index]

    def _augment(self, index: Tensor, within: int) -> Tensor:
        height, width = self._size
        device = index.device
        rows = torch.arange(height, device=device) + self._offset[:, within, :, 0, None]
        columns = torch.arange(width, device=device).expand(*index.shape, width)
        if self._flip:
            flipped = self._flipped[:, within, :, None]
            columns = torch.where(flipped, columns.flip(-1), columns)
        columns = columns + self._offset[:, within, :, 1, None]
        return self._images[index[..., None, None], rows[..., :, None], columns[..., None, :]]
