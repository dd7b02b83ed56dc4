"""Data sets that are trees of image files, one folder per class.

Everything is scaled to one size, see `images`. Within a part, examples are ordered by class name,
then by file name.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from shadowmill.data import DATASETS
from shadowmill.data.own import IMAGE_SIZES
from shadowmill.data.readers import Examples, check_sizes, download_archive, find, refuse_misplaced
from shadowmill.data.readers.images import decode, suffixes, survey
from shadowmill.errors import DataError, some
from shadowmill.large_arrays import Streamed

_CHMNIST_FOLDER = "Kather_texture_2016_image_tiles_5000"
_CHMNIST_PAGE = "https://zenodo.org/records/53169"
# As the project OpenFL pins it, in its tutorial on this data set.
_CHMNIST_SUM = (
    "sha384",
    "7d86abe1d04e68b77c055820c2a4c582a1d25d2983e38ab724eac75affce8b7cb2cbf5ba68848dcfd9d84005d87d6790",
)
_CHMNIST_CLASSES = (
    "tumour epithelium", "simple stroma", "complex stroma", "immune cells",
    "debris", "mucosal glands", "adipose tissue", "background",
)  # fmt: skip


def chmnist(root: Path, size: int = IMAGE_SIZES["chmnist"]) -> Examples:
    """CH-MNIST: 5,000 tiles of colorectal histology in 8 classes (Kather et al. 2016).

    Scientific Reports 6:27988. The published 150×150 colour tiles in folders 01_TUMOR … 08_EMPTY,
    scaled to 32×32 as membership inference papers do, unless another size is asked for. There is
    no official split.
    """
    folder = root if find(root, "01_TUMOR") else root / _CHMNIST_FOLDER
    if not folder.is_dir():
        url = f"{_CHMNIST_PAGE}/files/{_CHMNIST_FOLDER}.zip"
        download_archive(url, "chmnist", root, _CHMNIST_PAGE, _CHMNIST_SUM)
    return replace(_published("chmnist", folder, None, size), class_names=_CHMNIST_CLASSES)


def imagenet(root: Path, size: int = IMAGE_SIZES["imagenet"]) -> Examples:
    """ImageNet, ILSVRC-2012 (Russakovsky et al. 2015, arXiv:1409.0575), scaled.

    Read from train/<wnid>/*.JPEG and val/<wnid>/*.JPEG in `root`/imagenet or `root` itself; the
    validation set is the official test set here, as the labels of the test set are not public.
    Classes are named by their WordNet ids, in alphabetical order as everywhere.
    """
    folder = find(root, "imagenet") or root
    train, val = folder / "train", folder / "val"
    if not (train.is_dir() and val.is_dir()):
        refuse_misplaced(DATASETS["imagenet"], root)
        raise DataError(
            f"imagenet: no folders train and val in {folder}. ImageNet cannot be downloaded by a "
            "program: register at https://image-net.org, fetch the training and validation images "
            "of ILSVRC-2012, unpack them as train/<wnid>/*.JPEG and val/<wnid>/*.JPEG, and name "
            "the folder in workflow_config.yaml under data.roots.imagenet."
        )
    return _published("imagenet", train, val, size)


def own_images(root: Path, *, name: str, size: int, group: str | None = None) -> Examples:
    """Images of the user's own.

    Read from train/CLASS and, if there is one, test/CLASS or val/CLASS in `root`, with all folders
    below them. Examples are named by their paths.

    Args:
        root: folder of the data set.
        name: of the data set.
        size: pixels a side.
        group: regular expression that finds an example's group in its path below its class: what
            its first group matches, or all that it matches.
    """
    train, test, val = (root / part for part in ("train", "test", "val"))
    if not train.is_dir():
        raise DataError(_no_train(name, root))
    if test.is_dir() and val.is_dir():
        raise DataError(
            f"{name}: both test and val in {root}, of which one can be the test set. "
            "Move or rename the other."
        )
    held_out = next((part for part in (test, val) if part.is_dir()), None)
    files = _files(name, train, held_out)
    layout, notes = survey(files.paths, size, name)
    if files.passed_over:
        kinds = Counter(Path(path).suffix.lower() or "without suffix" for path in files.passed_over)
        counts = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
        notes.append(
            f"{len(files.passed_over)} files are no images, or in no folder of a class, and are "
            f"passed over: {counts}"
        )
    read = {train.name, held_out.name if held_out else ""}
    beside = sorted(path.name for path in _visible(root) if path.name not in read)
    if beside:
        notes.append(f"not read, beside train and test or val: {some(beside)}")
    return files.examples(
        decode(files.paths, size, name, layout),
        groups=_groups(name, files, group) if group else None,
        notes=tuple(notes),
    )


def _no_train(name: str, root: Path) -> str:
    if not root.is_dir():
        return f"{name}: there is no folder {root}. Correct the path under datasets.{name}.images."
    deeper = sorted(path for path in _visible(root) if (path / "train").is_dir())
    if deeper:
        return (
            f"{name}: no folder train in {root}, but in {deeper[0]}. Name that one under "
            f"datasets.{name}.images."
        )
    found = ", ".join(sorted(path.name for path in _visible(root) if path.is_dir())[:5])
    return (
        f"{name}: no folder train in {root}"
        f"{f', which has the folders {found}' if found else ''}. Put your images there as "
        "train/CLASS/IMAGE, and test examples, if you have any, as test/CLASS/IMAGE."
    )


def _groups(name: str, files: "_Files", pattern: str) -> np.ndarray:
    """The group of each image."""
    found = []
    for path, below in zip(files.paths, files.below_class, strict=True):
        match = re.search(pattern, below)
        group = match and (match[1] if match.re.groups else match[0])
        if not group:
            raise DataError(
                f"datasets.{name}.group: the expression {pattern} finds nothing in {below}, the "
                f"path of {path} below its class. Each image needs a group."
            )
        found.append(group)
    return np.array(found)


class _Files(NamedTuple):
    """The images of a data set in order.

    Attributes:
        paths: all files, training part first.
        below_class: the path of each below the folder of its class.
        labels: of each.
        pool_size: number of training examples.
        class_names: of the labels.
        root: below which examples are named.
        passed_over: files that are no images.
    """

    paths: list[str]
    below_class: list[str]
    labels: np.ndarray
    pool_size: int
    class_names: tuple[str, ...]
    root: Path
    passed_over: list[str]

    def examples(self, inputs: Streamed, **more: Any) -> Examples:
        """The data set, with its images."""
        return Examples(
            inputs,
            self.labels,
            np.arange(len(self.paths)) >= self.pool_size,
            self.class_names,
            str(self.root),
            ids=np.array([Path(path).relative_to(self.root).as_posix() for path in self.paths]),
            **more,
        )


def _published(name: str, train: Path, test: Path | None, size: int) -> Examples:
    files = _files(name, train, test)
    # Before hours of decoding rather than after.
    check_sizes(
        DATASETS[name],
        files.pool_size,
        len(files.paths) - files.pool_size,
        len(files.class_names),
        str(files.root),
    )
    return files.examples(decode(files.paths, size, name))


def _files(name: str, train: Path, test: Path | None) -> _Files:
    passed_over: list[str] = []
    train_files = _list(name, train, passed_over)
    test_files = _list(name, test, passed_over) if test else {}
    unknown = sorted(test_files.keys() - train_files.keys())
    if unknown:
        raise DataError(
            f"{test}: classes without training examples: {', '.join(unknown[:5])}. Each class "
            f"needs a folder of the same name in {train}."
        )
    paths, below, labels, sizes = [], [], [], []
    for part, files in ((train, train_files), (test, test_files)):
        for label, class_name in enumerate(train_files):
            found = files.get(class_name, [])
            paths += found
            below += [Path(path).relative_to(part / class_name).as_posix() for path in found]
            labels += [label] * len(found)
        sizes.append(len(paths))
    return _Files(
        paths,
        below,
        np.asarray(labels, np.int64),
        sizes[0],
        tuple(train_files),
        train.parent if test else train,
        passed_over,
    )


def _list(name: str, folder: Path, passed_over: list[str]) -> dict[str, list[str]]:
    """Class name to paths of its images, both in alphabetical order."""
    files = {}
    for class_folder in sorted(path for path in _visible(folder) if path.is_dir()):
        images = []
        for path in sorted(_below(class_folder)):
            (images if path.suffix.lower() in suffixes() else passed_over).append(str(path))
        if not images:
            raise DataError(
                f"{class_folder}: no images. Put some there, of any format that Pillow reads "
                f"({', '.join(_COMMON)} and so on), or move the folder elsewhere."
            )
        files[class_folder.name] = images
    passed_over += sorted(str(path) for path in _visible(folder) if path.is_file())
    if not files:
        raise DataError(
            f"{folder}: no folders of images. {name} needs one folder per class there, with the "
            "images of that class in it."
        )
    return files


_COMMON = (".png", ".jpg", ".tif", ".bmp", ".webp")


def _visible(folder: Path) -> Iterator[Path]:
    for path in folder.glob("*"):
        # Python's stand-ins for bytes that are no UTF-8.
        if any("\ud800" <= sign <= "\udfff" for sign in path.name):
            raise DataError(
                f"{path.name!r} in {folder}: this name is no text (UTF-8). Rename it; archives of "
                "old programs have such names."
            )
        if not path.name.startswith("."):
            yield path


def _below(folder: Path) -> Iterator[Path]:
    """All files of a folder and of those in it, but what is hidden."""
    for path in _visible(folder):
        if path.is_dir():
            yield from _below(path)
        else:  # a broken link, too, which is then told
            yield path
