"""ROC curves on logarithmic axes, with the spread over the models that were attacked.

Legend: M attacked models, N examples of the pool, F false-positive rates.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from shadowmill.attacks import ATTACKS
from shadowmill.attacks.run import read_attack
from shadowmill.config import Cell, Variant
from shadowmill.figures import style
from shadowmill.metrics.ranking import roc_curve
from shadowmill.roles import MEMBER, NON_MEMBER

# The band holds this part of the single models' curves.
_BAND = (10, 90)


def plot(attack: str, attack_paths: Mapping[Cell, str], outputs: Sequence[str]) -> None:
    """Draw one row of panels per data set and architecture, one column per method or defence.

    Args:
        attack: name of the attack.
        attack_paths: its scores on each configuration.
        outputs: files to write.
    """
    settings = list(dict.fromkeys((cell.dataset, cell.architecture) for cell in attack_paths))
    variants = {cell: Variant.parse(cell.variant) for cell in attack_paths}
    treatments = list(dict.fromkeys(style.treatment(variant) for variant in variants.values()))
    columns = [name for name in treatments if name != "dense"] or ["dense"]
    figure, axes = style.panels(len(settings), len(columns), sharex=True, sharey=True)
    for row, (dataset, architecture) in enumerate(settings):
        here = {
            variant: attack_paths[cell]
            for cell, variant in variants.items()
            if (cell.dataset, cell.architecture) == (dataset, architecture)
        }
        for column, name in enumerate(columns):
            panel = axes[row, column]
            _draw_panel(panel, _to_compare(here, name))
            panel.set_title(
                f"{style.setting_title(dataset, architecture)}: {style.treatment_title(name)}"
            )
    for panel in axes[-1]:
        panel.set_xlabel("false-positive rate")
        panel.legend(loc="upper center", bbox_to_anchor=(0.5, -0.24), ncols=2, handlelength=1.4)
    for panel in axes[:, 0]:
        panel.set_ylabel("true-positive rate")
    figure.suptitle(f"{ATTACKS[attack].title}; bands: 10–90 % of models", fontsize=9)
    style.save(figure, outputs)


def _to_compare(attack_paths: Mapping[Variant, str], name: str) -> dict[Variant, str]:
    """The variants treated in one way, with what they are compared with: dense, undefended."""
    treated = [variant for variant in attack_paths if style.treatment(variant) == name]
    untreated = {Variant("dense"), *(variant.undefended for variant in treated)}
    return {v: path for v, path in attack_paths.items() if v in untreated or v in treated}


def _draw_panel(panel: Axes, attack_paths: Mapping[Variant, str]) -> None:
    floor = 1.0
    for variant, path in attack_paths.items():
        scores = read_attack(path)
        _, score_MN, roles_MN = scores.audited
        member_MN, nonmember_MN = roles_MN == MEMBER, roles_MN == NON_MEMBER
        used_MN = member_MN | nonmember_MN
        floor = min(floor, 1 / nonmember_MN.sum())
        fpr_F = np.geomspace(floor, 1, 200)
        siblings = {v.sparsity for v in attack_paths if v.method == variant.method}
        color = style.look(variant, list(siblings))["color"]
        pooled_F = _step_roc(score_MN[used_MN], member_MN[used_MN], fpr_F)
        panel.plot(fpr_F, pooled_F, color=color, label=style.variant_title(variant))
        single_MF = np.stack(
            [
                _step_roc(score_N[used_N], member_N[used_N], fpr_F)
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
    lowest = 10 ** np.ceil(np.log10(10 * floor))
    panel.plot([lowest, 1], [lowest, 1], color="#888888", lw=0.8, ls="--", label="chance")
    panel.set(xscale="log", yscale="log", xlim=(lowest, 1), ylim=(lowest, 1))


def _step_roc(score: np.ndarray, member: np.ndarray, fpr_F: np.ndarray) -> np.ndarray:
    """TPR at each FPR by counting: that of the last vertex not beyond it."""
    fpr, tpr = roc_curve(score, member)
    return tpr[np.searchsorted(fpr, fpr_F, side="right") - 1]
