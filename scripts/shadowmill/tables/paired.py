"""Differences on identical splits: of variants (paired_differences), and of attacks.

Legend: M models, shadows or targets, N examples of the pool.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from shadowmill.attacks.run import read_attack
from shadowmill.errors import ArtefactError
from shadowmill.metrics.bootstrap import paired_bootstrap
from shadowmill.metrics.evaluation import CONFIDENCE, FPRS
from shadowmill.metrics.multiplicity import holm
from shadowmill.names import Cell, Variant
from shadowmill.roles import MEMBER, NON_MEMBER
from shadowmill.tables import identity, write_csv
from shadowmill.tables.membership import AGGREGATES, REPLICATES, split

_COLUMNS = ["reference", "attack", "target", "metric", "difference", "ci_low", "ci_high", "p_value"]


def reference_of(cell: Cell) -> Cell | None:
    """What a configuration is compared with.

    Returns:
        A defended variant's undefended one; an undefended pruned variant's dense one; None for
        `dense`.
    """
    variant = Variant.parse(cell.variant)
    if variant.defense != "none":
        return replace(cell, variant=variant.undefended.name)
    return None if variant.method == "dense" else replace(cell, variant="dense")


def tabulate(cells: Sequence[Cell], attack: str, attack_paths: Sequence[str], output: str) -> None:
    """Write the differences of a study: value of the variant minus value of its reference.

    A positive difference means that the variant leaks more. The models compared are those that the
    attack is judged by; the targets if it is on either side.
    Intervals and p-values are of a bootstrap that draws the same models and examples for both;
    `p_holm` is adjusted over all rows of the table. Variants whose reference is not in the study
    have no rows.

    Args:
        cells: all configurations of the study.
        attack: name of the attack; the study's headline attack keeps the family small.
        attack_paths: its scores, one file for each configuration.
        output: CSV file to write.

    Raises:
        ArtefactError: a variant and its reference have other models or other members.
    """
    paths = dict(zip(cells, attack_paths, strict=True))
    rows = [
        identity(cell) | {"reference": reference.variant, "attack": attack} | row
        for cell in cells
        if (reference := reference_of(cell)) in paths
        for row in _rows(paths[cell], paths[reference])
    ]
    _write(rows, cells, output)


def tabulate_attacks(
    cells: Sequence[Cell], pairs: Sequence[tuple[str, str]], paths: Sequence[str], output: str
) -> None:
    """Write what attacks gain over others on the same models: value of one less that of another.

    Intervals, p-values and `p_holm` as for `tabulate`; `reference` is the other attack.

    Args:
        cells: all configurations.
        pairs: names of an attack and of the one it is compared with.
        paths: scores of both attacks of each pair, for each configuration in turn.
        output: CSV file to write.

    Raises:
        ArtefactError: the attacks were on other models.
    """
    files = iter(paths)
    rows = [
        identity(cell) | {"reference": reference, "attack": attack} | row
        for cell in cells
        for attack, reference in pairs
        for row in _rows(next(files), next(files))
    ]
    _write(rows, cells, output)


def _write(rows: Sequence[dict[str, Any]], cells: Sequence[Cell], output: str) -> None:
    table = pd.DataFrame(rows, columns=[*identity(cells[0]), *_COLUMNS])
    write_csv(output, table.assign(p_holm=holm(table["p_value"].to_numpy(dtype=np.float64))))


def _rows(path: str, reference_path: str) -> Iterator[dict[str, Any]]:
    of, reference = read_attack(path), read_attack(reference_path)
    if "targets" in (of.judged_by, reference.judged_by):
        of, reference = (replace(scores, judged_by="targets") for scores in (of, reference))
    who = max(of.judged_by, reference.judged_by)  # shadows_loo if one of them is
    names, score_MN, roles_MN = of.judged
    reference_names, reference_MN, reference_roles_MN = reference.judged
    # A shadow that did not converge may have been dropped from one of them.
    common = [name for name in names if name in reference_names]
    rows, reference_rows = (
        [every.index(name) for name in common] for every in (names, reference_names)
    )
    score_MN, roles_MN = score_MN[rows], roles_MN[rows]
    reference_MN, reference_roles_MN = (
        part[reference_rows] for part in (reference_MN, reference_roles_MN)
    )
    if not common or _contradict(roles_MN, reference_roles_MN):
        raise ArtefactError(
            f"{path}: its {who} have other names or other members than those of "
            f"{reference_path}, but differences need identical splits. Delete the older file and "
            "the models behind it, and rerun."
        )
    # An example that one of the two did not evaluate is left out of both.
    member_MN, nonmember_MN = (
        one & other
        for one, other in zip(
            split(score_MN, roles_MN), split(reference_MN, reference_roles_MN), strict=True
        )
    )
    differences = paired_bootstrap(
        score_MN,
        reference_MN,
        member_MN,
        FPRS,
        REPLICATES,
        seed=0,
        confidence=CONFIDENCE,
        nonmember_MN=nonmember_MN,
        group_N=of.group_N,
    )
    for (metric, aggregate), found in differences.items():
        yield {
            "target": f"{who}{AGGREGATES[aggregate]}",
            "metric": metric,
            "difference": found.value,
            "ci_low": found.low,
            "ci_high": found.high,
            "p_value": found.p_value,
        }


def _contradict(roles_MN: np.ndarray, other_MN: np.ndarray) -> bool:
    """Whether an example is a member of a model here and a non-member there."""
    if roles_MN.shape != other_MN.shape:
        return True
    crossed_MN = (roles_MN == MEMBER) & (other_MN == NON_MEMBER)
    return bool((crossed_MN | ((roles_MN == NON_MEMBER) & (other_MN == MEMBER))).any())
