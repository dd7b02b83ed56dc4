"""training_results: how well each model does, one row per model."""

import numpy as np
import pandas as pd

from shadowmill.names import Cell
from shadowmill.scores.files import read_scores
from shadowmill.tables import identity, write_csv


def tabulate(cell: Cell, score_paths: list[str], output: str) -> None:
    """Write the rows of one configuration.

    `test_accuracy` is on the official test set, or, for data sets without one, on the pool's
    non-members; `test_set` says which. Losses are mean cross-entropies in nats. Of models that were
    trained elsewhere, epochs and time are not known and left empty.

    Args:
        cell: the configuration.
        score_paths: score files of all its models.
        output: CSV file to write.
    """
    of_models = ["test_accuracy", "test_loss", "sparsity", "epochs", "training_seconds"]
    scores = read_scores(score_paths, of_models, identity_only=True)
    # softplus(−φ) is the cross-entropy; logaddexp keeps it exact for large |φ|.
    loss_MN = np.logaddexp(0, -scores["phi"][:, :, 0].astype(np.float64))
    has_test_set = not np.isnan(scores["test_accuracy"]).any()
    trained_here = scores["epochs"] > 0
    held_out_accuracy = _mean(scores["correct"], scores.nonmember_MN)
    held_out_loss = _mean(loss_MN, scores.nonmember_MN)
    table = pd.DataFrame(
        identity(cell)
        | {
            "model": scores.models,
            "role": ["target" if name.startswith("target") else "shadow" for name in scores.models],
            "train_accuracy": _mean(scores["correct"], scores.member_MN),
            "test_accuracy": scores["test_accuracy"] if has_test_set else held_out_accuracy,
            "train_loss": _mean(loss_MN, scores.member_MN),
            "test_loss": scores["test_loss"] if has_test_set else held_out_loss,
            "test_set": "official" if has_test_set else "non-members",
            "num_members": scores.member_MN.sum(axis=1),
            "achieved_sparsity": scores["sparsity"],
            "epochs": np.where(trained_here, scores["epochs"], np.nan),
            "training_seconds": np.where(trained_here, scores["training_seconds"], np.nan),
        }
    )
    write_csv(output, table)


def _mean(values_MN: np.ndarray, where_MN: np.ndarray) -> np.ndarray:
    return values_MN.mean(axis=1, where=where_MN)
