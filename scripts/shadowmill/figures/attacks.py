"""ROC curves of all attacks on one configuration, overlaid.

Legend: M attacked models, N examples of the pool, F false-positive rates.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from shadowmill.attacks import ATTACKS
from shadowmill.attacks.run import AttackScores, read_attack
from shadowmill.figures import style
from shadowmill.figures.roc import frame, step_roc
from shadowmill.metrics.ranking import auc
from shadowmill.names import Cell, Variant
from shadowmill.tables.membership import split


def plot(cell: Cell, attack_paths: Mapping[str, str], outputs: Sequence[str]) -> None:
    """Draw the curve of each attack over all models at once, on logarithmic axes.

    Args:
        cell: the configuration.
        attack_paths: attack files of one adversary by attack, in the study's order. Of more than a
            panel can show, those with the largest AUC are drawn.
        outputs: files to write.
    """
    scores = {attack: read_attack(path) for attack, path in attack_paths.items()}
    rankings = {attack: _ranking(each) for attack, each in scores.items()}
    areas = {attack: auc(*ranking) for attack, ranking in rankings.items()}
    shown, choice = style.strongest(areas)
    labels = {attack: f"{ATTACKS[attack].title} ({areas[attack]:.3f})" for attack in shown}
    figure, axes = style.panels(1, 1, beside=[*labels.values(), style.CHANCE["label"]])
    panel, looks = axes[0, 0], style.attack_looks(tuple(attack_paths))
    floor = min(1 / np.count_nonzero(~rankings[attack][1]) for attack in shown)
    fpr_F = np.geomspace(floor, 1, 200)
    for attack in shown:
        panel.plot(fpr_F, step_roc(*rankings[attack], fpr_F), **looks[attack], label=labels[attack])
    frame(panel, floor)
    panel.set(xlabel="false-positive rate", ylabel="true-positive rate")
    style.legend(figure, "beside")
    setting = style.setting_title(cell.dataset, cell.architecture)
    variant = style.variant_title(Variant.parse(cell.variant))
    note = style.judges_note([(ATTACKS[name].title, scores[name].judged_by) for name in shown])
    style.title(figure, f"{setting}, {variant}\n{choice}; in brackets: AUC{note}")
    style.save(figure, outputs)


def _ranking(scores: AttackScores) -> tuple[np.ndarray, np.ndarray]:
    """Scores of all evaluated pairs of model and example, float64, and membership, bool."""
    _, score_MN, roles_MN = scores.judged
    member_MN, nonmember_MN = split(score_MN, roles_MN)
    used_MN = member_MN | nonmember_MN
    return score_MN[used_MN], member_MN[used_MN]
