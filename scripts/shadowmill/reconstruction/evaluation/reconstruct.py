"""Reconstructions from test heads, and from weights of no head: how near they come.

Under H0 a reconstructor sees the weights of a head; under H1, weights drawn from the Gaussian
fitted to all training heads, which know nothing of any set. Both are scored against the same
candidates, so a reconstructor that draws what most examples look like gains nothing.

Legend: H test heads, B reconstructions, R pictures, N examples of a head's set, G candidate
groups, M candidates of a group, E standardised weights, Q images, P numbers of an image.
"""

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shadowmill import devices, progress, storage
from shadowmill.data.store import load as load_data
from shadowmill.errors import ArtefactError
from shadowmill.provenance import provenance
from shadowmill.reconstruction.heads import num_steps
from shadowmill.reconstruction.images import ExampleImages, to_bytes
from shadowmill.reconstruction.reconstructor.files import ReconstructorFile, read_reconstructor
from shadowmill.reconstruction.reconstructor.generator import Generator
from shadowmill.reconstruction.reconstructor.held_out import HeldOutHeads
from shadowmill.reconstruction.reconstructor.losses import squared_errors
from shadowmill.reconstruction.sets import split_examples
from shadowmill.reconstruction.statistics import read_statistics

_GALLERY_SIZE = 16
# Candidates of one forward pass.
_IMAGES_PER_PASS = {"cpu": 256, "cuda": 1024}
_NEIGHBOURS_TOGETHER = 2048


def reconstruct(
    *,
    data_path: str,
    features_path: str,
    shard: str,
    train_data_path: str,
    statistics_path: str,
    reconstructor_path: str,
    output: str,
    sets: Mapping[str, Any],
    train_sets: Mapping[str, Any],
    nearest_quantile: float,
    execution: Mapping[str, Any],
    threads: int,
) -> None:
    """Score reconstructions from all heads of a test shard.

    The HDF5 file holds, as `results.read_reconstructions` reads it: `min_mse_h0` and `min_mse_h1`
    (H, G) float32, the MSE to the nearest candidate; `best` (H, G), the row of the set that this
    is under H0; `indices` (H, N) of the sets; `nearest` (H, G) float32, the MSE of that candidate
    to its nearest neighbour among the examples that training heads are made of, and its quantile
    `nearest_quantile_threshold`; pictures of the first 16 heads, of one group each; and
    `class_names` of the groups; and `epsilon`, None without privacy.

    Args:
        data_path: the prepared data set of the test heads; another than the reconstructor's own
            if it is tried on another.
        features_path: its features.
        shard: heads of its test split.
        train_data_path: the data set that the reconstructor's heads were trained on.
        statistics_path: of the weights of those heads.
        reconstructor_path: the reconstructor.
        output: HDF5 file to write.
        sets: settings of the sets of the test heads.
        train_sets: of the reconstructor's heads.
        nearest_quantile: which quantile of `nearest` tells success from failure.
        execution: the `execution` part of the configuration.
        threads: CPU threads.

    Raises:
        ArtefactError: a file is missing or damaged, or files do not belong together.
        ConfigError: the heads do not fit the reconstructor.
    """
    start = time.monotonic()
    device = devices.claim(execution["device"], threads)
    file, statistics = read_reconstructor(reconstructor_path), read_statistics(statistics_path)
    if file.interface.statistics_digest != statistics.digest:
        raise ArtefactError(
            f"{reconstructor_path}: this reconstructor learned from weights of other statistics "
            f"than {statistics_path}. Delete the older of the two and rerun."
        )
    heads = HeldOutHeads(shard, features_path, data_path, sets, file.interface, statistics, device)
    seed = file.provenance["settings"]["reconstructor"]["seed"]
    null_HE = statistics.sample(len(heads), ("null", seed)).to(device)
    network = file.generator().to(device)
    arrays = _scores(network, heads, null_HE)
    best_HG = np.take_along_axis(heads.indices_HN, arrays["best"], axis=1)
    train_images, rows = _train_examples(train_data_path, train_sets, file, device)
    unique, inverse = np.unique(best_HG, return_inverse=True)
    nearest = nearest_mse(heads.images, unique, train_images, rows)
    arrays["nearest"] = nearest[inverse].reshape(best_HG.shape)
    storage.write_hdf5(
        output,
        {**arrays, "indices": heads.indices_HN, **_gallery(network, heads, null_HE, best_HG)},
        provenance(
            {"sets": dict(sets), "reconstructor": file.provenance["settings"]},
            time.monotonic() - start,
            device=devices.describe(device),
            reconstructor=file.provenance["identity"],
        ),
        nearest_quantile_threshold=float(np.quantile(arrays["nearest"], nearest_quantile)),
        class_names=_group_names(heads, sets),
        epsilon=_epsilon(heads.settings),
    )


