"""Whether a data set is prepared again: its files, what was recorded, and what is said of it."""

import os
import pickle
import shutil
from dataclasses import replace

import numpy as np
import pytest

from shadowmill.data import DATASETS, Dataset, readers
from shadowmill.data.listing import (
    Content,
    Record,
    listing,
    plan,
    read_record,
    settings_of,
    write_record,
)
from shadowmill.data.readers import Examples
from shadowmill.data.store import prepare, prepare_and_record
from shadowmill.errors import DataError

OWN = Dataset(
    "skin", "skin", "readers.folders:own_images", "image", None, None, None,
    (("train", "test", "val"),), {"name": "skin", "size": 8}, "images",
)  # fmt: skip
TINY = Dataset("tiny", "Tiny", "readers:tiny", "image", 4, 0, 2, (("file",),))
WITH_FILES = [name for name in DATASETS if name != "digits"]


@pytest.fixture
def images(tmp_path):
    for name in ("train/cat/1.png", "train/dog/2.png", "test/dog/3.png"):
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"pixels")
    return tmp_path / "images"


def test_a_listing_is_of_paths_sizes_and_times(images, tmp_path):
    before = listing(OWN, images)
    assert listing(OWN, images) == before
    shutil.copytree(images, tmp_path / "moved")  # with its times
    assert listing(OWN, tmp_path / "moved") == before


def change_size(root):
    path = root / "train/cat/1.png"
    times = path.stat()
    path.write_bytes(b"pixels and more")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "train/cat/9.png").write_bytes(b"pixels"),
        lambda root: (root / "test/dog/3.png").unlink(),
        lambda root: (root / "train/cat/1.png").rename(root / "train/dog/1.png"),
        lambda root: os.utime(root / "train/cat/1.png", (1, 1)),
        change_size,
    ],
    ids=["added", "removed", "moved", "touched", "longer"],
)
def test_a_change_is_another_listing(images, change):
    before = listing(OWN, images)
    change(images)
    assert listing(OWN, images) != before


def test_other_files_do_not_count(images):
    before = listing(OWN, images)
    (images / "train/cat/._1.png").write_bytes(b"what macOS leaves behind")
    (images / "train/.trash").mkdir()
    (images / "train/.trash/1.png").write_bytes(b"pixels")
    (images / "train/cat/nowhere.png").symlink_to("nowhere")
    (images / "cifar-10-batches-py").mkdir()
    (images / "cifar-10-batches-py/data_batch_1").write_bytes(b"another data set")
    assert listing(OWN, images) == before


def test_links_are_followed(images, tmp_path):
    (tmp_path / "linked").symlink_to(images)
    before = listing(OWN, tmp_path / "linked")
    assert before is not None
    (images / "train/cat/1.png").write_bytes(b"other pixels")
    assert listing(OWN, tmp_path / "linked") != before


@pytest.mark.parametrize("name", WITH_FILES)
def test_every_place_of_a_data_set_is_listed(name, tmp_path):
    assert listing(DATASETS[name], tmp_path) is None
    seen = set()
    for group in reversed(DATASETS[name].found_in):  # the first one counts
        for pattern in group:
            path = tmp_path / pattern.replace("*", "1").replace("[1-8]", "1")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"data")
        seen.add(listing(DATASETS[name], tmp_path))
    assert None not in seen
    assert len(seen) == len(DATASETS[name].found_in)


def test_what_comes_with_a_library_has_no_listing(tmp_path):
    assert listing(DATASETS["digits"], tmp_path) is None


# What is planned


@pytest.fixture
def record(images, tmp_path):
    """A record of these images."""
    found = listing(OWN, images)
    write_record(
        tmp_path / "record", Record("first", found, str(images), "abc", "", settings_of(OWN))
    )
    return tmp_path / "record"


def test_unchanged_files_are_not_prepared_again(images, record, tmp_path):
    assert plan(OWN, images, record) == ("first", "")
    shutil.copytree(images, tmp_path / "moved")
    assert plan(OWN, tmp_path / "moved", record) == ("first", "")


def test_a_parameter_for_snakemake_is_read_when_it_is_written_down(images, tmp_path):
    parameter = pickle.loads(pickle.dumps(Content(tmp_path / "record")))
    assert isinstance(parameter, str)
    assert repr(parameter) == "None"
    write_record(tmp_path / "record", Record("first", None, str(images), "abc"))
    assert repr(parameter) == "'abc'"


