"""Names of the user's in figures: text in any script, and never a formula."""

from collections.abc import Sequence
from functools import cache

import matplotlib as mpl
from matplotlib import font_manager
from matplotlib.axes import Axes

_SAYS_NOTHING = "Last Resort"  # a font that has a box for each letter of each script
_MAX_NAME = 22  # letters above a small panel


def panel_title(panel: Axes, text: str) -> None:
    """Put a text of the user's above a panel: no formula, and in fonts that have its letters."""
    shown, families = in_fonts(text)
    panel.set_title(shown, fontfamily=families)


def row_labels(panel: Axes, texts: Sequence[str]) -> None:
    """Name the rows 0, 1, … of a panel at its left."""
    shown, families = in_fonts("\n".join(texts))
    panel.set_yticks(range(len(texts)), shown.split("\n"), fontfamily=families)


def shortened(name: str) -> str:
    """The end of a name that is too long for a small panel."""
    return name if len(name) <= _MAX_NAME else f"…{name[1 - _MAX_NAME :]}"


def in_fonts(text: str) -> tuple[str, list[str]]:
    """A text and the fonts to write it in.

    Args:
        text: in any script.

    Returns:
        The text, which matplotlib takes for no formula, and in which letters that no font on this
        machine has are written as numbers (U+732B); and the fonts that are needed: the usual one,
        and those with what it lacks.
    """
    shown, families = [], list(mpl.rcParams["font.family"])
    for letter in text:
        family = _font_with(letter)
        shown.append(letter if family is not None else f"U+{ord(letter):04X}")
        if family and family not in families:
            families.append(family)
    return "".join(shown).replace("$", r"\$"), families


@cache
def _font_with(letter: str) -> str | None:
    """A font with a letter: "" for the usual one, None if there is none."""
    usual = font_manager.findfont(font_manager.FontProperties())
    if letter.isspace() or ord(letter) in _letters(usual):
        return ""
    fonts = [
        font
        for font in font_manager.fontManager.ttflist
        if font.style == "normal" and not font.name.startswith(_SAYS_NOTHING)
    ]
    return next((font.name for font in fonts if ord(letter) in _letters(font.fname)), None)


@cache
def _letters(path: str) -> frozenset[int]:
    """What a font file can write."""
    return frozenset(font_manager.get_font(path).get_charmap())
