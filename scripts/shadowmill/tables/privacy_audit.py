"""privacy_audit: the ε that differentially private training claims beside the ε that it shows.

Legend: M models, N examples of the pool.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from shadowmill.attacks.pairs import audit
from shadowmill.attacks.run import bank_of
from shadowmill.defenses.claims import claim_of
from shadowmill.metrics.epsilon import epsilon_of_gdp, gdp_bound, one_run_bound, one_run_p
from shadowmill.metrics.evaluation import CONFIDENCE
from shadowmill.names import Cell
from shadowmill.scores.files import read_scores
from shadowmill.tables import identity, read_csv, write_csv


def tabulate(
    cell: Cell,
    target_scores: Sequence[str],
    shadow_scores: Sequence[str],
    own: bool,
    delta: float,
    output: str,
) -> None:
    """Write the row of one configuration.

    `claimed_epsilon` is that of the accountant, for neighbours with one example more;
    `claimed_epsilon_replace_one` for those with one example replaced. That is what the audit is
    about: `shown_epsilon` is a lower bound of it (`shadowmill.attacks.pairs`,
    `shadowmill.metrics.epsilon.one_run_bound`), and `shown_epsilon_gdp` one that holds if the
    training is Gaussian-differentially private. `p_value` is that of the claim, which is `exceeded`
    below 0.05. Models trained without privacy claim nothing.

    Args:
        cell: the configuration.
        target_scores: score files of the targets.
        shadow_scores: score files of the shadows.
        own: whether these were trained as the targets were.
        delta: δ, where nothing is claimed.
        output: CSV file to write.
    """
    targets, shadows = (
        read_scores(paths, identity_only=True) for paths in (target_scores, shadow_scores)
    )
    num_examples = targets.member_MN.shape[1]
    members = int(targets.member_MN.sum(axis=1).min())
    claim = claim_of(targets.training_settings, members, num_examples // 2)
    delta = claim.delta if claim else delta
    runs, *counts = audit(bank_of(targets), bank_of(shadows), own=own)
    row = identity(cell) | {
        "runs": runs,
        **dict(zip(("pairs", "guesses", "right"), counts, strict=True)),
        "delta": delta,
        "claimed_epsilon": claim.epsilon if claim else np.nan,
        "claimed_epsilon_replace_one": claim.replace_one if claim else np.nan,
        "shown_epsilon": one_run_bound(*counts, delta, CONFIDENCE),
        "shown_epsilon_gdp": epsilon_of_gdp(gdp_bound(*counts, CONFIDENCE), delta),
        "p_value": one_run_p(*counts, claim.replace_one, delta) if claim else np.nan,
    }
    exceeded = bool(row["p_value"] < 1 - CONFIDENCE)
    write_csv(output, pd.DataFrame([row | {"exceeded": exceeded}]))


def exceeded_claims(path: str) -> list[str]:
    """Say which claims of privacy_audit.csv are exceeded, one line each."""
    table = read_csv(path)
    return [
        f"CLAIM EXCEEDED: {row.dataset}, {row.architecture}, {row.variant} claims "
        f"ε ≤ {row.claimed_epsilon_replace_one:.3g} at δ = {row.delta:g} and shows "
        f"ε ≥ {row.shown_epsilon:.3g} (replacing one example; p = {row.p_value:.2g})"
        for row in table[table["exceeded"]].itertuples()
    ]
