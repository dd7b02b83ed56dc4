"""ROC curves on logarithmic axes, with the spread over shadows attacked with each other.

Legend: M shadows, N examples of the pool, F false-positive rates.
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
    """Draw one row of panels per data set and architecture, one column per pruning method.

    Args:
        attack: name of the attack.
        attack_paths: its scores on each configuration.
        outputs: files to write.
    """
    settings = list(dict.fromkeys((cell.dataset, cell.architecture) for cell in attack_paths))
    variants = {cell: Variant.parse(cell.variant) for cell in attack_paths}
    pruned = list(dict.fromkeys(v.method for v in variants.values() if v.method != "dense"))
    methods = pruned or ["dense"]
    figure, axes = style.panels(len(settings), len(methods), sharex=True, sharey=True)
    for row, (dataset, architecture) in enumerate(settings):
        for column, method in enumerate(methods):
            panel = axes[row, column]
            shown = {
                variant: attack_paths[cell]
                for cell, variant in variants.items()
                if (cell.dataset, cell.architecture) == (dataset, architecture)
                and variant.method in ("dense", method)
            }
            _draw_panel(panel, shown)
            panel.set_title(
                f"{style.setting_title(dataset, architecture)}: {style.METHOD_TITLES[method]}"
            )
    for panel in axes[-1]:
        panel.set_xlabel("false-positive rate")
        panel.legend(loc="upper center", bbox_to_anchor=(0.5, -0.24), ncols=2, handlelength=1.4)
    for panel in axes[:, 0]:
        panel.set_ylabel("true-positive rate")
    figure.suptitle(f"{ATTACKS[attack].title}; bands: 10–90 % of models", fontsize=9)
    style.save(figure, outputs)


def _draw_panel(panel: Axes, attack_paths: Mapping[Variant, str]) -> None:
    floor = 1.0
    for variant, path in attack_paths.items():
        scores = read_attack(path)
        member_MN = scores.shadow_roles_MN == MEMBER
        nonmember_MN = scores.shadow_roles_MN == NON_MEMBER
        used_MN = member_MN | nonmember_MN
        floor = min(floor, 1 / nonmember_MN.sum())
        fpr_F = np.geomspace(floor, 1, 200)
        siblings = [v.sparsity for v in attack_paths if v.method == variant.method]
        color = style.variant_color(variant, siblings)
        pooled_F = _step_roc(scores.leave_one_out_MN[used_MN], member_MN[used_MN], fpr_F)
        panel.plot(fpr_F, pooled_F, color=color, label=style.variant_title(variant))
        single_MF = np.stack(
            [
                _step_roc(score_N[used_N], member_N[used_N], fpr_F)
                for score_N, member_N, used_N in zip(
                    scores.leave_one_out_MN, member_MN, used_MN, strict=True
                )
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
