"""Image files as arrays of one size.

Each image is centre-cropped to a square and scaled with Pillow's antialiased bicubic filter, in one
step (which is the shorter side to that size, then the central square). An image of that size stays
as it is.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from itertools import islice
from multiprocessing.pool import ThreadPool
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from shadowmill.errors import DataError
from shadowmill.large_arrays import Streamed
from shadowmill.progress import bar

BACKGROUND = "white"
"""What transparent images lie on."""

_AT_ONCE = 1024  # images that are in memory together
_NAMED = 5  # files that a message names
_16_BIT = ("I;16", "I;16L", "I;16B", "I;16N", "I")
_GREY, _COLOUR = ("1", "L", "LA", "La"), ("P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr")


class Layout(NamedTuple):
    """How the pixels of a data set are kept.

    Attributes:
        title: in messages.
        channels: 1 or 3.
        dtype: uint8, or float32 for pixels that bytes cannot hold.
        largest: what pixels are divided by.
    """

    title: str
    channels: int
    dtype: type
    largest: int = 1


COLOUR = Layout("colour of 8 bits", 3, np.uint8)
GREY = Layout("grey of 8 bits", 1, np.uint8)
GREY_16 = Layout("grey of 16 bits", 1, np.float32, 65_535)
GREY_FLOAT = Layout("grey of floating-point numbers", 1, np.float32)


class _Header(NamedTuple):
    """What the first bytes of a file say."""

    layout: Layout | None
    fault: str
    is_small: bool
    is_transparent: bool
    is_turned: bool
    has_frames: bool


@cache
def suffixes() -> frozenset[str]:
    """Ends of the names of files that Pillow reads, in lower case."""
    Image.init()
    return frozenset(
        end for end, name in Image.registered_extensions().items() if name in Image.OPEN
    )


def survey(paths: Sequence[str], size: int, name: str) -> tuple[Layout, list[str]]:
    """Look at the headers of image files: how all of them can be kept, and what is to be said.

    Args:
        paths: at least one file.
        size: to which they will be scaled, pixels a side.
        name: of the data set, for messages.

    Returns:
        The layout, and what is done to some images, in words.

    Raises:
        DataError: a file cannot be read as an image, or would lose its range; or files that do not
            go together.
    """
    headers = list(_each(partial(_header, size=size), paths, f"{name}: headers"))
    _refuse(name, [(path, of.fault) for path, of in zip(paths, headers, strict=True) if of.fault])
    first = {header.layout: path for path, header in zip(paths, headers, strict=True)}
    if {*first} == {COLOUR, GREY}:
        first = {COLOUR: first[COLOUR]}
    if len(first) > 1:
        found = ", ".join(f"{layout.title} ({path})" for layout, path in first.items())
        raise DataError(
            f"{name}: images of different kinds: {found}. Convert them to one kind, as their "
            "values would not mean the same."
        )
    told = [
        ("have less than {size} pixels on a side and are enlarged", "is_small"),
        (f"have transparent parts and lie on {BACKGROUND}", "is_transparent"),
        ("are turned as their EXIF orientation says", "is_turned"),
        ("have several frames, of which the first is used", "has_frames"),
    ]
    notes = [
        f"{count} of {len(paths)} images {what.format(size=size)}"
        for what, attribute in told
        if (count := sum(getattr(header, attribute) for header in headers))
    ]
    return next(iter(first)), notes


def _header(path: str, size: int) -> _Header:
    try:
        with Image.open(path) as image:
            layout = _layout(image)
            fault = "" if layout else _unsupported(image)
            turned = image.getexif().get(0x0112, 1) in range(2, 9)
            frames = getattr(image, "n_frames", 1) > 1
            small = min(image.size) < size
            # Pixels of more than 8 bits have no channel of it.
            see_through = image.has_transparency_data and layout in (COLOUR, GREY)
            return _Header(layout, fault, small, see_through, turned, frames)
    except _UNREADABLE as error:
        return _Header(None, f"cannot be read as an image ({error})", False, False, False, False)


# Pillow's words for: not there, not an image, truncated, damaged (of AVIF), absurdly large.
_UNREADABLE = (OSError, SyntaxError, ValueError, RuntimeError, Image.DecompressionBombError)


def _layout(image: Image.Image) -> Layout | None:
    if image.mode in _16_BIT:
        return GREY_16
    if image.mode == "F":
        return GREY_FLOAT
    if image.mode not in (*_GREY, *_COLOUR) or _is_cut(image):
        return None
    return GREY if image.mode in _GREY else COLOUR


def _is_cut(image: Image.Image) -> bool:
    """Whether the file has more than the 8 bits of each channel that Pillow would keep."""
    for tile in image.tile:
        arguments = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
        for argument in arguments:
            is_raw_mode = isinstance(argument, str) and ";16" in argument
            is_maximum = tile[0].startswith("ppm") and isinstance(argument, int) and argument > 255
            if is_raw_mode or is_maximum:
                return True
    return False


def _unsupported(image: Image.Image) -> str:
    if _is_cut(image):
        return (
            "has 16 bits for each colour, of which 8 would be kept. Convert it to 8 bits, or give "
            "the pixels as `arrays`"
        )
    return f"has pixels of the kind {image.mode}, which are not read. Convert it to RGB or grey"


def _refuse(name: str, faults: Sequence[tuple[str, str]]) -> None:
    if not faults:
        return
    shown = "; ".join(f"{path} {fault}" for path, fault in faults[:_NAMED])
    more = f"; and {len(faults) - _NAMED} more" if len(faults) > _NAMED else ""
    raise DataError(
        f"{name}: {shown}{more}. Mend these files, or move them out of the data folder."
    )


def decode(paths: Sequence[str], size: int, name: str, layout: Layout | None = None) -> Streamed:
    """Read image files at one size, with a progress bar.

    Args:
        paths: N files of any format that Pillow reads.
        size: side of the result, pixels.
        name: of the data set, for the progress bar.
        layout: what `survey` found. Without it, as published sets are usually read: in colour of 8
            bits, whatever the files say of transparency and orientation.

    Returns:
        (N, size, size, C): the central square of each image, scaled. Read when it is used, which
        raises DataError if a file cannot be read as an image.
    """
    channels, dtype = (layout.channels, layout.dtype) if layout else (3, np.uint8)
    read = partial(_read_published if layout is None else _read_own, size=size, layout=layout)

    def parts() -> Iterator[np.ndarray]:
        images = _each(partial(_readable, read), paths, name)
        while together := list(islice(images, _AT_ONCE)):
            yield np.stack(together)

    return Streamed((len(paths), size, size, channels), np.dtype(dtype), parts())


def _each(do: Callable, paths: Sequence[str], title: str) -> Iterator:
    # Pillow lets go of the interpreter lock while it decodes and scales.
    with ThreadPool() as pool, bar(total=len(paths), desc=title, unit="image") as shown:
        for start in range(0, len(paths), _AT_ONCE):
            for done in pool.imap(do, paths[start : start + _AT_ONCE], chunksize=16):
                shown.update()
                yield done


def _readable(read: Callable[[str], np.ndarray], path: str) -> np.ndarray:
    try:
        return read(path)
    except _UNREADABLE as error:
        raise DataError(
            f"{path}: cannot be read as an image ({error}). Fetch it again, or move it out of the "
            "data folder."
        ) from error


def _read_published(path: str, size: int, layout: None) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(_fitted(image.convert("RGB"), size))


def _read_own(path: str, size: int, layout: Layout) -> np.ndarray:
    with Image.open(path) as image:
        upright = ImageOps.exif_transpose(image)
        if layout.dtype is np.float32:
            return _read_numbers(upright, size, layout)
        if upright.has_transparency_data:
            below = Image.new("RGBA", upright.size, BACKGROUND)
            upright = Image.alpha_composite(below, upright.convert("RGBA"))
        fitted = np.asarray(_fitted(upright.convert("RGB" if layout is COLOUR else "L"), size))
        return fitted.reshape(size, size, layout.channels)


def _read_numbers(image: Image.Image, size: int, layout: Layout) -> np.ndarray:
    values = np.asarray(image)
    low, high = float(values.min()), float(values.max())
    if not np.isfinite([low, high]).all():
        raise ValueError("some pixels are no finite numbers")
    if layout is GREY_16 and not 0 <= low <= high <= layout.largest:
        raise ValueError(f"pixels from {low:g} to {high:g}, where 16 bits hold 0 to 65535")
    # The filter overshoots at edges, which would be values that the image does not have.
    fitted = np.asarray(_fitted(Image.fromarray(values.astype(np.float32)), size)).clip(low, high)
    return (fitted / layout.largest).astype(np.float32)[..., None]


def _fitted(image: Image.Image, size: int) -> Image.Image:
    return ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)
