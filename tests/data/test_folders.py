"""Trees of real image files: scaling, order, labels, splits, and what may be wrong with them."""

import re
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from shadowmill.data import DATASETS
from shadowmill.data.readers import folders
from shadowmill.data.readers.images import decode
from shadowmill.errors import DataError

RED, GREEN, BLUE, GREY = (255, 0, 0), (0, 255, 0), (0, 0, 255), (90, 90, 90)
TILES = (
    "01_TUMOR", "02_STROMA", "03_COMPLEX", "04_LYMPHO", "05_DEBRIS", "06_MUCOSA", "07_ADIPOSE",
    "08_EMPTY",
)  # fmt: skip


def save(path, colour=GREY, size=(64, 64)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


def resize_row(monkeypatch, name, pool_size, test_size, num_classes):
    row = replace(DATASETS[name], pool_size=pool_size, test_size=test_size, num_classes=num_classes)
    monkeypatch.setitem(DATASETS, name, row)


def decoded(paths, size):
    return np.concatenate(list(decode(paths, size, "x").parts))


def whole(examples):
    return replace(examples, inputs=np.concatenate(list(examples.inputs.parts)))


def colours(images):
    """The colour of each of some images of one colour each."""
    first = images[:, :1, :1]
    assert (images == first).all()
    return [tuple(image[0, 0].tolist()) for image in images]


# Decoding


def test_images_of_the_right_size_come_through_bit_by_bit(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    Image.fromarray(pixels).save(tmp_path / "b.tif")
    images = decoded([str(tmp_path / "a.png"), str(tmp_path / "b.tif")], 16)
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images, np.stack([pixels, pixels]))


@pytest.mark.parametrize("upright", [False, True])
def test_the_central_square_is_kept(tmp_path, upright):
    stripes = np.zeros((40, 120, 3), np.uint8)
    for k, colour in enumerate((RED, GREEN, BLUE)):
        stripes[:, 40 * k : 40 * (k + 1)] = colour
    stripes = stripes.transpose(1, 0, 2) if upright else stripes
    Image.fromarray(stripes).save(tmp_path / "stripes.png")
    image = decoded([str(tmp_path / "stripes.png")], 20)[0]
    inner = image[1:-1, 1:-1]  # along the cuts the filter looks a little beyond them
    assert (inner == GREEN).all()
    assert (np.abs(image.astype(int) - GREEN) < 30).all()


def test_scaling_down_is_antialiased(tmp_path):
    # Columns of 0 and 255 by turns: picking pixels would give one of the two.
    columns = np.zeros((64, 64, 3), np.uint8)
    columns[:, 1::2] = 255
    Image.fromarray(columns).save(tmp_path / "columns.png")
    image = decoded([str(tmp_path / "columns.png")], 16)[0]
    assert (np.abs(image[:, 1:-1].astype(int) - 128) <= 2).all()


def test_scaling_is_that_of_torchvision(tmp_path):
    """Shorter side to 32, then the centre: the usual two steps, on a picture of smooth waves."""
    y, x = np.mgrid[:96, :144]
    waves = 127 + 60 * np.sin(x / 17) + 60 * np.cos(y / 11)
    picture = np.stack([waves, waves[::-1], waves[:, ::-1]], -1).astype(np.uint8)
    Image.fromarray(picture).save(tmp_path / "waves.png")
    image = decoded([str(tmp_path / "waves.png")], 32)[0]
    two_steps = v2.Compose(
        [v2.Resize(32, v2.InterpolationMode.BICUBIC, antialias=True), v2.CenterCrop(32)]
    )
    expected = two_steps(torch.from_numpy(picture).permute(2, 0, 1)).permute(1, 2, 0).numpy()
    assert (np.abs(image.astype(int) - expected.astype(int))[1:-1, 1:-1] <= 1).all()


def test_every_kind_of_image_becomes_three_colours(tmp_path):
    Image.new("L", (8, 8), 77).save(tmp_path / "grey.png")
    Image.new("RGBA", (8, 8), (1, 2, 3, 255)).save(tmp_path / "alpha.png")
    Image.new("1", (8, 8), 1).save(tmp_path / "bits.png")
    Image.new("CMYK", (8, 8), (0, 0, 0, 0)).save(tmp_path / "print.jpg")
    paths = [str(tmp_path / n) for n in ("grey.png", "alpha.png", "bits.png", "print.jpg")]
    found = colours(decoded(paths, 4))
    assert found == [(77,) * 3, (1, 2, 3), (255,) * 3, (255,) * 3]


def test_many_images_keep_their_order(tmp_path):
    paths = [tmp_path / f"{k}.png" for k in range(200)]
    for k, path in enumerate(paths):
        save(path, (k, 0, 0), (4, 4))
    assert decoded([str(p) for p in paths], 4)[:, 0, 0, 0].tolist() == list(range(200))


@pytest.mark.parametrize("content", [b"", b"<html>not here</html>", b"\x89PNG\r\n\x1a\nrubbish"])
def test_a_file_that_is_no_image_is_named(tmp_path, content):
    save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(content)
    with pytest.raises(DataError, match=re.escape(f"{tmp_path / 'bad.png'}: cannot be read")):
        decoded([str(tmp_path / n) for n in ("good.png", "bad.png")], 4)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
def test_a_truncated_image_is_named(tmp_path, suffix):
    path = tmp_path / f"cut.{suffix}"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=re.escape(str(path))):
        decoded([str(path)], 16)


