"""imported: how alike finished models and the shadows are that imitate them.

Legend: M shadows.
"""

import numpy as np
import pandas as pd

from shadowmill.tables import read_csv, write_csv

QUANTITIES = ("train_accuracy", "test_accuracy", "train_loss", "test_loss", "accuracy_gap")
_SETTING = ["study", "dataset", "architecture", "variant"]
_ALPHA = 0.01


def likeness(training: pd.DataFrame) -> pd.DataFrame:
    """Compare each model that was trained elsewhere with the shadows of its configuration.

    Args:
        training: rows of training_results.csv.

    Returns:
        A row for each such model and quantity of `QUANTITIES`: its value, mean and standard
        deviation of the shadows, and `unlike`, whether one more shadow would lie so far from the
        others in one of a hundred cases only (prediction interval of a normal distribution). Beside
        them how many members it and, on average, a shadow has.
    """
    training = training.assign(accuracy_gap=training["train_accuracy"] - training["test_accuracy"])
    rows = []
    for setting, models in training.groupby(_SETTING, sort=False):
        shadows = models[models["role"] == "shadow"]
        # Of models that were trained elsewhere it is not known how many epochs.
        finished = models[(models["role"] == "target") & models["epochs"].isna()]
        for _, model in finished.iterrows():
            for quantity in QUANTITIES:
                value_M = shadows[quantity].to_numpy()
                rows.append(
                    dict(zip(_SETTING, setting, strict=True))
                    | {
                        "model": model["model"],
                        "num_members": model["num_members"],
                        "shadow_members": shadows["num_members"].mean(),
                        "quantity": quantity,
                        "value": model[quantity],
                        "shadow_mean": value_M.mean(),
                        "shadow_std": value_M.std(ddof=1),
                        "unlike": is_unlike(model[quantity], value_M),
                    }
                )
    columns = [*_SETTING, "model", "num_members", "shadow_members", "quantity", "value"]
    return pd.DataFrame(rows, columns=[*columns, "shadow_mean", "shadow_std", "unlike"])


def is_unlike(value: float, value_M: np.ndarray) -> bool:
    """Whether a value lies outside the 99 % prediction interval of others.

    Of mean ± t · s · √(1 + 1/M), with t of M − 1 degrees of freedom.

    Args:
        value: the one.
        value_M: the others, at least 2, taken for normally distributed.
    """
    from scipy.stats import t

    count = len(value_M)
    width = t.ppf(1 - _ALPHA / 2, count - 1) * value_M.std(ddof=1) * np.sqrt(1 + 1 / count)
    # Sums of equal numbers differ by rounding.
    return bool(abs(value - value_M.mean()) > width + 1e-9)


def tabulate(training_path: str, output: str) -> None:
    """Write the table of a study: see `likeness`.

    Args:
        training_path: training_results.csv.
        output: CSV file to write.
    """
    write_csv(output, likeness(read_csv(training_path)))


def remarks(imported_path: str) -> list[str]:
    """What a reader of the main numbers should know of finished models, a line each.

    Args:
        imported_path: the table.
    """
    table = read_csv(imported_path)
    found = []
    for (variant, model), rows in table.groupby(["variant", "model"], sort=False):
        members, shadows = rows[["num_members", "shadow_members"]].iloc[0]
        name = model.removeprefix("target-")
        line = f"{name} ({variant}) has {members:.0f} members, its shadows {shadows:.0f}"
        unlike = rows[rows["unlike"].astype(bool)]
        if len(unlike):
            parts = [
                f"{row.quantity} ({row.value:.3g} against {row.shadow_mean:.3g} ± "
                f"{row.shadow_std:.2g})"
                for row in unlike.itertuples()
            ]
            line += (
                f"; it is unlike them in {', '.join(parts)}: another recipe, more data, or other "
                "held-out examples"
            )
        found.append(line)
    return found
