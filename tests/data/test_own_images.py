"""Folders of images of the user's own: nothing of them is lost or taken for something else."""

import os
import re
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from shadowmill.data.own import rows
from shadowmill.data.readers import folders
from shadowmill.data.readers.images import suffixes
from shadowmill.errors import DataError

RED, GREEN, BLUE, GREY = (255, 0, 0), (0, 255, 0), (0, 0, 255), (90, 90, 90)


def save(path, colour=GREY, size=(16, 16)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


def read(root, size=16, **more):
    return folders.own_images(root, name="skin", size=size, **more)


def pixels(examples):
    return np.concatenate(list(examples.inputs.parts))


def two_classes(root, first, *others):
    """One image of each class, and more of the first."""
    for index, image in enumerate((first, *others)):
        folder = root / "train" / ("a" if index % 2 == 0 else "b")
        folder.mkdir(parents=True, exist_ok=True)
        image.save(folder / f"{index}.{'tif' if image.mode == 'F' else 'png'}")
    return root


@pytest.fixture
def own(tmp_path):
    """Two classes; files and folders are made in an order that is not the alphabetical one."""
    save(tmp_path / "train/dog/2.jpeg", RED)
    save(tmp_path / "train/cat/b.PNG", BLUE)
    save(tmp_path / "train/dog/1.jpeg", GREY)
    save(tmp_path / "train/cat/a.tif", GREEN)
    save(tmp_path / "train/cat/more/deeper/c.bmp", GREY)
    (tmp_path / "train/cat/notes.txt").write_text("no image")
    (tmp_path / "train/cat/more/list.TXT").write_text("no image")
    (tmp_path / "train/cat/._a.jpg").write_bytes(b"what macOS leaves behind")
    save(tmp_path / "train/.trash/d.png", RED)
    (tmp_path / "train/README").write_text("no class")
    return tmp_path


# Order, names, and what is passed over


def test_they_are_ordered_by_class_then_by_path_and_named_by_it(own):
    examples = read(own)
    assert examples.inputs.shape == (5, 16, 16, 3)
    assert [tuple(image[0, 0]) for image in pixels(examples)[:3]] == [GREEN, BLUE, GREY]
    assert examples.labels.tolist() == [0, 0, 0, 1, 1]
    assert examples.labels.dtype == np.int64
    assert examples.class_names == ("cat", "dog")
    assert not examples.is_test.any()
    assert examples.ids.tolist() == [
        "cat/a.tif",
        "cat/b.PNG",
        "cat/more/deeper/c.bmp",
        "dog/1.jpeg",
        "dog/2.jpeg",
    ]


def test_what_is_passed_over_is_counted(own):
    assert read(own).notes == (
        "3 files are no images, or in no folder of a class, and are passed over: 2 .txt, "
        "1 without suffix",
    )


@pytest.mark.parametrize("part", ["test", "val"])
def test_test_images_come_last_and_may_lack_a_class(own, part):
    save(own / part / "dog" / "x.png", BLUE)
    examples = read(own)
    assert examples.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert examples.is_test.tolist() == [False] * 5 + [True]
    assert examples.ids[-1] == f"{part}/dog/x.png"
    assert tuple(pixels(examples)[-1, 0, 0]) == BLUE


def test_every_format_that_pillow_reads_counts():
    assert {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".gif", ".ppm"} <= suffixes()
    assert ".pdf" not in suffixes()  # written, but not read


@pytest.mark.parametrize("suffix", ["png", "gif", "webp", "ppm", "tga", "jp2", "ico"])
def test_images_of_many_formats_are_read(tmp_path, suffix):
    for name in ("a", "b"):
        save(tmp_path / f"train/{name}/1.{suffix}", RED)
    found = pixels(read(tmp_path)).astype(int)
    assert (np.abs(found[..., :3] - RED) <= 3).all()


# Values


def test_the_size_is_a_setting(own):
    assert read(own, 8).inputs.shape == (5, 8, 8, 3)
    row = rows({"data": {"sizes": {}}, "datasets": {"skin": {"images": str(own), "size": 8}}})
    assert row["skin"].settings == {"name": "skin", "size": 8}
    assert row["skin"].folder == str(own)


def test_small_images_are_enlarged_and_it_is_said(tmp_path):
    save(tmp_path / "train/a/1.png", size=(9, 40))
    save(tmp_path / "train/b/1.png")
    assert read(tmp_path).notes == (
        "1 of 2 images have less than 16 pixels on a side and are enlarged",
    )


def test_grey_images_stay_grey_unless_some_are_coloured(tmp_path):
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    root = two_classes(tmp_path, Image.fromarray(ramp), Image.fromarray(255 - ramp))
    found = pixels(read(root))
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, np.stack([ramp, 255 - ramp])[..., None])
    save(tmp_path / "train/a/colour.png", RED)
    found = pixels(read(root))
    np.testing.assert_array_equal(found[0], np.repeat(ramp[..., None], 3, axis=2))
    assert tuple(found[1, 0, 0]) == RED


