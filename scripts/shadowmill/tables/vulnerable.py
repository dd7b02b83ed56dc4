"""vulnerable: the most vulnerable examples, chosen on one half of the shadows, judged on the other.

Legend: M shadows, N examples of the pool, D draws.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from shadowmill.attacks import ATTACKS, Attack, ScoreBank, attack_shadows, has_enough
from shadowmill.attacks.exposure import halves, most_vulnerable, separation
from shadowmill.attacks.run import bank_of
from shadowmill.metrics.ranking import allowed_false_positives, auc, tpr_at_fpr
from shadowmill.names import Cell
from shadowmill.scores.arrays import ARRAYS
from shadowmill.scores.files import read_scores
from shadowmill.tables import identity, write_csv

DRAWS = 20
FPR = 0.01


def tabulate(cell: Cell, attack: str, score_paths: Sequence[str], output: str) -> None:
    """Write the rows of one configuration.

    In each of `DRAWS` draws the shadows are cut in two halves. The 1 % of the examples with the
    largest separation on the one (`shadowmill.attacks.exposure`) are `most_vulnerable`; how well
    the attack finds them and `all` is measured on the other, whose shadows attack each other.
    Choosing and judging on the same shadows would take chance for exposure. Each group is one
    ranking of its pairs of model and example. `overlap` is the share of the most vulnerable of one
    half that are so on the other too, `spearman` the rank correlation of the separations of all.
    Values are means over the draws. No rows if the halves are too small for the attack, or if it
    trains networks or looks at the examples themselves.

    Args:
        cell: the configuration.
        attack: the study's headline attack.
        score_paths: score files of the shadows.
        output: CSV file to write.
    """
    row = ATTACKS[attack]
    measured = []
    looks_at_inputs = any(ARRAYS[name].given == "data" for name in row.needs)
    if (row.fast or not row.learns) and not looks_at_inputs:
        shadows = bank_of(read_scores(score_paths, sorted(row.needs)))
        if len(shadows.left_out_together) > 1:
            measured = [each for parts in halves(shadows, DRAWS) for each in _measure(row, *parts)]
    keys = ["group", "metric", "num_examples"]
    by_key = pd.DataFrame(measured, columns=[*keys, "value"]).groupby(keys, sort=False)["value"]
    table = by_key.agg(draws="count", value="mean", lowest="min", highest="max").reset_index()
    for index, (name, value) in enumerate((identity(cell) | {"attack": attack}).items()):
        table.insert(index, name, value)
    write_csv(output, table)


def _measure(
    attack: Attack, choosing: ScoreBank, judging: ScoreBank
) -> Iterator[tuple[str, str, int, float]]:
    """Group, metric, number of examples, value; nothing if the halves are too small."""
    # Of few pairs all may validate on an example.
    sides = (part for bank in (choosing, judging) for part in (bank.member_MN, bank.nonmember_MN))
    complete = all(side_MN.any(axis=0).all() for side_MN in sides)
    if not complete or not has_enough(attack, judging, in_turn=True):
        return
    chosen = most_vulnerable(choosing)
    score_MN = attack_shadows(attack, judging)
    used_MN = (judging.member_MN | judging.nonmember_MN) & ~np.isnan(score_MN)
    everything = np.arange(score_MN.shape[1])
    for group, examples in (("all", everything), ("most_vulnerable", chosen)):
        used = used_MN[:, examples]
        ranking = score_MN[:, examples][used], judging.member_MN[:, examples][used]
        count, nonmembers = len(examples), int((~ranking[1]).sum())
        yield group, "auc", count, auc(*ranking)
        if allowed_false_positives(FPR, nonmembers):
            yield group, f"tpr_at_fpr_{FPR:g}", count, tpr_at_fpr(*ranking, FPR)
    again = np.isin(chosen, most_vulnerable(judging)).mean()
    yield "most_vulnerable", "overlap", len(chosen), float(again)
    ranks = spearmanr(separation(choosing), separation(judging)).statistic
    yield "all", "spearman", len(everything), float(ranks)
