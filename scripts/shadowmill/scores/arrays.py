"""Every array that score files and score banks hold, by its name.

Legend: M models, N examples of the pool, A queries, K classes, Z examples of the official test set
outside the pool, D features.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

# To the name of its array.
CURVATURES = {
    estimator: f"curvature_{estimator}" for estimator in ("finite_difference", "trace", "frobenius")
}


@dataclass(frozen=True)
class ScoreArray:
    """An array.

    Attributes:
        axes: a letter of the legend for each.
        dtype: in score files.
        given: `always` in score files; there on `request` of an attack that needs it; or taken from
            the `data` set by the job of such an attack, and in no score file.
    """

    axes: str
    dtype: str
    given: Literal["always", "request", "data"] = "always"


ARRAYS: dict[str, ScoreArray] = {
    # Logit-scaled confidence in nats, of each query; the identity is query 0.
    "phi": ScoreArray("MNA", "float32"),
    # Of the identity query: whether its prediction is the label; of its posterior, in nats.
    "correct": ScoreArray("MN", "bool"),
    "entropy": ScoreArray("MN", "float32"),
    # Song and Mittal 2021 (arXiv:2003.10595), Eq. 8.
    "modified_entropy": ScoreArray("MN", "float32"),
    "labels": ScoreArray("N", "int64"),
    "roles": ScoreArray("MN", "int8"),
    # φ of the identity query on examples that no model has seen and that are not evaluated.
    "population_phi": ScoreArray("MZ", "float32"),
    "population_labels": ScoreArray("Z", "int64"),
    # On the population; NaN where there is none. The loss is the mean cross-entropy, in nats.
    "test_accuracy": ScoreArray("M", "float64"),
    "test_loss": ScoreArray("M", "float64"),
    # Achieved; epochs trained; wall time of training in seconds, per model.
    "sparsity": ScoreArray("M", "float64"),
    "epochs": ScoreArray("M", "int64"),
    "training_seconds": ScoreArray("M", "float64"),
    # Of the identity query, and of its posterior to small changes of the input.
    "logits": ScoreArray("MNK", "float32", "request"),
    "sensitivity": ScoreArray("MNK", "float32", "request"),
    # φ of the most probable class.
    "max_phi": ScoreArray("MNA", "float32", "request"),
    # Of the loss in the input, see `scores.curvature`.
    **{name: ScoreArray("MNA", "float32", "request") for name in CURVATURES.values()},
    # What the networks get as input, flattened.
    "features": ScoreArray("ND", "float32", "data"),
    "population_features": ScoreArray("ZD", "float32", "data"),
}


def on_request(names: Iterable[str]) -> list[str]:
    """Those that score files hold only if they are asked for, in the order of the table."""
    names = set(names)
    return [name for name, row in ARRAYS.items() if row.given == "request" and name in names]
