"""One training job: a block of models of one configuration."""

import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from shadowmill import devices, lock, roles, storage
from shadowmill.architectures.structure import check_structure, structure
from shadowmill.data.store import Data
from shadowmill.data.store import load as load_data
from shadowmill.defenses import is_per_example
from shadowmill.errors import ArtefactError
from shadowmill.provenance import array_digest, digest, provenance
from shadowmill.roles import MEMBER, VALIDATION, RoleMatrix
from shadowmill.seeds import seed_of
from shadowmill.training import TRAINING_VERSION, checkpoint
from shadowmill.training.batches import Pool
from shadowmill.training.forward import precision
from shadowmill.training.lockstep import Stack
from shadowmill.training.loop import run
from shadowmill.training.modelfile import ModelFile, read_matching, write_model
from shadowmill.training.networks import Network
from shadowmill.training.spec import ModelSpec, build_network
from shadowmill.training.streams import SideBySide

log = logging.getLogger(__name__)

# Models on one GPU at once, each on a stream of its own: more gain nothing (docs/performance.md).
_SIDE_BY_SIDE = 8


def train_block(
    *,
    data_path: str,
    roles_path: str,
    initial: Mapping[str, str],
    outputs: Mapping[str, str],
    keys: Mapping[str, Sequence[str | int]],
    settings: Mapping[str, Any],
    state_folder: str,
    title: str,
    network: Network,
    execution: Mapping[str, Any],
    threads: int,
) -> None:
    """Train the models of a block and write one file each.

    Finished models and the checkpoint of unfinished ones are kept in `state_folder` until all are
    done: whatever happens to the outputs meanwhile, a rerun goes on from there.

    Args:
        data_path: the prepared data set.
        roles_path: the roles of the block.
        initial: name of each model to the model file that it starts from; empty to start afresh.
        outputs: name of each model to the safetensors file to write.
        keys: for each model what its seed is drawn from, beside the study's seed.
        settings: everything else that determines the models.
        state_folder: folder for the state of this job; removed at the end.
        title: what the progress bar calls the configuration.
        network: that of the configuration.
        execution: the `execution` part of the configuration.
        threads: CPU threads.

    Raises:
        BusyError: another job trains the same models.
        Interrupted: asked to stop by a signal; a checkpoint was written.
        TrainingError: a model diverged.
        ArtefactError: a model to start from is damaged or was trained on other data or members or
            with other settings.
    """
    device = devices.claim(execution["device"], threads)
    job = _Job.of(
        load_data(data_path), roles.load(roles_path, outputs), settings, network, execution, device
    )
    specs = [
        ModelSpec(
            name,
            seed_of(settings["seed"], *roles.stream(settings["protocol"], keys[name])),
            np.flatnonzero(roles_N == MEMBER),
            np.flatnonzero(roles_N == VALIDATION),
        )
        for name, roles_N in zip(job.matrix.models, job.matrix.roles_MN, strict=True)
    ]
    folder = Path(state_folder)
    size = job.group_size() or len(specs)
    with lock.held(folder):
        with checkpoint.watch_signals(execution["checkpoint_minutes"]) as interruption:
            for start in range(0, len(specs), size):
                group = specs[start : start + size]
                _train_group(job, group, initial, title, folder, interruption)
        for name, path in outputs.items():
            storage.link_or_copy(folder / f"{name}.safetensors", Path(path))
        shutil.rmtree(folder)


