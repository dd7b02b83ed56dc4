"""Backbones: networks trained, or tuned from published weights, in phases."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shadowmill import devices, lock
from shadowmill.data.store import load as load_data
from shadowmill.provenance import digest, provenance
from shadowmill.reconstruction import BACKBONES_VERSION
from shadowmill.reconstruction.backbones import BACKBONES
from shadowmill.reconstruction.backbones.examples import Examples
from shadowmill.reconstruction.backbones.files import weights_digest, write_backbone
from shadowmill.reconstruction.backbones.trainer import Pretrainer
from shadowmill.reconstruction.code import backbone_code
from shadowmill.training import checkpoint
from shadowmill.training.forward import precision
from shadowmill.training.loop import run_from_checkpoint


def pretrain(
    *,
    data_path: str,
    output: str,
    settings: Mapping[str, Any],
    state_folder: str,
    execution: Mapping[str, Any],
    threads: int,
) -> None:
    """Train a backbone and write it.

    Args:
        data_path: the prepared data set, of images; its pool is trained on.
        output: safetensors file to write: the state under the names of the uncut network, how it
            was made, and `history`: `loss` and `accuracy` of training, `test_loss` and
            `test_accuracy` on the official test set (NaN without one), one entry per epoch.
        settings: `architecture`, a row of the table; `classes`, labels of the examples to train
            on, or None for all; `labels`: `classes` to tell these apart, or `attributes` to tell
            each of the data set's attributes; `image_size` in pixels, or None as stored;
            `weights`, a file to start from, or None; `phases`, one after another, each with
            `layers` (`all`, or `last` for the last layer alone, on the features of evaluation),
            `freeze_batch_norm` (the statistics and weights of BatchNorm stay), `epochs`,
            `learning_rate` and `weight_decay` of Adam, and `batch_size`; `augmentation`, see
            `backbones.augmentation`; and `seed`.
        state_folder: folder for the state of this job; removed at the end.
        execution: the `execution` part of the configuration.
        threads: CPU threads.

    Raises:
        BusyError: another job trains the same backbone.
        Interrupted: asked to stop by a signal; a checkpoint was written.
        TrainingError: the network diverged.
        ArtefactError: the weights to start from are missing, damaged, or of another network.
        ConfigError: there is nothing to train on, or there are no attributes.
    """
    device = devices.claim(execution["device"], threads)
    examples = Examples.of(load_data(data_path), data_path, settings, device)
    folder = Path(state_folder)
    identity = digest(
        [
            BACKBONES_VERSION,
            settings,
            examples.data_digest,
            examples.targets_digest,
            weights_digest(settings["weights"]),
            backbone_code(settings["architecture"]),
        ]
    )
    trainer = Pretrainer(examples, settings)
    saved = checkpoint.Checkpoint(folder / "checkpoint.safetensors", identity)
    title = BACKBONES[settings["architecture"]].title
    with (
        lock.held(folder),
        checkpoint.watch_signals(execution["checkpoint_minutes"]) as interruption,
    ):
        run_from_checkpoint(trainer, f"backbone {title}", interruption, saved)
    facts = provenance(
        settings,
        trainer.seconds,
        device=devices.describe(device),
        precision=precision(device, {}),
        identity=identity,
        data_digest=examples.data_digest,
        structure=trainer.structure(),
    )
    write_backbone(output, trainer.final(facts))
    shutil.rmtree(folder)
