"""Files of reconstructions and of the heads' membership, read and checked. Needs no torch.

Legend: H test heads, G candidate groups, N examples of a head's set, R pictures of Y × X pixels and
C channels, E examples that a head trained on.
"""

from dataclasses import dataclass

import numpy as np

from shadowmill import storage
from shadowmill.errors import ArtefactError
from shadowmill.metrics.reconstruction import LARGEST_MSE


@dataclass(frozen=True)
class Reconstructions:
    """How near the reconstructions from test heads are to the heads' training examples.

    Attributes:
        min_mse_h0_HG: float64, of the reconstruction from a true head's weights, the MSE to the
            nearest candidate of each group; pixels in [-1, 1], so at most 4.
        min_mse_h1_HG: float64, the same with weights drawn from the Gaussian fitted to all training
            heads, against the same candidates.
        best_HG: int64, the row of the head's set that is nearest under H0.
        indices_HN: int64, the examples of each head's set.
        originals_RYXC: uint8, candidates nearest under H0, of the first heads.
        reconstructions_RYXC: uint8, the same heads' reconstructions under H0.
        null_RYXC: uint8, and under H1.
        nearest_HG: float64, MSE of the nearest candidate to its nearest neighbour among the
            examples that training heads are made of.
        nearest_threshold: the quantile of these below which a reconstruction counts as a success.
        class_names: G names of the groups, or "all".
        epsilon: that DP-SGD guarantees for the heads; None if they were trained without it.
    """

    min_mse_h0_HG: np.ndarray
    min_mse_h1_HG: np.ndarray
    best_HG: np.ndarray
    indices_HN: np.ndarray
    originals_RYXC: np.ndarray
    reconstructions_RYXC: np.ndarray
    null_RYXC: np.ndarray
    nearest_HG: np.ndarray
    nearest_threshold: float
    class_names: tuple[str, ...]
    epsilon: float | None


@dataclass(frozen=True)
class Membership:
    """LiRA scores of the examples of test heads; higher = more likely a member.

    Attributes:
        indices_E: int64, the example.
        head_E: int64, the test head that trained on it.
        group_row_E: int64, its row within that head's set.
        score_in_E: float64, against the head that trained on it.
        score_out_E: float64, against a head that did not.
    """

    indices_E: np.ndarray
    head_E: np.ndarray
    group_row_E: np.ndarray
    score_in_E: np.ndarray
    score_out_E: np.ndarray


def read_reconstructions(path: str) -> Reconstructions:
    """Read a file of reconstructions.

    Args:
        path: HDF5 file with the arrays `min_mse_h0`, `min_mse_h1`, `best`, `nearest` (H, G),
            `indices` (H, N), `gallery_originals`, `gallery_reconstructions`, `gallery_null`
            (R, Y, X, C), and the attributes `nearest_quantile_threshold`, `class_names`
            and `epsilon`.

    Raises:
        ArtefactError: the file is missing or damaged, its arrays do not fit each other, or an MSE
            is not between 0 and 4.
    """
    with storage.open_hdf5(path) as file:
        found = Reconstructions(
            min_mse_h0_HG=_read_mse(path, file, "min_mse_h0"),
            min_mse_h1_HG=_read_mse(path, file, "min_mse_h1"),
            best_HG=_read(file, "best", np.int64),
            indices_HN=_read(file, "indices", np.int64),
            originals_RYXC=file["gallery_originals"],
            reconstructions_RYXC=file["gallery_reconstructions"],
            null_RYXC=file["gallery_null"],
            nearest_HG=_read_mse(path, file, "nearest"),
            nearest_threshold=float(storage.attribute(file, "nearest_quantile_threshold")),
            class_names=tuple(storage.attribute(file, "class_names")),
            epsilon=storage.attribute(file, "epsilon"),
        )
    shape = found.min_mse_h0_HG.shape
    of_groups = (found.min_mse_h1_HG, found.best_HG, found.nearest_HG)
    pictures = (found.originals_RYXC, found.reconstructions_RYXC, found.null_RYXC)
    if (
        len(shape) != 2
        or 0 in shape
        or any(array.shape != shape for array in of_groups)
        or found.indices_HN.shape[:1] != shape[:1]
        or len(found.class_names) != shape[1]
        or found.originals_RYXC.ndim != 4
        or not len(found.originals_RYXC)
        or any(array.shape != found.originals_RYXC.shape for array in pictures)
    ):
        raise ArtefactError(
            f"{path}: min_mse_h0 has shape {shape} (heads, groups), which the other arrays, the "
            f"{len(found.class_names)} names of classes or the pictures do not fit. Delete it and "
            "rerun the workflow."
        )
    return found


