"""Score files: one for each block of models.

Legend: E models, N examples of the pool, A queries, K classes.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from shadowmill import architectures, devices, progress, roles, storage
from shadowmill.architectures import is_stacked
from shadowmill.data.store import Data
from shadowmill.data.store import load as load_data
from shadowmill.errors import ArtefactError
from shadowmill.provenance import provenance
from shadowmill.roles import RoleMatrix
from shadowmill.scores.files import check_same_settings
from shadowmill.scores.queries import num_queries, views
from shadowmill.training.batches import Normaliser
from shadowmill.training.forward import stacked_forward
from shadowmill.training.modelfile import ModelFile, read_matching

# Images of one forward pass, over all models of a stack. On CPUs, activations above some 30 MB are
# returned to the system after each layer, and fetching them again takes most of the time.
_IMAGES_PER_PASS = {"cpu": 512, "cuda": 2048}


def logit_scaled_confidence(logits: Tensor, labels: Tensor) -> Tensor:
    """φ = z_y − log Σ_{j≠y} exp z_j, which is log(p_y / (1 − p_y)) without rounding p_y to 1.

    Carlini et al. 2022, Sec. IV-C, in the stable form. The cross-entropy is softplus(−φ).

    Args:
        logits: (…, K).
        labels: (…) int64, of the leading shape of `logits`.

    Returns:
        (…) float64.
    """
    logits = logits.double()
    own = logits.gather(-1, labels[..., None])
    others = logits.scatter(-1, labels[..., None], -torch.inf)
    return own[..., 0] - others.logsumexp(dim=-1)


def score_block(
    *,
    data_path: str,
    roles_path: str,
    models: Mapping[str, str],
    output: str,
    settings: Mapping[str, Any],
    execution: Mapping[str, Any],
    threads: int,
) -> None:
    """Ask each model of a block about every example of the pool, and about the official test set.

    Args:
        data_path: the prepared data set.
        roles_path: the roles of the block.
        models: name of each model to its file.
        output: HDF5 file to write: `phi` (E, N, A) float32, `correct` (E, N) bool on the identity
            query, `roles` (E, N) int8, `test_accuracy` and `test_loss` (E,) float64 (NaN without
            an official test set outside the pool) and the names, sparsities, epochs and training
            times of the models.
        settings: `queries`.
        execution: the `execution` part of the configuration.
        threads: CPU threads.

    Raises:
        ArtefactError: a model file is damaged or was trained on other data or members.
    """
    start = time.monotonic()
    device = devices.claim(execution["device"], threads)
    data, matrix = load_data(data_path), roles.load(roles_path)
    files, training_settings = _read_block(models, matrix, data)
    made = [file.provenance for file in files]
    stacked = is_stacked(training_settings["architecture"], execution["stacking"])
    size = matrix.roles_MN.shape[1]
    scorers = [
        _Scorer(group, data, size, device)
        for group in ([files] if stacked else [[file] for file in files])
    ]
    phi, correct = _joined(scorer.pool(settings["queries"]) for scorer in scorers)
    _check_finite(phi, [models[name] for name in matrix.models])
    test_accuracy, test_loss = _joined(scorer.test() for scorer in scorers)
    storage.write_hdf5(
        output,
        {
            "phi": phi,
            "correct": correct,
            "test_accuracy": test_accuracy,
            "test_loss": test_loss,
            "models": list(matrix.models),
            "roles": matrix.roles_MN,
            "sparsity": np.array(
                [file.history["sparsity"][file.provenance["kept_epoch"]] for file in files]
            ),
            "epochs": np.array([facts["epochs"] for facts in made]),
            "training_seconds": np.array([facts["seconds"] for facts in made]),
        },
        provenance(
            settings,
            time.monotonic() - start,
            device=devices.describe(device),
            data_digest=data.digest,
            models={facts["model"]: facts["identity"] for facts in made},
        ),
        training_settings=training_settings,
    )


def _joined(parts: Iterable[tuple[np.ndarray, np.ndarray]]) -> list[np.ndarray]:
    return [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]


def _check_finite(phi: np.ndarray, paths: Sequence[str]) -> None:
    for phi_NA, path in zip(phi, paths, strict=True):
        if not np.isfinite(phi_NA).all():
            raise ArtefactError(
                f"{path}: this model gives confidences that are no finite numbers: it diverged. "
                "Lower the recipe's learning rate; a model like this tells an attack nothing."
            )


def _read_block(
    models: Mapping[str, str], matrix: RoleMatrix, data: Data
) -> tuple[list[ModelFile], dict[str, Any]]:
    """The models in the order of the role matrix, and how all of them were trained."""
    paths = [models[name] for name in matrix.models]
    files = [
        read_matching(path, data, roles_N)
        for path, roles_N in zip(paths, matrix.roles_MN, strict=True)
    ]
    trained = [
        file.provenance["settings"] | {"precision": file.provenance["precision"]} for file in files
    ]
    for path, found in zip(paths, trained, strict=True):
        check_same_settings(path, found, paths[0], trained[0])
    return files, trained[0]


class _Scorer:
    """A stack of finished models in evaluation mode."""

    def __init__(
        self, files: Sequence[ModelFile], data: Data, pool_size: int, device: torch.device
    ) -> None:
        self._data, self._pool_size, self._device = data, pool_size, device
        settings = files[0].provenance["settings"]
        module = architectures.build(
            settings["architecture"],
            data.input_shape,
            data.num_classes,
            seed=0,
            group_norm=settings["defense"]["name"] == "dp_sgd",
        )
        parameter_names = {name for name, _ in module.named_parameters()}
        state = {
            name: torch.stack([file.state[name] for file in files]).to(device)
            for name in module.state_dict()
        }
        self._parameters = {n: t for n, t in state.items() if n in parameter_names}
        self._buffers = {n: t for n, t in state.items() if n not in parameter_names}
        self._module = module.to("meta").eval()
        self._num_models = len(files)
        self._normalise = Normaliser(data, device)

    def _chunks(self, start: int, stop: int, title: str) -> tqdm:
        size = max(1, _IMAGES_PER_PASS[self._device.type] // self._num_models)
        bounds = [slice(low, min(low + size, stop)) for low in range(start, stop, size)]
        return progress.bar(bounds, desc=title, unit="batch")

    def _inputs(self, rows: slice) -> Tensor:
        return self._normalise(torch.from_numpy(self._data.inputs[rows]).to(self._device))

    def _ask(self, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        logits = stacked_forward(self._module, self._parameters, self._buffers, inputs, shared=True)
        labels = labels.expand(self._num_models, -1)
        return logit_scaled_confidence(logits, labels), logits.argmax(dim=-1) == labels

    @torch.no_grad()
    def pool(self, queries: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        """φ of every query, (E, N, A) float32, and correctness of the identity, (E, N) bool."""
        size = self._pool_size
        phi = np.empty((self._num_models, size, num_queries(queries)), dtype=np.float32)
        correct = np.empty((self._num_models, size), dtype=bool)
        for rows in self._chunks(0, size, "scores"):
            inputs = self._inputs(rows)
            labels = torch.from_numpy(self._data.labels[rows]).to(self._device)
            for index, view in enumerate(views(inputs, queries)):
                confidence, is_correct = self._ask(view, labels)
                phi[:, rows, index] = confidence.cpu()
                if index == 0:
                    correct[:, rows] = is_correct.cpu()
        return phi, correct

    @torch.no_grad()
    def test(self) -> tuple[np.ndarray, np.ndarray]:
        """Accuracy and mean cross-entropy on the official test set, (E,) float64 each."""
        start, stop = self._pool_size, len(self._data.labels)
        if start == stop:
            return np.full(self._num_models, np.nan), np.full(self._num_models, np.nan)
        hits = np.zeros(self._num_models)
        loss = np.zeros(self._num_models)
        for rows in self._chunks(start, stop, "test set"):
            labels = torch.from_numpy(self._data.labels[rows]).to(self._device)
            confidence, is_correct = self._ask(self._inputs(rows), labels)
            hits += is_correct.sum(dim=1).cpu().numpy()
            loss += F.softplus(-confidence).sum(dim=1).cpu().numpy()
        return hits / (stop - start), loss / (stop - start)