@torch.no_grad()
def _scores(network: Generator, heads: HeldOutHeads, null_HE: Tensor) -> dict[str, NDArray]:
    """`min_mse_h0`, `min_mse_h1` (H, G) float32 and `best` (H, G) int64, rows of sets."""
    device, candidates_GM = null_HE.device, heads.layout.candidates_GM
    heads_per_pass = max(1, _IMAGES_PER_PASS[device.type] // candidates_GM.size)
    parts: dict[str, list[NDArray]] = {"min_mse_h0": [], "min_mse_h1": [], "best": []}
    with progress.bar(total=len(heads), desc="reconstructions", unit="head") as bar:
        for first in range(0, len(heads), heads_per_pass):
            rows = np.arange(first, min(first + heads_per_pass, len(heads)))
            groups_B = np.tile(np.arange(heads.num_groups), len(rows))
            asked_B = torch.from_numpy(groups_B).to(device)
            candidates = heads.candidates(np.repeat(rows, heads.num_groups), groups_B)
            h0_BM, h1_BM = (
                squared_errors(
                    network(weights.repeat_interleave(heads.num_groups, dim=0), asked_B), candidates
                ).cpu()
                for weights in (heads.weights(rows), null_HE[first : first + len(rows)])
            )
            parts["min_mse_h0"].append(h0_BM.amin(dim=1).numpy())
            parts["min_mse_h1"].append(h1_BM.amin(dim=1).numpy())
            parts["best"].append(candidates_GM[groups_B, h0_BM.argmin(dim=1).numpy()])
            bar.update(len(rows))
    return {name: np.concatenate(p).reshape(-1, heads.num_groups) for name, p in parts.items()}


@torch.no_grad()
def _gallery(
    network: Generator, heads: HeldOutHeads, null_HE: Tensor, best_HG: NDArray[np.int64]
) -> dict[str, NDArray[np.uint8]]:
    """One picture of each of the first heads: of the first the first group, and so on."""
    rows = np.arange(min(_GALLERY_SIZE, len(heads)))
    groups_R = rows % heads.num_groups
    asked_R = torch.from_numpy(groups_R).to(null_HE.device)
    pictures = {
        "gallery_originals": heads.images.targets(best_HG[rows, groups_R]),
        "gallery_reconstructions": network(heads.weights(rows), asked_R),
        "gallery_null": network(null_HE[: len(rows)], asked_R),
    }
    return {name: to_bytes(images).cpu().numpy() for name, images in pictures.items()}


def _train_examples(
    path: str, sets: Mapping[str, Any], file: ReconstructorFile, device: torch.device
) -> tuple[ExampleImages, NDArray[np.int64]]:
    """Images of the reconstructor's own data set, and which examples training heads are made of."""
    data = load_data(path)
    if data.digest != file.provenance["data_digest"]:
        raise ArtefactError(
            f"{path}: the reconstructor learned from heads on another version of {data.name}. "
            "Delete its study's features and rerun."
        )
    identity_n = None
    if sets["task"] == "identity":
        with storage.open_hdf5(path) as stored:
            identity_n = stored["identity"]
    rows = split_examples(data.labels, data.pool_size, sets, "train", identity_n)
    return ExampleImages(data.inputs, file.interface.image_size, device), rows


@torch.no_grad()
def nearest_mse(
    images: ExampleImages,
    indices_Q: NDArray[np.int64],
    references: ExampleImages,
    indices_R: NDArray[np.int64],
) -> NDArray[np.float32]:
    """MSE of each image to its nearest neighbour among others, pixels of −1…1.

    Args:
        images: of the data set of the Q images.
        indices_Q: (Q,) of these.
        references: of the data set of the R others.
        indices_R: (R,) of these.

    Returns:
        (Q,) float32.
    """
    queries_QP = images.targets(indices_Q).flatten(start_dim=1)
    least_Q = torch.full((len(indices_Q),), torch.inf, device=queries_QP.device)
    nearest_Q = torch.zeros(len(indices_Q), dtype=torch.int64, device=queries_QP.device)
    starts = range(0, len(indices_R), _NEIGHBOURS_TOGETHER)
    for start in progress.bar(starts, desc="nearest neighbours"):
        chunk = indices_R[start : start + _NEIGHBOURS_TOGETHER]
        others_RP = references.targets(chunk).flatten(start_dim=1)
        # Squared distances, but for the square of the query, which is the same for all.
        distances_QR = torch.addmm(
            others_RP.square().sum(dim=1)[None], queries_QP, others_RP.T, alpha=-2
        )
        chunk_least_Q, chunk_nearest_Q = distances_QR.min(dim=1)
        nearest_Q = torch.where(chunk_least_Q < least_Q, start + chunk_nearest_Q, nearest_Q)
        least_Q = torch.minimum(least_Q, chunk_least_Q)
    # Once more from the differences: the expanded square is inexact for images much alike.
    nearest_images = references.targets(indices_R[nearest_Q.cpu().numpy()])
    return squared_errors(images.targets(indices_Q), nearest_images[:, None])[:, 0].cpu().numpy()


def _group_names(heads: HeldOutHeads, sets: Mapping[str, Any]) -> list[str]:
    if heads.num_groups == 1:
        return ["all"]
    if sets["random_labels"]:
        return [f"label {group}" for group in range(heads.num_groups)]
    return [heads.data.class_names[label] for label in sets["classes"]]


def _epsilon(settings: Mapping[str, Any]) -> float | None:
    """What DP-SGD guarantees for heads with these settings, if they were trained by it."""
    privacy = settings["privacy"]
    if privacy is None:
        return None
    # Not before it is needed: opacus takes seconds to import.
    from shadowmill.defenses.private import epsilon

    noise, rate = privacy["noise_multiplier"], privacy["sample_rate"]
    return epsilon(noise, rate, num_steps(settings), privacy["delta"])
