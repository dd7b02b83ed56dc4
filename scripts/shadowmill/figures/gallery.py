"""Reconstructions beside what the heads were trained on.

Legend: R pictures of Y × X pixels and C channels.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from shadowmill.figures import style
from shadowmill.reconstruction.evaluation.results import read_reconstructions

_MAX_PICTURES = 10
_PICTURE_INCHES = 0.58
_NARROWEST_INCHES = 4.0  # of the figure, for the text above
_SUCCESS, _FAILURE = ("✓", "#007A5A"), ("✗", "#B34700")  # said by the sign, not the colour alone
_GREY = {"cmap": "gray", "vmin": 0, "vmax": 255}


def plot_gallery(reconstructions_path: str, outputs: Sequence[str]) -> None:
    """Draw the first heads' examples above the reconstructions under either hypothesis.

    Below each reconstruction stands its MSE to the picture at the top, and whether that is a
    success by the threshold that comes from the data.

    Args:
        reconstructions_path: the setting's reconstructions.
        outputs: files to write.
    """
    found = read_reconstructions(reconstructions_path)
    originals_RYXC = found.originals_RYXC[:_MAX_PICTURES]
    rows = {
        "training example": originals_RYXC,
        "from its head (H0)": found.reconstructions_RYXC[:_MAX_PICTURES],
        "from random\nweights (H1)": found.null_RYXC[:_MAX_PICTURES],
    }
    count = len(originals_RYXC)
    figure, axes = style.panels(len(rows), count)
    _resize(figure, count, list(rows))
    for panels, (name, pictures_RYXC) in zip(axes, rows.items(), strict=True):
        panels[0].set_ylabel(name, rotation=0, ha="right", va="center")
        for panel, picture_YXC in zip(panels, pictures_RYXC, strict=True):
            _draw(panel, picture_YXC)
    for panels, pictures_RYXC in zip(axes[1:], list(rows.values())[1:], strict=True):
        for panel, mse in zip(panels, mse_of_bytes(originals_RYXC, pictures_RYXC), strict=True):
            sign, color = _SUCCESS if mse <= found.nearest_threshold else _FAILURE
            panel.set_xlabel(f"{sign} {mse:.3f}", color=color, fontsize=7.5, labelpad=2)
    heads = f"The first {count} test heads" if count > 1 else "The first test head"
    style.title(
        figure,
        f"{heads}, not selected; ✓: MSE to the training example at most "
        f"{found.nearest_threshold:.3g}, as between nearest neighbours in the data",
    )
    style.save(figure, outputs)


def mse_of_bytes(one_RYXC: np.ndarray, other_RYXC: np.ndarray) -> np.ndarray:
    """Mean squared error of pictures, (R,) float64, with pixels in [-1, 1].

    Args:
        one_RYXC: uint8.
        other_RYXC: uint8.
    """
    difference_RYXC = (one_RYXC.astype(np.float64) - other_RYXC) / 127.5
    return (difference_RYXC**2).mean(axis=(1, 2, 3))


def _resize(figure: Figure, columns: int, names: Sequence[str]) -> None:
    beside = style.text_inches([line for name in names for line in name.split("\n")]) + 0.2
    width = max(_PICTURE_INCHES * columns + beside, _NARROWEST_INCHES)
    figure.set_size_inches(width, len(names) * _PICTURE_INCHES + 0.7)
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0, hspace=0)


def _draw(panel: Axes, picture_YXC: np.ndarray) -> None:
    look = _GREY if picture_YXC.shape[-1] == 1 else {}
    panel.imshow(picture_YXC.squeeze(-1) if look else picture_YXC, interpolation="nearest", **look)
    panel.set(xticks=[], yticks=[])
    panel.grid(visible=False)
    panel.spines[:].set_visible(False)