def test_sixteen_bits_keep_their_range(tmp_path):
    ramp = np.linspace(0, 65_535, 256).astype(np.uint16).reshape(16, 16)
    dark = (ramp // 256).astype(np.uint16)
    root = two_classes(tmp_path, Image.fromarray(ramp), Image.fromarray(dark))
    found = pixels(read(root))
    assert found.dtype == np.float32
    expected = np.stack([ramp, dark])[..., None] / 65_535
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert len(np.unique(found[0])) == 256


def test_scaled_sixteen_bits_stay_in_their_range(tmp_path):
    edge = np.zeros((64, 64), np.uint16)
    edge[:, 32:] = 65_535  # at an edge the filter overshoots
    root = two_classes(tmp_path, Image.fromarray(edge), Image.fromarray(edge))
    found = pixels(read(root))
    assert (found.min(), found.max()) == (0, 1)


def test_floating_point_images_keep_their_values(tmp_path):
    values = np.random.default_rng(0).normal(-3, 50, (2, 16, 16)).astype(np.float32)
    root = two_classes(tmp_path, *map(Image.fromarray, values))
    np.testing.assert_array_equal(pixels(read(root))[..., 0], values)


def test_numbers_that_are_none_are_named(tmp_path):
    values = np.zeros((16, 16), np.float32)
    values[3, 4] = np.nan
    root = two_classes(tmp_path, Image.fromarray(values), Image.fromarray(values))
    with pytest.raises(DataError, match=r"train/a/0\.tif.*no finite numbers"):
        pixels(read(root))


def test_images_of_different_kinds_are_refused_by_name(tmp_path):
    deep, plain = np.zeros((2, 16, 16), np.uint16)
    root = two_classes(tmp_path, Image.fromarray(deep), Image.fromarray(plain.astype(np.uint8)))
    with pytest.raises(
        DataError, match=r"skin: .*grey of 16 bits \(.*a/0\.png\), grey of 8 bits \(.*b/1\.png\)"
    ):
        read(root)


def colour_of_16_bits(path, side=16):
    """A PNG of 16 bits a colour, which Pillow does not write."""

    def chunk(kind, content):
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    rows = b"".join(b"\0" + struct.pack(">3H", 1, 300, 65_535) * side for _ in range(side))
    header = chunk(b"IHDR", struct.pack(">2I5B", side, side, 16, 2, 0, 0, 0))
    path.parent.mkdir(parents=True, exist_ok=True)
    content = header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content)


def test_colours_of_sixteen_bits_are_refused_by_name(tmp_path):
    save(tmp_path / "train/a/1.png")
    colour_of_16_bits(tmp_path / "train/b/deep.png")
    with pytest.raises(DataError, match=r"b/deep\.png has 16 bits for each colour, of which 8"):
        read(tmp_path)


def test_colours_above_255_of_a_ppm_are_refused_by_name(tmp_path):
    save(tmp_path / "train/a/1.png")
    (tmp_path / "train/b").mkdir()
    body = struct.pack(">3H", 1, 300, 4_095) * 256
    (tmp_path / "train/b/deep.ppm").write_bytes(b"P6 16 16 4095\n" + body)
    with pytest.raises(DataError, match=r"b/deep\.ppm has 16 bits for each colour"):
        read(tmp_path)


def test_the_orientation_of_a_camera_is_applied_and_said(tmp_path):
    picture = np.zeros((16, 16, 3), np.uint8)
    picture[0, 0] = RED  # top left as stored
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by 90°
    for name in ("a", "b"):
        (tmp_path / "train" / name).mkdir(parents=True)
        Image.fromarray(picture).save(tmp_path / "train" / name / "1.png", exif=exif)
    examples = read(tmp_path)
    assert [tuple(image[0, 15]) for image in pixels(examples)] == [RED, RED]
    assert examples.notes == ("2 of 2 images are turned as their EXIF orientation says",)


def test_transparent_images_lie_on_white(tmp_path):
    save(tmp_path / "train/a/1.png", RED)
    glass = Image.new("RGBA", (16, 16), (0, 0, 0, 0))
    (tmp_path / "train/b").mkdir()
    glass.save(tmp_path / "train/b/glass.png")
    half = Image.new("RGBA", (16, 16), (0, 0, 0, 51))
    half.save(tmp_path / "train/b/half.png")
    palette = Image.new("P", (16, 16), 1)
    palette.putpalette([0, 0, 0, 255, 0, 0])
    palette.save(tmp_path / "train/b/palette.png", transparency=1)
    examples = read(tmp_path)
    found = [tuple(image[5, 5]) for image in pixels(examples)]
    assert found == [RED, (255,) * 3, (204,) * 3, (255,) * 3]
    assert examples.notes == ("3 of 4 images have transparent parts and lie on white",)


