"""A membership attack on the heads that reconstruction is tried on.

The sets of one permutation seed are disjoint, so an example is in one head of each seed at most.
LiRA on the heads of one seed, the targets, therefore has for each example one IN and one OUT shadow
of every other seed: the head that holds it, and the next head, which does not.

Legend: H heads of a seed, N examples of a set, S seeds, E = H·N examples of the target heads, J
units of the first layer, O outputs.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shadowmill import devices, progress, storage
from shadowmill.attacks.bank import ScoreBank
from shadowmill.attacks.lira import lira
from shadowmill.errors import ArtefactError, ConfigError
from shadowmill.metrics.ranking import auc
from shadowmill.provenance import provenance
from shadowmill.reconstruction import HEADS_VERSION
from shadowmill.reconstruction.features import read_features
from shadowmill.reconstruction.heads.network import num_units
from shadowmill.reconstruction.heads.shards import HeadStore
from shadowmill.reconstruction.sets import layout
from shadowmill.scores.statistics import logit_scaled_confidence

log = logging.getLogger(__name__)

_HEADS_TOGETHER = 1024
_FEWEST_SHADOWS = 2  # IN and OUT, of an example


def head_membership(
    *,
    shards: Sequence[str],
    features_path: str,
    output: str,
    execution: Mapping[str, Any],
    threads: int,
) -> None:
    """Score the examples of the target heads for membership, in these heads and in others.

    LiRA with one variance for all examples (Carlini et al. 2022, Sec. VI-B), on the logit-scaled
    confidence of an example under a head; it needs few shadows.

    Args:
        shards: of the test split, one for each permutation seed, that of the targets first.
        features_path: the features that the heads were trained on.
        output: HDF5 file to write: `indices` (E,) int64, the example; `head` and `group_row` (E,)
            int64, the target head that was trained on it and its row in that head's set; `score_in`
            (E,) float64, its score in that head; `score_out`, its score in the next head, which was
            not; and the attribute `auc` of the former against the latter.
        execution: the `execution` part of the configuration.
        threads: CPU threads.

    Raises:
        ArtefactError: a file is missing or damaged, or shards do not belong together.
        ConfigError: heads of the task `identity`, or too few of them for an attack; or a GPU was
            asked for and there is none.
    """
    start = time.monotonic()
    device = devices.claim(execution["device"], threads)
    store = HeadStore(shards, features_path, device)
    features_nd = torch.from_numpy(read_features(features_path).values_nd).to(device)
    _check_task(store, shards)
    num_heads = _heads_of_each(shards)
    inside, outside = (
        confidences(store, features_nd, num_heads, apart)
        for apart in progress.bar((0, 1), desc="confidences", unit="side")
    )
    indices_SE = store.indices(np.arange(store.num_heads)).reshape(len(shards), -1)
    score_in_E, score_out_E = score(inside, outside, indices_SE)
    num_rows = indices_SE.shape[1] // num_heads
    arrays = {
        "indices": indices_SE[0],
        "head": np.repeat(np.arange(num_heads), num_rows),
        "group_row": np.tile(np.arange(num_rows), num_heads),
        "score_in": score_in_E,
        "score_out": score_out_E,
    }
    scored_E = ~np.isnan(score_in_E)
    log.info("%d examples scored, %d left out", scored_E.sum(), np.count_nonzero(~scored_E))
    arrays = {name: array[scored_E] for name, array in arrays.items()}
    is_member = np.repeat([True, False], len(arrays["score_in"]))
    storage.write_hdf5(
        output,
        arrays,
        provenance(
            {"sets": store.sets, "heads": store.settings},
            time.monotonic() - start,
            device=devices.describe(device),
        ),
        auc=auc(np.concatenate([arrays["score_in"], arrays["score_out"]]), is_member),
        version=HEADS_VERSION,
    )


def _check_task(store: HeadStore, shards: Sequence[str]) -> None:
    if store.sets["task"] == "identity":
        raise ConfigError(
            f"{shards[0]}: there is no membership attack on heads of the task identity, whose sets "
            "may share examples. Set membership_seeds to 0."
        )


def _heads_of_each(shards: Sequence[str]) -> int:
    counts = []
    for path in shards:
        with storage.open_hdf5(path) as file:
            counts.append(file.shape("indices")[0])
        if counts[-1] != counts[0]:
            raise ArtefactError(
                f"{path}: it holds {counts[-1]} heads, and {shards[0]} {counts[0]}; shards of one "
                "membership attack hold as many each. Delete the older of the two and rerun."
            )
    if counts[0] < 2:
        raise ConfigError(
            f"{shards[0]}: a membership attack compares heads of one permutation seed, and this "
            "one has a single head. Raise test_heads, or set membership_seeds to 0."
        )
    return counts[0]


@torch.no_grad()
def confidences(
    store: HeadStore, features_nd: Tensor, num_heads: int, apart: int
) -> NDArray[np.float64]:
    """Logit-scaled confidence of the examples of each head's set under a head of the same seed.

    Args:
        store: S·H heads, seed by seed.
        features_nd: (n, d), of all examples.
        num_heads: H.
        apart: 0 asks the head that was trained on the set, 1 the next (after the last the first).

    Returns:
        (S, E) nats, seed by seed in the order of its heads and their rows.
    """
    settings, sets = store.settings, store.sets
    labels_N = torch.from_numpy(layout(sets, conditional=False).labels_N).to(features_nd.device)
    found = []
    for first in range(0, store.num_heads, _HEADS_TOGETHER):
        rows = np.arange(first, min(first + _HEADS_TOGETHER, store.num_heads))
        seeds, numbers = np.divmod(rows, num_heads)
        asked = seeds * num_heads + (numbers + apart) % num_heads
        examples = torch.from_numpy(store.indices(rows)).to(features_nd.device)
        logits_BNO = _logits(store.weights(asked), features_nd[examples], settings)
        labels_BN = labels_N.expand(len(rows), -1)
        if logits_BNO.shape[2] == 1:
            # log p / (1 - p) of the sigmoid is the logit itself.
            confidence_BN = (2 * labels_BN - 1) * logits_BNO[..., 0].double()
        else:
            confidence_BN = logit_scaled_confidence(logits_BNO, labels_BN)
        found.append(confidence_BN.cpu().numpy())
    return np.concatenate(found).reshape(store.num_heads // num_heads, -1)


def _logits(weights_BD: Tensor, features_BND: Tensor, settings: Mapping[str, Any]) -> Tensor:
    """(B, N, O) outputs of heads whose weights are in the order of `heads.weights`."""
    units, num_features = num_units(settings), features_BND.shape[2]
    first = units * num_features
    first_BJD = weights_BD[:, :first].unflatten(1, (units, num_features))
    bias_BJ = weights_BD[:, first : first + units]
    into_BNJ = torch.baddbmm(bias_BJ[:, None], features_BND, first_BJD.mT)
    if not settings["hidden"]:
        return into_BNJ
    outer_BJ1 = weights_BD[:, first + units : first + 2 * units, None]
    return torch.baddbmm(weights_BD[:, -1:, None], into_BNJ.relu(), outer_BJ1)


def score(
    inside_SE: NDArray[np.float64], outside_SE: NDArray[np.float64], indices_SE: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """LiRA scores of the examples of the first seed, with those of the others as shadows.

    Args:
        inside_SE: confidences under heads that were trained on the examples.
        outside_SE: under heads that were not.
        indices_SE: the examples; each seed has each of them once at most, and perhaps not all.

    Returns:
        (E,) scores in the head that was trained on the example, (E,) in the one that was not. NaN
        for an example that is in fewer than two of the other seeds.

    Raises:
        ConfigError: most examples are.
    """
    num_seeds, num_examples = indices_SE.shape
    targets_E = indices_SE[0]
    phi_SEK = np.zeros((num_seeds, num_examples, 2))
    is_there_SE = np.zeros((num_seeds, num_examples), dtype=bool)
    place = np.full(indices_SE.max() + 1, -1)
    for seed in range(num_seeds):
        place[:] = -1
        place[indices_SE[seed]] = np.arange(num_examples)
        found = place[targets_E]
        is_there_SE[seed] = found >= 0
        # Confidences of an example that is not there are never looked at.
        phi_SEK[seed] = np.stack([inside_SE[seed, found], outside_SE[seed, found]], axis=1)
    enough_E = is_there_SE[1:].sum(axis=0) >= _FEWEST_SHADOWS
    if 2 * enough_E.sum() < num_examples:
        raise ConfigError(
            f"membership_seeds: {num_examples - enough_E.sum()} of the {num_examples} examples of "
            f"the test heads are in heads of fewer than {_FEWEST_SHADOWS} of the "
            f"{num_seeds - 1} further seeds. Raise membership_seeds or test_heads."
        )
    phi_SEK, is_there_SE = phi_SEK[:, enough_E], is_there_SE[:, enough_E]
    # Seen from an example, the head that holds it and the next one are two shadows, whatever they
    # are to other examples; LiRA looks at each example by itself.
    none_SE = np.zeros_like(is_there_SE)
    shadows = ScoreBank(
        np.concatenate([phi_SEK[1:, :, :1], phi_SEK[1:, :, 1:]]),
        np.concatenate([is_there_SE[1:], none_SE[1:]]),
        np.concatenate([none_SE[1:], is_there_SE[1:]]),
    )
    yes_E, no_E = is_there_SE[0], none_SE[0]
    targets = ScoreBank(
        np.moveaxis(phi_SEK[0], 1, 0)[..., None], np.stack([yes_E, no_E]), np.stack([no_E, yes_E])
    )
    score_2E = np.full((2, num_examples), np.nan)
    score_2E[:, enough_E] = lira(shadows, targets, mode="fixed")
    return score_2E[0], score_2E[1]
