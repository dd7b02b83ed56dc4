"""A small data set and its features, as files: 4 classes of 2×2 images that lie apart."""

import numpy as np
import pytest

from shadowmill import storage
from shadowmill.provenance import array_digest
from shadowmill.reconstruction.heads.shards import train_shard

NUM_FEATURES = 12


@pytest.fixture
def execution():
    """Settings of how jobs run."""
    return {"device": "cpu"}


@pytest.fixture
def sets_settings():
    """Sets of one example of each of three classes."""
    return {
        "task": "multiclass",
        "classes": [0, 1, 3],
        "positive": [],
        "random_labels": None,
        "class_size": 1,
        "test_fraction": None,
        "seed": 5,
    }


@pytest.fixture
def heads_settings():
    """Linear heads for these sets."""
    return {
        "outputs": 3,
        "hidden": 0,
        "epochs": 4,
        "learning_rate": 0.05,
        "weight_decay": 1e-3,
        "init_std": 0.01,
        "optimizer": "sgd",
        "positive_weight": 1.0,
        "restart": None,
        "privacy": None,
    }


@pytest.fixture
def identity_sets(sets_settings):
    """Sets of two images of one person and eighteen of others; for `write_data(identities=…)`."""
    return sets_settings | {"task": "identity", "classes": [], "class_size": 2}


@pytest.fixture
def write_data(tmp_path):
    """Write a prepared data set as `data.store.prepare` does."""

    def write(name="squares", pool_size=60, num_test=24, size=2, channels=1, identities=0):
        random = np.random.default_rng(sum(name.encode()))
        labels = np.arange(pool_size + num_test) % 4
        shape = (len(labels), size, size, channels)
        images = (60 * labels[:, None, None, None] + random.integers(0, 60, shape)).astype(np.uint8)
        arrays = {"images": images, "labels": labels}
        arrays |= {"mean": np.full(channels, 0.45), "std": np.full(channels, 0.28)}
        if identities:
            arrays["identity"] = np.arange(len(labels)) % identities
            arrays["identity"][pool_size:] += identities  # nobody is in both parts, as in celeba
        path = tmp_path / f"{name}.h5"
        storage.write_hdf5(
            path,
            arrays,
            {},
            name=name,
            kind="image",
            pool_size=pool_size,
            class_names=["a", "b", "c", "d"],
            digest=array_digest(images) + array_digest(labels),
        )
        return str(path)

    return write


@pytest.fixture
def write_features(tmp_path):
    """Write features of a data set as `features.extract` does; examples of a class are alike.

    `dead` features are 0 in all examples.
    """

    def write(data_path, num_features=NUM_FEATURES, seed=0, dead=(), data_digest=None):
        with storage.open_hdf5(data_path) as file:
            labels, digest = file["labels"][:], storage.attribute(file, "digest")
        random = np.random.default_rng(seed)
        of_class = random.normal(size=(4, num_features))
        own = 0.5 * random.normal(size=(len(labels), num_features))
        values = (of_class[labels] + own).astype(np.float32)
        values[:, list(dead)] = 0
        path = tmp_path / f"features-{num_features}-{seed}.h5"
        storage.write_hdf5(
            path,
            {"features": values},
            {},
            data_digest=data_digest or digest,
            digest=array_digest(values),
            backbone_identity="backbone",
            backbone_settings={"architecture": "tiny_cnn"},
        )
        return str(path)

    return write


@pytest.fixture
def make_shard(tmp_path, write_data, write_features, sets_settings, heads_settings, execution):
    """Train a small shard; return the paths of shard, features and data."""

    def make(
        seed=0,
        split="train",
        num_heads=6,
        sets=sets_settings,
        heads=heads_settings,
        materialise=False,
        data_path=None,
        features_path=None,
        name=None,
    ):
        data_path = data_path or write_data()
        features_path = features_path or write_features(data_path)
        path = str(tmp_path / "heads" / f"{name or f'{split}-{seed}'}.h5")
        train_shard(
            features_path=features_path,
            data_path=data_path,
            split=split,
            permutation_seed=seed,
            num_heads=num_heads,
            sets=sets,
            heads=heads,
            materialise=materialise,
            output=path,
            execution=execution,
            threads=1,
        )
        return path, features_path, data_path

    return make
