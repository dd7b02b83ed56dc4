"""Tables of examples that belong together: a row a group, metrics of groups, names of examples."""

import numpy as np
import pytest

from shadowmill import storage
from shadowmill.attacks.groups import by_group
from shadowmill.attacks.run import read_attack
from shadowmill.metrics.ranking import auc
from shadowmill.roles import MEMBER, NON_MEMBER
from shadowmill.tables import groups, membership, read_csv

NAMES = np.array([f"p{k:02}" for k in range(40)])


@pytest.fixture(autouse=True)
def few_replicates(monkeypatch):
    monkeypatch.setattr(membership, "REPLICATES", 40)


@pytest.fixture
def grouped(tmp_path, write_attack):
    """An attack on forty groups of five, whose examples have one role; and the data set."""
    _, arrays = write_attack(True)
    group_N = np.repeat(np.random.default_rng(4).permutation(40), 5)
    for roles in ("target_roles", "shadow_roles"):
        arrays[roles] = arrays[roles][:, ::5].repeat(5, axis=1)
    path = str(tmp_path / "attack.h5")
    storage.write_hdf5(
        path, arrays | {"groups": group_N}, {}, adversary="adaptive", judged_by="shadows"
    )
    storage.write_hdf5(tmp_path / "data.h5", {"groups": NAMES[group_N]}, {}, name="data")
    return path, str(tmp_path / "data.h5")


def test_each_group_has_a_row(cell, grouped, tmp_path):
    output = str(tmp_path / "groups.csv")
    groups.tabulate(cell, "loss", grouped[1], grouped[0], output)
    table = read_csv(output).set_index("group")
    assert table.index.tolist() == NAMES.tolist()
    assert (table["num_examples"] == 5).all()
    of = by_group(read_attack(grouped[0]))
    for index, name in enumerate(NAMES):
        score_M, roles_M = of.shadow_score_MN[:, index], of.shadow_roles_MN[:, index]
        used_M = (roles_M == MEMBER) | (roles_M == NON_MEMBER)
        row = table.loc[name]
        assert row["auc"] == pytest.approx(auc(score_M[used_M], roles_M[used_M] == MEMBER))
        assert row["score_in"] == pytest.approx(score_M[roles_M == MEMBER].mean())
        assert row["score_out"] == pytest.approx(score_M[roles_M == NON_MEMBER].mean())
    assert sorted(table["rank"]) == list(range(1, 41))
    ranked = table.sort_values("rank")["auc"]
    assert ranked.is_monotonic_decreasing


def tabulated(cell, path, tmp_path, of_groups):
    output = str(tmp_path / f"{of_groups}.csv")
    membership.tabulate(cell, "loss", path, output, of_groups=of_groups)
    return read_csv(output).set_index(["target", "metric"])


def test_metrics_of_groups_are_those_of_their_mean_scores(cell, grouped, tmp_path):
    table = tabulated(cell, grouped[0], tmp_path, of_groups=True)
    of = by_group(read_attack(grouped[0]))
    used_G = np.isin(of.target_roles_TN[1], (MEMBER, NON_MEMBER))
    row = table.loc[("target-7", "auc")]
    assert row["value"] == pytest.approx(
        auc(of.score_TN[1][used_G], of.target_roles_TN[1][used_G] == MEMBER)
    )
    assert row["ci_low"] < row["value"] < row["ci_high"]
    assert row["num_members"] + row["num_nonmembers"] == used_G.sum()


def test_single_models_have_no_intervals_of_examples_that_belong_together(cell, grouped, tmp_path):
    table = tabulated(cell, grouped[0], tmp_path, of_groups=False)
    targets = table.loc[["target-42", "target-7"]]
    assert targets[["ci_low", "ci_high", "detectable"]].isna().all(axis=None)
    assert targets["value"].notna().any()
    assert table.loc[("shadows-pooled", "auc"), ["ci_low", "ci_high"]].notna().all()
