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

__all__ = ["ATTACKS", "NETWORK_ATTACKS", "Attack", "ScoreBank", "leave_one_out", "lira"]

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Attack:
    """An attack under its public name.

    Attributes:
        title: What figures and tables call it.
        score: ``(shadows, targets) -> (T, N) float64``, for targets that are not shadows.
        needs: names in `ARRAYS` of what the banks must hold beside φ, correctness and roles.
        min_shadows: Smallest number of shadows, in complementary pairs if `per_example`, that it
            needs, one of them left out.
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


def leave_one_out(attack: Attack, shadows: ScoreBank) -> Float:
    """Every shadow as target in turn, attacked with the others.

    Args:
        attack: A row of `ATTACKS`.
        shadows: Scores and roles of the M shadows.

    Returns:
        (M, N) float64; row m equals ``score`` on the bank without model m, or without its group of
        neighbours, which keeps complementary pairs together.

    Raises:
        ValueError: no shadow is left, or as ``score``.
    """
    if not attack.learns:
        return attack.score(shadows, shadows)
    if attack.fast:
        return attack.score(shadows, None)
    models = np.arange(len(shadows.names))
    if len(models) < 2:
        raise ValueError(
            "found 1 shadow, expected at least 2: each is attacked with others; train more shadows"
        )
    groups = np.array_split(models, min(attack.max_folds or len(models), len(models)))
    return np.concatenate(
        [
            attack.score(shadows.select(np.setdiff1d(models, group)), shadows.select(group))
            for group in groups
        ]
    )


def _lira(title: str, mode: str, location: str | None = None) -> Attack:
    score = partial(lira, mode=mode, location=location)
    shadows = required_shadows(mode)
    return Attack(title, score, min_shadows=shadows, per_example=True, fast=True)


def _rmia(mode: str) -> Attack:
    return Attack(
        f"RMIA, {mode}",
        partial(rmia, mode=mode),
        frozenset({"population_phi"}),
        min_shadows=4,
        per_example=True,
        fast=True,
    )


def _threshold(title: str, statistic: str) -> Attack:
    needs = frozenset({statistic} & {"entropy", "modified_entropy"})
    return Attack(title, partial(threshold, statistic=statistic), needs, learns=False)


def _class_threshold(title: str, statistic: str) -> Attack:
    needs = frozenset({"labels", *({statistic} & {"entropy", "modified_entropy"})})
    score = partial(class_threshold, statistic=statistic)
    return Attack(f"{title}, per class", score, needs, min_shadows=2, fast=True)


def _network(title: str, kind: str, *needs: str) -> Attack:
    score = partial(network_attack, kind=kind)
    return Attack(title, score, frozenset(needs), min_shadows=2, max_folds=4, is_network=True)


def _calibrated(title: str, score: Callable[..., Float]) -> Attack:
    return Attack(title, score, min_shadows=4, per_example=True, fast=True)


def _curvature(title: str, array: str, form: Form | None) -> Attack:
    """An attack on one statistic; on φ and curvature together without a form."""
    score = (
        partial(curvature_lira, array=array)
        if form is None
        else partial(likelihood_ratio, array=array, form=form)
    )
    needs = frozenset({array})
    return Attack(title, score, needs, min_shadows=6, per_example=True, fast=True)


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
    "global_gaussian": Attack("Two Gaussians for all", global_gaussian, min_shadows=2, fast=True),
    **{name: _threshold(title, name) for name, title in _STATISTICS.items()},
    **{f"{name}_per_class": _class_threshold(title, name) for name, title in _STATISTICS.items()},
    "nn": _network("Shokri's network", "nn", "logits"),
    "nn_top3": _network("Network on top 3", "nn_top3", "logits"),
    "nn_cls": _network("Network with class", "nn_cls", "logits", "labels"),
    "samia": _network("SAMIA", "samia", "logits", "labels", "sensitivity"),
}

NETWORK_ATTACKS = tuple(name for name, attack in ATTACKS.items() if attack.is_network)