# ImageNet


@pytest.fixture
def few(tmp_path, monkeypatch):
    """Two of the classes, as ILSVRC-2012 unpacks."""
    resize_row(monkeypatch, "imagenet", 3, 2, 2)
    save(tmp_path / "train/n01443537/n01443537_2.JPEG", GREY, (500, 375))
    save(tmp_path / "train/n01440764/n01440764_9.JPEG", GREY, (375, 500))
    save(tmp_path / "train/n01440764/n01440764_18.JPEG", GREY, (30, 40))
    save(tmp_path / "val/n01443537/ILSVRC2012_val_00000236.JPEG", GREY)
    save(tmp_path / "val/n01440764/ILSVRC2012_val_00000293.JPEG", GREY)
    return tmp_path


@pytest.mark.parametrize("below", [".", "imagenet"])
def test_imagenet(few, tmp_path_factory, below):
    root = few
    if below != ".":
        root = tmp_path_factory.mktemp("shared")
        few.rename(root / below)
    examples = whole(folders.imagenet(root))
    assert examples.inputs.shape == (5, 64, 64, 3)
    assert set(colours(examples.inputs)) == {GREY}
    assert examples.class_names == ("n01440764", "n01443537")
    assert examples.labels.tolist() == [0, 0, 1, 0, 1]
    assert examples.is_test.tolist() == [False] * 3 + [True] * 2


def test_missing_imagenet_says_how_to_get_it(tmp_path):
    with pytest.raises(DataError, match=r"^imagenet: no folders train and val.*image-net\.org"):
        folders.imagenet(tmp_path)


def test_an_incomplete_imagenet_is_refused_before_any_image_is_read(few):
    (few / "train/n01440764/n01440764_9.JPEG").unlink()
    (few / "train/n01440764/n01440764_18.JPEG").write_bytes(b"not even looked at")
    with pytest.raises(DataError, match=r"imagenet: 2 training examples in .*, 3 expected"):
        folders.imagenet(few)


def test_an_unsorted_validation_set_is_refused(few):
    for path in list((few / "val").glob("*/*")):
        path.rename(few / "val" / path.name)
        path.parent.rmdir()
    with pytest.raises(DataError, match=r"val: no folders of images\. imagenet needs one"):
        folders.imagenet(few)


# CH-MNIST


def write_tiles(folder):
    for k, name in enumerate(TILES):
        save(
            folder / name / f"10009_CRC-Prim-HE-03_009.tif_Row_{k}.tif", (k, 2 * k, 99), (150, 150)
        )


@pytest.mark.parametrize("layout", [".", "Kather_texture_2016_image_tiles_5000", "archive"])
def test_chmnist(tmp_path, monkeypatch, layout):
    resize_row(monkeypatch, "chmnist", 8, 0, 8)
    if layout == "archive":
        monkeypatch.setattr(folders, "_CHMNIST_SUM", None)
        # As published; with the archive in its place nothing is downloaded.
        name = "Kather_texture_2016_image_tiles_5000"
        write_tiles(tmp_path / "made" / name)
        root = tmp_path / "root"
        root.mkdir()
        with zipfile.ZipFile(root / f"{name}.zip", "w") as archive:
            for path in sorted((tmp_path / "made").rglob("*.tif")):
                archive.write(path, path.relative_to(tmp_path / "made"))
    else:
        root = tmp_path
        write_tiles(root / layout)
    examples = whole(folders.chmnist(root))
    assert examples.inputs.shape == (8, 32, 32, 3)
    assert colours(examples.inputs) == [(k, 2 * k, 99) for k in range(8)]
    assert examples.labels.tolist() == list(range(8))
    assert not examples.is_test.any()
    assert examples.class_names[0] == "tumour epithelium"
    assert examples.class_names[3] == "immune cells"
    assert examples.class_names[7] == "background"


def test_a_missing_class_of_tiles_is_noticed(tmp_path, monkeypatch):
    resize_row(monkeypatch, "chmnist", 7, 0, 8)
    write_tiles(tmp_path)
    next((tmp_path / TILES[4]).glob("*")).unlink()
    (tmp_path / TILES[4]).rmdir()
    with pytest.raises(DataError, match=r"chmnist: 7 classes in .*, 8 expected"):
        folders.chmnist(tmp_path)


def test_missing_tiles_say_where_they_can_be_had(tmp_path):
    with pytest.raises(DataError, match=r"^chmnist: not found in .*no network.*zenodo\.org"):
        folders.chmnist(tmp_path)


def test_a_damaged_archive_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "_CHMNIST_SUM", None)
    path = tmp_path / "Kather_texture_2016_image_tiles_5000.zip"
    path.write_bytes(b"PK half of a download")
    with pytest.raises(DataError, match=rf"{re.escape(str(path))}: cannot be unpacked.*Move it"):
        folders.chmnist(tmp_path)


def test_an_archive_of_something_else_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "_CHMNIST_SUM", None)
    with zipfile.ZipFile(tmp_path / "Kather_texture_2016_image_tiles_5000.zip", "w") as archive:
        archive.writestr("readme.txt", "no tiles")
    with pytest.raises(DataError, match="no folders of images"):
        folders.chmnist(tmp_path)
