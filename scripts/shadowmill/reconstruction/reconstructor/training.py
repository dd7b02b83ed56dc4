"""Training of a reconstructor: a network that draws a training example from a head's weights.

Balle, Cherubin & Hayes (2022, arXiv:2201.04845) introduced such reconstructors; this follows
"Vulnerability of Transfer-Learned Neural Networks to Data Reconstruction Attacks in Small-Data
Regime", but for the order of the heads, which is drawn anew for every epoch.
"""

import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from shadowmill import devices, lock, storage
from shadowmill.errors import ArtefactError
from shadowmill.provenance import array_digest, digest, provenance
from shadowmill.reconstruction import RECONSTRUCTOR_VERSION
from shadowmill.reconstruction.backbones.files import weights_digest
from shadowmill.reconstruction.code import generator_code
from shadowmill.reconstruction.features import read_features
from shadowmill.reconstruction.heads.shards import HeadStore
from shadowmill.reconstruction.heads.study import HeadTrainer
from shadowmill.reconstruction.images import ExampleImages
from shadowmill.reconstruction.reconstructor.batches import (
    Batches,
    HeadSource,
    StoredHeads,
    StreamedHeads,
)
from shadowmill.reconstruction.reconstructor.files import (
    Interface,
    ReconstructorFile,
    write_reconstructor,
)
from shadowmill.reconstruction.reconstructor.held_out import HeldOutHeads, read_data
from shadowmill.reconstruction.reconstructor.losses import PerceptualDistance
from shadowmill.reconstruction.reconstructor.trainer import (
    CURVE_COLUMNS,
    ReconstructorTrainer,
    Validation,
)
from shadowmill.reconstruction.sets import layout
from shadowmill.reconstruction.statistics import Statistics, read_statistics
from shadowmill.seeds import seed_of
from shadowmill.training import checkpoint
from shadowmill.training.forward import precision
from shadowmill.training.loop import run_from_checkpoint


@dataclass(frozen=True)
class LearningFiles:
    """What a reconstructor learns from.

    Attributes:
        data: the prepared data set that the heads were trained on.
        features: its features.
        shards: heads of the train split.
        validation_shard: heads of the test split, for the learning curve.
        statistics: of the weights of `shards`.
    """

    data: str
    features: str
    shards: Sequence[str]
    validation_shard: str
    statistics: str


def train_reconstructor(
    *,
    files: LearningFiles,
    settings: Mapping[str, Mapping[str, Any]],
    output: str,
    curve_output: str,
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
        files: what it learns from.
        settings: `sets` of the sets of the heads, `heads` of the heads, and `reconstructor`:
            `conditional`, whether it is told the group of the example to draw; `image_size`;
            `width`; `batch_size`; `learning_rate` of Adam; `steps`; `stream`, whether each batch
            has heads of its own, in place of those of `shards`; `perceptual`, None or the files
            `vgg16` and `linear` of that distance; and `seed`.
        output: safetensors file to write.
        curve_output: CSV file to write.
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
    material = _Material(files, settings, device)
    identity, folder = material.identity(), Path(state_folder)
    saved = checkpoint.Checkpoint(folder / "checkpoint.safetensors", identity)
    with (
        lock.held(folder),
        checkpoint.watch_signals(execution["checkpoint_minutes"]) as interruption,
        ThreadPoolExecutor(1) as executor,
    ):
        trainer = material.trainer(executor)
        run_from_checkpoint(trainer, title, interruption, saved)
    facts = provenance(
        settings,
        trainer.seconds,
        device=devices.describe(device),
        precision=precision(device, {}),
        identity=identity,
        data_digest=material.data_digest,
    )
    write_reconstructor(
        output,
        ReconstructorFile(trainer.network.state_dict(), material.interface, facts, trainer.curve),
    )
    storage.write_text(curve_output, _as_csv(trainer.curve))
    shutil.rmtree(folder)


class _Material:
    """The files that a reconstructor learns from, read, and known to belong together.

    Attributes:
        interface: what the reconstructor takes and gives.
        data_digest: of the data that the heads were trained on.
    """

    def __init__(
        self,
        files: LearningFiles,
        settings: Mapping[str, Mapping[str, Any]],
        device: torch.device,
    ) -> None:
        """Read all of it; arguments and errors are those of `train_reconstructor`."""
        self._settings, self._device = settings, device
        sets, reconstructor = settings["sets"], settings["reconstructor"]
        self._statistics = read_statistics(files.statistics)
        features = read_features(files.features)
        data = read_data(files.data, features, files.features)
        self.data_digest = data.digest
        self._images = ExampleImages(data.inputs, reconstructor["image_size"], device)
        self._layout = layout(sets, reconstructor["conditional"])
        self.interface = Interface(
            num_weights=self._statistics.num_kept,
            num_groups=len(self._layout.candidates_GM),
            conditional=reconstructor["conditional"],
            image_size=reconstructor["image_size"],
            channels=self._images.num_channels,
            width=reconstructor["width"],
            backbone_identity=features.backbone_identity,
            statistics_digest=self._statistics.digest,
        )
        self._source = _source(files, settings, device)
        _check_statistics(files.statistics, self._statistics, self._source, settings)
        self._validation_heads = HeldOutHeads(
            files.validation_shard,
            files.features,
            files.data,
            sets,
            self.interface,
            self._statistics,
            device,
        )
        self._perceptual, self._perceptual_files = None, reconstructor["perceptual"] or {}
        if self._perceptual_files:
            self._perceptual = PerceptualDistance(
                self._perceptual_files["vgg16"],
                self._perceptual_files["linear"],
                self.interface.image_size,
            ).to(device)

    def identity(self) -> str:
        """What the reconstructor is: a checkpoint with the same identity can be continued."""
        heads = self._validation_heads
        return digest(
            [
                RECONSTRUCTOR_VERSION,
                self._settings,
                self.interface.statistics_digest,
                self.data_digest,
                array_digest(heads.indices_HN),
                heads.features_digest,
                *(weights_digest(path) for path in self._perceptual_files.values()),
                generator_code(),
            ]
        )

    def trainer(self, executor: Executor) -> ReconstructorTrainer:
        """A reconstructor before its first step.

        Args:
            executor: of one thread, in which batches are prepared.
        """
        settings = self._settings["reconstructor"]
        seed = settings["seed"]
        return ReconstructorTrainer(
            self.interface.generator(seed_of(seed, "initialisation")).to(self._device),
            Batches(
                self._source,
                self._statistics,
                self._layout,
                self._images,
                seed,
                settings["steps"],
                executor,
            ),
            Validation(self._validation_heads, self._statistics, seed),
            self._perceptual,
            settings,
        )


def _source(
    files: LearningFiles, settings: Mapping[str, Mapping[str, Any]], device: torch.device
) -> HeadSource:
    reconstructor = settings["reconstructor"]
    if not reconstructor["stream"]:
        store = HeadStore(files.shards, files.features, device)
        return StoredHeads(store, reconstructor["batch_size"], reconstructor["seed"])
    with storage.open_hdf5(files.shards[0]) as file:
        shard_size = file.shape("indices")[0]
    trainer = HeadTrainer(files.features, files.data, settings["sets"], settings["heads"], device)
    return StreamedHeads(trainer, reconstructor["batch_size"], shard_size)


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
