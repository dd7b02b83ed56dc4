"""Training of a reconstructor: a network that draws a training example from a head's weights.

Balle, Cherubin & Hayes (2022, arXiv:2201.04845) introduced such reconstructors; this follows
"Vulnerability of Transfer-Learned Neural Networks to Data Reconstruction Attacks in Small-Data
Regime", but for the order of the heads, which is drawn anew for every epoch.
"""

import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from shadowmill import devices, lock, storage
from shadowmill.errors import ArtefactError
from shadowmill.provenance import array_digest, digest, provenance
from shadowmill.reconstruction import RECONSTRUCTOR_VERSION
from shadowmill.reconstruction.backbones.files import weights_digest
from shadowmill.reconstruction.code import generator_code
from shadowmill.reconstruction.features import Features, read_features
from shadowmill.reconstruction.head_batches import (
    Batches,
    ExampleImages,
    HeadSource,
    StoredHeads,
    StreamedHeads,
)
from shadowmill.reconstruction.held_out import HeldOutHeads, read_data
from shadowmill.reconstruction.losses import PerceptualDistance
from shadowmill.reconstruction.reconstructor_file import (
    Interface,
    ReconstructorFile,
    write_reconstructor,
)
from shadowmill.reconstruction.reconstructor_trainer import (
    CURVE_COLUMNS,
    ReconstructorTrainer,
    Validation,
)
from shadowmill.reconstruction.sets import Layout, layout
from shadowmill.reconstruction.shards import HeadStore, HeadStream
from shadowmill.reconstruction.statistics import Statistics, read_statistics
from shadowmill.seeds import seed_of
from shadowmill.training import checkpoint
from shadowmill.training.forward import precision
from shadowmill.training.loop import run_from_checkpoint


def train_reconstructor(
    *,
    data_path: str,
    features_path: str,
    shards: Sequence[str],
    validation_shard: str,
    statistics_path: str,
    output: str,
    curve_output: str,
    sets: Mapping[str, Any],
    heads: Mapping[str, Any],
    reconstructor: Mapping[str, Any],
    state_folder: str,
    title: str,
    execution: Mapping[str, Any],
    threads: int,
) -> None:
    """Train a reconstructor and write it, with its learning curve.

    The curve has at most 50 rows: the step (from 1), the mean loss since the row before, and for at
    most 200 test heads the mean MSE of a reconstruction to its nearest candidate, of the heads'
    own weights and of weights drawn from the Gaussian fitted to all training heads. It is shown;
    nothing is chosen by it.

    Args:
        data_path: the prepared data set that the heads were trained on.
        features_path: its features.
        shards: heads of the train split.
        validation_shard: heads of the test split, for the learning curve.
        statistics_path: of the weights of `shards`.
        output: safetensors file to write.
        curve_output: CSV file to write.
        sets: settings of the sets of the heads.
        heads: settings of the heads.
        reconstructor: `conditional`, whether it is told the group of the example to draw;
            `image_size`; `width`; `batch_size`; `learning_rate` of Adam; `steps`; `stream`, whether
            each batch has heads of its own, in place of those of `shards`; `perceptual`, None or
            the files `vgg16` and `linear` of that distance; and `seed`.
        state_folder: folder for the state of this job; removed at the end.
        title: what the progress bar calls the setting.
        execution: the `execution` part of the configuration.
        threads: CPU threads.

    Raises:
        BusyError: another job trains the same reconstructor.
        Interrupted: asked to stop by a signal; a checkpoint was written.
        TrainingError: the reconstructor diverged, or streamed heads did.
        ArtefactError: a file is missing or damaged, or files do not belong together.
        ConfigError: images are too small for the perceptual distance.
    """
    device = devices.claim(execution["device"], threads)
    settings = {"sets": dict(sets), "heads": dict(heads), "reconstructor": dict(reconstructor)}
    statistics, features = read_statistics(statistics_path), read_features(features_path)
    data = read_data(data_path, features, features_path)
    images = ExampleImages(data.inputs, reconstructor["image_size"], device)
    head_layout = layout(sets, reconstructor["conditional"])
    interface = _interface(reconstructor, statistics, features, head_layout, images)
    source = _source(shards, features_path, data_path, settings, device)
    _check_statistics(statistics_path, statistics, source, settings)
    validation_heads = HeldOutHeads(
        validation_shard, features_path, data_path, sets, interface, statistics, device
    )
    perceptual, files = None, reconstructor["perceptual"] or {}
    if files:
        perceptual = PerceptualDistance(files["vgg16"], files["linear"], interface.image_size)
        perceptual = perceptual.to(device)
    identity = digest(
        [
            *(RECONSTRUCTOR_VERSION, settings, interface.statistics_digest, data.digest),
            *(array_digest(validation_heads.indices_HN), validation_heads.features_digest),
            *(weights_digest(path) for path in files.values()),
            generator_code(),
        ]
    )
    folder, seed = Path(state_folder), reconstructor["seed"]
    saved = checkpoint.Checkpoint(folder / "checkpoint.safetensors", identity)
    with (
        lock.held(folder),
        checkpoint.watch_signals(execution["checkpoint_minutes"]) as interruption,
        ThreadPoolExecutor(1) as executor,
    ):
        trainer = ReconstructorTrainer(
            interface.generator(seed_of(seed, "initialisation")).to(device),
            Batches(
                source, statistics, head_layout, images, seed, reconstructor["steps"], executor
            ),
            Validation(validation_heads, statistics, seed),
            perceptual,
            reconstructor,
        )
        run_from_checkpoint(trainer, title, interruption, saved)
    facts = provenance(
        settings,
        trainer.seconds,
        device=devices.describe(device),
        precision=precision(device),
        identity=identity,
        data_digest=data.digest,
    )
    write_reconstructor(
        output,
        ReconstructorFile(trainer.network.state_dict(), interface, facts, trainer.curve),
    )
    storage.write_text(curve_output, _as_csv(trainer.curve))
    shutil.rmtree(folder)


