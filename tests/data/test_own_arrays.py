"""Arrays of the user's own: images and features, in archives and in HDF5 files."""

import h5py
import numpy as np
import pytest

from shadowmill.data.readers import array_files
from shadowmill.data.readers.own_arrays import own_arrays, peek
from shadowmill.errors import DataError
from shadowmill.large_arrays import Streamed

RANDOM = np.random.default_rng(0)
LABELS = np.array([0, 1, 0, 1, 1, 0])
BYTES = RANDOM.integers(0, 256, (6, 5, 4, 3), dtype=np.uint8)
FEATURES = RANDOM.normal(3, 9, (6, 4))
IS_TEST = np.array([1, 0, 0, 1, 0, 0])
POOL_FIRST = [1, 2, 4, 5, 0, 3]


def write(path, **arrays):
    if path.suffix == ".npz":
        np.savez(path, **arrays)
        return
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            is_text = np.asarray(array).dtype.kind == "U"
            file[name] = np.asarray(array).astype(object) if is_text else array


@pytest.fixture(params=["scans.npz", "scans.h5"])
def read(request, tmp_path):
    def written(**arrays):
        write(tmp_path / request.param, **{"inputs": BYTES, "labels": LABELS} | arrays)
        return own_arrays(tmp_path, name="scans", file=request.param)

    return written


def whole(examples):
    inputs = examples.inputs
    return np.concatenate(list(inputs.parts)) if isinstance(inputs, Streamed) else inputs


def test_images_of_bytes_are_taken_as_they_are(read):
    examples = read()
    np.testing.assert_array_equal(whole(examples), BYTES, strict=True)
    assert examples.inputs.shape == BYTES.shape
    assert examples.labels.tolist() == LABELS.tolist()
    assert examples.class_names == ("0", "1")
    assert examples.ids.tolist() == list("012345")
    assert examples.groups is None


def test_images_are_read_in_parts(read, monkeypatch):
    monkeypatch.setattr(array_files, "_PART", 2 * BYTES[0].nbytes)
    parts = list(read(is_test=IS_TEST).inputs.parts)
    assert max(map(len, parts)) == 2
    np.testing.assert_array_equal(np.concatenate(parts), BYTES[POOL_FIRST])


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [
        (BYTES[..., 0], BYTES[..., :1]),
        (BYTES[..., 0].astype(np.uint16) * 257, BYTES[..., :1] / np.float32(255)),
        (BYTES - 99.5, (BYTES - 99.5).astype(np.float32)),
        (np.asfortranarray(BYTES), BYTES),
    ],
    ids=["grey", "16 bits", "numbers", "columns first"],
)
def test_images_keep_their_range(read, pixels, expected):
    found = whole(read(inputs=pixels))
    assert found.dtype in (np.uint8, np.float32)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_features_are_standardised_by_the_training_part(read):
    examples = read(inputs=FEATURES, is_test=IS_TEST)
    pool = FEATURES[IS_TEST == 0]
    expected = ((FEATURES - pool.mean(axis=0)) / pool.std(axis=0))[POOL_FIRST]
    np.testing.assert_allclose(whole(examples), expected, rtol=1e-5)


def test_a_constant_feature_is_zero(read):
    features = FEATURES.copy()
    features[:, 2] = 0.1
    assert not whole(read(inputs=features))[:, 2].any()


def test_all_that_may_be_there_goes_along_with_the_training_part_first(read):
    names = np.array(["zoë", "b", "c", "d", "e", "f"])
    examples = read(
        is_test=IS_TEST == 1,
        ids=names,
        groups=np.array([7, 7, 8, 8, 9, 9]),
        class_names=np.array(["猫", "dog"]),
    )
    assert examples.is_test.tolist() == [False] * 4 + [True] * 2
    assert examples.ids.tolist() == names[POOL_FIRST].tolist()
    assert examples.groups.tolist() == ["7", "8", "9", "9", "7", "8"]
    assert examples.labels.tolist() == LABELS[POOL_FIRST].tolist()
    assert examples.class_names == ("猫", "dog")
    np.testing.assert_array_equal(whole(examples), BYTES[POOL_FIRST])


def test_words_are_labels(read):
    examples = read(labels=np.array(["b", "a", "b", "a", "a", "b"]))
    assert examples.class_names == ("a", "b")
    assert examples.labels.tolist() == [1, 0, 1, 0, 0, 1]


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"inputs": FEATURES[:, 0]}, r"inputs of shape \(6,\)\. Give images"),
        (
            {"inputs": np.zeros((6, 3, 32, 32), np.uint8)},
            r"seem to be 32×32 images.*transpose\(0, 2, 3, 1\)",
        ),
        ({"inputs": BYTES.astype(np.int64)}, r"inputs of type int64\. Give uint8, uint16 or float"),
        ({"labels": LABELS[:5]}, r"labels has the shape \(5,\), but there are 6 inputs"),
        ({"ids": np.arange(7)}, r"ids has the shape \(7,\)"),
        ({"labels": np.eye(6)}, r"labels of shape \(6, 6\).*argmax"),
        ({"labels": LABELS + 0.5}, r"labels such as 0\.5 are no classes.*not regressions"),
        (
            {"labels": LABELS + 1, "class_names": np.array(["a", "b"])},
            "labels 1 to 2 for 2 class_names",
        ),
        ({"is_test": 2 * LABELS}, "is_test must be true or false"),
        (
            {"labels": np.array([0, 0, 0, 0, 0, 1]), "is_test": [0, 0, 0, 0, 0, 1]},
            "without training ex.*: 1",
        ),
        (
            {"inputs": np.where(FEATURES > 9, np.nan, FEATURES)},
            "of the inputs are no finite numbers",
        ),
    ],
)
def test_one_message_says_what_is_wrong(read, arrays, words):
    with pytest.raises(DataError, match=f"scans.*{words}"):
        read(**arrays)


