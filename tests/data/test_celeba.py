"""CelebA through torchvision, on a few faces with lists in the published formats."""

import hashlib
import sys
from dataclasses import replace

import numpy as np
import pytest
import torchvision.datasets as published
from PIL import Image

from shadowmill import storage
from shadowmill.data import DATASETS
from shadowmill.data.readers.celeba import celeba
from shadowmill.data.store import prepare
from shadowmill.errors import DataError

# The published order, with Smiling as number 31, counted from 0.
ATTRIBUTES = [f"Attribute_{k}" for k in range(40)]
ATTRIBUTES[31] = "Smiling"
FACES = tuple(f"00000{k}.jpg" for k in range(1, 7))
PARTITION = (0, 2, 1, 0, 2, 1)  # 0 training, 1 validation, 2 test
SMILES = (1, -1, 1, -1, 1, -1)
PERSONS = (2880, 2937, 8692, 2880, 17, 10177)
ORDER = (0, 3, 2, 5, 1, 4)  # training, validation, test; within each as published


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Tiny files in the place of the published ones, with checksums to match."""
    folder = tmp_path / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    for k, face in enumerate(FACES):
        image = np.full((218, 178, 3), 255, np.uint8)
        image[20:198] = 40 * k  # the central square; what is above and below is cut off
        # Without chroma subsampling or loss, so that edges stay where they are.
        path = folder / "img_align_celeba" / face
        Image.fromarray(image).save(path, quality=100, subsampling=0)
    signs = np.random.default_rng(0).choice([-1, 1], (len(FACES), 40))
    signs[:, 31] = SMILES
    signs[:, [30, 32]] = -signs[:, [31]]  # so that a neighbour is not taken for it
    count = len(FACES)
    rows = {
        "list_eval_partition.txt": [f"{f} {p}" for f, p in zip(FACES, PARTITION, strict=True)],
        "identity_CelebA.txt": [f"{f} {p}" for f, p in zip(FACES, PERSONS, strict=True)],
        # Numbers right-aligned, a blank after the last name: as published.
        "list_attr_celeba.txt": [str(count), " ".join(ATTRIBUTES) + " "]
        + [f"{f} {' '.join(f'{s:2d}' for s in row)}" for f, row in zip(FACES, signs, strict=True)],
        "list_bbox_celeba.txt": [str(count), "image_id x_1 y_1 width height"]
        + [f"{f}    95  71  226 313" for f in FACES],
        "list_landmarks_align_celeba.txt": [str(count), "lefteye_x lefteye_y"]
        + [f"{f} 69  109" for f in FACES],
    }
    checksums = {}
    for name, lines in rows.items():
        (folder / name).write_text("\n".join(lines) + "\n")
        checksums[name] = hashlib.md5((folder / name).read_bytes()).hexdigest()
    monkeypatch.setattr(
        published.CelebA,
        "file_list",
        [(i, checksums.get(name, md5), name) for i, md5, name in published.CelebA.file_list],
    )
    row = replace(DATASETS["celeba"], pool_size=4, test_size=2)
    monkeypatch.setitem(DATASETS, "celeba", row)
    # Otherwise reached only over the network, and only where it is installed.
    monkeypatch.setitem(sys.modules, "gdown", None)
    np.save(tmp_path / "signs.npy", signs)
    return tmp_path


def test_training_then_validation_then_test_examples(root):
    examples = celeba(root)
    assert examples.is_test.tolist() == [False] * 4 + [True] * 2
    assert examples.labels.tolist() == [1, 0, 1, 0, 0, 1]
    assert examples.labels.dtype == np.int64
    assert examples.class_names == ("not smiling", "smiling")
    assert examples.source == str(root / "celeba")


def test_the_central_square_is_cropped_and_scaled(root):
    examples = celeba(root)
    assert examples.inputs.shape == (6, 64, 64, 3)
    assert examples.inputs.dtype == np.uint8
    images = np.concatenate(list(examples.inputs.parts))
    for image, k in zip(images, ORDER, strict=True):
        assert (np.abs(image[1:-1].astype(int) - 40 * k) <= 3).all()
        # Along the cuts the filter looks a little beyond them.
        assert (np.abs(image.astype(int) - 40 * k) < 30).all()


def test_attributes_and_identities_go_along(root):
    extras = celeba(root).extras
    signs = np.load(root / "signs.npy")[list(ORDER)]
    np.testing.assert_array_equal(extras["attributes"], signs == 1)
    assert extras["attributes"].dtype == np.uint8
    assert extras["attribute_names"].tolist() == ATTRIBUTES
    assert extras["identity"].tolist() == [PERSONS[k] for k in ORDER]
    assert extras["identity"].dtype == np.int64


def test_they_are_in_the_prepared_file(root):
    prepare(DATASETS["celeba"], root, root / "celeba.h5")
    with storage.open_hdf5(root / "celeba.h5") as file:
        assert file["attributes"].shape == (6, 40)
        assert file["attribute_names"][31] == "Smiling"
        assert file["identity"][:].tolist() == [PERSONS[k] for k in ORDER]


def test_a_missing_face_is_named(root):
    (root / "celeba" / "img_align_celeba" / "000003.jpg").unlink()
    with pytest.raises(DataError, match=r"000003\.jpg: cannot be read as an image"):
        list(celeba(root).inputs.parts)


def test_too_few_faces_are_noticed_before_any_is_read(root, monkeypatch):
    row = replace(DATASETS["celeba"], pool_size=5)
    monkeypatch.setitem(DATASETS, "celeba", row)
    (root / "celeba" / "img_align_celeba" / "000001.jpg").write_bytes(b"not even looked at")
    with pytest.raises(DataError, match=r"celeba: 4 training examples in .*, 5 expected"):
        celeba(root)


@pytest.mark.parametrize(
    "name", ["list_attr_celeba.txt", "identity_CelebA.txt", "list_eval_partition.txt"]
)
def test_a_damaged_or_missing_list_says_where_to_get_it(root, name):
    path = root / "celeba" / name
    path.write_text(path.read_text()[:-3])
    with pytest.raises(DataError, match=rf"^celeba: .*{name} is not the published file"):
        celeba(root)
    path.unlink()
    with pytest.raises(DataError, match=r"^celeba: not found in .*gdown.*mmlab\.ie\.cuhk"):
        celeba(root)
