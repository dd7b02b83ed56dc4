"""Attacks: functions of score banks that give each example a membership score.

Scores are float64, higher = more likely a member. ``ATTACKS`` lists them by the name under
which the configuration, the result files and the figures know them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from shadowmill.attacks.bank import ScoreBank
from shadowmill.attacks.calibrated import (
    attack_p,
    attack_r,
    sablayrolles,
    watson,
    ye_percentile,
)
from shadowmill.attacks.curvature import Form, curvature_lira, likelihood_ratio
from shadowmill.attacks.legacy import global_gaussian
from shadowmill.attacks.lira import lira, required_shadows
from shadowmill.attacks.loss import loss
from shadowmill.attacks.networks import network_attack
from shadowmill.attacks.quantile import quantile_gaussian, quantile_pinball
from shadowmill.attacks.rmia import rmia
from shadowmill.attacks.thresholds import class_threshold, threshold
from shadowmill.scores.arrays import CURVATURES

__all__ = [
    "ATTACKS",
    "NETWORK_ATTACKS",
    "Attack",
    "ScoreBank",
    "attack_shadows",
    "has_enough",
    "lira",
]

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Attack:
    """An attack under its public name.

    Attributes:
        title: What figures and tables call it.
        score: ``(shadows, targets) -> (T, N) float64``, for targets that are not shadows.
        needs: names in `ARRAYS` of what the banks must hold beside φ, correctness and roles.
        min_shadows: Smallest number of shadows that it needs for a target, in complementary pairs
            if `per_example`.
        per_example: Whether shadows must have trained on the target's own examples, some on
            each and some not.
        needs_test_set: whether it needs examples outside the pool.
        learns: whether it looks at the shadows at all.
        fast: whether ``score`` takes None for the targets, and then makes every shadow one in turn
            in less time than one after the other.
        max_folds: shadows are left out in so many groups of neighbours, not one after the other; 0
            if they are not. For attacks that take long.
        is_network: whether it trains a network, for minutes to hours; ``score`` then takes the
            `device` too.
    """

    title: str
    score: Callable[..., Float]
    needs: frozenset[str] = frozenset()
    min_shadows: int = 1
    per_example: bool = False
    needs_test_set: bool = False
    learns: bool = True
    fast: bool = False
    max_folds: int = 0
    is_network: bool = False


def has_enough(attack: Attack, shadows: ScoreBank, *, in_turn: bool = False) -> bool:
    """Whether the shadows suffice for an attack on targets, or on each of them in turn.

    Args:
        attack: A row of `ATTACKS`.
        shadows: Scores and roles of the M shadows.
        in_turn: Whether each is to be attacked with all others but its complement.
    """
    if not attack.learns:
        return True
    if attack.per_example:
        per_side = attack.min_shadows // 2 + in_turn
        sides = (shadows.member_MN, shadows.nonmember_MN)
        return all(bool(side_MN.sum(axis=0).min() >= per_side) for side_MN in sides)
    left_out = max(map(len, shadows.left_out_together)) if in_turn else 0
    return len(shadows.names) - left_out >= attack.min_shadows


def attack_shadows(attack: Attack, shadows: ScoreBank) -> Float:
    """Attack every shadow in turn with all others but its complement.

    Without a shadow and its complement (leave-pair-out) an example has as many shadows on either
    side, whatever its role in the attacked one: with one shadow less on the side of its own role
    (leave-one-out) scores without any signal would not have an AUC of ½. A shadow without a
    complement is left out alone all the same.

    Args:
        attack: A row of `ATTACKS`.
        shadows: Scores and roles of the M shadows.

    Returns:
        (M, N) float64; row m equals ``score`` on the bank without model m and its complement, or
        without its group of neighbours, which keeps complements together. NaN where not evaluated:
        where ``score`` does not; at members that the complement does not hold as non-members,
        because it validates on them; everywhere if the shadows are too few (``has_enough``).

    Raises:
        ValueError: as ``score``.
    """
    if not attack.learns:
        return attack.score(shadows, shadows)
    if not has_enough(attack, shadows, in_turn=True):
        return np.full(shadows.member_MN.shape, np.nan)
    score_MN = attack.score(shadows, None) if attack.fast else _in_turn(attack, shadows)
    held_out_MN = shadows.nonmember_MN[shadows.complement_M]
    unlike_MN = shadows.is_paired_M[:, None] & shadows.member_MN & ~held_out_MN
    return np.where(unlike_MN, np.nan, score_MN)


def _in_turn(attack: Attack, shadows: ScoreBank) -> Float:
    groups = shadows.left_out_together
    num_folds = min(attack.max_folds or len(groups), len(groups))
    score_MN = np.empty(shadows.member_MN.shape)
    for fold in np.array_split(np.arange(len(groups)), num_folds):
        models = np.concatenate([groups[index] for index in fold])
        score_MN[models] = attack.score(shadows.without(models), shadows.select(models))
    return score_MN


def _lira(title: str, mode: str, location: str | None = None) -> Attack:
    score = partial(lira, mode=mode, location=location)
    shadows = required_shadows(mode)
    return Attack(title, score, min_shadows=shadows, per_example=True, fast=True)


def _rmia(mode: str) -> Attack:
    return Attack(
        f"RMIA, {mode}",
        partial(rmia, mode=mode),
        frozenset({"population_phi"}),
        min_shadows=4,  # which stand in for targets, to choose a
        per_example=True,
        fast=True,
    )


def _threshold(title: str, statistic: str) -> Attack:
    needs = frozenset({statistic} & {"entropy", "modified_entropy"})
    return Attack(title, partial(threshold, statistic=statistic), needs, learns=False)


def _class_threshold(title: str, statistic: str) -> Attack:
    needs = frozenset({"labels", *({statistic} & {"entropy", "modified_entropy"})})
    score = partial(class_threshold, statistic=statistic)
    return Attack(f"{title}, per class", score, needs, fast=True)


def _network(title: str, kind: str, *needs: str) -> Attack:
    score = partial(network_attack, kind=kind)
    return Attack(title, score, frozenset(needs), max_folds=4, is_network=True)


def _calibrated(title: str, score: Callable[..., Float]) -> Attack:
    return Attack(title, score, min_shadows=2, per_example=True, fast=True)


def _curvature(title: str, array: str, form: Form | None) -> Attack:
    """An attack on one statistic; on φ and curvature together without a form."""
    score = (
        partial(curvature_lira, array=array)
        if form is None
        else partial(likelihood_ratio, array=array, form=form)
    )
    needs = frozenset({array})
    return Attack(title, score, needs, min_shadows=4, per_example=True, fast=True)


def _quantile(title: str, score: Callable[..., Float]) -> Attack:
    of_population = {"population_phi", "population_labels", "population_features"}
    needs = frozenset({"labels", "features"} | of_population)
    return Attack(title, score, needs, learns=False)


_STATISTICS = {
    "confidence": "Confidence",
    "entropy": "Entropy",
    "modified_entropy": "Modified entropy",
    "correctness": "Correctness",
}

# Ending of an attack's name, and of its title, to the estimator of the curvature.
_ENDINGS = {
    "": ("", "finite_difference"),
    "_trace": (", trace", "trace"),
    "_frobenius": (", Frobenius norm", "frobenius"),
}

ATTACKS: dict[str, Attack] = {
    "lira_online": _lira("LiRA, online", "online"),
    "lira_fixed": _lira("LiRA, online, fixed variance", "fixed"),
    "lira_bayes_n": _lira("LiRA, variance with a prior", "bayes_n"),
    "lira_bayes_t": _lira("LiRA, variance with a prior, Student's t", "bayes_t"),
    "lira_offline": _lira("LiRA, offline", "offline"),
    "lira_online_median": _lira("LiRA, online, medians", "online", "median"),
    "lira_fixed_median": _lira("LiRA, fixed variance, medians", "fixed", "median"),
    "lira_two_sided_code": _lira("LiRA, offline, two-sided as in code", "two_sided_code"),
    "lira_code2021": _lira("LiRA, fixed variance as in code", "code2021"),
    "rmia_online": _rmia("online"),
    "rmia_offline": _rmia("offline"),
    "attack_r": _calibrated("Attack-R", attack_r),
    "ye_percentile": _calibrated("Loss less OUT percentile", ye_percentile),
    "watson": _calibrated("Calibrated loss (Watson)", watson),
    "sablayrolles": _calibrated("Calibrated loss (Sablayrolles)", sablayrolles),
    **{
        f"{name}{ending}": _curvature(title + more, CURVATURES[estimator], form)
        for name, title, form in (
            ("curvature_nll", "Curvature NLL", "nll"),
            ("curvature_lr", "Curvature LR", "lr"),
            ("curvature_lira", "LiRA with curvature", None),
        )
        for ending, (more, estimator) in _ENDINGS.items()
    },
    "published_nll": _curvature(
        "Curvature NLL as in code", CURVATURES["finite_difference"], "published_nll"
    ),
    "published_lr": _curvature(
        "Curvature LR as in code", CURVATURES["finite_difference"], "published_lr"
    ),
    "published_carlini": _curvature("LiRA as in code of Curvature LR", "max_phi", "published_lr"),
    "attack_p": Attack(
        "Attack-P",
        attack_p,
        frozenset({"population_phi"}),
        needs_test_set=True,
        learns=False,
    ),
    "quantile_gaussian": _quantile("Quantile regression, Gaussian", quantile_gaussian),
    "quantile_pinball": _quantile("Quantile regression, pinball", quantile_pinball),
    "loss": Attack("Loss", loss, learns=False),
    "global_gaussian": Attack("Two Gaussians for all", global_gaussian, fast=True),
    **{name: _threshold(title, name) for name, title in _STATISTICS.items()},
    **{f"{name}_per_class": _class_threshold(title, name) for name, title in _STATISTICS.items()},
    "nn": _network("Shokri's network", "nn", "logits"),
    "nn_top3": _network("Network on top 3", "nn_top3", "logits"),
    "nn_cls": _network("Network with class", "nn_cls", "logits", "labels"),
    "samia": _network("SAMIA", "samia", "logits", "labels", "sensitivity"),
}

NETWORK_ATTACKS = tuple(name for name, attack in ATTACKS.items() if attack.is_network)
