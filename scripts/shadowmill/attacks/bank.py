"""The score bank: what every attack reads.

Legend: M models, N examples, A queries; see `scores.arrays` for the other axes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from shadowmill.scores.arrays import ARRAYS

AMONG_OTHERS = " once a model is left out"
"""For messages about shadows attacked in turn."""


@dataclass(frozen=True, eq=False)
class ScoreBank:
    """The scores of some models of one variant, shadows or targets, and who trained on what.

    An example that is neither member nor non-member of a model (unused, or in its validation
    set) takes no part in any statistic of that model.

    Attributes:
        phi_MNA: (M, N, A) float32 or float64, logit-scaled confidence in nats,
            higher = more likely a member. Kept as given; statistics are computed in float64.
        member_MN: (M, N) bool, True where example n trained model m.
        nonmember_MN: (M, N) bool, True where model m has never seen example n;
            ``~member_MN`` if not given.
        names: M model names, for messages; "model 0", "model 1", … if not given.
        arrays: what else there is, by its name in `ARRAYS`: ``bank["labels"]``.

    Raises:
        ValueError: empty arrays, shapes or types that do not fit, a statistic of the queries
            that is not finite (the model and the example are named), or an example that is both
            member and non-member of one model.
    """

    phi_MNA: NDArray[np.floating]
    member_MN: NDArray[np.bool_]
    nonmember_MN: NDArray[np.bool_] | None = None
    names: Sequence[str] | None = None
    arrays: Mapping[str, NDArray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._check_scores()
        if self.nonmember_MN is None:
            object.__setattr__(self, "nonmember_MN", ~_require_bool(self.member_MN, "member_MN"))
        if self.names is None:
            names = tuple(f"model {index}" for index in range(len(self.phi_MNA)))
            object.__setattr__(self, "names", names)
        self._check_names()
        self._check_roles()
        self._check_finite("φ", self.phi_MNA)
        for name, array in self.arrays.items():
            self._check_axes(name, array)
            if ARRAYS[name].axes == "MNA":
                self._check_finite(name, array)

    def __getitem__(self, name: str) -> NDArray:
        """One of the further arrays.

        Raises:
            ValueError: it is not there; names it.
        """
        if name not in self.arrays:
            raise ValueError(
                f"{name} is not in the bank, and the attack needs it; score the models again "
                "with this attack in the study's list"
            )
        return self.arrays[name]

    def __contains__(self, name: str) -> bool:
        """Whether one of the further arrays is there."""
        return name in self.arrays

    @cached_property
    def complement_M(self) -> NDArray[np.intp]:
        """Index of each model's complement, which trained on just the examples that it did not.

        Its own index where there is none. Of several, each is the complement of one.
        """
        complement_M = np.arange(len(self.member_MN))
        single: dict[bytes, list[int]] = {}
        for model, member_N in enumerate(self.member_MN):
            fitting = single.get((~member_N).tobytes())
            if fitting:
                other = fitting.pop(0)
                complement_M[[model, other]] = other, model
            else:
                single.setdefault(member_N.tobytes(), []).append(model)
        return complement_M

    @property
    def is_paired_M(self) -> NDArray[np.bool_]:
        """Whether each model has a complement."""
        return self.complement_M != np.arange(len(self.complement_M))

    @property
    def left_out_together(self) -> list[NDArray[np.intp]]:
        """Indices of each model and its complement, of models without one alone; each once."""
        return [
            np.unique([model, other])
            for model, other in enumerate(self.complement_M)
            if model <= other
        ]

    def select(self, models: Sequence[int] | NDArray[np.intp]) -> "ScoreBank":
        """Some of the models, in the given order."""
        models = np.asarray(models)
        return replace(
            self,
            phi_MNA=self.phi_MNA[models],
            member_MN=self.member_MN[models],
            nonmember_MN=self.nonmember_MN[models],
            names=tuple(self.names[index] for index in models),
            arrays={
                name: array[models] if ARRAYS[name].axes.startswith("M") else array
                for name, array in self.arrays.items()
            },
        )

    def without(self, models: Sequence[int] | NDArray[np.intp]) -> "ScoreBank":
        """The bank with some of the models left out."""
        return self.select(np.delete(np.arange(len(self.names)), models))

    def _check_scores(self) -> None:
        phi_MNA = self.phi_MNA
        if phi_MNA.ndim != 3 or not np.issubdtype(phi_MNA.dtype, np.floating):
            raise ValueError(
                f"phi_MNA has shape {phi_MNA.shape} and type {phi_MNA.dtype}, expected a floating "
                "(models, examples, queries); add a last axis of length 1 for a single query"
            )
        if phi_MNA.size == 0:
            raise ValueError(
                f"phi_MNA has shape {phi_MNA.shape}, expected at least one model, one example "
                "and one query; score the models first"
            )

    def _check_axes(self, name: str, array: NDArray) -> None:
        """Refuse an array whose axes do not fit those of phi_MNA."""
        sizes = dict(zip("MNA", self.phi_MNA.shape, strict=True))
        axes = ARRAYS[name].axes
        expected = tuple(sizes.get(axis, axis) for axis in axes)
        fits = len(array.shape) == len(axes) and all(
            found == sizes.get(axis, found) for axis, found in zip(axes, array.shape, strict=True)
        )
        if not fits:
            raise ValueError(
                f"{name} has shape {array.shape}, expected ({', '.join(map(str, expected))}) to "
                "fit phi_MNA; select the same models, examples and queries for both"
            )

    def _check_finite(self, statistic: str, value_MNA: NDArray[np.floating]) -> None:
        for name, value_NA in zip(self.names, value_MNA, strict=True):
            require_finite(value_NA, name, statistic)

    def _check_names(self) -> None:
        if len(self.names) != len(self.phi_MNA):
            raise ValueError(
                f"{len(self.names)} names for {len(self.phi_MNA)} models, expected one each; "
                "pass names in the order of phi_MNA"
            )

    def _check_roles(self) -> None:
        for label in ("member_MN", "nonmember_MN"):
            role_MN = _require_bool(getattr(self, label), label)
            if role_MN.shape != self.phi_MNA.shape[:2]:
                raise ValueError(
                    f"{label} has shape {role_MN.shape}, expected {self.phi_MNA.shape[:2]} like "
                    "phi_MNA; select the same models and examples for both"
                )
        both_MN = self.member_MN & self.nonmember_MN
        if both_MN.any():
            model, example = np.argwhere(both_MN)[0]
            raise ValueError(
                f"example {example} is both member and non-member of {self.names[model]}, "
                "expected at most one; build both masks from one role matrix"
            )


def require_same_examples(shadows: ScoreBank, targets: ScoreBank) -> None:
    """Refuse targets that cannot be compared with the shadows example by example.

    Args:
        shadows: (M, N, A) scores.
        targets: (T, N, A) scores.

    Raises:
        ValueError: they differ in the number of examples or queries.
    """
    if targets.phi_MNA.shape[1:] != shadows.phi_MNA.shape[1:]:
        raise ValueError(
            f"the targets' scores have shape {targets.phi_MNA.shape[1:]}, expected "
            f"{shadows.phi_MNA.shape[1:]} (examples, queries) like the shadows'; select the same "
            "examples and queries for both"
        )


def require_shadows_of_each_example(
    sides: dict[str, NDArray[np.bool_]], needed: int, attack: str, *, in_turn: bool
) -> None:
    """Refuse a bank in which an example has too few shadows on some side.

    Args:
        sides: (M, N) bool by ``IN`` or ``OUT``, the shadows that count for that side.
        needed: Shadows per example and side.
        attack: What the attack is called in the message.
        in_turn: Whether every shadow is attacked in turn, so that one of the side is left out.

    Raises:
        ValueError: an example has fewer; names the first of the worst.
    """
    when = AMONG_OTHERS if in_turn else ""
    for side, side_MN in sides.items():
        left_N = side_MN.sum(axis=0) - (side_MN.any(axis=0) if in_turn else 0)
        worst = int(left_N.argmin())
        if left_N[worst] < needed:
            raise ValueError(
                f"{attack} found {left_N[worst]} {side} shadows for example {worst}{when}, "
                f"expected at least {needed} for every example; use at least "
                f"{2 * (needed + in_turn)} shadows in complementary pairs, or only examples that "
                "enough shadows hold"
            )


def require_finite(value_NA: NDArray[np.floating], name: str, statistic: str) -> None:
    """Refuse scores with NaN or infinity.

    Args:
        value_NA: (N, A) float, the scores of one model.
        name: What the model is called in the message.
        statistic: What the scores are called.

    Raises:
        ValueError: an entry is not finite; the model and its first such example are named.
    """
    finite_NA = np.isfinite(value_NA)
    if not finite_NA.all():
        example, query = np.argwhere(~finite_NA)[0]
        raise ValueError(
            f"{statistic} of {name} at example {example}, query {query} is "
            f"{value_NA[example, query]}, expected a finite number; the model diverged or its "
            "score file is corrupt: delete both and rerun"
        )


def _require_bool(role_MN: NDArray[np.bool_], label: str) -> NDArray[np.bool_]:
    if role_MN.dtype != np.bool_:
        raise ValueError(
            f"{label} has type {role_MN.dtype}, expected bool; "
            "compare the role matrix with the wanted role, for example roles == MEMBER"
        )
    return role_MN
