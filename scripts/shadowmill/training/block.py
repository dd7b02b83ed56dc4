"""One training job: a block of models of one configuration."""

import logging
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from shadowmill import devices, progress, roles, storage
from shadowmill.architectures import is_stacked
from shadowmill.data.store import ImageData
from shadowmill.data.store import load as load_data
from shadowmill.errors import ArtefactError, Interrupted
from shadowmill.provenance import array_digest, digest, provenance
from shadowmill.roles import MEMBER, RoleMatrix
from shadowmill.seeds import seed_of
from shadowmill.training import TRAINING_VERSION, checkpoint
from shadowmill.training.lockstep import ModelSpec, Stack, precision
from shadowmill.training.modelfile import write_model

log = logging.getLogger(__name__)


def train_block(
    *,
    data_path: str,
    roles_path: str,
    outputs: Mapping[str, str],
    keys: Mapping[str, Sequence[str | int]],
    settings: Mapping[str, Any],
    state_folder: str,
    title: str,
    execution: Mapping[str, Any],
    threads: int,
) -> None:
    """Train the models of a block and write one file each.

    Finished models and the checkpoint of unfinished ones are kept in `state_folder` until all are
    done: whatever happens to the outputs meanwhile, a rerun goes on from there.

    Args:
        data_path: the prepared data set.
        roles_path: the roles of the block.
        outputs: name of each model to the safetensors file to write.
        keys: for each model what its seed is drawn from, beside the study's seed.
        settings: everything else that determines the models.
        state_folder: folder for the state of this job; removed at the end.
        title: what the progress bar calls the configuration.
        execution: the `execution` part of the configuration.
        threads: CPU threads.

    Raises:
        Interrupted: asked to stop by a signal; a checkpoint was written.
        TrainingError: a model diverged.
    """
    device = devices.claim(execution["device"], threads)
    data, matrix = load_data(data_path), roles.load(roles_path)
    specs = [
        ModelSpec(name, seed_of(settings["seed"], *keys[name]), np.flatnonzero(roles_N == MEMBER))
        for name, roles_N in zip(matrix.models, matrix.roles_MN, strict=True)
    ]
    folder = Path(state_folder)
    with checkpoint.watch_signals(execution["checkpoint_minutes"]) as interruption:
        for group in _groups(specs, settings["architecture"], execution["stacking"]):
            _train_group(group, title, settings, data, matrix, device, folder, interruption)
    for name, path in outputs.items():
        storage.link_or_copy(folder / f"{name}.safetensors", Path(path))
    shutil.rmtree(folder)


def _train_group(
    group: list[ModelSpec],
    title: str,
    settings: Mapping[str, Any],
    data: ImageData,
    matrix: RoleMatrix,
    device: torch.device,
    folder: Path,
    interruption: checkpoint.Interruption,
) -> None:
    """Train models in lock-step and keep them in the state folder, unless they are there."""
    identities = {spec.name: _identity(spec, settings, data, matrix) for spec in group}
    files = {name: folder / f"{name}.safetensors" for name in identities}
    if all(_is_finished(files[name], identities[name]) for name in files):
        log.info("already trained: %s", ", ".join(files))
        return
    stack = Stack(group, settings, data, matrix.epoch_size, device)
    saved = checkpoint.Checkpoint(folder / "checkpoint.safetensors", digest(identities))
    if saved.restore(stack):
        log.info("continuing at step %d of %d", stack.step, stack.total_steps)
    log.info("training %s", ", ".join(files))
    what = group[0].name if len(group) == 1 else f"{len(group)} models"
    _run(stack, f"{title}, {what}", interruption, saved)
    seconds = stack.seconds / len(group)
    for index, name in enumerate(files):
        state, masks, history = stack.final(index)
        facts = provenance(
            settings,
            seconds,
            device=devices.describe(device),
            precision=precision(device),
            **identities[name],
        )
        write_model(files[name], state, masks, facts, history)


def _groups(specs: list[ModelSpec], architecture: str, stacking: str) -> list[list[ModelSpec]]:
    return [specs] if is_stacked(architecture, stacking) else [[spec] for spec in specs]


def _identity(
    spec: ModelSpec, settings: Mapping[str, Any], data: ImageData, matrix: RoleMatrix
) -> dict[str, Any]:
    """What a model is: a file with the same identity need not be trained again."""
    return {
        "identity": digest(
            [TRAINING_VERSION, settings, spec.seed, data.digest, array_digest(spec.members)]
        ),
        "model": spec.name,
        "seed": spec.seed,
        "data_digest": data.digest,
        "roles_digest": array_digest(matrix.roles_MN[matrix.models.index(spec.name)]),
        "epoch_size": matrix.epoch_size,
    }


def _is_finished(path: Path, identity: Mapping[str, Any]) -> bool:
    if not path.exists():
        return False
    try:
        _, metadata = storage.read_tensors(path)
    except ArtefactError:
        return False
    return metadata.get("provenance", {}).get("identity") == identity["identity"]


def _run(
    stack: Stack,
    title: str,
    interruption: checkpoint.Interruption,
    saved: checkpoint.Checkpoint,
) -> None:
    with progress.bar(total=stack.total_steps, initial=stack.step, desc=title, unit="step") as bar:
        while stack.step < stack.total_steps:
            start = time.monotonic()
            stack.train_step()
            stack.seconds += time.monotonic() - start
            bar.update()
            if interruption.requested:
                saved.save(stack)
                raise Interrupted(
                    f"asked to stop at step {stack.step} of {stack.total_steps}; a checkpoint was "
                    "written. Rerun the workflow to continue from there."
                )
            if interruption.checkpoint_is_due():
                saved.save(stack)
            if stack.step % stack.steps_per_epoch == 0:
                bar.set_postfix(_progress(stack))
    log.info("trained %s: %s", title, bar.postfix)


def _progress(stack: Stack) -> dict[str, str]:
    done = stack.step / stack.total_steps * stack.num_models
    latest = {name: float(np.mean(epochs[-1])) for name, epochs in stack.history.items()}
    return {
        "loss": f"{latest['loss']:.3f}",
        "accuracy": f"{latest['accuracy']:.3f}",
        "sparsity": f"{latest['sparsity']:.3f}",
        "models/s": f"{done / stack.seconds:.3g}",
    }
