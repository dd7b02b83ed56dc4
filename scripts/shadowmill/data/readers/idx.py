"""Data sets in the idx format of LeCun's MNIST: MNIST, Fashion-MNIST and EMNIST letters."""

import gzip
import string
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from shadowmill.data.readers import Examples, download, join, refuse_altered
from shadowmill.errors import DataError

_FASHION_CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip


@dataclass(frozen=True)
class _Files:
    """Where the four files of a data set are.

    Attributes:
        folders: below the root, in the order they are looked in; the first one is torchvision's.
        prefixes: how the names of the training and of the test files begin.
        torchvision_class: that downloads them.
        page: where they can be had by hand.
        options: of that class.
    """

    folders: tuple[str, ...]
    prefixes: tuple[str, str]
    torchvision_class: str
    page: str
    options: tuple[tuple[str, str], ...] = ()


def mnist(root: Path) -> Examples:
    """MNIST (LeCun et al. 1998): 70,000 grey 28×28 images of handwritten digits.

    Read from idx files, packed or not, in `root`/MNIST/raw (where torchvision puts them) or in
    `root` itself.
    """
    files = _Files(
        ("MNIST/raw", "."), ("train", "t10k"), "MNIST", "http://yann.lecun.com/exdb/mnist"
    )
    examples = _read("mnist", root, files, tuple(string.digits))
    _check_begin("mnist", examples, [5, 0, 4, 1, 9, 2, 1, 3, 1, 4])
    return examples


def fashion_mnist(root: Path) -> Examples:
    """Fashion-MNIST (Xiao et al. 2017): 70,000 grey 28×28 images.

    Read from idx files, packed or not, in `root`/FashionMNIST/raw (where torchvision puts them) or
    in `root` itself (as Debian's dataset-fashion-mnist has them).
    """
    files = _Files(
        ("FashionMNIST/raw", "."),
        ("train", "t10k"),
        "FashionMNIST",
        "https://github.com/zalandoresearch/fashion-mnist",
    )
    examples = _read("fashion_mnist", root, files, _FASHION_CLASSES)
    _check_begin("fashion_mnist", examples, [9, 0, 0, 3, 0, 2, 7, 2, 5, 5])
    return examples


def emnist_letters(root: Path) -> Examples:
    """EMNIST letters (Cohen et al. 2017, arXiv:1702.05373): 145,600 grey 28×28 images.

    The 26 letters, upper and lower case together. The published files hold every image transposed
    and labels 1 … 26; here images are upright and labels 0 … 25. Read from idx files, packed or
    not, in `root`/EMNIST/raw (where torchvision puts them), `root`/gzip (as the published archive
    unpacks) or `root` itself.
    """
    files = _Files(
        ("EMNIST/raw", "gzip", "."),
        ("emnist-letters-train", "emnist-letters-test"),
        "EMNIST",
        "https://www.nist.gov/itl/products-and-services/emnist-dataset",
        (("split", "letters"),),
    )
    published = _read("emnist_letters", root, files, tuple(string.ascii_lowercase))
    return replace(
        published, inputs=published.inputs.transpose(0, 2, 1, 3), labels=published.labels - 1
    )


def _read(name: str, root: Path, files: _Files, class_names: tuple[str, ...]) -> Examples:
    first = f"{files.prefixes[0]}-images-idx3-ubyte"
    folder = next((root / f for f in files.folders if _find_idx(root / f, first)), None)
    if folder is None:
        import torchvision.datasets

        fetch = getattr(torchvision.datasets, files.torchvision_class)
        archives = [(fetch.url, fetch.md5)] if hasattr(fetch, "md5") else fetch.resources
        names = [(f"{files.folders[0]}/{url.rsplit('/', 1)[-1]}", md5) for url, md5 in archives]
        refuse_altered(name, root, names)
        download(lambda: fetch(root, download=True, **dict(files.options)), name, root, files.page)
        folder = root / files.folders[0]
    train, test = (
        (
            _read_idx(folder, f"{prefix}-images-idx3-ubyte")[..., None],
            _read_idx(folder, f"{prefix}-labels-idx1-ubyte"),
        )
        for prefix in files.prefixes
    )
    return join(train, test, class_names, str(folder))


def _check_begin(name: str, examples: Examples, labels: list[int]) -> None:
    # MNIST and its replacements have the same file names, shapes and counts.
    found = examples.labels[: len(labels)].tolist()
    if found != labels:
        raise DataError(
            f"{name}: the training labels in {examples.source} begin with {found}, those of "
            f"{name} with {labels}: these files are of another data set. Name the folder that "
            f"has the right ones in workflow_config.yaml under data.roots.{name}."
        )


def _find_idx(folder: Path, stem: str) -> Path | None:
    return next((p for p in (folder / stem, folder / f"{stem}.gz") if p.is_file()), None)


def _read_idx(folder: Path, stem: str) -> np.ndarray:
    """An array of unsigned bytes in the format of LeCun's MNIST: magic, sizes, data."""
    path = _find_idx(folder, stem)
    if path is None:
        raise DataError(
            f"{folder / stem}: missing beside the other files. Fetch the whole data set again."
        )
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be unpacked ({error}). Fetch it again.") from error
    if content[:3] != b"\0\0\x08":
        raise DataError(f"{path}: not an idx file of unsigned bytes. Fetch it again.")
    header = 4 + 4 * int.from_bytes(content[3:4], "big")
    if not 4 < header <= len(content):
        raise DataError(f"{path}: ends within its header. Fetch it again.")
    shape = np.frombuffer(content[4:header], ">i4")
    data = np.frombuffer(content[header:], np.uint8)
    size = shape.prod(dtype=np.int64)
    if data.size != size:
        raise DataError(f"{path}: {data.size} bytes of data where {size} belong. Fetch it again.")
    return data.reshape(shape)
