"""Attacks: functions of score banks that give each example a membership score.

Scores are float64, higher = more likely a member. ``ATTACKS`` lists them by the name under
which the configuration, the result files and the figures know them.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from shadowmill.attacks import calibrated, curvature, legacy, networks, quantile, thresholds
from shadowmill.attacks.bank import ScoreBank
from shadowmill.attacks.lira import lira, lira_leave_one_out, required_shadows
from shadowmill.attacks.loss import loss, loss_leave_one_out
from shadowmill.attacks.rmia import rmia, rmia_leave_one_out

__all__ = ["ATTACKS", "NETWORK_ATTACKS", "Attack", "ScoreBank", "lira", "lira_leave_one_out"]

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Attack:
    """An attack under its public name.

    Attributes:
        title: What figures and tables call it.
        score: ``(shadows, targets) -> (T, N) float64``, for targets that are not shadows.
        leave_one_out: ``(shadows) -> (M, N) float64``, every shadow as target in turn.
        min_shadows: Smallest number of shadows, in complementary pairs if `per_example`, that both
            need.
        per_example: Whether shadows must have trained on the target's own examples, some on
            each and some not.
        needs: further arrays of the score files (see `ScoreBank`), and `features` for the examples.
        needs_test_set: whether it needs examples outside the pool.
        closed_form: whether it learns from shadows, and so quickly that it can be run again with
            fewer of them.
    """

    title: str
    score: Callable[[ScoreBank, ScoreBank], Float]
    leave_one_out: Callable[[ScoreBank], Float]
    min_shadows: int = 1
    per_example: bool = False
    needs: frozenset[str] = frozenset()
    needs_test_set: bool = False
    closed_form: bool = False


def _lira(title: str, mode: str, location: str | None = None) -> Attack:
    options = {"mode": mode, "location": location}
    return Attack(
        title,
        partial(lira, **options),
        partial(lira_leave_one_out, **options),
        required_shadows(mode),
        per_example=True,
        closed_form=True,
    )


def _rmia(mode: str) -> Attack:
    return Attack(
        f"RMIA, {mode}",
        partial(rmia, mode=mode),
        partial(rmia_leave_one_out, mode=mode),
        min_shadows=4,
        per_example=True,
        needs=frozenset({"population_phi"}),
        closed_form=True,
    )


def _threshold(title: str, statistic: str, *, per_class: bool) -> Attack:
    needs = {statistic} & {"entropy", "modified_entropy"} | ({"labels"} if per_class else set())
    options = {"statistic": statistic, "per_class": per_class}
    return Attack(
        f"{title}, per class" if per_class else title,
        partial(thresholds.threshold, **options),
        partial(thresholds.threshold_leave_one_out, **options),
        min_shadows=2 if per_class else 1,
        needs=frozenset(needs),
        closed_form=per_class,
    )


def _network(title: str, kind: str) -> Attack:
    return Attack(
        title,
        partial(networks.network_attack, kind=kind),
        partial(networks.network_attack_leave_one_out, kind=kind),
        min_shadows=2,
        needs=frozenset(name.rpartition("_")[0] for name in networks.STATISTICS[kind]),
    )


def _calibrated(title: str, name: str, needs: Collection[str] = ()) -> Attack:
    return Attack(
        title,
        getattr(calibrated, name),
        getattr(calibrated, f"{name}_leave_one_out"),
        min_shadows=4,
        per_example=True,
        needs=frozenset(needs),
        closed_form=True,
    )


def _curvature(title: str, form: curvature.Form | None, array: str) -> Attack:
    """An attack on one statistic; on φ and curvature together without a form."""
    options = {"array": array} | ({} if form is None else {"form": form})
    name = "curvature_lira" if form is None else "likelihood_ratio"
    return Attack(
        title,
        partial(getattr(curvature, name), **options),
        partial(getattr(curvature, f"{name}_leave_one_out"), **options),
        min_shadows=6,
        per_example=True,
        needs=frozenset({array}),
        closed_form=True,
    )


def _quantile(title: str, name: str) -> Attack:
    return Attack(
        title,
        getattr(quantile, name),
        getattr(quantile, f"{name}_leave_one_out"),
        needs=frozenset({"features", "labels", "population_phi", "population_labels"}),
    )


_STATISTICS = {
    "confidence": "Confidence",
    "entropy": "Entropy",
    "modified_entropy": "Modified entropy",
    "correctness": "Correctness",
}

# Ending of an attack's name, and of its title, to the estimator of the curvature.
_ESTIMATORS = {
    "": ("", "finite_difference"),
    "_trace": (", trace", "trace"),
    "_frobenius": (", Frobenius norm", "frobenius"),
}

ATTACKS: dict[str, Attack] = {
    "lira_online": _lira("LiRA, online", "online"),
    "lira_fixed": _lira("LiRA, online, fixed variance", "fixed"),
    "lira_offline": _lira("LiRA, offline", "offline"),
    "lira_online_median": _lira("LiRA, online, medians", "online", "median"),
    "lira_fixed_median": _lira("LiRA, fixed variance, medians", "fixed", "median"),
    "lira_two_sided_code": _lira("LiRA, offline, two-sided as in code", "two_sided_code"),
    "lira_code2021": _lira("LiRA, fixed variance as in code", "code2021"),
    "rmia_online": _rmia("online"),
    "rmia_offline": _rmia("offline"),
    "attack_r": _calibrated("Attack-R", "attack_r"),
    "ye_percentile": _calibrated("Loss less OUT percentile", "ye_percentile"),
    "watson": _calibrated("Calibrated loss (Watson)", "watson"),
    "sablayrolles": _calibrated("Calibrated loss (Sablayrolles)", "sablayrolles"),
    **{
        f"{name}{ending}": _curvature(title + more, form, f"curvature_{estimator}")
        for name, title, form in (
            ("curvature_nll", "Curvature NLL", "nll"),
            ("curvature_lr", "Curvature LR", "lr"),
            ("curvature_lira", "LiRA with curvature", None),
        )
        for ending, (more, estimator) in _ESTIMATORS.items()
    },
    "published_nll": _curvature(
        "Curvature NLL as in code", "published_nll", "curvature_finite_difference"
    ),
    "published_lr": _curvature(
        "Curvature LR as in code", "published_lr", "curvature_finite_difference"
    ),
    "published_carlini": _curvature("LiRA as in code of Curvature LR", "published_lr", "max_phi"),
    "attack_p": Attack(
        "Attack-P",
        calibrated.attack_p,
        calibrated.attack_p_leave_one_out,
        needs=frozenset({"population_phi"}),
        needs_test_set=True,
    ),
    "quantile_gaussian": _quantile("Quantile regression, Gaussian", "quantile_gaussian"),
    "quantile_pinball": _quantile("Quantile regression, pinball", "quantile_pinball"),
    "loss": Attack("Loss", loss, loss_leave_one_out),
    "global_gaussian": Attack(
        "Two Gaussians for all",
        legacy.global_gaussian,
        legacy.global_gaussian_leave_one_out,
        min_shadows=2,
        closed_form=True,
    ),
    **{name: _threshold(t, name, per_class=False) for name, t in _STATISTICS.items()},
    **{f"{name}_per_class": _threshold(t, name, per_class=True) for name, t in _STATISTICS.items()},
    "nn": _network("Shokri's network", "nn"),
    "nn_top3": _network("Network on top 3", "nn_top3"),
    "nn_cls": _network("Network with class", "nn_cls"),
    "samia": _network("SAMIA", "samia"),
}

# These train networks, for minutes to hours.
NETWORK_ATTACKS: tuple[str, ...] = ("nn", "nn_top3", "nn_cls", "samia")
