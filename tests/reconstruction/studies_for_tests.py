"""Whole reconstructions on very little data: what comes before a reconstructor, as files."""

from dataclasses import dataclass
from typing import Any

from shadowmill.reconstruction.evaluation.reconstruct import reconstruct
from shadowmill.reconstruction.heads.shards import train_shard
from shadowmill.reconstruction.reconstructor.training import LearningFiles, train_reconstructor
from shadowmill.reconstruction.statistics import weight_statistics

EXECUTION = {"device": "cpu", "checkpoint_minutes": 60}
RECONSTRUCTOR = {
    "conditional": True,
    "image_size": 8,
    "width": 2,
    "batch_size": 4,
    "learning_rate": 0.003,
    "steps": 20,
    "stream": False,
    "perceptual": None,
    "seed": 3,
}


@dataclass
class Study:
    """Files and settings of a reconstruction, up to the statistics of its heads."""

    folder: Any
    data: str
    features: str
    sets: dict[str, Any]
    heads: dict[str, Any]
    shards: list[str]
    test_shard: str
    statistics: str

    @classmethod
    def make(cls, folder, data, features, sets, heads, num_shards=2, num_heads=6):
        """Train heads; six on each of two permutations, and six test heads."""
        study = cls(folder, data, features, sets, heads, [], str(folder / "test-0000.h5"), "")
        for number in range(num_shards):
            study.shards.append(str(folder / f"train-{number:04d}.h5"))
            study.train_shard(study.shards[-1], "train", number, num_heads)
        study.train_shard(study.test_shard, "test", 0, 6)
        study.statistics = str(folder / "weight_statistics.h5")
        weight_statistics(
            shards=study.shards,
            features_path=features,
            output=study.statistics,
            execution=EXECUTION,
            threads=1,
        )
        return study

    def train_shard(self, path, split, permutation_seed, num_heads):
        train_shard(
            features_path=self.features,
            data_path=self.data,
            split=split,
            permutation_seed=permutation_seed,
            num_heads=num_heads,
            sets=self.sets,
            heads=self.heads,
            materialise=False,
            output=path,
            execution=EXECUTION,
            threads=1,
        )

    @property
    def model(self):
        return str(self.folder / "reconstructor.safetensors")

    @property
    def curve(self):
        return str(self.folder / "learning_curve.csv")

    @property
    def state_folder(self):
        return self.folder / "state"

    def train(self, reconstructor=RECONSTRUCTOR, settings=None, **files):
        """Train a reconstructor; its curve is of the test heads."""
        files = {
            "data": self.data,
            "features": self.features,
            "shards": self.shards,
            "validation_shard": self.test_shard,
            "statistics": self.statistics,
        } | files
        train_reconstructor(
            files=LearningFiles(**files),
            settings={"sets": self.sets, "heads": self.heads, "reconstructor": reconstructor}
            | (settings or {}),
            output=self.model,
            curve_output=self.curve,
            state_folder=str(self.state_folder),
            title="a test",
            execution=EXECUTION,
            threads=1,
        )

    def reconstruct(self, tested=None, **changes):
        """Reconstruct from the test heads of `tested`; return the path of the result."""
        tested = tested or self
        arguments = {
            "data_path": tested.data,
            "features_path": tested.features,
            "shard": tested.test_shard,
            "train_data_path": self.data,
            "statistics_path": self.statistics,
            "reconstructor_path": self.model,
            "output": str(self.folder / "reconstructions.h5"),
            "sets": tested.sets,
            "train_sets": self.sets,
            "nearest_quantile": 0.25,
            "execution": EXECUTION,
            "threads": 1,
        }
        reconstruct(**arguments | changes)
        return arguments["output"]
