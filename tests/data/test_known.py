"""Published data sets that are altered or lie elsewhere are not missing, and are left alone."""

import hashlib
import tarfile
import urllib.request

import pytest
import torchvision.datasets

from shadowmill.data import DATASETS
from shadowmill.data.readers import (
    download_archive,
    folders,
    idx,
    refuse_misplaced,
    tabular,
    torchvision_sets,
)
from shadowmill.errors import DataError


def contents(root):
    """All files with what they hold and when they were written."""
    return {
        path: (path.read_bytes(), path.stat().st_mtime_ns)
        for path in root.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def downloads(monkeypatch):
    """What torchvision would download, which writes over what is there."""
    asked = []

    def write(url, root, filename=None, md5=None, **options):
        asked.append(url)
        (root / filename).write_bytes(b"from the network")

    for module in (torchvision.datasets.utils, torchvision.datasets.mnist):
        for name in ("download_url", "download_and_extract_archive"):
            monkeypatch.setattr(module, name, write, raising=False)
    return asked


# Altered


@pytest.mark.parametrize(
    ("read", "file"),
    [
        (torchvision_sets.cifar10, "cifar-10-batches-py/data_batch_3"),
        (torchvision_sets.cifar10, "cifar-10-python.tar.gz"),
        (torchvision_sets.cifar100, "cifar-100-python/test"),
        (torchvision_sets.svhn, "test_32x32.mat"),
        (idx.mnist, "MNIST/raw/t10k-images-idx3-ubyte.gz"),
        (idx.fashion_mnist, "FashionMNIST/raw/train-labels-idx1-ubyte.gz"),
        (idx.emnist_letters, "EMNIST/raw/gzip.zip"),
        (tabular.location, "dataset_location.tgz"),
        (folders.chmnist, "Kather_texture_2016_image_tiles_5000.zip"),
    ],
)
def test_an_altered_file_is_named_and_left_alone(tmp_path, downloads, read, file):
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"mine")
    before = contents(tmp_path)
    with pytest.raises(DataError) as error:
        read(tmp_path)
    message = str(error.value)
    assert f"{path} is not the published file (its " in message
    assert f"data.roots.{read.__name__}" in message
    assert "Move it elsewhere" in message
    assert contents(tmp_path) == before
    assert downloads == []


# Elsewhere


@pytest.mark.parametrize(
    ("name", "file", "root", "found"),
    [
        ("cifar10", "cifar-10-batches-py/data_batch_1", "cifar-10-batches-py", "."),
        ("cifar10", "deep/cifar-10-batches-py/data_batch_1", ".", "deep"),
        ("cifar100", "a/b/cifar-100-python/train", ".", "a/b"),
        ("fashion_mnist", "x/FashionMNIST/raw/train-images-idx3-ubyte", ".", None),
        ("chmnist", "x/Kather_texture_2016_image_tiles_5000/01_TUMOR/1.tif", ".", "x"),
        ("purchase100", "tables/purchase100.npz", ".", "tables"),
        ("imagenet", "ILSVRC/imagenet/train/n1/1.JPEG", ".", None),
        ("cifar10", "a/b/c/cifar-10-batches-py/data_batch_1", ".", None),
    ],
)
def test_a_data_set_nearby_is_found(tmp_path, name, file, root, found):
    path = tmp_path / "data" / file
    path.parent.mkdir(parents=True)
    path.write_bytes(b"")
    looked_in = tmp_path / "data" / root
    if found is None:
        refuse_misplaced(DATASETS[name], looked_in)
        return
    place = (tmp_path / "data" / found).resolve()
    expected = f"{name}: not in {looked_in}, but in {place}. Name that folder"
    with pytest.raises(DataError) as error:
        refuse_misplaced(DATASETS[name], looked_in)
    assert expected in str(error.value)
    assert f"data.roots.{name}" in str(error.value)


def test_it_is_looked_for_before_anything_is_downloaded(tmp_path, downloads):
    path = tmp_path / "deep/cifar-10-batches-py/data_batch_1"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"")
    with pytest.raises(DataError, match=r"cifar10: not in .*, but in .*deep"):
        torchvision_sets.cifar10(tmp_path)
    assert downloads == []


def test_imagenet_one_level_deeper_is_named(tmp_path):
    for part in ("train", "val"):
        (tmp_path / "ILSVRC/CLS-LOC" / part).mkdir(parents=True)
    with pytest.raises(DataError, match=r"imagenet: not in .*, but in .*CLS-LOC\. Name"):
        folders.imagenet(tmp_path)


# Archives


@pytest.fixture
def archive(tmp_path):
    """An archive to be downloaded from a folder, with its checksum."""
    made = tmp_path / "made"
    made.mkdir()
    for name in ("one", "two"):
        (made / name).write_text(f"published {name}")
    path = tmp_path / "published.tgz"
    with tarfile.open(path, "w:gz") as packed:
        for file in made.iterdir():
            packed.add(file, file.name)
    return path, ("sha256", hashlib.sha256(path.read_bytes()).hexdigest())


class Content:
    """What the network answers with."""

    url = "https://n.example/published.tgz"

    def __init__(self, path):
        self._file, self.length = path.open("rb"), path.stat().st_size

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._file.close()

    def read(self, size):
        return self._file.read(size)


def test_an_archive_is_downloaded_checked_and_unpacked(archive, tmp_path, monkeypatch):
    path, checksum = archive
    monkeypatch.setattr(urllib.request, "urlopen", lambda request: Content(path))
    root = tmp_path / "root"
    root.mkdir()
    (root / "one").write_text("the user's own")
    download_archive("https://n.example/published.tgz", "location", root, "page", checksum)
    assert (root / "one").read_text() == "the user's own"
    assert (root / "two").read_text() == "published two"
    assert sorted(p.name for p in root.iterdir()) == ["one", "published.tgz", "two"]


def test_an_archive_that_was_altered_on_its_way_is_refused(archive, tmp_path, monkeypatch):
    path, checksum = archive
    monkeypatch.setattr(urllib.request, "urlopen", lambda request: Content(path))
    root = tmp_path / "root"
    root.mkdir()
    wrong = (checksum[0], checksum[1][::-1])
    with pytest.raises(DataError, match=r"published\.tgz is not the published file \(its SHA256"):
        download_archive("https://n.example/published.tgz", "location", root, "page", wrong)
    assert not (root / "two").exists()


def test_a_download_that_ends_early_leaves_nothing_under_the_name(archive, tmp_path, monkeypatch):
    path, checksum = archive

    class Broken(Content):
        def read(self, size):
            raise ConnectionResetError("the network is gone")

    monkeypatch.setattr(urllib.request, "urlopen", lambda request: Broken(path))
    root = tmp_path / "root"
    root.mkdir()
    with pytest.raises(DataError, match="cannot be downloaded"):
        download_archive("https://n.example/published.tgz", "location", root, "page", checksum)
    assert list(root.iterdir()) == []


def test_unpacking_that_was_killed_is_done_again(archive, tmp_path):
    path, checksum = archive
    left = tmp_path / ".published.tgz.unpacked"
    left.mkdir()
    (left / "one").write_text("half")
    download_archive("https://n.example/published.tgz", "location", tmp_path, "page", checksum)
    assert (tmp_path / "one").read_text() == "published one"
    assert not left.exists()
    assert path.exists()
