"""ROC curves on logarithmic axes, with the spread over the models that were attacked.

Legend: M attacked models, N examples of the pool, F false-positive rates.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from shadowmill.attacks import ATTACKS
from shadowmill.attacks.run import read_attack
from shadowmill.figures import style
from shadowmill.metrics.ranking import roc_curve
from shadowmill.names import Cell, Variant
from shadowmill.roles import MEMBER, NON_MEMBER
from shadowmill.tables import read_csv

# The band holds this part of the single models' curves.
_BAND = (10, 90)
_MAX_COLUMNS = 3


def plot(
    attack: str,
    attack_paths: Mapping[Cell, str],
    outputs: Sequence[str],
    health_path: str | None = None,
) -> None:
    """Draw a panel for each data set, architecture, and method or defence.

    Each data set and architecture begins a new row.

    Args:
        attack: name of the attack.
        attack_paths: its scores on each configuration.
        outputs: files to write.
        health_path: health.csv; the title says how many shadows it lists.
    """
    settings: dict[tuple[str, str], dict[Variant, str]] = {}
    for cell, path in attack_paths.items():
        here = settings.setdefault((cell.dataset, cell.architecture), {})
        here[Variant.parse(cell.variant)] = path
    variants = list(dict.fromkeys(variant for here in settings.values() for variant in here))
    treatments = list(dict.fromkeys(style.treatment(variant) for variant in variants))
    treatments = [name for name in treatments if name != "dense"] or ["dense"]
    titles = [*(style.variant_title(variant) for variant in variants), style.CHANCE["label"]]
    figure, axes = style.grid(
        len(settings), len(treatments), _MAX_COLUMNS, below=titles, sharex=True, sharey=True
    )
    for group, (setting, here) in zip(axes, settings.items(), strict=True):
        for panel, name in zip(group, treatments, strict=True):
            _draw_panel(panel, _to_compare(here, name), variants)
            panel.set_title(f"{style.setting_title(*setting)}\n{style.treatment_title(name)}")
        style.label_group(group, "false-positive rate", "true-positive rate")
    style.legend(figure, "below")
    title = f"{ATTACKS[attack].title}; bands: 10–90 % of models"
    judges = [
        (style.variant_title(Variant.parse(cell.variant)), read_attack(path).judged_by)
        for cell, path in attack_paths.items()
    ]
    style.title(figure, title + style.judges_note(judges) + _health_note(health_path))
    style.save(figure, outputs)


def _health_note(health_path: str | None) -> str:
    unhealthy = read_csv(health_path) if health_path else ()
    if not len(unhealthy):
        return ""
    count = len(unhealthy[["dataset", "architecture", "variant", "model"]].drop_duplicates())
    return f"\n{count} shadow{'s' if count > 1 else ''} did not converge, see health.csv"


def _to_compare(attack_paths: Mapping[Variant, str], name: str) -> dict[Variant, str]:
    """The variants treated in one way, with what they are compared with: dense, undefended."""
    treated = [variant for variant in attack_paths if style.treatment(variant) == name]
    untreated = {Variant("dense"), *(variant.undefended for variant in treated)}
    return {v: path for v, path in attack_paths.items() if v in untreated or v in treated}


def _draw_panel(
    panel: Axes, attack_paths: Mapping[Variant, str], variants: Sequence[Variant]
) -> None:
    floor = 1.0
    for variant, path in attack_paths.items():
        scores = read_attack(path)
        _, score_MN, roles_MN = scores.judged
        member_MN, nonmember_MN = roles_MN == MEMBER, roles_MN == NON_MEMBER
        used_MN = member_MN | nonmember_MN
        floor = min(floor, 1 / nonmember_MN.sum())
        fpr_F = np.geomspace(floor, 1, 200)
        color = style.look(variant, variants)["color"]
        pooled_F = step_roc(score_MN[used_MN], member_MN[used_MN], fpr_F)
        dashes = "-" if variant.defense == "none" else "--"
        panel.plot(fpr_F, pooled_F, dashes, color=color, label=style.variant_title(variant))
        single_MF = np.stack(
            [
                step_roc(score_N[used_N], member_N[used_N], fpr_F)
                for score_N, member_N, used_N in zip(score_MN, member_MN, used_MN, strict=True)
            ]
        )
        # Below one in its non-members, a single model has no TPR.
        defined_F = fpr_F * nonmember_MN.sum(axis=1).min() >= 1
        panel.fill_between(
            fpr_F,
            *np.percentile(single_MF, _BAND, axis=0),
            where=defined_F,
            color=color,
            alpha=0.15,
            lw=0,
        )
    frame(panel, floor)


def step_roc(score: np.ndarray, member: np.ndarray, fpr_F: np.ndarray) -> np.ndarray:
    """TPR at each FPR by counting: that of the last vertex not beyond it.

    Args:
        score: (N,) float64, higher = more likely a member.
        member: (N,) bool.
        fpr_F: float64, rates from 0 to 1.

    Returns:
        (F,) float64.

    Raises:
        ValueError: see `shadowmill.metrics.ranking.roc_curve`.
    """
    fpr, tpr = roc_curve(score, member)
    return tpr[np.searchsorted(fpr, fpr_F, side="right") - 1]


def frame(panel: Axes, floor: float) -> None:
    """Logarithmic axes, and chance.

    Args:
        panel: with curves.
        floor: the smallest FPR that can be measured. The axes begin above it, but a decade remains.
    """
    lowest = min(10 ** np.ceil(np.log10(10 * floor)), 0.1)
    panel.plot([lowest, 1], [lowest, 1], **style.CHANCE)
    panel.set(xscale="log", yscale="log", xlim=(lowest, 1), ylim=(lowest, 1))
