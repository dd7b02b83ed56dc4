"""SVHN through torchvision, on tiny files in the published MATLAB format."""

import hashlib

import numpy as np
import pytest
import torchvision.datasets as published
from scipy.io import savemat

from shadowmill.data.readers.torchvision_sets import svhn
from shadowmill.errors import DataError

LABELS = {"train": [1, 9, 10, 2, 10], "test": [10, 3, 7]}  # 10 is the digit 0


@pytest.fixture
def arrays(tmp_path, monkeypatch):
    """Tiny files in the place of the published ones, with checksums to match."""
    random = np.random.default_rng(0)
    images, splits = {}, dict(published.SVHN.split_list)
    for split, labels in LABELS.items():
        # As published: rows, columns, colours, examples; labels in a column.
        images[split] = random.integers(0, 256, (32, 32, 3, len(labels)), dtype=np.uint8)
        path = tmp_path / f"{split}_32x32.mat"
        savemat(path, {"X": images[split], "y": np.array(labels, np.uint8)[:, None]})
        url, name, _ = splits[split]
        splits[split] = [url, name, hashlib.md5(path.read_bytes()).hexdigest()]
    monkeypatch.setattr(published.SVHN, "split_list", splits)
    return images


def test_images_labels_and_split(arrays, tmp_path):
    examples = svhn(tmp_path)
    assert examples.inputs.shape == (8, 32, 32, 3)
    assert examples.inputs.dtype == np.uint8
    for first, split in ((0, "train"), (5, "test")):
        for k in range(len(LABELS[split])):
            np.testing.assert_array_equal(examples.inputs[first + k], arrays[split][..., k])
    assert examples.labels.dtype == np.int64
    assert examples.labels.tolist() == [1, 9, 0, 2, 0, 0, 3, 7]
    assert examples.is_test.tolist() == [False] * 5 + [True] * 3
    assert examples.class_names == tuple("0123456789")
    assert examples.source == str(tmp_path)


def test_missing_data_say_where_they_were_looked_for_and_where_they_can_be_had(tmp_path):
    with pytest.raises(DataError, match=r"^svhn: not found in .*no network.*housenumbers"):
        svhn(tmp_path / "data")


def test_damaged_files_are_not_read(arrays, tmp_path):
    path = tmp_path / "test_32x32.mat"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match="svhn"):
        svhn(tmp_path)
