"""Import jobs: a finished model of the user's own becomes a model file of the workflow.

Legend: N examples that roles are defined over, B examples of a batch.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from shadowmill import devices, roles
from shadowmill.architectures.structure import structure
from shadowmill.data.store import Data
from shadowmill.data.store import load as load_data
from shadowmill.errors import DataError, some
from shadowmill.imports import IMPORTS_VERSION
from shadowmill.imports.fitting import fitted
from shadowmill.imports.states import read_state
from shadowmill.memory import in_batches
from shadowmill.provenance import IMPORTED, array_digest, digest, file_digest, provenance
from shadowmill.pruning.masks import masks_of_zeros
from shadowmill.roles import MEMBER, NON_MEMBER
from shadowmill.training.batches import Normaliser
from shadowmill.training.modelfile import write_model
from shadowmill.training.networks import Network
from shadowmill.training.spec import build_network

log = logging.getLogger(__name__)

_EXAMPLES_PER_PASS = 256
# Chance that a model is refused which is none of these: at chance, or better on what it never saw.
_ALPHA = 0.001
# Of the share of zeros: pruners round in different ways, layer by layer or over all.
_SPARSITY_TOLERANCE = 0.02


def import_model(
    *,
    data_path: str,
    roles_path: str,
    file: str,
    trust: bool,
    moments: Mapping[str, Sequence[float]],
    output: str,
    settings: Mapping[str, Any],
    network: Network,
    execution: Mapping[str, Any],
    threads: int,
) -> None:
    """Read a finished model, see that it can be what it is said to be, and write its file.

    Args:
        data_path: the prepared data set.
        roles_path: its roles: what it was trained on and what it never saw.
        file: its weights, see `imports.states.read_state`.
        trust: whether code in a pickle may be run.
        moments: `mean` and `std` by which its inputs were normalised, images scaled to 0…1; empty
            if by those of the data set.
        output: safetensors file to write.
        settings: how the configuration would train it, which says what it is.
        network: that of the configuration.
        execution: the `execution` part of the configuration.
        threads: CPU threads.

    Raises:
        ArtefactError: the file is missing or damaged.
        DataError: it does not fit the network, its sparsity is not that of
            the variant, its accuracy is at chance, or it does worse on its members than on others.
    """
    start = time.monotonic()
    device = devices.claim(execution["device"], threads)
    data, matrix = load_data(data_path), roles.load(roles_path, [Path(output).stem])
    data = data.normalised_by(moments)
    module = build_network(network.building(settings), data, seed=0)
    state = fitted(file, read_state(file, trust=trust), module.state_dict())
    masks, achieved = masks_of_zeros(state, settings["pruning"])
    _check_sparsity(file, achieved, settings["pruning"])
    module.load_state_dict(state)
    operations = structure(module, data.input_shape)
    (roles_N,) = matrix.roles_MN
    hits = {
        role: _hits(module.to(device), data, np.flatnonzero(roles_N == role), device)
        for role in (MEMBER, NON_MEMBER)
    }
    check_accuracy(file, hits[MEMBER], hits[NON_MEMBER], data)
    content = file_digest(file)
    log.info(
        "%s: accuracy %.3f on %d members, %.3f on %d others",
        file,
        hits[MEMBER].mean(),
        len(hits[MEMBER]),
        hits[NON_MEMBER].mean(),
        len(hits[NON_MEMBER]),
    )
    name = Path(output).stem
    facts = provenance(
        settings,
        time.monotonic() - start,
        device=devices.describe(device),
        precision=IMPORTED,
        structure=operations,
        identity=digest([IMPORTS_VERSION, settings, moments, data.digest, network.code, content]),
        model=name,
        data_digest=data.digest,
        roles_digest=array_digest(roles_N),
        epochs=0,
        kept_epoch=0,
        # Its name alone: folders of a machine are nobody's business.
        imported={"file": Path(file).name, "digest": content, "trusted": trust, "moments": moments},
    )
    write_model(output, state, masks, facts, {"sparsity": [achieved]})


@torch.no_grad()
def _hits(module: nn.Module, data: Data, examples: np.ndarray, device: torch.device) -> np.ndarray:
    """Whether the prediction of each of some examples is its label, (n,) bool."""
    module.eval()
    normalise, hits = Normaliser(data, device), np.empty(len(examples), dtype=bool)

    def batch(chosen: slice) -> None:
        rows = examples[chosen]
        logits: Tensor = module(normalise(torch.from_numpy(data.inputs[rows]).to(device)))
        hits[chosen] = logits.argmax(dim=-1).cpu().numpy() == data.labels[rows]

    in_batches(batch, 0, len(examples), _EXAMPLES_PER_PASS)
    return hits


def _check_sparsity(file: str, achieved: float, pruning: Mapping[str, Any]) -> None:
    named = pruning["sparsity"]
    if abs(achieved - named) > _SPARSITY_TOLERANCE:
        raise DataError(
            f"{file}: {achieved:.1%} of the weights that {pruning['criterion']} prunes are zero, "
            f"{named:.1%} were expected by the name of the variant. Multiply the masks into the "
            "weights before they are saved, or name the variant after its sparsity."
        )


def check_accuracy(
    file: str, member_hits: Sequence[bool], other_hits: Sequence[bool], data: Data
) -> None:
    """Refuse a model that cannot have been trained on its members, or is read in a wrong way.

    Chance is the share of the most frequent class. Both tests are one-sided, at p < 0.001.

    Args:
        file: the model, for messages.
        member_hits: whether it is right, for each of its members.
        other_hits: the same of what it never saw.
        data: the data set.

    Raises:
        DataError: its accuracy is at chance, or it is worse on its members than on others.
    """
    from scipy.stats import binomtest, fisher_exact

    members, others = int(np.sum(member_hits)), int(np.sum(other_hits))
    chance = float(np.bincount(data.labels).max() / len(data.labels))
    right = members / len(member_hits)
    cure = (
        "Perhaps the classes have another order, or inputs are normalised in another way "
        f"({data.name} has the mean {_rounded(data.mean)} and the deviation {_rounded(data.std)})."
    )
    if binomtest(members, len(member_hits), chance, "greater").pvalue >= _ALPHA:
        raise DataError(
            f"{file}: it is right on {right:.1%} of its {len(member_hits)} members, which is no "
            f"more than chance ({chance:.1%}). {cure}"
        )
    table = [[members, len(member_hits) - members], [others, len(other_hits) - others]]
    if fisher_exact(table, "less").pvalue < _ALPHA:
        raise DataError(
            f"{file}: it is right on {right:.1%} of its members and on "
            f"{others / len(other_hits):.1%} of what it never saw. A model is not worse on what it "
            "was trained on: members and others are exchanged, or examples are in another order."
        )


def _rounded(values: np.ndarray) -> str:
    return some([f"{value:.4g}" for value in values])
