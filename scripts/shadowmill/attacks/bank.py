"""The score bank: what every attack reads.

Legend: M models, N examples, A queries, K classes, Z population examples, D features.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray


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
        labels_N: (N,) int64, the true classes.
        correct_MN: (M, N) bool, whether the identity query is classified correctly.
        entropy_MN: (M, N) float, of the posterior of the identity query, nats.
        modified_entropy_MN: (M, N) float, Song and Mittal 2021 (arXiv:2003.10595), Eq. 8, nats.
        logits_MNK: (M, N, K) float32, of the identity query.
        sensitivity_MNK: (M, N, K) float32, of the posterior to small changes of the input.
        curvature_finite_difference_MNA: (M, N, A) float, curvature of the loss in the input by
            the published probe; `curvature_trace_MNA` and `curvature_frobenius_MNA` are the trace
            and the norm of its exact Hessian (see `scores.curvature`).
        max_phi_MNA: (M, N, A) float, logit-scaled confidence of the most probable class, nats.
        population_phi_MZ: (M, Z) float, φ of the identity query on examples that no model has
            seen and that are not evaluated.
        population_labels_Z: (Z,) int64.
        features_ND: (N, D) float32, what the networks get as input, flattened.
        population_features_ZD: (Z, D) float32.

    All from `labels_N` on are None where they were not asked for, or are not to be had.

    Raises:
        ValueError: empty arrays, shapes or types that do not fit, a statistic of the queries
            that is not finite (the model and the example are named), or an example that is both
            member and non-member of one model.
    """

    phi_MNA: NDArray[np.floating]
    member_MN: NDArray[np.bool_]
    nonmember_MN: NDArray[np.bool_] | None = None
    names: Sequence[str] | None = None
    labels_N: NDArray[np.int64] | None = None
    correct_MN: NDArray[np.bool_] | None = None
    entropy_MN: NDArray[np.floating] | None = None
    modified_entropy_MN: NDArray[np.floating] | None = None
    logits_MNK: NDArray[np.float32] | None = None
    sensitivity_MNK: NDArray[np.float32] | None = None
    curvature_finite_difference_MNA: NDArray[np.floating] | None = None
    curvature_trace_MNA: NDArray[np.floating] | None = None
    curvature_frobenius_MNA: NDArray[np.floating] | None = None
    max_phi_MNA: NDArray[np.floating] | None = None
    population_phi_MZ: NDArray[np.floating] | None = None
    population_labels_Z: NDArray[np.int64] | None = None
    features_ND: NDArray[np.float32] | None = None
    population_features_ZD: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        self._check_scores()
        if self.nonmember_MN is None:
            object.__setattr__(self, "nonmember_MN", ~_require_bool(self.member_MN, "member_MN"))
        if self.names is None:
            names = tuple(f"model {index}" for index in range(len(self.phi_MNA)))
            object.__setattr__(self, "names", names)
        self._check_names()
        self._check_roles()
        for field in fields(self):
            if field.name.endswith("_MNA") and getattr(self, field.name) is not None:
                self._check_queries(field.name)

    def select(self, models: Sequence[int] | NDArray[np.intp]) -> "ScoreBank":
        """Some of the models, in the given order."""
        models = np.asarray(models)
        chosen = {
            field.name: getattr(self, field.name)[models]
            for field in fields(self)
            if field.name.partition("_M")[2] and getattr(self, field.name) is not None
        }
        return replace(self, **chosen, names=tuple(self.names[index] for index in models))

    def require(self, *statistics: str) -> None:
        """Refuse to go on without some statistics.

        Raises:
            ValueError: one of them is None; names it.
        """
        for name in statistics:
            if getattr(self, name) is None:
                raise ValueError(
                    f"{name} is not in the bank, and the attack needs it; score the models again "
                    "with this attack in the study's list"
                )

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

    def _check_queries(self, label: str) -> None:
        value_MNA = getattr(self, label)
        if value_MNA.shape != self.phi_MNA.shape:
            raise ValueError(
                f"{label} has shape {value_MNA.shape}, expected {self.phi_MNA.shape} like phi_MNA; "
                "select the same models, examples and queries for both"
            )
        statistic = "φ" if label == "phi_MNA" else label.removesuffix("_MNA")
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
    sides: dict[str, NDArray[np.bool_]], needed: int, attack: str, *, leave_one_out: bool
) -> None:
    """Refuse a bank in which an example has too few shadows on some side.

    Args:
        sides: (M, N) bool by ``IN`` or ``OUT``, the shadows that count for that side.
        needed: Shadows per example and side.
        attack: What the attack is called in the message.
        leave_one_out: Whether one shadow of the side is to be left out.

    Raises:
        ValueError: an example has fewer; names the first of the worst.
    """
    when = " once a model is left out" if leave_one_out else ""
    for side, side_MN in sides.items():
        left_N = side_MN.sum(axis=0) - (side_MN.any(axis=0) if leave_one_out else 0)
        worst = int(left_N.argmin())
        if left_N[worst] < needed:
            raise ValueError(
                f"{attack} found {left_N[worst]} {side} shadows for example {worst}{when}, "
                f"expected at least {needed} for every example; use at least "
                f"{2 * (needed + 1)} shadows in complementary pairs, or only examples that "
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
