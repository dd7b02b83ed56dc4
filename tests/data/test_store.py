"""Prepared data sets: counts checked, moments of the pool, nothing lost on the way."""

import re
from dataclasses import replace

import numpy as np
import pytest

from shadowmill import storage
from shadowmill.data import DATASETS, Dataset, readers
from shadowmill.data.readers import Examples
from shadowmill.data.store import load, num_examples, prepare
from shadowmill.errors import ArtefactError, DataError

POOL, TEST, CLASSES = 40, 12, 3


@pytest.fixture
def examples():
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (POOL + TEST, 6, 5, 3), dtype=np.uint8)
    images[POOL:] //= 4  # a darker test set: its pixels must not count
    images[..., 2] //= 2
    return Examples(
        images,
        np.arange(POOL + TEST) % CLASSES,
        np.arange(POOL + TEST) >= POOL,
        ("cat", "dog", "eel"),
        "made up",
    )


@pytest.fixture
def prepare_tiny(examples, monkeypatch, tmp_path):
    """Prepare these examples, or changed ones, as the data set `tiny`."""
    row = Dataset("tiny", "Tiny", "readers:tiny", "image", POOL, TEST, CLASSES)

    def prepared(row=row, **changes):
        read = replace(examples, **changes)
        monkeypatch.setattr(readers, "tiny", lambda root: read, raising=False)
        prepare(row, "unused", tmp_path / "tiny.h5")
        return load(tmp_path / "tiny.h5")

    return prepared


def test_roundtrip(prepare_tiny, examples):
    data = prepare_tiny()
    assert (data.name, data.pool_size, data.num_classes) == ("tiny", POOL, CLASSES)
    assert data.class_names == ("cat", "dog", "eel")
    assert (data.kind, data.input_shape) == ("image", (3, 6, 5))
    np.testing.assert_array_equal(data.inputs, examples.inputs, strict=True)
    np.testing.assert_array_equal(data.labels, examples.labels, strict=True)


def test_mean_and_deviation_are_those_of_the_pool_alone(prepare_tiny, examples):
    data = prepare_tiny()
    pool = examples.inputs[:POOL].astype(np.float64) / 255
    np.testing.assert_allclose(data.mean, pool.mean(axis=(0, 1, 2)), rtol=1e-14)
    np.testing.assert_allclose(data.std, pool.std(axis=(0, 1, 2)), rtol=1e-12)
    assert data.mean.dtype == data.std.dtype == np.float64
    everything = examples.inputs.astype(np.float64).mean(axis=(0, 1, 2)) / 255
    assert (np.abs(data.mean - everything) > 0.01).all()


def test_many_bright_pixels_do_not_overflow(prepare_tiny, examples):
    # 60,000 pixels of 255²: more than 32 bits hold.
    images = np.full((POOL + TEST, 50, 30, 3), 255, np.uint8)
    images[::2] = 253
    data = prepare_tiny(inputs=images)
    np.testing.assert_allclose(data.mean, 254 / 255, rtol=1e-14)
    np.testing.assert_allclose(data.std, 1 / 255, rtol=1e-6)


def test_the_digest_tells_images_and_labels_apart(prepare_tiny, examples):
    images, labels = examples.inputs.copy(), examples.labels.copy()
    images[3, 2, 1, 0] ^= 1
    labels[5] = (labels[5] + 1) % CLASSES
    digests = {
        prepare_tiny().digest,
        prepare_tiny(inputs=images).digest,
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
    images = np.resize(examples.inputs, (POOL + TEST + surplus, 6, 5, 3))
    with pytest.raises(DataError, match="tiny"):
        prepare_tiny(inputs=images)


@pytest.mark.parametrize("labels", [[0, 1, 3], [-1, 0, 1]])
def test_labels_that_no_class_name_belongs_to_are_refused(prepare_tiny, labels):
    with pytest.raises(DataError, match=rf"tiny: labels {labels[0]} to {labels[2]} in made up"):
        prepare_tiny(labels=np.resize(labels, POOL + TEST))


def test_a_wrong_number_of_test_examples_is_refused(prepare_tiny, examples):
    with pytest.raises(DataError, match=f"tiny: {TEST - 1} test examples in made up, {TEST} exp"):
        prepare_tiny(
            inputs=examples.inputs[:-1], labels=examples.labels[:-1], is_test=examples.is_test[:-1]
        )


def test_sizes_that_only_the_user_knows_are_taken_as_they_are(prepare_tiny):
    row = Dataset("tiny", "T", "readers:tiny", "image", None, None, None)
    data = prepare_tiny(row, is_test=np.arange(POOL + TEST) >= POOL - 5)
    assert (data.pool_size, len(data.inputs), data.num_classes) == (POOL - 5, POOL + TEST, CLASSES)


def test_extra_arrays_are_kept(prepare_tiny, tmp_path):
    identity = np.arange(POOL + TEST)
    prepare_tiny(extras={"identity": identity, "attribute_names": np.array(["Hat", "Smile"])})
    with storage.open_hdf5(tmp_path / "tiny.h5") as file:
        np.testing.assert_array_equal(file["identity"][:], identity, strict=True)
        assert file["attribute_names"][:].tolist() == ["Hat", "Smile"]


def test_features_are_stored_as_they_are(prepare_tiny, tmp_path):
    row = Dataset("tiny", "Tiny", "readers:tiny", "tabular", POOL, TEST, CLASSES)
    features = np.random.default_rng(0).integers(0, 2, (POOL + TEST, 7)).astype(np.float32)
    data = prepare_tiny(row, inputs=features)
    np.testing.assert_array_equal(data.inputs, features, strict=True)
    assert (data.kind, data.input_shape) == ("tabular", (7,))
    np.testing.assert_array_equal(data.mean, np.zeros(7), strict=True)
    np.testing.assert_array_equal(data.std, np.ones(7), strict=True)
    with storage.open_hdf5(tmp_path / "tiny.h5") as file:
        assert "features" in file
        assert "images" not in file


def test_digits_are_prepared_whole(tmp_path):
    prepare(DATASETS["digits"], "unused", tmp_path / "digits.h5")
    data = load(tmp_path / "digits.h5")
    assert data.inputs.shape == (1797, 8, 8, 1)
    assert data.pool_size == len(data.labels) == 1797
    assert data.num_classes == 10


def test_another_data_set_under_the_name_is_refused(tmp_path):
    prepare(DATASETS["digits"], "unused", tmp_path / "location.h5")
    for read in (load, lambda path: num_examples(path, "half")):
        with pytest.raises(ArtefactError, match=r"location\.h5: it holds the data set digits"):
            read(tmp_path / "location.h5")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ArtefactError, match=re.escape(str(tmp_path / "digits.h5"))):
        load(tmp_path / "digits.h5")
