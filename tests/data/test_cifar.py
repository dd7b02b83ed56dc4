"""CIFAR through torchvision, on tiny files in the published pickle format."""

import hashlib
import pickle
import shutil

import numpy as np
import pytest
import torchvision.datasets as published

from shadowmill.data.readers import torchvision_sets
from shadowmill.errors import DataError

PER_FILE = 6


def batch(random, label_key, num_classes):
    """As published: rows of 3072 bytes, 1024 red, 1024 green, 1024 blue, each row-major."""
    return {
        "data": random.integers(0, 256, (PER_FILE, 3072), dtype=np.uint8),
        label_key: random.integers(0, num_classes, PER_FILE).tolist(),
    }


def install(monkeypatch, root, torchvision_class, label_key, class_names):
    """Write tiny files in the place of the published ones, with checksums to match."""
    folder = root / torchvision_class.base_folder
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    batches = {}

    def dump(name, content):
        data = pickle.dumps(content, protocol=2)
        (folder / name).write_bytes(data)
        return hashlib.md5(data).hexdigest()

    for part in ("train_list", "test_list"):
        entries = []
        for name, _ in getattr(torchvision_class, part):
            batches[name] = batch(random, label_key, len(class_names))
            entries.append([name, dump(name, batches[name])])
        monkeypatch.setattr(torchvision_class, part, entries)
    meta = dict(torchvision_class.meta)
    meta["md5"] = dump(meta["filename"], {meta["key"]: class_names})
    monkeypatch.setattr(torchvision_class, "meta", meta)
    return list(batches.values())


CASES = {
    "cifar10": (published.CIFAR10, "labels", [f"class {k}" for k in range(10)], 5),
    "cifar100": (published.CIFAR100, "fine_labels", [f"fine {k}" for k in range(100)], 1),
}


@pytest.fixture(params=CASES)
def case(request, tmp_path, monkeypatch):
    name = request.param
    torchvision_class, label_key, class_names, train_files = CASES[name]
    batches = install(monkeypatch, tmp_path, torchvision_class, label_key, class_names)
    assert len(batches) == train_files + 1
    return name, batches, label_key, class_names


def test_images_labels_and_split(case, tmp_path):
    name, batches, label_key, class_names = case
    examples = getattr(torchvision_sets, name)(tmp_path)
    count = PER_FILE * len(batches)
    assert examples.inputs.shape == (count, 32, 32, 3)
    assert examples.inputs.dtype == np.uint8
    assert examples.labels.dtype == np.int64
    rows = [row for content in batches for row in content["data"]]
    for image, row in zip(examples.inputs, rows, strict=True):
        # Pixel by pixel from the format's description, at three corners.
        for channel in range(3):
            assert image[0, 0, channel] == row[1024 * channel]
            assert image[0, 31, channel] == row[1024 * channel + 31]
            assert image[31, 0, channel] == row[1024 * channel + 31 * 32]
    assert examples.labels.tolist() == [
        label for content in batches for label in content[label_key]
    ]
    assert examples.is_test.tolist() == [False] * (count - PER_FILE) + [True] * PER_FILE
    assert examples.class_names == tuple(class_names)


def message_without_network(name, root):
    with pytest.raises(DataError) as caught:
        getattr(torchvision_sets, name)(root)
    return str(caught.value)


@pytest.mark.parametrize("name", CASES)
def test_missing_data_without_network_say_where_they_were_looked_for_and_what_to_do(name, tmp_path):
    message = message_without_network(name, tmp_path / "data")
    assert message.startswith(f"{name}: not found in {tmp_path / 'data'}")
    assert "no network in tests" in message
    assert f"results/data/{name}.h5" in message
    assert f"data.roots.{name}" in message


def test_damaged_files_are_not_read(case, tmp_path):
    name = case[0]
    folder = tmp_path / CASES[name][0].base_folder
    path = folder / CASES[name][0].test_list[0][0]
    path.write_bytes(path.read_bytes()[:-1])
    assert name in message_without_network(name, tmp_path)


def test_a_missing_file_is_fetched_again(case, tmp_path, monkeypatch):
    name, batches, *_ = case
    torchvision_class = CASES[name][0]
    path = tmp_path / torchvision_class.base_folder / torchvision_class.test_list[0][0]
    shutil.move(path, tmp_path / "hidden")
    monkeypatch.setattr(
        torchvision_class, "download", lambda self: shutil.copy(tmp_path / "hidden", path)
    )
    examples = getattr(torchvision_sets, name)(tmp_path)
    assert len(examples.inputs) == PER_FILE * len(batches)
