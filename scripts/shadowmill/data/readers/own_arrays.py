"""Arrays of the user's own, in a NumPy archive or an HDF5 file."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from shadowmill.data.readers import Examples
from shadowmill.data.readers.array_files import UNREADABLE, ArrayFile, Form, opened
from shadowmill.data.readers.labels import as_classes, standardised
from shadowmill.errors import DataError
from shadowmill.large_arrays import Streamed

_BESIDE = ("labels", "is_test", "ids", "groups")
_KINDS = {2: "tabular", 3: "image", 4: "image"}
_MOST_CHANNELS = 16
_USUAL = (1, 3, 4)  # numbers of channels
_LARGEST_16_BIT = 65_535


def peek(path: Path) -> tuple[Literal["image", "tabular"] | None, bool | None]:
    """Kind of the examples in a file and whether they have groups; None if it cannot be read."""
    try:
        with opened(path) as arrays:
            return _KINDS.get(len(arrays.form("inputs").shape)), "groups" in arrays.names
    except UNREADABLE:
        return None, None


def own_arrays(root: Path, *, name: str, file: str) -> Examples:
    """An .npz or HDF5 file of `inputs` and `labels`.

    Inputs (N, H, W) or (N, H, W, C) are images: bytes, numbers of 16 bits, which are divided by
    65,535, or floating-point numbers as they are. Inputs (N, D) are features, which are
    standardised by the training part. Further arrays that may be there: `is_test` (N,), true or 1
    for test examples; `class_names` (K,), if labels are 0 … K − 1; `ids` (N,), by which examples
    are named, else by their number from 0; and `groups` (N,), which of them belong together.

    Args:
        root: folder of the file.
        name: of the data set.
        file: its name.

    Raises:
        DataError: the file is missing or cannot be read, lacks an array, or has one that does not
            fit.
    """
    path = root / file
    try:
        with opened(path) as arrays:
            return _examples(f"{name}: {path}", path, arrays)
    except FileNotFoundError as error:
        raise DataError(
            f"{name}: there is no file {path}. Correct its path under datasets.{name}.arrays."
        ) from error
    except UNREADABLE as error:
        raise DataError(
            f"{name}: {path} cannot be read ({' '.join(str(error).split())}). Save it with "
            "numpy.savez or h5py, without Python objects."
        ) from error


def _examples(where: str, path: Path, arrays: ArrayFile) -> Examples:
    missing = [needed for needed in ("inputs", "labels") if needed not in arrays.names]
    if missing:
        raise DataError(
            f"{where}: no array {' and '.join(missing)}. It has {', '.join(arrays.names)}; inputs "
            "and labels are needed."
        )
    form = arrays.form("inputs")
    _require_inputs(where, form)
    count = form.shape[0]
    beside = {key: arrays.whole(key) for key in _BESIDE if key in arrays.names}
    for key, array in beside.items():
        if array.shape[:1] != (count,) or (key != "labels" and array.ndim != 1):
            raise DataError(
                f"{where}: {key} has the shape {array.shape}, but there are {count} inputs."
            )
    lacking = [key for key in ("ids", "groups") if key in beside and _is_missing(beside[key]).any()]
    if lacking:
        raise DataError(
            f"{where}: {' and '.join(lacking)} have missing values (NaN). Fill them in."
        )
    is_test = _truths(where, beside.get("is_test", np.zeros(count, bool)))
    order = np.argsort(is_test, kind="stable")
    class_names = arrays.whole("class_names") if "class_names" in arrays.names else None
    if class_names is not None and class_names.ndim != 1:
        raise DataError(
            f"{where}: class_names has the shape {class_names.shape}, one name a class expected."
        )
    labels, names = as_classes(
        beside["labels"][order], is_test[order], f"{where}: labels",
        None if class_names is None else _texts(class_names).tolist(),
    )  # fmt: skip
    if len(form.shape) == 2:
        inputs = _features(where, arrays.whole("inputs")[order], is_test[order])
    else:
        shape = form.shape if len(form.shape) == 4 else (*form.shape, 1)
        dtype = np.dtype(np.uint8 if form.dtype == np.uint8 else np.float32)
        inputs = Streamed(shape, dtype, _images(where, path, is_test))
    ids = beside.get("ids", np.arange(count))
    unused = sorted({*arrays.names} - {"inputs", "class_names", *_BESIDE})
    return Examples(
        inputs,
        labels,
        is_test[order],
        names,
        str(path),
        ids=_texts(ids[order]),
        groups=_texts(beside["groups"][order]) if "groups" in beside else None,
        notes=(f"arrays that are not used: {', '.join(unused)}",) if unused else (),
    )


def _require_inputs(where: str, form: Form) -> None:
    shape, dtype = form
    if 0 in shape:
        raise DataError(f"{where}: inputs of shape {shape} are empty.")
    if len(shape) not in _KINDS:
        raise DataError(
            f"{where}: inputs of shape {shape}. Give images (examples, height, width, channels) or "
            "(examples, height, width), or features (examples, features)."
        )
    if len(shape) == 4 and shape[1] in _USUAL and shape[3] not in _USUAL and shape[2] == shape[3]:
        raise DataError(
            f"{where}: inputs of shape {shape} seem to be {shape[2]}×{shape[3]} images with the "
            "channels first. Move the channels to the end: inputs.transpose(0, 2, 3, 1)."
        )
    if len(shape) == 4 and shape[3] > _MOST_CHANNELS:
        cure = "Move the channels to the end: inputs.transpose(0, 2, 3, 1)."
        if shape[1] > _MOST_CHANNELS:
            cure = f"At most {_MOST_CHANNELS} are supported."
        raise DataError(f"{where}: inputs of shape {shape} have {shape[3]} channels. {cure}")
    is_image = len(shape) > 2
    native = dtype.newbyteorder("=")
    if dtype.kind not in ("f" if is_image else "fiub") and native not in (np.uint8, np.uint16):
        raise DataError(
            f"{where}: inputs of type {dtype}. Give "
            + ("uint8, uint16 or floating-point pixels." if is_image else "numbers.")
        )


def _is_missing(values: np.ndarray) -> np.ndarray:
    return np.isnan(values) if values.dtype.kind == "f" else np.zeros(len(values), bool)


def _truths(where: str, values: np.ndarray) -> np.ndarray:
    if not np.isin(values, (0, 1)).all():
        raise DataError(f"{where}: is_test must be true or false, 1 or 0, for each example.")
    return values.astype(bool)


def _texts(values: np.ndarray) -> np.ndarray:
    """As text; bytes, as of old programs, are UTF-8."""
    return np.char.decode(values, "utf-8") if values.dtype.kind == "S" else values.astype(str)


def _features(where: str, features: np.ndarray, is_test: np.ndarray) -> np.ndarray:
    numbers = features.astype(np.float64)
    _require_finite(where, numbers)
    return standardised(numbers, is_test, where)


def _images(where: str, path: Path, is_test: np.ndarray) -> Iterator[np.ndarray]:
    """Images, those of the training part first."""
    for wanted in np.unique(is_test):
        start = 0
        with opened(path) as arrays:
            for part in arrays.parts("inputs"):
                chosen = part[is_test[start : start + len(part)] == wanted]
                start += len(part)
                if len(chosen):
                    yield _pixels(where, chosen)


def _pixels(where: str, part: np.ndarray) -> np.ndarray:
    if part.dtype.newbyteorder("=") == np.uint16:
        part = (part / _LARGEST_16_BIT).astype(np.float32)
    elif part.dtype != np.uint8:
        part = part.astype(np.float32)
        _require_finite(where, part)
    return part if part.ndim == 4 else part[..., None]


def _require_finite(where: str, numbers: np.ndarray) -> None:
    wrong = np.count_nonzero(~np.isfinite(numbers))
    if wrong:
        raise DataError(
            f"{where}: {wrong} of the inputs are no finite numbers (NaN or infinite). Replace them "
            "or remove these examples."
        )
