"""Score files: one for each block of models.

Legend: E models, N examples of the pool, A queries, K classes.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from shadowmill import devices, progress, roles, storage
from shadowmill.architectures.structure import check_structure
from shadowmill.data.store import Data
from shadowmill.data.store import load as load_data
from shadowmill.errors import ArtefactError
from shadowmill.memory import in_batches
from shadowmill.provenance import provenance
from shadowmill.roles import RoleMatrix
from shadowmill.scores.arrays import CURVATURES
from shadowmill.scores.curvature import curvature, random_signs
from shadowmill.scores.files import check_same_settings
from shadowmill.scores.queries import num_queries, views
from shadowmill.scores.statistics import (
    entropy,
    logit_scaled_confidence,
    modified_entropy,
    sensitivity,
)
from shadowmill.training.batches import Normaliser
from shadowmill.training.forward import stacked_forward
from shadowmill.training.modelfile import ModelFile, read_matching
from shadowmill.training.networks import Network
from shadowmill.training.spec import build_network

# Images of one forward pass at most, over all models of a stack. On CPUs, activations above some
# 30 MB are returned to the system after each layer, and fetching them again takes most of the time.
_IMAGES_PER_PASS = {"cpu": 512, "cuda": 2048}
# Examples at most whose curvature one model is asked about at a time, as four images each. All that
# two derivatives need is kept in memory for as many.
_CURVATURE_BATCH = 256


def score_block(
    *,
    data_path: str,
    roles_path: str,
    models: Mapping[str, str],
    output: str,
    settings: Mapping[str, Any],
    training: Mapping[str, Any],
    network: Network,
    execution: Mapping[str, Any],
    threads: int,
) -> None:
    """Ask each model of a block about every example of the pool, and about the official test set.

    Args:
        data_path: the prepared data set.
        roles_path: the roles of the block.
        models: name of each model to its file.
        output: HDF5 file to write: the arrays of `ARRAYS` that are always given, those asked for,
            and the names of the models.
        settings: `queries`; `arrays`, the names of those on request; and, if some of these are
            curvatures, `curvature`: with how many `probes` and steps of which length, `step`.
        training: settings with which the configuration has the models trained.
        network: that of the configuration.
        execution: the `execution` part of the configuration.
        threads: CPU threads.

    Raises:
        ArtefactError: a model file is damaged, or was trained on other data or members or with
            other settings.
    """
    start = time.monotonic()
    device = devices.claim(execution["device"], threads)
    data, matrix = load_data(data_path), roles.load(roles_path, models)
    files, training_settings = _read_block(models, matrix, data, training)
    made = [file.provenance for file in files.values()]
    stacked = network.is_stacked(execution["stacking"], device.type)
    building = network.building(training)
    size = matrix.roles_MN.shape[1]
    groups = [files] if stacked else [{path: file} for path, file in files.items()]
    scorers = [
        _Scorer(group, building, data.normalised_by(_moments(group)), size, device)
        for group in groups
    ]
    found = _joined(scorer.pool(settings) for scorer in scorers)
    _check_finite(found["phi"], [models[name] for name in matrix.models])
    if "curvature" in settings:
        found |= _joined(scorer.curvature(settings) for scorer in scorers)
    found |= _joined(scorer.test() for scorer in scorers)
    storage.write_hdf5(
        output,
        found
        | {
            "labels": data.labels[:size],
            "population_labels": data.labels[size:],
            "models": list(matrix.models),
            "roles": matrix.roles_MN,
            "sparsity": np.array(
                [f.history["sparsity"][f.provenance["kept_epoch"]] for f in files.values()]
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


def _moments(files: Mapping[str, ModelFile]) -> Mapping[str, Any]:
    """By which the inputs of the models of a group are normalised, if not by the data set's."""
    first = next(iter(files.values()))
    return first.provenance.get("imported", {}).get("moments", {})


