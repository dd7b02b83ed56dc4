"""CelebA, through torchvision."""

from itertools import chain
from pathlib import Path

import numpy as np

from shadowmill.data import DATASETS
from shadowmill.data.own import IMAGE_SIZES
from shadowmill.data.readers import Examples, check_sizes, through_torchvision
from shadowmill.data.readers.images import decode

_PAGE = "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"
_TARGET = "Smiling"


def celeba(root: Path, size: int = IMAGE_SIZES["celeba"]) -> Examples:
    """CelebA (Liu et al. 2015, arXiv:1411.7766): 202,599 faces, labelled as smiling or not.

    The aligned 178×218 images, cropped to the central 178×178 (all of the width, so that hair
    and chin stay) and scaled. The pool is the official training and validation
    sets, in this order. Read from `root`/celeba, where torchvision puts the folder
    img_align_celeba and its lists of attributes, identities, boxes, landmarks and partitions.

    Extras: `attributes` (N, 40) uint8 of 0 and 1, `attribute_names` (40,), and `identity` (N,)
    int64, the number of the person.
    """
    from torchvision.datasets import CelebA

    def parts(download: bool) -> list[CelebA]:
        splits = ("train", "valid", "test")
        return [CelebA(root, split=split, download=download) for split in splits]

    files = [(f"{CelebA.base_folder}/{file}", md5) for _, md5, file in CelebA.file_list]
    splits = through_torchvision(parts, "celeba", root, _PAGE, files)
    num_train, num_valid, num_test = map(len, splits)
    pool_size = num_train + num_valid
    folder = root / CelebA.base_folder
    check_sizes(DATASETS["celeba"], pool_size, num_test, 2, str(folder))
    names = [
        name for name in splits[0].attr_names if name
    ]  # the published header ends with a blank
    attributes = np.concatenate([split.attr.numpy() for split in splits]).astype(np.uint8)
    names_of_files = list(chain.from_iterable(split.filename for split in splits))
    paths = [str(folder / "img_align_celeba" / file) for file in names_of_files]
    return Examples(
        decode(paths, size, "celeba"),
        attributes[:, names.index(_TARGET)].astype(np.int64),
        np.arange(len(paths)) >= pool_size,
        ("not smiling", "smiling"),
        str(folder),
        {
            "attributes": attributes,
            "attribute_names": np.array(names),
            "identity": np.concatenate([split.identity.numpy()[:, 0] for split in splits]),
        },
        ids=np.array(names_of_files),
    )
