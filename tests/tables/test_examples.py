"""examples: one row per example of the pool."""

import re

import numpy as np
import pandas as pd
import pytest

from shadowmill import roles, storage
from shadowmill.attacks import ScoreBank
from shadowmill.attacks.exposure import exposure
from shadowmill.errors import ArtefactError
from shadowmill.roles import MEMBER, NON_MEMBER
from shadowmill.tables import examples, read_csv

NUM_TEST = 12


def write_data(path, labels):
    images = np.random.default_rng(4).integers(256, size=(len(labels), 2, 2, 1), dtype=np.uint8)
    images[7] = images[3]
    arrays = {"images": images, "labels": labels, "mean": np.zeros(1), "std": np.ones(1)}
    facts = {"kind": "image", "pool_size": len(labels) - NUM_TEST, "digest": ""}
    storage.write_hdf5(path, arrays, {}, name="data", class_names=["a"], **facts)


@pytest.fixture
def tabulated(cell, attack, write_scores, shadow_roles, tmp_path):
    names = [*(f"shadow-00-{k}" for k in range(2)), *(f"shadow-01-{k}" for k in range(4))]
    storage.write_hdf5(
        tmp_path / "a.h5", attack[1] | {"shadows": names}, {}, adversary="", judged_by="shadows"
    )
    files = [
        write_scores("shadow-00", names[:2], shadow_roles[:2]),
        write_scores("shadow-01", names[2:], shadow_roles[2:]),
    ]
    labels = np.random.default_rng(3).integers(10, size=shadow_roles.shape[1] + NUM_TEST)
    write_data(tmp_path / "data.h5", labels)
    examples.tabulate(
        cell,
        attack="lira_online",
        data_path=str(tmp_path / "data.h5"),
        score_paths=[path for path, _ in files],
        attack_path=str(tmp_path / "a.h5"),
        output=str(tmp_path / "table.csv"),
    )
    arrays = {
        key: np.concatenate([content[key] for _, content in files])
        for key in ("phi", "correct", "roles")
    }
    return read_csv(tmp_path / "table.csv"), arrays, labels


def test_columns_and_rows(tabulated, tmp_path):
    table, arrays, labels = tabulated
    head = (tmp_path / "table.csv").read_text().splitlines()[0]
    assert head.startswith(
        "study,dataset,architecture,variant,method,sparsity,defense,strength,attack,example,label,"
    )
    assert {"memorization", "phi_in", "phi_out", "separation", "rank"} <= set(head.split(","))
    num_examples = arrays["roles"].shape[1]
    assert table["example"].tolist() == list(range(num_examples))
    assert table["label"].tolist() == labels[:num_examples].tolist()
    assert set(table["attack"]) == {"lira_online"}


def test_equal_examples_are_flagged(tabulated):
    table, _, _ = tabulated
    assert table["nearest"][[3, 7]].tolist() == [7, 3]
    assert table["near_duplicate"][[3, 7]].all()
    assert (table["nearest_distance"] == 0).sum() == 2


def test_memorisation_one_example_at_a_time(tabulated):
    table, arrays, _ = tabulated
    for n, found in enumerate(table["memorization"]):
        role, correct = arrays["roles"][:, n], arrays["correct"][:, n]
        with_it, without = correct[role == MEMBER], correct[role == NON_MEMBER]
        assert found == pytest.approx(with_it.mean() - without.mean(), abs=1e-8)


def test_statistics_are_those_of_exposure(tabulated, attack):
    table, arrays, _ = tabulated
    member_MN, nonmember_MN = arrays["roles"] == MEMBER, arrays["roles"] == NON_MEMBER
    bank = ScoreBank(arrays["phi"], member_MN, nonmember_MN)
    for name, column in exposure(bank, attack[1]["shadow_score"]).items():
        np.testing.assert_allclose(table[name], column, rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize(("model", "role"), [(0, roles.UNUSED), (3, roles.VALIDATION)])
def test_examples_set_aside_by_a_model_do_not_count_as_its_non_members(tabulated, model, role):
    table, arrays, _ = tabulated
    n = int(np.flatnonzero(arrays["roles"][model] == role)[0])
    others = np.arange(len(arrays["roles"])) != model
    phi_M = arrays["phi"][others, n].mean(axis=1, dtype=np.float64)
    out_M = arrays["roles"][others, n] == NON_MEMBER
    assert table["phi_out"][n] == pytest.approx(phi_M[out_M].mean(), rel=1e-7)


def test_parquet_holds_the_same_table(tabulated, tmp_path):
    pytest.importorskip("pyarrow")
    table, _, _ = tabulated
    examples.write_parquet(str(tmp_path / "table.csv"), str(tmp_path / "table.parquet"))
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "table.parquet"), table)


def test_no_parquet_of_a_table_that_is_not_there(tmp_path):
    with pytest.raises(ArtefactError, match=re.escape(str(tmp_path / "none.csv"))):
        examples.write_parquet(str(tmp_path / "none.csv"), str(tmp_path / "t.parquet"))
    assert list(tmp_path.iterdir()) == []
