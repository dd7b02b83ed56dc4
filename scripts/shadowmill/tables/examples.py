"""examples: how exposed each example is, one row per example."""

import io

import numpy as np
import pandas as pd

from shadowmill import storage
from shadowmill.attacks.exposure import exposure
from shadowmill.attacks.run import bank_of, read_attack
from shadowmill.data import store
from shadowmill.data.duplicates import nearest
from shadowmill.names import Cell
from shadowmill.scores.files import read_scores
from shadowmill.tables import identity, read_csv, write_csv
from shadowmill.tables.membership import split

MOST_COMPARED = 200_000


def tabulate(
    cell: Cell,
    attack: str,
    data_path: str,
    score_paths: list[str],
    attack_path: str,
    output: str,
) -> None:
    """Write the rows of one configuration.

    `id` is what the user calls an example, if anything. `memorization` is the accuracy on it of the
    models that trained on it minus that of those that did not (Feldman and Zhang 2020, Eq. 1).
    `nearest` is the example next to it, `nearest_distance` how far that is, and `near_duplicate`
    whether it is nearly the same (`shadowmill.data.duplicates`; empty for more than `MOST_COMPARED`
    examples). The other columns are those of `shadowmill.attacks.exposure`.

    Args:
        cell: the configuration.
        attack: the study's headline attack, whose scores of the shadows are summarised.
        data_path: the prepared data set.
        score_paths: score files of the shadows.
        attack_path: scores of the attack.
        output: CSV file to write.
    """
    shadows, scores = read_scores(score_paths), read_attack(attack_path)
    used_M = np.isin(shadows.models, scores.shadows)
    bank, correct_MN = bank_of(shadows).select(np.flatnonzero(used_M)), shadows["correct"][used_M]
    evaluated_MN = np.logical_or(*split(scores.shadow_score_MN, scores.shadow_roles_MN))
    columns = exposure(bank, np.where(evaluated_MN, scores.shadow_score_MN, np.nan))
    num_examples = shadows["phi"].shape[1]
    with store.opened(data_path) as file:
        labels, ids = file["labels"][:num_examples], file.get("ids")
    beside = (None, np.nan, None)
    if 1 < num_examples <= MOST_COMPARED:
        beside = nearest(store.load(data_path).flat_inputs[:num_examples])
    table = pd.DataFrame(
        identity(cell)
        | {
            "attack": attack,
            "example": np.arange(len(labels)),
            **({} if ids is None else {"id": ids[:num_examples].astype(str)}),
            "label": labels,
            **columns,
            "memorization": correct_MN.mean(axis=0, where=bank.member_MN)
            - correct_MN.mean(axis=0, where=bank.nonmember_MN),
            **dict(zip(("nearest", "nearest_distance", "near_duplicate"), beside, strict=True)),
        }
    )
    write_csv(output, table)


def write_parquet(table_path: str, output: str) -> None:
    """Write examples.csv as Parquet, which keeps types and takes a fraction of the space.

    Args:
        table_path: examples.csv, of one configuration or of a study.
        output: Parquet file to write.

    Raises:
        ArtefactError: the table cannot be read.
    """
    content = io.BytesIO()
    read_csv(table_path).to_parquet(content, engine="pyarrow", index=False)
    storage.write_bytes(output, content.getbuffer())
