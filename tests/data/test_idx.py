"""MNIST and its kin: the idx format, the folders it comes in, and what may be wrong with files."""

import gzip
import re
from pathlib import Path

import numpy as np
import pytest

from shadowmill.data.readers.idx import emnist_letters, fashion_mnist, mnist
from shadowmill.errors import DataError

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
FILES = {
    "train-images-idx3-ubyte": (12, 4, 3),
    "train-labels-idx1-ubyte": (12,),
    "t10k-images-idx3-ubyte": (5, 4, 3),
    "t10k-labels-idx1-ubyte": (5,),
}


def idx(array):
    """The format as its author gives it: 0, 0, 8 for bytes, the number of sizes, the sizes."""
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.astype(np.uint8).tobytes()


FIRST_LABELS = {
    "fashion_mnist": [9, 0, 0, 3, 0, 2, 7, 2, 5, 5],
    "mnist": [5, 0, 4, 1, 9, 2, 1, 3, 1, 4],
}


def random_arrays(name):
    random = np.random.default_rng(0)
    arrays = {
        file: random.integers(0, 256 if len(shape) == 3 else 10, shape, dtype=np.uint8)
        for file, shape in FILES.items()
    }
    arrays["train-labels-idx1-ubyte"][:10] = FIRST_LABELS[name]
    return arrays


@pytest.fixture
def arrays():
    return random_arrays("fashion_mnist")


def write(folder, arrays, packed):
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        content = idx(array)
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("layout", [".", "FashionMNIST/raw"])
def test_reads_the_layouts_of_debian_and_torchvision(tmp_path, arrays, layout, packed):
    write(tmp_path / layout, arrays, packed)
    examples = fashion_mnist(tmp_path)
    assert examples.inputs.shape == (17, 4, 3, 1)
    assert examples.inputs.dtype == np.uint8
    assert examples.labels.dtype == np.int64
    for array, train, test in (
        (examples.inputs[..., 0], "train-images-idx3-ubyte", "t10k-images-idx3-ubyte"),
        (examples.labels, "train-labels-idx1-ubyte", "t10k-labels-idx1-ubyte"),
    ):
        np.testing.assert_array_equal(array[:12], arrays[train])
        np.testing.assert_array_equal(array[12:], arrays[test])
    assert examples.is_test.tolist() == [False] * 12 + [True] * 5
    assert len(examples.class_names) == 10
    assert Path(examples.source) == tmp_path / layout


def test_reads_a_mixture_of_packed_and_plain_files(tmp_path, arrays):
    write(tmp_path, arrays, packed=True)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx(arrays["t10k-labels-idx1-ubyte"]))
    examples = fashion_mnist(tmp_path)
    np.testing.assert_array_equal(examples.labels[12:], arrays["t10k-labels-idx1-ubyte"])


def faulty(tmp_path, arrays, name, content):
    """The message about one file with this content."""
    write(tmp_path, arrays, packed=False)
    path = tmp_path / name
    if name.endswith(".gz"):
        path.with_suffix("").unlink()
    path.write_bytes(content)
    with pytest.raises(DataError, match=re.escape(str(path))) as caught:
        fashion_mnist(tmp_path)
    return str(caught.value)


@pytest.mark.parametrize("name", FILES)
def test_a_truncated_file_is_named_with_both_sizes(tmp_path, arrays, name):
    whole = idx(arrays[name])
    message = faulty(tmp_path, arrays, name, whole[:-2])
    size = arrays[name].size
    assert f"{size - 2} bytes of data where {size} belong" in message
    assert "Fetch it again" in message


def test_a_file_with_bytes_too_many_is_refused(tmp_path, arrays):
    content = idx(arrays["train-labels-idx1-ubyte"]) + b"\0"
    assert "13 bytes" in faulty(tmp_path, arrays, "train-labels-idx1-ubyte", content)


@pytest.mark.parametrize(
    "content", [b"\0\0\x0b\x01" + bytes(8), b"<html>not here</html>", b"", b"\0\0"]
)
def test_a_file_of_another_kind_is_named(tmp_path, arrays, content):
    assert "not an idx file" in faulty(tmp_path, arrays, "train-labels-idx1-ubyte", content)


@pytest.mark.parametrize("length", [3, 4, 6, 10, 15])
def test_a_file_cut_within_its_header_is_named(tmp_path, arrays, length):
    name = "train-images-idx3-ubyte"
    assert "Fetch it again" in faulty(tmp_path, arrays, name, idx(arrays[name])[:length])


@pytest.mark.parametrize("part", [0.2, 0.6, 0.95])
def test_a_truncated_archive_is_named(tmp_path, arrays, part):
    name = "train-images-idx3-ubyte"
    packed = gzip.compress(idx(arrays[name]))
    content = packed[: int(part * len(packed))]
    assert "cannot be unpacked" in faulty(tmp_path, arrays, f"{name}.gz", content)


@pytest.mark.parametrize("offset", [0, 12, 40, -6])
def test_a_damaged_archive_is_named(tmp_path, arrays, offset):
    name = "train-images-idx3-ubyte"
    content = bytearray(gzip.compress(idx(arrays[name])))
    content[offset : offset + 4] = b"\xff\xff\xff\xff"
    assert "cannot be unpacked" in faulty(tmp_path, arrays, f"{name}.gz", bytes(content))