def _interface(
    reconstructor: Mapping[str, Any],
    statistics: Statistics,
    features: Features,
    head_layout: Layout,
    images: ExampleImages,
) -> Interface:
    return Interface(
        num_weights=statistics.num_kept,
        num_groups=len(head_layout.candidates_GM),
        conditional=reconstructor["conditional"],
        image_size=reconstructor["image_size"],
        channels=images.num_channels,
        width=reconstructor["width"],
        backbone_identity=features.backbone_identity,
        statistics_digest=statistics.digest,
    )


def _source(
    shards: Sequence[str],
    features_path: str,
    data_path: str,
    settings: Mapping[str, Any],
    device: torch.device,
) -> HeadSource:
    batch_size = settings["reconstructor"]["batch_size"]
    if not settings["reconstructor"]["stream"]:
        store = HeadStore(shards, features_path, device)
        return StoredHeads(store, batch_size, settings["reconstructor"]["seed"])
    with storage.open_hdf5(shards[0]) as file:
        shard_size = file.shape("indices")[0]
    sets, heads = settings["sets"], settings["heads"]
    stream = HeadStream(features_path, data_path, sets, heads, device)
    return StreamedHeads(stream, batch_size, shard_size)


def _check_statistics(
    path: str, statistics: Statistics, source: HeadSource, settings: Mapping[str, Any]
) -> None:
    """Refuse statistics of other heads than those that are learned from."""
    wanted = [("sets", settings["sets"]), ("settings", settings["heads"]), *source.facts.items()]
    differing = {name for name, value in wanted if getattr(statistics, name) != value}
    if differing:
        raise ArtefactError(
            f"{path}: these are statistics of other heads than those to learn from; what differs "
            f"is {', '.join(sorted(differing))}. Delete the older ones and rerun."
        )


def _as_csv(curve: Sequence[Sequence[float]]) -> str:
    lines = [",".join(CURVE_COLUMNS), *(",".join(f"{x:.9g}" for x in row) for row in curve)]
    return "\n".join(lines) + "\n"
