"""vulnerable: chosen on one half of the shadows, judged on the other; and examples by attack."""

import numpy as np
import pytest
from halves import halves
from scipy.stats import spearmanr

from shadowmill import storage
from shadowmill.attacks import ATTACKS, attack_shadows, exposure
from shadowmill.attacks.run import bank_of
from shadowmill.metrics.ranking import auc, tpr_at_fpr
from shadowmill.names import Cell, shadow_names
from shadowmill.roles import MEMBER, NON_MEMBER, VALIDATION
from shadowmill.scores.files import read_scores
from shadowmill.tables import attack_examples, read_csv, vulnerable

NUM_EXAMPLES = 400
CELL = Cell("main", "digits", "small_convnet", "dense")


@pytest.fixture
def scores(tmp_path, write_scores):
    def scores(num_shadows, exposed):
        roles_MN = halves(num_shadows, NUM_EXAMPLES, seed=0)
        path, arrays = write_scores("shadow-00", shadow_names("shadow-00", num_shadows), roles_MN)
        gap_N = np.where(np.arange(NUM_EXAMPLES) < exposed, 6.0, 0.0)[:, None]
        arrays["phi"] = np.random.default_rng(1).normal(size=arrays["phi"].shape)
        arrays["phi"] += gap_N * (roles_MN == MEMBER)[..., None]
        arrays["entropy"] = np.ones(roles_MN.shape, np.float32)
        storage.write_hdf5(path, arrays, {}, training_settings={})
        return path

    return scores


def tabulate(tmp_path, path, attack="lira_fixed"):
    vulnerable.tabulate(CELL, attack, [path], str(tmp_path / "t.csv"))
    return read_csv(tmp_path / "t.csv")


def test_who_is_exposed_on_one_half_is_found_on_the_other(tmp_path, scores):
    table = tabulate(tmp_path, scores(24, exposed=4)).set_index(["group", "metric"])
    assert table.index.tolist() == [
        ("all", "auc"),
        ("all", "tpr_at_fpr_0.01"),
        ("most_vulnerable", "auc"),
        ("most_vulnerable", "overlap"),
        ("all", "spearman"),
    ]
    assert (table["draws"] == 20).all()
    assert table.loc["most_vulnerable", "num_examples"].tolist() == [4, 4]  # too few for a TPR
    assert table.loc[("most_vulnerable", "auc"), "value"] > 0.99
    assert table.loc[("most_vulnerable", "overlap"), "value"] == 1
    assert 0.45 < table.loc[("all", "auc"), "value"] < 0.6
    assert abs(table.loc[("all", "spearman"), "value"]) < 0.15  # all but four are noise
    assert (table["lowest"] <= table["value"]).all()
    assert (table["value"] <= table["highest"]).all()


def test_the_top_of_noise_is_not_found_again(tmp_path, scores):
    """Judged on the shadows it was chosen on, it would look exposed."""
    path = scores(24, exposed=0)
    table = tabulate(tmp_path, path).set_index(["group", "metric"])["value"]
    assert 0.4 < table["most_vulnerable", "auc"] < 0.6
    assert table["most_vulnerable", "overlap"] < 0.2
    bank = bank_of(read_scores([path]))
    chosen = exposure.most_vulnerable(bank)
    own_MN = attack_shadows(ATTACKS["lira_fixed"], bank)[:, chosen]
    assert auc(own_MN.ravel(), bank.member_MN[:, chosen].ravel()) > 0.6


def test_numbers_of_one_draw(tmp_path, scores, monkeypatch):
    monkeypatch.setattr(vulnerable, "DRAWS", 1)
    monkeypatch.setattr(exposure, "TOP_SHARE", 0.1)
    path = scores(24, exposed=4)
    table = tabulate(tmp_path, path).set_index(["group", "metric"])["value"]
    ((choosing, judging),) = exposure.halves(bank_of(read_scores([path])), 1)
    chosen = exposure.most_vulnerable(choosing)
    assert len(chosen) == 40
    score_MN = attack_shadows(ATTACKS["lira_fixed"], judging)
    ranking = score_MN[:, chosen].ravel(), judging.member_MN[:, chosen].ravel()
    assert table["most_vulnerable", "auc"] == pytest.approx(auc(*ranking), rel=1e-8)
    expected = tpr_at_fpr(*ranking, 0.01)
    assert table["most_vulnerable", "tpr_at_fpr_0.01"] == pytest.approx(expected, rel=1e-8)
    expected = auc(score_MN.ravel(), judging.member_MN.ravel())
    assert table["all", "auc"] == pytest.approx(expected, rel=1e-8)
    expected = spearmanr(*map(exposure.separation, (choosing, judging))).statistic
    assert table["all", "spearman"] == pytest.approx(expected, rel=1e-8)