def _joined(parts: Iterable[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    parts = list(parts)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _check_finite(phi: np.ndarray, paths: Sequence[str]) -> None:
    for phi_NA, path in zip(phi, paths, strict=True):
        if not np.isfinite(phi_NA).all():
            raise ArtefactError(
                f"{path}: this model gives confidences that are no finite numbers: it diverged. "
                "Lower the recipe's learning rate; a model like this tells an attack nothing."
            )


def _read_block(
    models: Mapping[str, str], matrix: RoleMatrix, data: Data, training: Mapping[str, Any]
) -> tuple[dict[str, ModelFile], dict[str, Any]]:
    """The models by path, in the order of the role matrix, and how all of them were trained."""
    files = {
        models[name]: read_matching(models[name], name, data, roles_N, training)
        for name, roles_N in zip(matrix.models, matrix.roles_MN, strict=True)
    }
    trained = {
        path: file.provenance["settings"]
        | {key: file.provenance[key] for key in ("precision", "data_digest")}
        for path, file in files.items()
    }
    first = next(iter(trained))
    for path, found in trained.items():
        check_same_settings(path, found, first, trained[first])
    return files, trained[first]


class _Scorer:
    """A stack of finished models in evaluation mode."""

    def __init__(
        self,
        models: Mapping[str, ModelFile],
        building: Mapping[str, Any],
        data: Data,
        pool_size: int,
        device: torch.device,
    ) -> None:
        """Put models together.

        Args:
            models: path of each to its file, of one architecture and defence.
            building: settings with which their network is built.
            data: the data set.
            pool_size: examples of the pool.
            device: where to ask.

        Raises:
            ArtefactError: a model was trained in another network than the present one.
        """
        files = list(models.values())
        self._data, self._pool_size, self._device = data, pool_size, device
        module = build_network(building, data, seed=0)
        for path, file in models.items():
            operations = file.provenance["structure"]
            check_structure(
                path, operations, file.state, module.state_dict(), module, data.input_shape
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

    def _in_batches(
        self,
        step: Callable[[slice], None],
        start: int,
        stop: int,
        title: str,
        size: int | None = None,
    ) -> None:
        size = size or max(1, _IMAGES_PER_PASS[self._device.type] // self._num_models)
        with progress.bar(total=stop - start, desc=title, unit="example") as bar:
            in_batches(step, start, stop, size, bar.update)

    def _inputs(self, rows: slice) -> Tensor:
        return self._normalise(torch.from_numpy(self._data.inputs[rows]).to(self._device))

    def _logits(self, inputs: Tensor) -> Tensor:
        return stacked_forward(self._module, self._parameters, self._buffers, inputs, shared=True)

    def _network(self, index: int) -> Callable[[Tensor], Tensor]:
        """One of the models, from inputs (B, …) to logits (B, K)."""
        own = slice(index, index + 1)
        parameters = {name: tensor[own] for name, tensor in self._parameters.items()}
        buffers = {name: tensor[own] for name, tensor in self._buffers.items()}
        return lambda inputs: stacked_forward(
            self._module, parameters, buffers, inputs, shared=True
        )[0]

    def _labels(self, rows: slice) -> Tensor:
        labels = torch.from_numpy(self._data.labels[rows]).to(self._device)
        return labels.expand(self._num_models, -1)

    @torch.no_grad()
    def pool(self, settings: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """What the models say of the pool, by the name of the array in the file."""
        queries, size = settings["queries"], self._pool_size
        asked = [name for name in ("phi", "max_phi") if name in ("phi", *settings["arrays"])]
        shape = (self._num_models, size, num_queries(queries))
        found = {name: np.empty(shape, dtype=np.float32) for name in asked}

        def batch(rows: slice) -> None:
            inputs, labels = self._inputs(rows), self._labels(rows)
            for index, view in enumerate(views(inputs, queries)):
                logits = self._logits(view)
                for name in asked:
                    of = labels if name == "phi" else logits.argmax(dim=-1)
                    found[name][:, rows, index] = logit_scaled_confidence(logits, of).cpu()
                if index == 0:
                    of_identity = self._of_identity(inputs, logits, labels, settings)
                    for name, tensor in of_identity.items():
                        values = tensor.cpu().numpy()
                        if name not in found:
                            found[name] = np.empty(
                                (len(values), size, *values.shape[2:]), values.dtype
                            )
                        found[name][:, rows] = values

        self._in_batches(batch, 0, size, "scores")
        return found

    def _of_identity(
        self, inputs: Tensor, logits: Tensor, labels: Tensor, settings: Mapping[str, Any]
    ) -> dict[str, Tensor]:
        found = {
            "correct": logits.argmax(dim=-1) == labels,
            "entropy": entropy(logits).float(),
            "modified_entropy": modified_entropy(logits, labels).float(),
        }
        if "logits" in settings["arrays"]:
            found["logits"] = logits.float()
        if "sensitivity" in settings["arrays"]:
            posterior = logits.double().softmax(dim=-1)
            found["sensitivity"] = sensitivity(self._logits, inputs, posterior).float()
        return found

    def curvature(self, settings: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Curvature around every query of the pool, by the name of the array in the file.

        One model after the other: with its probes, a batch of few examples fills the device, and
        the convolutions of a stack would only slow it down.
        """
        queries, size = settings["queries"], self._pool_size
        probes, step = (settings["curvature"][key] for key in ("probes", "step"))
        asked = {e: name for e, name in CURVATURES.items() if name in settings["arrays"]}
        shape = (self._num_models, size, num_queries(queries))
        found = {name: np.empty(shape, dtype=np.float32) for name in asked.values()}
        networks = [self._network(index) for index in range(self._num_models)]

        def batch(rows: slice) -> None:
            inputs, labels = self._inputs(rows), self._labels(rows)[0]
            for query, view in enumerate(views(inputs, queries)):
                examples = range(rows.start, rows.stop)
                signs = random_signs(examples, query, probes, view.shape[1:])
                signs = signs.to(self._device)
                for model, network in enumerate(networks):
                    values = curvature(network, view, labels, signs, tuple(asked), step)
                    for estimator, values_B in values.items():
                        found[asked[estimator]][model, rows, query] = values_B.cpu()

        self._in_batches(batch, 0, size, "curvature", _CURVATURE_BATCH)
        return found

    @torch.no_grad()
    def test(self) -> dict[str, np.ndarray]:
        """What the models say of the official test set, if some of it is outside the pool."""
        start, stop = self._pool_size, len(self._data.labels)
        phi = np.empty((self._num_models, stop - start), dtype=np.float32)
        hits, loss = np.zeros((2, self._num_models))

        def batch(rows: slice) -> None:
            labels = self._labels(rows)
            logits = self._logits(self._inputs(rows))
            confidence = logit_scaled_confidence(logits, labels)
            correct = logits.argmax(dim=-1) == labels
            losses = F.softplus(-confidence).sum(dim=1).cpu().numpy()
            phi[:, rows.start - start : rows.stop - start] = confidence.cpu()
            # Last, as a batch that memory is too small for must add nothing.
            hits[:] += correct.sum(dim=1).cpu().numpy()
            loss[:] += losses

        self._in_batches(batch, start, stop, "test set")
        with np.errstate(invalid="ignore"):
            return {
                "population_phi": phi,
                "test_accuracy": hits / (stop - start),
                "test_loss": loss / (stop - start),
            }