def test_changed_files_are_and_it_is_said(images, record):
    (images / "train/cat/9.png").write_bytes(b"pixels")
    planned = plan(OWN, images, record)
    assert planned.value != "first"
    assert f"skin: the files in {images} are not those that were prepared" in planned.note
    assert plan(OWN, images, record) == planned  # not another value each time


def test_back_to_what_was_planned_but_not_prepared(images, record):
    """Planned with some files, prepared with others, which came in between."""
    first = listing(OWN, images)
    write_record(record, replace(read_record(record), planned=first, listing="other"))
    assert plan(OWN, images, record).value not in (first, "other")


def test_own_images_that_were_deleted_are_used_as_prepared_and_it_is_said(images, record):
    shutil.rmtree(images)
    planned = plan(OWN, images, record)
    assert planned.value == "first"
    assert f"no files in {images} any more" in planned.note


def test_own_images_in_a_folder_without_any_are_refused(record, tmp_path):
    with pytest.raises(DataError, match=r"datasets\.skin: there is no folder .*nowhere.*images"):
        plan(OWN, tmp_path / "nowhere", record)


def test_published_files_may_be_deleted_or_looked_for_elsewhere(tmp_path):
    write_record(tmp_path / "record", Record("first", "abc", str(tmp_path), "def"))
    assert plan(DATASETS["cifar10"], tmp_path, tmp_path / "record") == ("first", "")
    assert plan(DATASETS["cifar10"], tmp_path / "nowhere", tmp_path / "record") == ("first", "")


@pytest.mark.parametrize("text", [None, "", "[]", "{}", '{"planned": 1}'])
def test_without_a_record_it_is_prepared(images, tmp_path, text):
    record = tmp_path / "record"
    if text is not None:
        record.write_text(text)
    one, two = (plan(OWN, images, record).value for _ in range(2))
    assert one != two  # than any that was before
    assert repr(Content(record)) == "None"


def test_a_folder_that_may_not_be_read_is_named(images, monkeypatch):
    scandir = os.scandir

    def refuse(path):
        if os.fspath(path).endswith("cat"):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DataError, match=r"skin: .*train/cat cannot be read \(Permission"):
        listing(OWN, images)


# What is recorded


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """Make the data set `tiny`, of these examples, after something was done to its folder."""
    images = np.arange(4 * 2 * 2 * 3, dtype=np.uint8).reshape(4, 2, 2, 3)
    examples = Examples(images, np.arange(4) % 2, np.zeros(4, bool), ("cat", "dog"), "made up")

    def make(done=lambda root: None, **changes):
        def read(root):
            done(root)
            return replace(examples, **changes)

        monkeypatch.setattr(readers, "tiny", read, raising=False)
        path, record = tmp_path / "tiny.h5", tmp_path / "record"
        prepare_and_record(TINY, tmp_path, path, record, "planned")
        return read_record(record)

    return make


def test_a_download_is_not_prepared_twice(tiny, tmp_path):
    def download(root):
        if not (root / "file").exists():
            (root / "file").write_text("downloaded")

    record = tiny(download)
    assert record.listing == listing(TINY, tmp_path)
    assert plan(TINY, tmp_path, tmp_path / "record") == ("planned", "")


def test_files_that_change_while_they_are_read_are_refused(tiny, tmp_path):
    def grow(root):
        with (root / "file").open("a") as file:
            file.write("more")

    with pytest.raises(DataError, match=r"tiny: the files in .* change while they are read"):
        tiny(grow)
    assert not (tmp_path / "record").exists()


def test_content_is_all_of_the_examples_and_nothing_else(tiny, tmp_path):
    first = tiny()
    (tmp_path / "file").write_text("moved here")
    assert tiny(source="elsewhere").content == first.content
    other = np.full((4, 2, 2, 3), 7, np.uint8)
    changes = [
        {"inputs": other},
        {"labels": np.arange(4)[::-1] % 2},
        {"class_names": ("cat", "eel")},
        {"extras": {"identity": np.arange(4)}},
        {"extras": {"identity": np.arange(4)[::-1]}},
    ]
    contents = {tiny(**change).content for change in changes}
    assert len(contents | {first.content}) == 1 + len(changes)


def test_digits_have_the_same_content_each_time(tmp_path):
    one, two = (prepare(DATASETS["digits"], tmp_path, tmp_path / f"{n}.h5") for n in range(2))
    assert one == two
