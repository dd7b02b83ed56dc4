"""Attack files: the scores of one attack on every model of a configuration.

Legend: T targets, M shadows, N examples of the pool.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from shadowmill import storage
from shadowmill.attacks import ATTACKS, Attack, ScoreBank, attack_shadows, has_enough
from shadowmill.errors import ArtefactError
from shadowmill.provenance import array_digest, provenance
from shadowmill.roles import UNUSED
from shadowmill.scores.arrays import ARRAYS
from shadowmill.scores.files import ModelScores, check_same_settings, read_scores
from shadowmill.scores.health import converged

JUDGES = {
    "shadows": "shadows",
    "shadows_loo": "shadows, left out one by one",
    "targets": "targets",
}
"""Models that an attack can be judged by, and how a reader is told; see `judged_by`."""

ADAPTIVE = ("adaptive", "shared", "imported")
"""What an adversary is called whose shadows are trained as the targets are said to be."""

MIN_LEFT_OUT_ALONE = 32
"""With fewer shadows, each left out alone, noise has an AUC below ½ (docs/methods.md)."""


@dataclass(frozen=True)
class AttackScores:
    """What one attack says; higher = more likely a member.

    Attributes:
        targets: T names.
        shadows: M names.
        score_TN: float64.
        target_roles_TN: int8.
        shadow_score_MN: float64, each shadow attacked with all others but its complement.
        shadow_roles_MN: int8.
        adversary: `adaptive` if the shadows were made as the targets were.
        judged_by: which models show how well the attack does, one of `JUDGES`.
        group_N: (N,) intp from 0, which examples belong together; None if each is on its own.
    """

    targets: tuple[str, ...]
    shadows: tuple[str, ...]
    score_TN: np.ndarray
    target_roles_TN: np.ndarray
    shadow_score_MN: np.ndarray
    shadow_roles_MN: np.ndarray
    adversary: str
    judged_by: str
    group_N: np.ndarray | None = None

    @property
    def judged(self) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
        """Names, scores and roles of the models that the attack is judged by."""
        if self.judged_by == "targets":
            return self.targets, self.score_TN, self.target_roles_TN
        return self.shadows, self.shadow_score_MN, self.shadow_roles_MN


def bank_of(scores: ModelScores, **examples: np.ndarray) -> ScoreBank:
    """The score bank of some models.

    Args:
        scores: of the models, with the further arrays that an attack needs.
        examples: arrays of the data set.

    Raises:
        ArtefactError: a score is not a finite number; the model is named.
    """
    further = {
        name: array
        for name, array in scores.arrays.items()
        if name not in ("phi", "roles") and array.size
    }
    try:
        return ScoreBank(
            scores["phi"], scores.member_MN, scores.nonmember_MN, scores.models, further | examples
        )
    except ValueError as error:
        raise ArtefactError(str(error)) from error


def run_attack(
    *,
    attack: str,
    target_scores: Sequence[str],
    shadow_scores: Sequence[str],
    target_training: Mapping[str, Any],
    shadow_training: Mapping[str, Any],
    adversary: str,
    drop_unhealthy: bool,
    data_path: str | None,
    groups_path: str | None,
    output: str,
    execution: Mapping[str, Any],
    threads: int,
) -> None:
    """Attack every target with the shadows, and every shadow with the others.

    Args:
        attack: name in `ATTACKS`.
        target_scores: score files of the targets.
        shadow_scores: score files of the shadows.
        target_training: settings with which the configuration has the targets trained.
        shadow_training: and the shadows.
        adversary: `adaptive`; who trained the shadows otherwise, `non_adaptive` or `original`;
            `shared` if the shadows are those of another study, whose targets are made otherwise; or
            `imported` if targets are finished models of the user's own, which the shadows imitate.
        drop_unhealthy: whether shadows that did not converge are left out.
        data_path: the prepared data set, for attacks that need the examples themselves.
        groups_path: the prepared data set, where it may have groups.
        output: HDF5 file to write.
        execution: the `execution` part of the configuration, for attacks that train networks.
        threads: CPU threads, for the same.

    Raises:
        ArtefactError: a file is damaged or does not belong to the others, or its models were
            trained otherwise than the configuration says.
        ConfigError: `cuda` was asked for and there is none.
    """
    start = time.monotonic()
    row = ATTACKS[attack]
    if row.is_network:
        row = replace(row, score=partial(row.score, device=execution["device"], threads=threads))
    arrays = [name for name in sorted(row.needs) if ARRAYS[name].given != "data"]
    reader = f"the attack {attack}"
    targets = read_scores(target_scores, arrays, reader=reader)
    shadows = read_scores(shadow_scores, arrays, reader=reader)
    configured, made = _split(targets.training_settings)
    check_same_settings(target_scores[0], configured, "the configuration", target_training)
    configured, own = _split(shadows.training_settings)
    check_same_settings(shadow_scores[0], configured, "the configuration", shadow_training)
    check_same_settings(shadow_scores[0], own, target_scores[0], made)
    examples = _features(data_path, targets["phi"].shape[1]) if data_path else {}
    bank = bank_of(shadows, **examples)
    if drop_unhealthy:
        bank = bank.select(np.flatnonzero(converged(shadows)))
    score_TN, target_roles_TN = _evaluated(
        row.score(bank, bank_of(targets, **examples)), targets["roles"]
    )
    shadow_score_MN, shadow_roles_MN = _evaluated(
        attack_shadows(row, bank), shadows["roles"][np.isin(shadows.models, bank.names)]
    )
    groups = _groups(groups_path, targets["phi"].shape[1]) if groups_path else {}
    storage.write_hdf5(
        output,
        groups
        | {
            "targets": list(targets.models),
            "shadows": list(bank.names),
            "score": score_TN,
            "target_roles": target_roles_TN,
            "shadow_score": shadow_score_MN,
            "shadow_roles": shadow_roles_MN,
        },
        provenance(
            {"attack": attack, "adversary": adversary},
            time.monotonic() - start,
            targets_digest=array_digest(targets["phi"]),
            shadows_digest=array_digest(shadows["phi"]),
        ),
        adversary=adversary,
        judged_by=judged_by(row, bank, adversary),
    )


def judged_by(attack: Attack, shadows: ScoreBank, adversary: str) -> str:
    """Say which models show how well an attack does.

    Args:
        attack: a row of `ATTACKS`.
        shadows: the bank that targets are attacked with.
        adversary: who trained them.

    Returns:
        `shadows`, each left out with its complement; `shadows_loo` if some have none and are left
        out alone; `targets` where shadows would mislead: they were not made as the targets were,
        are too few to be attacked with each other, or are fewer than `MIN_LEFT_OUT_ALONE`, left out
        alone, of an attack that compares shadows on the same example.
    """
    if adversary != "adaptive" or not has_enough(attack, shadows, in_turn=True):
        return "targets"
    if shadows.is_paired_M.all() or not attack.learns:
        return "shadows"
    if attack.per_example and len(shadows.names) < MIN_LEFT_OUT_ALONE:
        return "targets"
    return "shadows_loo"


def _split(settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a configuration says of training, and what only the models themselves tell."""
    made = {name: settings.get(name) for name in ("precision", "data_digest")}
    return {name: value for name, value in settings.items() if name not in made}, made


