"""Attacks: functions of a score bank that give each example a membership score.

Scores are float64, higher = more likely a member. ``ATTACKS`` lists them by the name under
which the configuration, the result files and the figures know them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from shadowmill.attacks.bank import ScoreBank
from shadowmill.attacks.lira import lira, lira_leave_one_out, required_shadows
from shadowmill.attacks.loss import loss, loss_leave_one_out

__all__ = ["ATTACKS", "Attack", "ScoreBank", "lira", "lira_leave_one_out", "loss"]


@dataclass(frozen=True)
class Attack:
    """An attack under its public name.

    Attributes:
        title: What figures and tables call it.
        score: ``(bank, target_phi_NA) -> (N,) float64``, for a target outside the bank.
        leave_one_out: ``(bank) -> (M, N) float64``, every shadow as target in turn.
        min_shadows: Smallest number of shadows, in complementary pairs, that both need.
        per_example: Whether shadows must have trained on the target's own examples, some on
            each and some not.
        needs: further arrays of the score files (see `ScoreBank`), and `features` for the examples.
    """

    title: str
    score: Callable[[ScoreBank, NDArray[np.floating]], NDArray[np.float64]]
    leave_one_out: Callable[[ScoreBank], NDArray[np.float64]]
    min_shadows: int
    per_example: bool
    needs: frozenset[str] = frozenset()


_LIRA_TITLES = {
    "online": "LiRA, online",
    "fixed": "LiRA, online, fixed variance",
    "offline": "LiRA, offline",
}

ATTACKS: dict[str, Attack] = {
    f"lira_{mode}": Attack(
        title=title,
        score=partial(lira, mode=mode),
        leave_one_out=partial(lira_leave_one_out, mode=mode),
        min_shadows=required_shadows(mode),
        per_example=True,
    )
    for mode, title in _LIRA_TITLES.items()
} | {"loss": Attack("Loss", loss, loss_leave_one_out, min_shadows=1, per_example=False)}