@dataclass(frozen=True)
class _Job:
    """What all models of a job share."""

    data: Data
    pool: Pool
    matrix: RoleMatrix
    settings: Mapping[str, Any]
    network: Network
    compile_mode: str
    stacking: str

    @classmethod
    def of(
        cls,
        data: Data,
        matrix: RoleMatrix,
        settings: Mapping[str, Any],
        network: Network,
        execution: Mapping[str, Any],
        device: torch.device,
    ) -> "_Job":
        pool = Pool(data, matrix.roles_MN.shape[1], device)
        compile_mode, stacking = execution["compile"], execution["stacking"]
        return cls(data, pool, matrix, settings, network, compile_mode, stacking)

    @property
    def is_stacked(self) -> bool:
        """Whether models are trained in lock-step."""
        return self.network.is_stacked(self.stacking, self.pool.device.type)

    def group_size(self) -> int:
        """How many models train at once, stacked or side by side; 0 for all of a job."""
        if is_per_example(self.settings["defense"]["name"]):
            return 1
        if self.is_stacked:
            return 0
        on_cpu = self.pool.device.type == "cpu"
        return 1 if self.stacking == "sequential" or on_cpu else _SIDE_BY_SIDE

    @property
    def precision(self) -> str:
        """Number format of the forward pass; DP-SGD has one of its own."""
        if is_per_example(self.settings["defense"]["name"]):
            return "float32"
        return precision(self.pool.device, self.settings["recipe"])

    @property
    def building(self) -> dict[str, Any]:
        """The settings, with what is needed to build the network beside them."""
        return self.network.building(self.settings)

    def trainer(self, group: Sequence[ModelSpec]) -> Stack | SideBySide:
        """The models of a group before their first step: in one stack, or in one each."""

        def stack(specs: Sequence[ModelSpec]) -> Stack:
            size = self.matrix.epoch_size
            return Stack(specs, self.building, self.data, self.pool, size, self.compile_mode)

        if len(group) == 1 or self.is_stacked:
            return stack(group)
        return SideBySide([stack([spec]) for spec in group])

    def identity(self, spec: ModelSpec, initial: ModelFile | None) -> dict[str, Any]:
        """What a model is: a file with the same identity need not be trained again."""
        parts = [
            TRAINING_VERSION,
            self.settings,
            spec.seed,
            self.data.digest,
            self.network.code,
            array_digest(spec.members),
            array_digest(spec.validation),
        ]
        if initial is not None:
            parts.append(initial.provenance["identity"])
        return {
            "identity": digest(parts),
            "model": spec.name,
            "seed": spec.seed,
            "data_digest": self.data.digest,
            "roles_digest": array_digest(self.roles_N(spec)),
            "epoch_size": self.matrix.epoch_size,
        }

    def roles_N(self, spec: ModelSpec) -> np.ndarray:
        return self.matrix.roles_MN[self.matrix.models.index(spec.name)]


def _train_group(
    job: _Job,
    group: list[ModelSpec],
    initial: Mapping[str, str],
    title: str,
    folder: Path,
    interruption: checkpoint.Interruption,
) -> None:
    """Train models at once and keep them in the state folder, unless they are there."""
    start = {
        spec.name: read_matching(
            initial[spec.name], spec.name, job.data, job.roles_N(spec), job.settings["pretraining"]
        )
        for spec in group
        if initial
    }
    identities = {spec.name: job.identity(spec, start.get(spec.name)) for spec in group}
    files = {name: folder / f"{name}.safetensors" for name in identities}
    if all(_is_finished(files[name], identities[name]) for name in files):
        log.info("already trained: %s", ", ".join(files))
        return
    network = build_network(job.building, job.data, seed=0)
    for name, file in start.items():
        operations = file.provenance["structure"]
        own, shape = network.state_dict(), job.data.input_shape
        check_structure(initial[name], operations, file.state, own, network, shape)
    group = [replace(s, initial=start[s.name].state) if start else s for s in group]
    saved = checkpoint.Checkpoint(
        folder / "checkpoint.safetensors", digest([identities, job.precision])
    )
    log.info("training %s", ", ".join(files))
    what = group[0].name if len(group) == 1 else f"{len(group)} models"
    try:
        trainer = job.trainer(group)
        if saved.restore(trainer):
            log.info("continuing at step %d of %d", trainer.step, trainer.total_steps)
        run(trainer, f"{title}, {what}", interruption, saved)
    except torch.OutOfMemoryError:
        if len(group) == 1:
            raise
        trainer = None
    if trainer is None:  # not before the error is gone, and with it what it kept in memory
        log.info("the GPU's memory is too small for %d models at once: half as many", len(group))
        torch.cuda.empty_cache()
        for half in (group[: len(group) // 2], group[len(group) // 2 :]):
            _train_group(job, half, initial, title, folder, interruption)
        return
    device = job.pool.device
    for index, name in enumerate(files):
        model = trainer.final(index)
        facts = provenance(
            job.settings,
            trainer.seconds / len(group),
            device=devices.describe(device),
            precision=job.precision,
            structure=structure(network, job.data.input_shape),
            **identities[name],
            **model.facts,
        )
        write_model(files[name], model.state, model.masks, facts, model.history)


def _is_finished(path: Path, identity: Mapping[str, Any]) -> bool:
    if not path.exists():
        return False
    try:
        _, metadata = storage.read_tensors(path)
    except ArtefactError:
        return False
    return metadata.get("provenance", {}).get("identity") == identity["identity"]