def _features(data_path: str, pool_size: int) -> dict[str, np.ndarray]:
    """The examples as rows of numbers, of the pool and of the population outside it."""
    from shadowmill.data.store import load

    rows = load(data_path).flat_inputs
    found = {"features": rows[:pool_size]}
    if len(rows) > pool_size:
        found["population_features"] = rows[pool_size:]
    return found


def _groups(path: str, pool_size: int) -> dict[str, np.ndarray]:
    """Which examples of the pool belong together, if some do."""
    from shadowmill.data.store import groups

    found = groups(path, pool_size)
    return {} if found is None else {"groups": found[1]}


def _evaluated(score: np.ndarray, roles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores and roles, where examples that are not evaluated (NaN) have no role."""
    unknown = np.isnan(score)
    return np.where(unknown, 0.0, score), np.where(unknown, UNUSED, roles).astype(np.int8)


def read_attack(path: str) -> AttackScores:
    """Read an attack file.

    Raises:
        ArtefactError: the file is missing or damaged, or holds another attack, or one of another
            adversary, than it is named for.
    """
    with storage.open_hdf5(path) as file:
        _check_name(path, storage.attribute(file).get("settings", {}))
        return AttackScores(
            targets=tuple(file["targets"]),
            shadows=tuple(file["shadows"]),
            score_TN=file["score"],
            target_roles_TN=file["target_roles"],
            shadow_score_MN=file["shadow_score"],
            shadow_roles_MN=file["shadow_roles"],
            adversary=storage.attribute(file, "adversary"),
            judged_by=storage.attribute(file, "judged_by"),
            group_N=file.get("groups"),
        )


def _check_name(path: str, found: Mapping[str, Any]) -> None:
    """Refuse an attack under the name of another one, or in the folder of another adversary.

    Args:
        path: of the file.
        found: `attack` and `adversary`, if the file says them.
    """
    folder, attack = Path(path).parent.name, Path(path).stem
    says = found.get("adversary")
    whose = "adaptive" if says in ADAPTIVE else says
    if found and (whose != folder or found["attack"] != attack):
        raise ArtefactError(
            f"{path}: it holds the attack {found['attack']}, {found['adversary']}. It was copied "
            "or renamed. Delete it and rerun the workflow."
        )
