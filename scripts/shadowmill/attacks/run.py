"""Attack files: the scores of one attack on every model of a configuration.

Legend: T targets, M shadows, N examples of the pool.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shadowmill import storage
from shadowmill.attacks import ATTACKS, ScoreBank
from shadowmill.errors import ArtefactError
from shadowmill.provenance import array_digest, provenance
from shadowmill.scores.files import ModelScores, check_same_settings, read_scores


@dataclass(frozen=True)
class AttackScores:
    """What one attack says; higher = more likely a member.

    Attributes:
        targets: T names.
        shadows: M names.
        score_TN: float64.
        target_roles_TN: int8.
        leave_one_out_MN: float64, each shadow attacked with the others.
        shadow_roles_MN: int8.
        is_adaptive: whether the shadows were made as the targets were; otherwise they lack the
            targets' defence, and what they say of each other is not about the targets.
    """

    targets: tuple[str, ...]
    shadows: tuple[str, ...]
    score_TN: np.ndarray
    target_roles_TN: np.ndarray
    leave_one_out_MN: np.ndarray
    shadow_roles_MN: np.ndarray
    is_adaptive: bool

    @property
    def audited(self) -> tuple[str, np.ndarray, np.ndarray]:
        """The models that the attack is judged by: the shadows, or the targets if not adaptive.

        Returns:
            `shadows` or `targets`, their scores, and their roles.
        """
        if self.is_adaptive:
            return "shadows", self.leave_one_out_MN, self.shadow_roles_MN
        return "targets", self.score_TN, self.target_roles_TN


def bank_of(shadows: ModelScores) -> ScoreBank:
    """The score bank of some shadow models.

    Raises:
        ArtefactError: a score is not a finite number; the model is named.
    """
    try:
        return ScoreBank(
            shadows.phi_MNA,
            shadows.member_MN,
            nonmember_MN=shadows.nonmember_MN,
            names=shadows.models,
        )
    except ValueError as error:
        raise ArtefactError(str(error)) from error


def run_attack(
    *,
    attack: str,
    target_scores: Sequence[str],
    shadow_scores: Sequence[str],
    adaptive: bool,
    output: str,
) -> None:
    """Attack every target, and every shadow with the other shadows.

    Args:
        attack: name in `ATTACKS`.
        target_scores: score files of the targets.
        shadow_scores: score files of the shadows.
        adaptive: whether the shadows were trained with the targets' defence.
        output: HDF5 file to write.

    Raises:
        ArtefactError: a file is damaged or does not belong to the others.
    """
    start = time.monotonic()
    targets, shadows = read_scores(target_scores), read_scores(shadow_scores)
    check_same_settings(
        target_scores[0],
        targets.training_settings,
        shadow_scores[0],
        shadows.training_settings,
        ignored=() if adaptive else ("defense",),
    )
    bank = bank_of(shadows)
    score = np.stack([ATTACKS[attack].score(bank, phi_NA) for phi_NA in targets.phi_MNA])
    storage.write_hdf5(
        output,
        {
            "targets": list(targets.models),
            "shadows": list(shadows.models),
            "score": score,
            "target_roles": targets.roles_MN,
            "leave_one_out": ATTACKS[attack].leave_one_out(bank),
            "shadow_roles": shadows.roles_MN,
        },
        provenance(
            {"attack": attack, "adaptive": adaptive},
            time.monotonic() - start,
            targets_digest=array_digest(targets.phi_MNA),
            shadows_digest=array_digest(shadows.phi_MNA),
        ),
        adaptive=adaptive,
    )


def read_attack(path: str) -> AttackScores:
    """Read an attack file.

    Raises:
        ArtefactError: the file is missing or damaged.
    """
    with storage.open_hdf5(path) as file:
        return AttackScores(
            targets=tuple(file["targets"].asstr()[:]),
            shadows=tuple(file["shadows"].asstr()[:]),
            score_TN=file["score"][:],
            target_roles_TN=file["target_roles"][:],
            leave_one_out_MN=file["leave_one_out"][:],
            shadow_roles_MN=file["shadow_roles"][:],
            is_adaptive=storage.attribute(file, "adaptive"),
        )