def test_pixels_that_are_no_numbers_are_found_on_the_way(read):
    pixels = BYTES.astype(np.float32)
    pixels[4, 1, 2, 0] = np.inf
    with pytest.raises(DataError, match="1 of the inputs are no finite numbers"):
        whole(read(inputs=pixels))


@pytest.mark.parametrize("file", ["scans.npz", "scans.h5"])
def test_missing_arrays_and_files_are_named(tmp_path, file):
    with pytest.raises(DataError, match=r"there is no file .*datasets\.scans\.arrays"):
        own_arrays(tmp_path, name="scans", file=file)
    write(tmp_path / file, x=BYTES, labels=LABELS)
    with pytest.raises(DataError, match=r"no array inputs\. It has (x, labels|labels, x);"):
        own_arrays(tmp_path, name="scans", file=file)
    (tmp_path / file).write_bytes(b"half of a file")
    with pytest.raises(DataError, match=r"cannot be read \("):
        own_arrays(tmp_path, name="scans", file=file)


def test_python_objects_are_not_read(tmp_path):
    np.savez(tmp_path / "scans.npz", inputs=BYTES, labels=np.array([{}] * 6))
    with pytest.raises(DataError, match="without Python objects"):
        own_arrays(tmp_path, name="scans", file="scans.npz")


@pytest.mark.parametrize("file", ["scans.npz", "scans.h5"])
def test_what_is_known_before_it_is_prepared(tmp_path, file):
    path = tmp_path / file
    assert peek(path) == (None, None)
    write(path, inputs=BYTES, labels=LABELS)
    assert peek(path) == ("image", False)
    write(path, inputs=FEATURES, labels=LABELS, groups=LABELS)
    assert peek(path) == ("tabular", True)


# What is easily taken for something else


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"is_test": np.ones(6), "class_names": ["a", "b"]}, "all examples are of the test part"),
        (
            {"class_names": ["a", "b"], "is_test": np.array([0, 1, 0, 1, 1, 0])},
            "classes without training examples: b",
        ),
        ({"class_names": ["a", "a"]}, "class_names has a twice"),
        ({"class_names": [["a"], ["b"]]}, r"class_names has the shape \(2, 1\)"),
        ({"inputs": np.zeros((6, 3, 8, 8), np.uint8)}, "seem to be 8×8 images with the channels"),
        ({"inputs": np.zeros((6, 1, 8, 8))}, r"transpose\(0, 2, 3, 1\)"),
        ({"inputs": np.zeros((6, 0))}, r"inputs of shape \(6, 0\) are empty"),
        ({"inputs": np.zeros((0, 8, 8, 1)), "labels": np.zeros(0)}, "are empty"),
        ({"labels": np.array([0, 1, 0, 1, 1, np.inf])}, "missing, infinite or beyond"),
        ({"labels": np.array([1e20, 1e21, 0, 0, 0, 0])}, "missing, infinite or beyond"),
        ({"groups": np.array([1, 1, 2, 2, np.nan, 3])}, "groups have missing values"),
        ({"ids": np.array([1, 1, 2, 2, np.nan, 3])}, "ids have missing values"),
    ],
)
def test_oddities_are_refused(read, arrays, words):
    with pytest.raises(DataError, match=f"scans.*{words}"):
        read(**arrays)


def test_arrays_that_are_not_used_are_said(read):
    assert read(group=np.zeros(6), test=np.zeros(6)).notes == (
        "arrays that are not used: group, test",
    )


def test_bytes_in_another_order(read):
    numbers = np.arange(6 * 4 * 4).reshape(6, 4, 4) * 600
    other, usual = (whole(read(inputs=numbers.astype(kind))) for kind in (">u2", "<u2"))
    np.testing.assert_array_equal(other, usual)


@pytest.mark.parametrize("name", ["inputs", "labels", "ids"])
@pytest.mark.parametrize("kind", ["group", "empty", "lists", "records"])
def test_hdf5_without_arrays(tmp_path, name, kind):
    path = tmp_path / "scans.h5"
    write(path, inputs=BYTES, labels=LABELS, ids=LABELS)
    with h5py.File(path, "a") as file:
        del file[name]
        if kind == "group":
            file.create_group(name)
        elif kind == "empty":
            file[name] = h5py.Empty("f")
        elif kind == "lists":
            file.create_dataset(name, (6,), h5py.vlen_dtype(np.int32))
        else:
            file[name] = np.zeros(6, [("a", "i4"), ("b", "f4")])
    if name == "inputs":
        assert peek(path) == (None, None)
    with pytest.raises(DataError, match=f"cannot be read .*{name} (is no array|holds)"):
        own_arrays(tmp_path, name="scans", file="scans.h5")


@pytest.mark.parametrize("name", ["inputs", "labels", "groups"])
def test_records_in_archives_are_refused(tmp_path, name):
    arrays = {"inputs": BYTES, "labels": LABELS, name: np.zeros(6, [("a", "i4"), ("b", "f4")])}
    write(tmp_path / "scans.npz", **arrays)
    with pytest.raises(DataError, match=f"cannot be read .*{name} holds .*neither numbers nor"):
        own_arrays(tmp_path, name="scans", file="scans.npz")
