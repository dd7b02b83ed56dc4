"""Purchase100, Texas100 and Location in the formats of their publishers and of NumPy."""

import re
import tarfile

import numpy as np
import pytest

from shadowmill.data.readers import tabular
from shadowmill.errors import DataError

# Name: reader, features, classes.
SETS = {
    "purchase100": (tabular.purchase100, 600, 100),
    "texas100": (tabular.texas100, 6169, 100),
    "location": (tabular.location, 446, 30),
}
LABELS = [3, 1, 30, 2]  # as published, counted from 1


@pytest.fixture
def any_archive(monkeypatch):
    """Small archives, which have other checksums than the published ones."""
    monkeypatch.setattr(tabular, "_CHECKSUMS", dict.fromkeys(SETS))


def make(name):
    """Some features of 0 and 1, the same each time."""
    return np.random.default_rng(0).integers(0, 2, (len(LABELS), SETS[name][1]), dtype=np.uint8)


def write_text(name, root, features):
    """The files as their publisher's archive unpacks; returns them."""
    rows = [",".join(map(str, row)) for row in features]
    if name == "texas100":
        folder = root / "texas" / "100"
        folder.mkdir(parents=True)
        (folder / "feats").write_text("\n".join(rows) + "\n")
        (folder / "labels").write_text("\n".join(map(str, LABELS)) + "\n")
        return [folder / "feats", folder / "labels"]
    path = root / ("bangkok" if name == "location" else "dataset_purchase")
    quote = '"' if name == "location" else ""
    lines = [f"{quote}{k}{quote},{row}" for k, row in zip(LABELS, rows, strict=True)]
    path.write_text("\n".join(lines) + "\n")
    return [path]


def write_npz(name, root, features):
    if name == "location":
        path = root / "location" / "data_complete.npz"
        path.parent.mkdir()
        np.savez(path, x=features.astype(np.float64), y=np.array(LABELS))
    else:
        path = root / f"{name}.npz"
        one_hot = np.eye(100)[np.array(LABELS) - 1]
        np.savez_compressed(path, features=features.astype(np.int64), labels=one_hot)
    return path


def check(name, examples, features):
    assert examples.inputs.dtype == np.float32
    np.testing.assert_array_equal(examples.inputs, features)
    assert examples.labels.dtype == np.int64
    assert examples.labels.tolist() == [2, 0, 29, 1]
    assert [examples.class_names[k] for k in examples.labels] == [str(k) for k in LABELS]
    assert len(examples.class_names) == SETS[name][2]
    assert not examples.is_test.any()
    assert len(examples.is_test) == len(LABELS)


@pytest.mark.parametrize("name", SETS)
def test_text(tmp_path, name):
    files = write_text(name, tmp_path, make(name))
    examples = SETS[name][0](tmp_path)
    check(name, examples, make(name))
    assert examples.source == str(files[0])


@pytest.mark.parametrize("name", SETS)
def test_npz(tmp_path, name):
    path = write_npz(name, tmp_path, make(name))
    examples = SETS[name][0](tmp_path)
    check(name, examples, make(name))
    assert examples.source == str(path)


def test_location_as_npz_in_a_folder_of_its_own(tmp_path):
    write_npz("location", tmp_path, make("location"))
    check("location", tabular.location(tmp_path / "location"), make("location"))


@pytest.mark.parametrize(
    ("name", "archive"),
    [
        ("purchase100", "dataset_purchase.tgz"),
        ("texas100", "dataset_texas.tgz"),
        ("location", "dataset_location.tgz"),
    ],
)
def test_an_archive_in_its_place_is_unpacked_not_downloaded(tmp_path, any_archive, name, archive):
    made, root = tmp_path / "made", tmp_path / "root"
    made.mkdir()
    root.mkdir()
    files = write_text(name, made, make(name))
    with tarfile.open(root / archive, "w:gz") as packed:
        for path in files:
            packed.add(path, path.relative_to(made))
    check(name, SETS[name][0](root), make(name))