def test_draws_that_leave_an_example_without_models_do_not_count(tmp_path, write_scores):
    """Of three pairs one validates on the example, and is a half by itself in some draws."""
    roles_MN = halves(6, NUM_EXAMPLES, seed=0)
    roles_MN[:2, 5] = [MEMBER, VALIDATION]
    names = shadow_names("shadow-00", 6)
    path, _ = write_scores("shadow-00", names, roles_MN)
    table = tabulate(tmp_path, path, "loss")
    drawn = list(exposure.halves(bank_of(read_scores([path])), vulnerable.DRAWS))
    alone = sum({*half.names} == {*names[:2]} for half, _ in drawn)
    assert 0 < alone < vulnerable.DRAWS
    assert set(table["draws"]) == {vulnerable.DRAWS - alone}


@pytest.mark.parametrize(
    ("num_shadows", "attack"),
    [(8, "lira_fixed"), (24, "nn"), (24, "quantile_gaussian"), (2, "loss")],
)
def test_no_rows_where_halves_are_too_small_or_the_attack_takes_long(
    tmp_path, scores, num_shadows, attack
):
    table = tabulate(tmp_path, scores(num_shadows, 0), attack)
    assert len(table) == 0
    assert {"group", "value", "lowest"} <= set(table.columns)


@pytest.mark.parametrize("attack", ["loss", "entropy"])
def test_two_pairs_are_enough_for_attacks_that_need_no_shadows(tmp_path, scores, attack):
    table = tabulate(tmp_path, scores(4, 0), attack)
    assert {"auc", "overlap"} <= set(table["metric"])


def slow_auc(score_M, member_M, nonmember_M):
    pairs = [(i > o) + (i == o) / 2 for i in score_M[member_M] for o in score_M[nonmember_M]]
    return np.mean(pairs) if pairs else np.nan


def test_auc_of_each_example():
    rng = np.random.default_rng(0)
    score_MN, role_MN = rng.normal(size=(12, 30)).round(1), rng.integers(3, size=(12, 30))
    role_MN[:, 0], role_MN[:, 1] = 0, 2
    member_MN, nonmember_MN = role_MN == 1, role_MN == 0
    score_MN[role_MN == 2] = rng.choice([-1e9, 1e9], (role_MN == 2).sum())
    found = attack_examples.example_auc(score_MN, member_MN, nonmember_MN)
    columns = zip(score_MN.T, member_MN.T, nonmember_MN.T, strict=True)
    np.testing.assert_allclose(found, [slow_auc(*each) for each in columns], rtol=1e-12)


def test_examples_by_attack(tmp_path, attack):
    arrays = attack[1]
    settings = {"adversary": "adaptive", "judged_by": "shadows"}
    other = arrays | {"shadow_score": -arrays["shadow_score"]}
    storage.write_hdf5(tmp_path / "other.h5", other, {}, **settings)
    paths = {"lira_online": attack[0], "loss": str(tmp_path / "other.h5")}
    attack_examples.tabulate(CELL, paths, str(tmp_path / "t.csv"))
    table = read_csv(tmp_path / "t.csv")
    roles_MN = arrays["shadow_roles"]
    expected = attack_examples.example_auc(
        arrays["shadow_score"], roles_MN == MEMBER, roles_MN == NON_MEMBER
    )
    np.testing.assert_allclose(table["lira_online"], expected, rtol=1e-8)
    np.testing.assert_allclose(table["loss"], 1 - expected, rtol=1e-8)
    assert table["example"].tolist() == list(range(roles_MN.shape[1]))
    best = table["lira_online"] >= np.sort(expected)[-round(0.01 * len(expected)) or -1]
    assert (table.loc[best, "top_of"] >= 1).all()
    assert table["top_of"].max() <= 2
    assert (table.loc[table["top_of"] > 0, ["lira_online", "loss"]].max(axis=1) > 0.9).all()


def test_no_example_is_on_top_of_an_attack_that_tells_nothing(tmp_path, attack):
    constant = attack[1] | {"shadow_score": np.zeros_like(attack[1]["shadow_score"])}
    path = str(tmp_path / "constant.h5")
    storage.write_hdf5(path, constant, {}, adversary="adaptive", judged_by="shadows")
    attack_examples.tabulate(CELL, {"loss": path}, str(tmp_path / "t.csv"))
    table = read_csv(tmp_path / "t.csv")
    assert set(table["loss"]) == {0.5}
    assert set(table["top_of"]) == {0}
