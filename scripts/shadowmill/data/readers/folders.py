"""Data sets that are trees of image files, one folder per class.

Everything is scaled to one small size. Images are centre-cropped to a square and scaled with
Pillow's antialiased bicubic filter, in one step (which is the shorter side to that size, then the
central square). Within a part, examples are ordered by class name, then by file name.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from multiprocessing.pool import ThreadPool
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from shadowmill.data.readers import Examples, check_sizes, download_archive, find
from shadowmill.errors import DataError
from shadowmill.progress import bar

# Anything else in a folder (notes, thumbnails' data bases) is no example.
_SUFFIXES = frozenset((".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"))

_CHMNIST_FOLDER = "Kather_texture_2016_image_tiles_5000"
_CHMNIST_PAGE = "https://zenodo.org/records/53169"
_CHMNIST_CLASSES = (
    "tumour epithelium", "simple stroma", "complex stroma", "immune cells",
    "debris", "mucosal glands", "adipose tissue", "background",
)  # fmt: skip


def chmnist(root: Path) -> Examples:
    """CH-MNIST: 5,000 tiles of colorectal histology in 8 classes (Kather et al. 2016).

    Scientific Reports 6:27988. The published 150×150 colour tiles in folders 01_TUMOR … 08_EMPTY,
    scaled to 32×32 as membership inference papers do. There is no official split.
    """
    folder = root if find(root, "01_TUMOR") else root / _CHMNIST_FOLDER
    if not folder.is_dir():
        url = f"{_CHMNIST_PAGE}/files/{_CHMNIST_FOLDER}.zip"
        download_archive(url, "chmnist", root, _CHMNIST_PAGE)
    return replace(_read("chmnist", folder, None, size=32), class_names=_CHMNIST_CLASSES)


def imagenet(root: Path) -> Examples:
    """ImageNet, ILSVRC-2012 (Russakovsky et al. 2015, arXiv:1409.0575), scaled to 64×64.

    Read from train/<wnid>/*.JPEG and val/<wnid>/*.JPEG in `root`/imagenet or `root` itself; the
    validation set is the official test set here, as the labels of the test set are not public.
    Classes are named by their WordNet ids, in alphabetical order as everywhere.
    """
    folder = find(root, "imagenet") or root
    train, val = folder / "train", folder / "val"
    if not (train.is_dir() and val.is_dir()):
        raise DataError(
            f"imagenet: no folders train and val in {folder}. ImageNet cannot be downloaded by a "
            "program: register at https://image-net.org, fetch the training and validation images "
            "of ILSVRC-2012, unpack them as train/<wnid>/*.JPEG and val/<wnid>/*.JPEG, and name "
            "the folder in workflow_config.yaml under data.roots.imagenet."
        )
    return _read("imagenet", train, val, size=64)


def image_folder(root: Path) -> Examples:
    """Images of the user's own, scaled to 64×64.

    Read from train/<class>/* and, if there is one, test/<class>/* or val/<class>/* in
    `root`/image_folder or `root` itself.
    """
    folder = find(root, "image_folder") or root
    train, test, val = (folder / part for part in ("train", "test", "val"))
    if not train.is_dir():
        raise DataError(
            f"image_folder: no folder train in {folder}. Put your images there as "
            "train/<class>/<image> (and test examples, if any, as test/<class>/<image>), or name "
            "the folder that has them in workflow_config.yaml under data.roots.image_folder."
        )
    if test.is_dir() and val.is_dir():
        raise DataError(
            f"image_folder: both test and val in {folder}, of which one can be the test set. "
            "Move or rename the other."
        )
    held_out = next((part for part in (test, val) if part.is_dir()), None)
    return _read("image_folder", train, held_out, size=64)


def _read(name: str, train: Path, test: Path | None, size: int) -> Examples:
    train_files = _list(name, train)
    test_files = _list(name, test) if test else {}
    class_names = tuple(train_files)
    unknown = sorted(test_files.keys() - train_files.keys())
    if unknown:
        raise DataError(
            f"{test}: classes without training examples: {', '.join(unknown[:5])}. Each class "
            f"needs a folder of the same name in {train}."
        )
    paths, labels, sizes = [], [], []
    for files in (train_files, test_files):
        for label, class_name in enumerate(class_names):
            found = files.get(class_name, [])
            paths += found
            labels += [label] * len(found)
        sizes.append(len(paths))
    pool_size, test_size = sizes[0], sizes[1] - sizes[0]
    source = str(train.parent if test else train)
    # Before hours of decoding rather than after.
    check_sizes(name, pool_size, test_size, len(class_names), source)
    return Examples(
        decode(paths, size, name),
        np.asarray(labels, np.int64),
        np.arange(len(paths)) >= pool_size,
        class_names,
        source,
    )


def _list(name: str, folder: Path) -> dict[str, list[str]]:
    """Class name to paths of its images, both in alphabetical order."""
    files = {}
    for class_folder in sorted(path for path in _visible(folder) if path.is_dir()):
        files[class_folder.name] = sorted(
            str(path) for path in _visible(class_folder) if path.suffix.lower() in _SUFFIXES
        )
        if not files[class_folder.name]:
            raise DataError(
                f"{class_folder}: no images. Put some there ({', '.join(sorted(_SUFFIXES))}), or "
                "remove the folder."
            )
    if not files:
        raise DataError(
            f"{folder}: no folders of images. {name} needs one folder per class there, with the "
            "images of that class in it."
        )
    return files


def _visible(folder: Path) -> Iterator[Path]:
    return (path for path in folder.glob("*") if not path.name.startswith("."))


def decode(paths: Sequence[str], size: int, name: str) -> np.ndarray:
    """Read image files as colour images of one size, with a progress bar.

    Args:
        paths: N files of any format that Pillow reads.
        size: side of the result, pixels.
        name: of the data set, for the progress bar.

    Returns:
        (N, size, size, 3) uint8: the central square of each image, scaled.

    Raises:
        DataError: a file cannot be read as an image.
    """
    images = np.empty((len(paths), size, size, 3), np.uint8)

    def read(index: int) -> None:
        images[index] = _read_image(paths[index], size)

    # Pillow lets go of the interpreter lock while it decodes and scales.
    with ThreadPool() as pool:
        done = pool.imap(read, range(len(paths)), chunksize=64)
        for _ in bar(done, total=len(paths), desc=name, unit="image"):
            pass
    return images


def _read_image(path: str, size: int) -> np.ndarray:
    try:
        with Image.open(path) as image:
            square = ImageOps.fit(image.convert("RGB"), (size, size), Image.Resampling.BICUBIC)
    # Pillow's words for: not there, not an image, truncated, damaged, absurdly large.
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(
            f"{path}: cannot be read as an image ({error}). Fetch it again or remove it."
        ) from error
    return np.asarray(square)
