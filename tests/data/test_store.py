"""Prepared data sets: counts checked, moments of the pool, nothing lost on the way."""

import re
from dataclasses import replace

import numpy as np
import pytest

from shadowmill import storage
from shadowmill.data import DATASETS, Dataset, readers
from shadowmill.data.store import load, prepare
from shadowmill.errors import ArtefactError, DataError

POOL, TEST, CLASSES = 40, 12, 3


@pytest.fixture
def examples():
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (POOL + TEST, 6, 6, 3), dtype=np.uint8)
    images[POOL:] //= 4  # a darker test set: its pixels must not count
    images[..., 2] //= 2
    return readers.Examples(
        images,
        np.arange(POOL + TEST) % CLASSES,
        np.arange(POOL + TEST) >= POOL,
        ("cat", "dog", "eel"),
        "made up",
    )


@pytest.fixture
def prepare_tiny(examples, monkeypatch, tmp_path):
    """Prepare these examples, or changed ones, as the data set `tiny`."""
    monkeypatch.setitem(DATASETS, "tiny", Dataset("Tiny", "tiny", POOL, CLASSES))

    def prepared(**changes):
        read = replace(examples, **changes)
        monkeypatch.setattr(readers, "tiny", lambda root: read, raising=False)
        prepare("tiny", "unused", tmp_path / "tiny.h5")
        return load(tmp_path / "tiny.h5")

    return prepared


def test_roundtrip(prepare_tiny, examples):
    data = prepare_tiny()
    assert (data.name, data.pool_size, data.num_classes) == ("tiny", POOL, CLASSES)
    assert data.class_names == ("cat", "dog", "eel")
    np.testing.assert_array_equal(data.images, examples.images, strict=True)
    np.testing.assert_array_equal(data.labels, examples.labels, strict=True)


def test_mean_and_deviation_are_those_of_the_pool_alone(prepare_tiny, examples):
    data = prepare_tiny()
    pool = examples.images[:POOL].astype(np.float64) / 255
    np.testing.assert_allclose(data.mean, pool.mean(axis=(0, 1, 2)), rtol=1e-14)
    np.testing.assert_allclose(data.std, pool.std(axis=(0, 1, 2)), rtol=1e-12)
    assert data.mean.dtype == data.std.dtype == np.float64
    everything = examples.images.astype(np.float64).mean(axis=(0, 1, 2)) / 255
    assert (np.abs(data.mean - everything) > 0.01).all()


def test_many_bright_pixels_do_not_overflow(prepare_tiny, examples):
    # 60,000 pixels of 255²: more than 32 bits hold.
    images = np.full((POOL + TEST, 50, 30, 3), 255, np.uint8)
    images[::2] = 253
    data = prepare_tiny(images=images)
    np.testing.assert_allclose(data.mean, 254 / 255, rtol=1e-14)
    np.testing.assert_allclose(data.std, 1 / 255, rtol=1e-6)


def test_the_digest_tells_images_and_labels_apart(prepare_tiny, examples):
    images, labels = examples.images.copy(), examples.labels.copy()
    images[3, 2, 1, 0] ^= 1
    labels[5] = (labels[5] + 1) % CLASSES
    digests = {
        prepare_tiny().digest,
        prepare_tiny(images=images).digest,
        prepare_tiny(labels=labels).digest,
    }
    assert len(digests) == 3
    assert prepare_tiny().digest in digests


def test_the_file_says_where_the_data_come_from(prepare_tiny, tmp_path):
    prepare_tiny()
    with storage.open_hdf5(tmp_path / "tiny.h5") as file:
        assert storage.attribute(file)["source"] == "made up"


@pytest.mark.parametrize("pool", [POOL - 1, POOL + 1])
def test_a_wrong_number_of_training_examples_is_refused(prepare_tiny, pool, tmp_path):
    with pytest.raises(DataError, match=f"tiny: {pool} training.*made up, {POOL} expected.*Fetch"):
        prepare_tiny(is_test=np.arange(POOL + TEST) >= pool)
    assert not (tmp_path / "tiny.h5").exists()


def test_a_wrong_number_of_classes_is_refused(prepare_tiny, examples):
    with pytest.raises(DataError, match=f"tiny: 2 classes in made up, {CLASSES} expected"):
        prepare_tiny(labels=np.minimum(examples.labels, 1))


@pytest.mark.parametrize("surplus", [-1, 1])
def test_images_without_labels_are_refused(prepare_tiny, examples, surplus):
    images = np.resize(examples.images, (POOL + TEST + surplus, 6, 6, 3))
    with pytest.raises(DataError, match="tiny"):
        prepare_tiny(images=images)


def test_digits_are_prepared_whole(tmp_path):
    prepare("digits", "unused", tmp_path / "digits.h5")
    data = load(tmp_path / "digits.h5")
    assert data.images.shape == (1797, 8, 8, 1)
    assert data.pool_size == len(data.labels) == 1797
    assert data.num_classes == 10


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ArtefactError, match=re.escape(str(tmp_path / "digits.h5"))):
        load(tmp_path / "digits.h5")