@pytest.mark.parametrize("name", [name for name in FILES if name != "train-images-idx3-ubyte"])
def test_a_missing_sibling_is_named(tmp_path, arrays, name):
    write(tmp_path, arrays, packed=True)
    (tmp_path / f"{name}.gz").unlink()
    with pytest.raises(DataError, match=rf"{re.escape(str(tmp_path / name))}: missing.*Fetch"):
        fashion_mnist(tmp_path)


def test_missing_data_without_network_say_where_they_were_looked_for_and_what_to_do(tmp_path):
    with pytest.raises(DataError) as caught:
        fashion_mnist(tmp_path / "data")
    message = str(caught.value)
    assert message.startswith(f"fashion_mnist: not found in {tmp_path / 'data'}")
    assert "no network in tests" in message
    assert "snakemake --cores 1 results/data/fashion_mnist.h5" in message
    assert "data.roots.fashion_mnist" in message


@pytest.mark.parametrize("layout", [".", "MNIST/raw"])
def test_mnist(tmp_path, layout):
    arrays = random_arrays("mnist")
    write(tmp_path / layout, arrays, packed=True)
    examples = mnist(tmp_path)
    np.testing.assert_array_equal(examples.inputs[:12, ..., 0], arrays["train-images-idx3-ubyte"])
    np.testing.assert_array_equal(examples.inputs[12:, ..., 0], arrays["t10k-images-idx3-ubyte"])
    np.testing.assert_array_equal(examples.labels[12:], arrays["t10k-labels-idx1-ubyte"])
    assert examples.labels[:10].tolist() == FIRST_LABELS["mnist"]
    assert examples.is_test.tolist() == [False] * 12 + [True] * 5
    assert examples.class_names == tuple("0123456789")
    assert Path(examples.source) == tmp_path / layout


def test_mnist_and_fashion_mnist_in_one_folder_are_told_apart(tmp_path):
    for name, layout in (("mnist", "MNIST/raw"), ("fashion_mnist", "FashionMNIST/raw")):
        write(tmp_path / layout, random_arrays(name), packed=True)
    assert mnist(tmp_path).labels[0] == 5
    assert fashion_mnist(tmp_path).labels[0] == 9


@pytest.mark.parametrize(("read", "other"), [(mnist, "fashion_mnist"), (fashion_mnist, "mnist")])
def test_files_of_another_data_set_with_the_same_names_are_refused(tmp_path, read, other):
    write(tmp_path, random_arrays(other), packed=True)
    with pytest.raises(DataError, match=rf"another data set.*data\.roots\.{read.__name__}"):
        read(tmp_path)


EMNIST = {
    "emnist-letters-train-images-idx3-ubyte": (3, 28, 28),
    "emnist-letters-train-labels-idx1-ubyte": (3,),
    "emnist-letters-test-images-idx3-ubyte": (2, 28, 28),
    "emnist-letters-test-labels-idx1-ubyte": (2,),
}


@pytest.fixture
def emnist_arrays():
    arrays = {name: np.zeros(shape, np.uint8) for name, shape in EMNIST.items()}
    # Published images are transposed: the bar at the foot of an upright L is a column there.
    arrays["emnist-letters-train-images-idx3-ubyte"][0, :, 24] = 255
    arrays["emnist-letters-test-images-idx3-ubyte"][1, 5, 20] = 7
    arrays["emnist-letters-train-labels-idx1-ubyte"][:] = 12, 1, 26
    arrays["emnist-letters-test-labels-idx1-ubyte"][:] = 2, 25
    return arrays


@pytest.mark.parametrize("layout", [".", "gzip", "EMNIST/raw"])
def test_emnist_letters_are_upright_and_counted_from_zero(tmp_path, emnist_arrays, layout):
    write(tmp_path / layout, emnist_arrays, packed=True)
    examples = emnist_letters(tmp_path)
    assert examples.inputs.shape == (5, 28, 28, 1)
    assert examples.inputs.dtype == np.uint8
    assert (examples.inputs[0, 24] == 255).all()
    assert examples.inputs[0].sum() == 28 * 255
    assert examples.inputs[4, 20, 5, 0] == 7
    assert examples.labels.dtype == np.int64
    assert [examples.class_names[k] for k in examples.labels] == ["l", "a", "z", "b", "y"]
    assert examples.labels.tolist() == [11, 0, 25, 1, 24]
    assert examples.is_test.tolist() == [False] * 3 + [True] * 2


@pytest.mark.parametrize("read", [mnist, emnist_letters])
def test_other_missing_data_say_where_they_can_be_had(tmp_path, read):
    with pytest.raises(DataError, match=rf"^{read.__name__}: not found.*by hand \(http"):
        read(tmp_path)


@pytest.mark.skipif(not DEBIAN.is_dir(), reason="Debian's dataset-fashion-mnist is not installed")
def test_the_real_data_set():
    examples = fashion_mnist(DEBIAN)
    assert examples.inputs.shape == (70_000, 28, 28, 1)
    train, test = examples.labels[~examples.is_test], examples.labels[examples.is_test]
    assert np.bincount(train).tolist() == [6000] * 10
    assert np.bincount(test).tolist() == [1000] * 10
    assert examples.class_names[train[0]] == "Ankle boot"  # the first one everywhere shows
    assert train[:10].tolist() == [9, 0, 0, 3, 0, 2, 7, 2, 5, 5]
    # The constants that everyone normalises with.
    pixels = examples.inputs[~examples.is_test] / np.float32(255)
    assert pixels.mean(dtype=np.float64) == pytest.approx(0.2860, abs=5e-5)
    assert pixels.std(dtype=np.float64) == pytest.approx(0.3530, abs=5e-5)
