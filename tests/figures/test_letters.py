"""Names of the user's in figures: any script, and never a formula."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest
from matplotlib import font_manager

from shadowmill.figures import letters, style

NOWHERE = "\U0010fff0"  # of a private area, which no font here has


@pytest.fixture
def panel():
    figure, axes = plt.subplots()
    yield axes
    plt.close(figure)


@pytest.mark.parametrize("text", ["$x^2$", r"cost $\bad{$", "100 $", "a_b^c", r"\alpha"])
def test_no_name_is_a_formula(panel, text):
    letters.panel_title(panel, text)
    title = panel.title
    shown, is_math = title._preprocess_math(title.get_text())
    assert not is_math
    assert shown == text
    panel.figure.canvas.draw()
    assert style.text_inches([text]) > 0


def test_ordinary_names_need_the_usual_font_alone():
    assert letters.in_fonts("zoë 42") == ("zoë 42", list(mpl.rcParams["font.family"]))


def test_letters_that_the_usual_font_lacks_come_from_another_one():
    usual = letters._letters(font_manager.findfont(font_manager.FontProperties()))
    others = {
        letter: font
        for font in font_manager.fontManager.ttflist
        if font.style == "normal"
        for letter in list(letters._letters(font.fname) - usual)[:1]
    }
    letter, _ = next(iter(others.items()))
    shown, families = letters.in_fonts(f"a{chr(letter)}")
    assert shown == f"a{chr(letter)}"
    family = families[-1]
    assert family not in mpl.rcParams["font.family"]
    path = font_manager.findfont(font_manager.FontProperties(family=family))
    assert letter in letters._letters(path)


def test_letters_that_no_font_has_are_numbers():
    assert letters.in_fonts(f"cat {NOWHERE}")[0] == "cat U+10FFF0"


def test_long_names_keep_their_end():
    assert letters.shortened("short") == "short"
    found = letters.shortened("train/a_long_class/image_0001.png")
    assert found.endswith("image_0001.png")
    assert found.startswith("…")
    assert len(found) == 22


def test_rows_are_named(panel):
    letters.row_labels(panel, ["$a$", "b"])
    assert [label.get_text() for label in panel.get_yticklabels()] == [r"\$a\$", "b"]
