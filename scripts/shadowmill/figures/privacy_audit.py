"""The privacy that training claims against what an audit shows."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import StrMethodFormatter

from shadowmill.figures import style
from shadowmill.names import Variant
from shadowmill.tables import read_csv
from shadowmill.tables.privacy_audit import exceeded_claims

_SHOWN = {"color": "#0072B2", "marker": ">", "ls": "none", "ms": 6, "label": "shown: at least"}
_GAUSSIAN = _SHOWN | {"mfc": "none", "ms": 9, "label": "shown, if Gaussian DP"}
_CLAIMED = {"color": "#009E73", "marker": "<", "ls": "none", "ms": 6, "label": "claimed: at most"}
_BETWEEN = {"color": "#bbbbbb", "lw": 3, "solid_capstyle": "butt", "label": "where ε lies"}
_EXCEEDED = _BETWEEN | {"color": "#D55E00", "label": "claim exceeded"}
_BEYOND = 1.3  # the axis goes on so far behind the largest number


def plot(audit_path: str, outputs: Sequence[str]) -> None:
    """Draw a row for each variant: the lower bound that was shown, and the upper one claimed.

    Args:
        audit_path: privacy_audit.csv.
        outputs: files to write.
    """
    table = read_csv(audit_path)
    settings = list(table.groupby(["dataset", "architecture"], sort=False))
    names = [style.variant_title(Variant.parse(name)) for name in table["variant"].unique()]
    looks = [_SHOWN, _GAUSSIAN, _CLAIMED, _BETWEEN]
    looks += [_EXCEEDED] if table["exceeded"].any() else []
    figure, axes = style.panels(
        len(settings), 1, beside=names, below=[look["label"] for look in looks], sharex=True
    )
    for panel, (setting, part) in zip(axes[:, 0], settings, strict=True):
        for look in looks:
            panel.plot([], [], **look)
        _draw(panel, part)
        panel.set_title(style.setting_title(*setting))
    finite = table[["claimed_epsilon_replace_one", "shown_epsilon", "shown_epsilon_gdp"]].max()
    axes[0, 0].set_xscale("symlog", linthresh=1)
    axes[0, 0].xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes[0, 0].set_xlim(-0.1, _BEYOND * max(finite.max(), 1))
    axes[-1, 0].set_xlabel("ε, replacing one example")
    style.legend(figure, "below")
    said = "\n".join(exceeded_claims(audit_path))
    runs = " to ".join(str(count) for count in sorted({table["runs"].min(), table["runs"].max()}))
    facts = f"95 % confidence, {runs} runs of a variant; δ = {table['delta'].iloc[0]:g}"
    style.title(figure, f"{facts}\n{said}" if said else facts)
    style.save(figure, outputs)


def _draw(panel: Axes, table: pd.DataFrame) -> None:
    for height, row in enumerate(table.itertuples()):
        upper = row.claimed_epsilon_replace_one
        beyond = pd.isna(upper) or upper == float("inf")
        look = _EXCEEDED if row.exceeded else _BETWEEN
        end = 1e9 if beyond else upper
        panel.plot([row.shown_epsilon, end], [height, height], **look, zorder=1)
        panel.plot(row.shown_epsilon_gdp, height, **_GAUSSIAN)
        panel.plot(row.shown_epsilon, height, **_SHOWN)
        if not beyond:
            panel.plot(upper, height, **_CLAIMED)
    titles = [style.variant_title(Variant.parse(name)) for name in table["variant"]]
    panel.set_yticks(range(len(titles)), titles)
    panel.set_ylim(len(titles) - 0.5, -0.5)