@pytest.mark.parametrize("name", SETS)
def test_missing_data_say_where_they_were_looked_for_and_where_they_can_be_had(tmp_path, name):
    with pytest.raises(DataError) as caught:
        SETS[name][0](tmp_path / "data")
    message = str(caught.value)
    assert message.startswith(f"{name}: not found in {tmp_path / 'data'}")
    assert "no network in tests" in message
    assert "https://github.com/privacytrustlab/datasets" in message
    assert f"data.roots.{name}" in message


@pytest.mark.parametrize("content", [b"half of a download", b"\x1f\x8b\x08\0\0\0\0\0"])
def test_a_damaged_archive_is_named(tmp_path, any_archive, content):
    path = tmp_path / "dataset_location.tgz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"{re.escape(str(path))}: cannot be unpacked.*Move it"):
        tabular.location(tmp_path)


def test_an_archive_cut_short_is_named(tmp_path, any_archive):
    write_text("location", tmp_path, make("location"))
    path = tmp_path / "dataset_location.tgz"
    with tarfile.open(path, "w:gz") as packed:
        packed.add(tmp_path / "bangkok", "bangkok")
    (tmp_path / "bangkok").unlink()
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=re.escape(str(path))):
        tabular.location(tmp_path)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[:-20],
        lambda text: "<html>not here</html>",
        lambda text: text + "1,0\n",
        lambda text: text.replace("0", "0.5", 1),
        lambda text: text.replace(",1", ",-1", 1),
    ],
    ids=["empty", "cut", "page", "short line", "fraction", "negative"],
)
def test_damaged_text_is_named(tmp_path, name, damage):
    path = write_text(name, tmp_path, make(name))[0]
    path.write_text(damage(path.read_text()))
    with pytest.raises(DataError, match=rf"{re.escape(str(path))}: not lines.*Fetch it again"):
        SETS[name][0](tmp_path)


@pytest.mark.parametrize("name", SETS)
def test_features_other_than_0_and_1_are_refused(tmp_path, name):
    features = make(name)
    features[2, 5] = 7
    path = write_text(name, tmp_path, features)[0]
    with pytest.raises(DataError, match=rf"{re.escape(str(path))}: features other than 0 and 1"):
        SETS[name][0](tmp_path)


@pytest.mark.parametrize("name", SETS)
def test_a_wrong_number_of_features_is_refused(tmp_path, name):
    path = write_npz(name, tmp_path, make(name)[:, :-1])
    expected = SETS[name][1]
    with pytest.raises(DataError, match=rf"{re.escape(str(path))}: .*examples, {expected}\)"):
        SETS[name][0](tmp_path)


def test_missing_labels_are_named(tmp_path):
    path = write_text("texas100", tmp_path, make("texas100"))[1]
    path.unlink()
    with pytest.raises(DataError, match=re.escape(str(path))):
        tabular.texas100(tmp_path)


@pytest.mark.parametrize("name", SETS)
def test_damaged_npz_are_named(tmp_path, name):
    path = write_npz(name, tmp_path, make(name))
    whole = path.read_bytes()
    for content in (b"", b"rubbish", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(DataError, match=rf"{re.escape(str(path))}: not a whole NumPy archive"):
            SETS[name][0](tmp_path)
    np.savez(path, other=np.zeros(3))
    with pytest.raises(DataError, match=re.escape(str(path))):
        SETS[name][0](tmp_path)


@pytest.mark.parametrize("labels", [np.array(LABELS), np.zeros((4, 100)), np.ones((4, 100))])
def test_labels_that_are_not_one_hot_are_refused(tmp_path, labels):
    path = tmp_path / "purchase100.npz"
    np.savez(path, features=make("purchase100"), labels=labels)
    with pytest.raises(DataError, match=rf"{re.escape(str(path))}: labels are not one-hot"):
        tabular.purchase100(tmp_path)