def read_membership(path: str) -> Membership:
    """Read a file of the heads' membership.

    Args:
        path: HDF5 file with the arrays `indices`, `head`, `group_row`, `score_in`, `score_out`,
            all (E,).

    Raises:
        ArtefactError: the file is missing or damaged, or its arrays differ in shape.
    """
    with storage.open_hdf5(path) as file:
        found = Membership(
            *(_read(file, name, np.int64) for name in ("indices", "head", "group_row")),
            *(_read(file, name, np.float64) for name in ("score_in", "score_out")),
        )
    shapes = {array.shape for array in vars(found).values()}
    if len(shapes) > 1 or len(found.indices_E.shape) != 1 or not len(found.indices_E):
        raise ArtefactError(
            f"{path}: its arrays have the shapes {sorted(shapes)}, expected one shape (examples,) "
            "with at least one example. Delete it and rerun the workflow."
        )
    return found


def min_mse_of_members(
    membership_path: str, reconstructions_path: str
) -> tuple[Membership, np.ndarray]:
    """Say how well those members are reconstructed that have a reconstruction of their own.

    A reconstruction is judged by the nearest candidate of a group, so of each head and group one
    member is kept: that one, with its min-MSE under H0.

    Args:
        membership_path: of the heads that were reconstructed from.
        reconstructions_path: their reconstructions.

    Returns:
        The membership of the E members kept, and their min-MSE, (E,) float64.

    Raises:
        ArtefactError: a file is missing or damaged, or they are not about the same heads.
    """
    membership = read_membership(membership_path)
    found = read_reconstructions(reconstructions_path)
    heads, size = found.indices_HN.shape
    head_E, row_E = membership.head_E, membership.group_row_E
    inside_E = (head_E >= 0) & (head_E < heads) & (row_E >= 0) & (row_E < size)
    if not inside_E.all() or (found.indices_HN[head_E, row_E] != membership.indices_E).any():
        raise ArtefactError(
            f"{membership_path}: its heads trained on other examples than those of "
            f"{reconstructions_path}. Delete the older one and rerun the workflow."
        )
    is_best_EG = found.best_HG[head_E] == row_E[:, None]
    kept = np.flatnonzero(is_best_EG.any(axis=1))
    if not len(kept):
        raise ArtefactError(
            f"{membership_path}: none of its examples is the nearest candidate of a head in "
            f"{reconstructions_path}. Delete both and rerun the workflow."
        )
    group_E = is_best_EG[kept].argmax(axis=1)  # groups share no rows, so there is one
    members = Membership(*(array[kept] for array in vars(membership).values()))
    return members, found.min_mse_h0_HG[head_E[kept], group_E]


def _read(file: storage.Arrays, name: str, dtype: type[np.generic]) -> np.ndarray:
    return file[name].astype(dtype)


def _read_mse(path: str, file: storage.Arrays, name: str) -> np.ndarray:
    mse = _read(file, name, np.float64)
    allowed = (mse >= 0) & (mse <= LARGEST_MSE * (1 + 1e-6))  # float32 rounds
    if not allowed.all():
        raise ArtefactError(
            f"{path}: {name} holds {mse[~allowed][0]:g}, expected 0 to {LARGEST_MSE:g}, the MSE of "
            "pixels in [-1, 1]. Delete it and the reconstructor, and rerun the workflow."
        )
    return np.minimum(mse, LARGEST_MSE)
