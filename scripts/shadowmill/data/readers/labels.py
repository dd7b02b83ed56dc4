"""Labels as users write them: as the numbers 0 … K − 1 and names of classes."""

from collections.abc import Sequence

import numpy as np

from shadowmill.errors import DataError, some

_LARGEST_WHOLE = 2.0**53  # up to which floating-point numbers tell whole numbers apart


def as_classes(
    labels: np.ndarray, is_test: np.ndarray, where: str, class_names: Sequence[str] | None = None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Number the classes: in the order of their names, or as they are numbered.

    Args:
        labels: (N,) whole numbers, words, or truth values.
        is_test: (N,) bool.
        where: they stand, for messages.
        class_names: K, if labels are 0 … K − 1.

    Returns:
        (N,) int64 of 0 … K − 1, and the names of the K classes.

    Raises:
        DataError: no labels of classes, or of test examples alone.
    """
    if labels.ndim != 1:
        raise DataError(
            f"{where}: labels of shape {labels.shape}, one for each example expected. Of one-hot "
            "vectors give the number of the class (argmax); several labels for an example are not "
            "supported."
        )
    if labels.dtype.kind == "f":
        if not np.isfinite(labels).all() or np.abs(labels).max(initial=0) > _LARGEST_WHOLE:
            raise DataError(
                f"{where}: labels that are missing, infinite or beyond {_LARGEST_WHOLE:g}. Give "
                "whole numbers or words."
            )
        if not np.array_equal(labels, np.rint(labels)):
            raise DataError(
                f"{where}: labels such as {labels[labels != np.rint(labels)][0]:g} are no classes. "
                "Give whole numbers or words; the workflow audits classifiers, not regressions."
            )
        labels = labels.astype(np.int64)
    if is_test.all():
        raise DataError(f"{where}: all examples are of the test part. Some must be trained on.")
    if class_names is not None:
        numbers, names = _numbered(labels, where, class_names)
        _require_trained(np.array(names), numbers, is_test, where)
        return numbers, names
    words = labels if labels.dtype.kind in "iub" else labels.astype(str)
    known, numbers = np.unique(words, return_inverse=True)
    _require_trained(known, numbers, is_test, where)
    return numbers.astype(np.int64), tuple(str(name) for name in known)


def _numbered(
    labels: np.ndarray, where: str, class_names: Sequence[str]
) -> tuple[np.ndarray, tuple[str, ...]]:
    twice = sorted({name for name in class_names if list(class_names).count(name) > 1})
    if twice:
        raise DataError(f"{where}: class_names has {twice[0]} twice. Each class has its own name.")
    is_whole = labels.dtype.kind in "iu"
    if not is_whole or labels.min() < 0 or labels.max() >= len(class_names):
        found = f"{labels.min()} to {labels.max()}" if is_whole else f"of type {labels.dtype}"
        raise DataError(
            f"{where}: labels {found} for {len(class_names)} class_names. With class_names, labels "
            f"are whole numbers from 0 to {len(class_names) - 1}."
        )
    return labels.astype(np.int64), tuple(map(str, class_names))


def _require_trained(
    known: np.ndarray, numbers: np.ndarray, is_test: np.ndarray, where: str
) -> None:
    trained = np.isin(np.arange(len(known)), numbers[~is_test])
    trained |= ~np.isin(np.arange(len(known)), numbers)  # nobody is of it
    if not trained.all():
        raise DataError(
            f"{where}: classes without training examples: {some(known[~trained])}. Each class of "
            "the test examples needs some."
        )


def standardised(features: np.ndarray, is_test: np.ndarray, where: str) -> np.ndarray:
    """Features of mean 0 and standard deviation 1 over the training part.

    Args:
        features: (N, D) float64.
        is_test: (N,) bool.
        where: they stand, for messages.

    Returns:
        (N, D) float32. A feature that is constant there is 0 wherever it has that value.

    Raises:
        DataError: a test example lies so far from the training part that no float32 can say it.
    """
    # So that squares neither overflow nor vanish; by powers of two, which round nothing.
    _, exponents = np.frexp(np.abs(features[~is_test]).max(axis=0))
    features = np.ldexp(features, -exponents)
    pool = features[~is_test]
    mean, std = pool.mean(axis=0), pool.std(axis=0)
    # Of equal numbers the deviation can differ from 0 by rounding.
    is_constant = np.ptp(pool, axis=0) == 0
    mean[is_constant] = pool[0, is_constant]
    scaled = (features - mean) / np.where(is_constant, 1, std)
    if not (np.abs(scaled) < np.finfo(np.float32).max).all():
        raise DataError(
            f"{where}: values of the test part are too far from those of the training part. Are "
            "both in the same unit?"
        )
    return scaled.astype(np.float32)