def test_the_first_of_several_frames_is_used_and_it_is_said(tmp_path):
    frames = [Image.new("RGB", (16, 16), colour) for colour in (RED, BLUE)]
    save(tmp_path / "train/a/1.png", RED)
    (tmp_path / "train/b").mkdir()
    frames[0].save(tmp_path / "train/b/film.gif", save_all=True, append_images=frames[1:])
    examples = read(tmp_path)
    assert tuple(pixels(examples)[1, 0, 0]) == RED
    assert examples.notes == ("1 of 2 images have several frames, of which the first is used",)


# What may be wrong


def test_all_unreadable_files_are_named_at_once_before_anything_is_decoded(own):
    for index in range(7):
        (own / "train/cat" / f"bad{index}.png").write_bytes(b"<html>not here</html>")
    with pytest.raises(DataError) as error:
        read(own)
    assert all(f"bad{index}.png cannot be read" in str(error.value) for index in range(5))
    assert "and 2 more" in str(error.value)


def test_a_class_of_test_images_alone_is_refused(own):
    save(own / "test" / "eel" / "x.png")
    with pytest.raises(DataError, match="test: classes without training examples: eel"):
        read(own)


def test_two_test_sets_are_refused(own):
    save(own / "test" / "dog" / "x.png")
    save(own / "val" / "dog" / "x.png")
    with pytest.raises(DataError, match=f"both test and val in {re.escape(str(own))}"):
        read(own)


def test_a_missing_folder_is_named_with_its_key(tmp_path):
    with pytest.raises(DataError, match=r"there is no folder .*nowhere.*datasets\.skin\.images"):
        read(tmp_path / "nowhere")


def test_classes_without_a_folder_train_are_told(tmp_path):
    save(tmp_path / "cat/1.png")
    save(tmp_path / "dog/1.png")
    with pytest.raises(DataError, match=r"no folder train in .*folders cat, dog.*train/CLASS"):
        read(tmp_path)


def test_images_one_level_deeper_are_found_and_named(tmp_path):
    save(tmp_path / "skin/train/a/1.png")
    expected = f"no folder train in {tmp_path}, but in {tmp_path / 'skin'}"
    with pytest.raises(DataError, match=re.escape(expected)):
        read(tmp_path)


def test_a_class_without_images_is_named(own):
    (own / "train" / "eel").mkdir()
    (own / "train" / "eel" / "list.csv").write_text("no image")
    with pytest.raises(DataError, match=re.escape(f"{own / 'train' / 'eel'}: no images")):
        read(own)


def test_images_outside_of_class_folders_are_not_guessed_at(tmp_path):
    save(tmp_path / "train" / "a.png")
    with pytest.raises(DataError, match=f"{re.escape(str(tmp_path / 'train'))}: no folders"):
        read(tmp_path)


# Groups


def test_groups_are_found_in_the_paths(tmp_path):
    for name in ("a/p07_1.png", "a/p07_2.png", "b/visit/p07_3.png", "b/p12_1.png"):
        save(tmp_path / "train" / name)
    save(tmp_path / "test/b/p99_1.png")
    assert read(tmp_path, group=r"p(\d+)").groups.tolist() == ["07", "07", "12", "07", "99"]
    assert read(tmp_path, group=r"p\d+").groups.tolist() == ["p07", "p07", "p12", "p07", "p99"]


def test_an_image_without_a_group_is_named(own):
    with pytest.raises(DataError, match=r"datasets\.skin\.group: the expression \\d finds nothing"):
        read(own, group=r"\d")


@pytest.mark.parametrize("pattern", [r"^(\d+)?", r"\d*"])
def test_expressions_that_find_nothing_are_refused(own, pattern):
    with pytest.raises(DataError, match="finds nothing in"):
        read(own, group=pattern)


def test_names_that_are_no_text(tmp_path):
    folder = tmp_path / "train/a"
    save(folder / "a.png")
    (folder / "a.png").rename(folder / os.fsdecode(b"\xe9.png"))
    with pytest.raises(DataError, match="this name is no text"):
        read(tmp_path)


def test_orientations_that_there_are_not(tmp_path):
    save(tmp_path / "train/a/a.png")
    path = tmp_path / "train/b/b.jpg"
    path.parent.mkdir()
    image = Image.new("RGB", (16, 16), GREY)
    exif = image.getexif()
    exif[0x0112] = 0
    image.save(path, exif=exif)
    assert read(tmp_path).notes == ()


def test_what_lies_beside_the_parts_is_said(tmp_path):
    for name in ("train/a/a.png", "train/b/b.png", "valid/a/c.png", "notes/x.png"):
        save(tmp_path / name)
    assert read(tmp_path).notes == ("not read, beside train and test or val: notes, valid",)


def test_a_broken_link_is_named(tmp_path):
    for name in ("train/a/a.png", "train/b/b.png"):
        save(tmp_path / name)
    (tmp_path / "train/a/z.png").symlink_to("nowhere.png")
    with pytest.raises(DataError, match=r"z\.png cannot be read as an image"):
        read(tmp_path)
