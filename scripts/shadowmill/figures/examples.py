"""The most and the least exposed examples: their images, and φ with and without training."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from shadowmill.data.store import Data
from shadowmill.data.store import load as load_data
from shadowmill.figures import style
from shadowmill.figures.letters import panel_title, shortened
from shadowmill.names import Cell, Variant
from shadowmill.scores.files import ModelScores, read_scores
from shadowmill.tables import read_csv

_PER_ROW = 4


def plot(
    cell: Cell,
    data_path: str,
    score_paths: Sequence[str],
    examples_path: str,
    outputs: Sequence[str],
) -> None:
    """Draw four examples of either kind with histograms over the shadow models.

    Args:
        cell: the configuration.
        data_path: the prepared data set.
        score_paths: score files of the shadows.
        examples_path: the configuration's table of exposed examples.
        outputs: files to write.
    """
    data = load_data(data_path)
    shadows = read_scores(score_paths, identity_only=True)
    table = read_csv(examples_path)
    most = table.nsmallest(_PER_ROW, "rank")["example"]
    # Least exposed: φ is the same with and without the example, not lower with it by chance.
    least = table.iloc[table["separation"].abs().argsort(kind="stable")[:_PER_ROW]]["example"]
    figure, axes = style.panels(4, _PER_ROW, height_ratios=[1, 1.1, 1, 1.1])
    figure.set_size_inches(7, 6.2)
    for top, kind, chosen in ((0, "most", most), (2, "least", least)):
        for column, example in enumerate(chosen):
            draw_image(axes[top, column], data, example)
            _draw_histogram(axes[top + 1, column], shadows, example)
        axes[top, 0].set_ylabel(f"{kind}\nexposed", rotation=0, ha="right", va="center")
        axes[top + 1, 0].set_ylabel("shadow models")
    style.legend(figure, "below")
    title = style.variant_title(Variant.parse(cell.variant))
    figure.suptitle(f"{style.setting_title(cell.dataset, cell.architecture)}, {title}", fontsize=9)
    style.save(figure, outputs)


def draw_image(panel: Axes, data: Data, example: int) -> None:
    """Show an example with its name and class; features as a square of grey values."""
    image, (low, high) = data.inputs[example], data.value_range
    if data.kind == "tabular":
        image, low, high = _as_square(image), 0, 255
    channels = image.shape[-1]
    if channels not in (1, 3):  # neither grey nor colours: the first channel
        image, channels = image[..., :1], 1
    if channels == 3 and image.dtype != np.uint8:
        image = ((image - low) / max(high - low, 1e-9)).clip(0, 1)
    panel.imshow(image.squeeze(), "gray", vmin=low, vmax=high, interpolation="nearest")
    names = data.title_of(example), data.class_names[data.labels[example]]
    panel_title(panel, "\n".join(shortened(name) for name in names))
    panel.set(xticks=[], yticks=[])
    panel.grid(visible=False)
    panel.spines[:].set_visible(False)


def _as_square(features: np.ndarray) -> np.ndarray:
    """Features row by row, (side, side, 1) bytes, to be seen at a glance."""
    side = math.isqrt(len(features) - 1) + 1
    low, high = features.min(), features.max()
    scaled = 255 * (features - low) / max(high - low, 1e-9)
    return np.pad(scaled, (0, side**2 - len(features))).reshape(side, side, 1).astype(np.uint8)


def _draw_histogram(panel: Axes, shadows: ModelScores, example: int) -> None:
    phi_M = shadows["phi"][:, example, 0]
    bins = np.linspace(phi_M.min(), phi_M.max(), 16)
    for label, where_MN, color in (
        ("member", shadows.member_MN, style.MEMBER_COLOR),
        ("non-member", shadows.nonmember_MN, style.NON_MEMBER_COLOR),
    ):
        panel.hist(phi_M[where_MN[:, example]], bins=bins, color=color, alpha=0.6, label=label)
    panel.set_xlabel("φ (nats)")
