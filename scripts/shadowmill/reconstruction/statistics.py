"""Mean, standard deviation and correlation of the weights of all training heads.

A reconstructor sees standardised weights, and the null hypothesis draws weights from the Gaussian
fitted here: heads that know nothing of the examples they are scored against. All in float64, in
one pass over the heads.

Legend: B heads of a batch, D numbers of the flattened weights, E of them that vary ("kept").
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from shadowmill import devices, progress, storage
from shadowmill.errors import ArtefactError
from shadowmill.provenance import array_digest, digest, provenance
from shadowmill.reconstruction.heads.shards import HeadStore
from shadowmill.seeds import generator

log = logging.getLogger(__name__)

_HEADS_TOGETHER = 1024
# Added to the diagonal before the Cholesky factor is taken (as published): fewer heads than
# weights, or weights that depend on each other, leave the correlation singular.
_JITTER = 1e-5


class Moments:
    """Count, mean and centred outer products of rows that arrive in batches.

    The pairwise update of Chan, Golub and LeVeque 1983 (doi:10.1080/00031305.1983.10483115), for
    matrices. All rows are taken relative to the first one, so that a weight that never varies has a
    variance of exactly zero, whatever its value.

    Attributes:
        count: rows so far.
    """

    def __init__(self, num_weights: int, device: torch.device | str = "cpu") -> None:
        """Start with no rows of `num_weights` (D) numbers."""
        self.count = 0
        self._origin_D: Tensor | None = None
        self._offset_D = torch.zeros(num_weights, dtype=torch.float64, device=device)
        self._scatter_DD = torch.zeros(num_weights, num_weights, dtype=torch.float64, device=device)

    def update(self, weights_BD: Tensor) -> None:
        """Take in the rows of a (B, D) tensor of any floating type."""
        rows_BD = weights_BD.to(self._offset_D)
        if not len(rows_BD):
            return
        if self._origin_D is None:
            self._origin_D = rows_BD[0].clone()
        rows_BD = rows_BD - self._origin_D
        offset_D = rows_BD.mean(dim=0)
        rows_BD -= offset_D
        self._scatter_DD.addmm_(rows_BD.T, rows_BD)
        self._join(len(rows_BD), offset_D)

    def merge(self, other: "Moments") -> None:
        """Take in all rows that `other` has taken in."""
        if not other.count:
            return
        if self._origin_D is None:
            self._origin_D = other._origin_D
        self._scatter_DD += other._scatter_DD
        self._join(other.count, other._origin_D - self._origin_D + other._offset_D)

    def _join(self, count: int, offset_D: Tensor) -> None:
        """Account for the distance of the mean of `count` further rows from the mean so far."""
        distance_D = offset_D - self._offset_D
        share = count / (self.count + count)
        self._scatter_DD.addr_(distance_D, distance_D, alpha=self.count * share)
        self._offset_D += share * distance_D
        self.count += count

    @property
    def mean_D(self) -> Tensor:
        """(D,) float64, of at least one row."""
        return self._origin_D + self._offset_D

    @property
    def std_D(self) -> Tensor:
        """(D,) float64, with divisor `count`: standardised rows have a variance of exactly 1."""
        return (self._scatter_DD.diagonal() / self.count).sqrt()

    @property
    def kept_D(self) -> Tensor:
        """(D,) bool: the weights that vary."""
        return self._scatter_DD.diagonal() > 0

    def correlation(self) -> Tensor:
        """(E, E) float64, of the weights that vary, with ones on the diagonal."""
        kept = self.kept_D.nonzero()[:, 0]
        scatter_EE = self._scatter_DD[kept[:, None], kept]
        root_E = scatter_EE.diagonal().sqrt()
        scatter_EE /= root_E[:, None]
        scatter_EE /= root_E
        scatter_EE.fill_diagonal_(1)
        return scatter_EE


@dataclass(frozen=True, eq=False)
class Statistics:
    """What `weight_statistics` wrote.

    Attributes:
        count: heads they are of.
        mean_D: (D,) float64.
        std_D: (D,) float64, 0 where a weight never varies.
        kept_D: (D,) bool: the weights that vary.
        correlation_EE: (E, E) float64, of these.
        digest: of all this.
        sets: settings of the sets of the heads.
        settings: of the heads.
        features_digest: of the features they were trained on.
    """

    count: int
    mean_D: np.ndarray
    std_D: np.ndarray
    kept_D: np.ndarray
    correlation_EE: np.ndarray
    digest: str
    sets: dict[str, Any]
    settings: dict[str, Any]
    features_digest: str

    @property
    def num_kept(self) -> int:
        """Number of weights that vary (E)."""
        return len(self.correlation_EE)

    def standardise(self, weights_BD: Tensor) -> Tensor:
        """Weights that vary, less their means, divided by their standard deviations.

        Args:
            weights_BD: (B, D), on any device.

        Returns:
            (B, E) float32, on the same device.

        Raises:
            ValueError: other than D weights.
        """
        if weights_BD.shape[1] != len(self.mean_D):
            raise ValueError(
                f"{weights_BD.shape[1]} weights a head, statistics of {len(self.mean_D)}"
            )
        kept_E, mean_E, std_E = (part.to(weights_BD.device) for part in self._scaling)
        return ((weights_BD[:, kept_E] - mean_E) / std_E).float()

    def sample(self, count: int, key: Sequence[str | int]) -> Tensor:
        """Standardised weights drawn from the Gaussian with this correlation (+ 1e-5 I).

        Args:
            count: draws.
            key: of their random stream.

        Returns:
            (count, E) float32, on the CPU.
        """
        normal_BE = generator(*key).standard_normal((count, self.num_kept))
        return torch.from_numpy((normal_BE @ self._factor_EE.T).astype(np.float32))

    @cached_property
    def _factor_EE(self) -> np.ndarray:
        jittered_EE = self.correlation_EE.copy()
        jittered_EE[np.diag_indices(self.num_kept)] += _JITTER
        return np.linalg.cholesky(jittered_EE)

    @cached_property
    def _scaling(self) -> tuple[Tensor, Tensor, Tensor]:
        """Indices, means and standard deviations of the weights that vary, each (E,)."""
        kept_E = np.flatnonzero(self.kept_D)
        return tuple(
            torch.from_numpy(part) for part in (kept_E, self.mean_D[kept_E], self.std_D[kept_E])
        )


def weight_statistics(
    *,
    shards: Sequence[str],
    features_path: str,
    output: str,
    execution: Mapping[str, Any],
    threads: int,
) -> None:
    """Write the moments of the weights of all heads of some shards.

    The HDF5 file holds `mean` and `std` (D,) float64, `kept` (D,) bool, and `correlation` (E, E)
    float64, its lower triangle alone: as much to know, half as much to store.

    Args:
        shards: files of `train_shard`.
        features_path: the features that the heads were trained on.
        output: HDF5 file to write.
        execution: the `execution` part of the configuration.
        threads: CPU threads.

    Raises:
        ArtefactError: shards that are damaged or do not belong together or to the features, or
            whose heads are all alike.
        ConfigError: a GPU was asked for and there is none.
    """
    start = time.monotonic()
    device = devices.claim(execution["device"], threads)
    store = HeadStore(shards, features_path, device)
    moments = Moments(store.num_weights, device)
    with progress.bar(total=store.num_heads, desc="weight statistics", unit="head") as bar:
        for first in range(0, store.num_heads, _HEADS_TOGETHER):
            rows = np.arange(first, min(first + _HEADS_TOGETHER, store.num_heads))
            moments.update(store.weights(rows))
            bar.update(len(rows))
    kept_D = moments.kept_D.cpu().numpy()
    if not kept_D.any():
        raise ArtefactError(
            f"{shards[0]}: its weights are the same in all {moments.count} heads of the training "
            "split, so there is nothing to learn from them. Train more heads, or with a larger "
            "init_std."
        )
    arrays = {
        "mean": moments.mean_D.cpu().numpy(),
        "std": moments.std_D.cpu().numpy(),
        "kept": kept_D,
        "correlation": moments.correlation().tril().cpu().numpy(),
    }
    log.info("%d heads, %d of %d weights vary", moments.count, kept_D.sum(), len(kept_D))
    facts = {"sets": store.sets, "heads": store.settings, "features_digest": store.features_digest}
    storage.write_hdf5(
        output,
        arrays,
        provenance(facts, time.monotonic() - start, device=devices.describe(device)),
        count=moments.count,
        digest=digest([moments.count, *(array_digest(array) for array in arrays.values())]),
        **facts,
    )


def read_statistics(path: str) -> Statistics:
    """Read what `weight_statistics` wrote.

    Raises:
        ArtefactError: the file is missing or damaged.
    """
    with storage.open_hdf5(path) as file:
        lower_EE = file["correlation"]
        return Statistics(
            count=storage.attribute(file, "count"),
            mean_D=file["mean"],
            std_D=file["std"],
            kept_D=file["kept"],
            correlation_EE=lower_EE + np.tril(lower_EE, -1).T,
            digest=storage.attribute(file, "digest"),
            sets=storage.attribute(file, "sets"),
            settings=storage.attribute(file, "heads"),
            features_digest=storage.attribute(file, "features_digest"),
        )
