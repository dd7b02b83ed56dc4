"""shadow_counts: subsets of one bank, attacked and measured anew."""

from dataclasses import replace

import numpy as np
import pytest
from halves import halves

from shadowmill import roles, storage
from shadowmill.attacks import Attack, attack_shadows
from shadowmill.attacks.run import bank_of
from shadowmill.metrics import ranking
from shadowmill.metrics.confusion import confusion
from shadowmill.metrics.evaluation import fix_thresholds
from shadowmill.names import shadow_names
from shadowmill.roles.splits import target_half
from shadowmill.scores.files import read_scores
from shadowmill.tables import read_csv, shadow_counts

NUM_EXAMPLES = 120


def against_mean(shadows, targets):
    """φ minus its mean over the shadows: depends on which shadows there are."""
    return targets.phi_MNA[:, :, 0] - shadows.phi_MNA[:, :, 0].mean(axis=0)


ATTACK = Attack("Mean", against_mean, min_shadows=4)


@pytest.fixture
def roles_of_shadows():
    return halves(16, NUM_EXAMPLES, seed=1)


@pytest.fixture
def targets(write_scores):
    roles_TN = np.stack([target_half(seed, NUM_EXAMPLES, 1) for seed in (42, 7)])
    return write_scores("target", ["target-0", "target-1"], roles_TN)[0]


@pytest.fixture
def shadows(write_scores, roles_of_shadows):
    return write_scores("shadow-00", shadow_names("shadow-00", 16), roles_of_shadows)[0]


@pytest.fixture
def tabulate(cell, targets, tmp_path, monkeypatch):
    def tabulate(shadows, **attacks):
        monkeypatch.setattr(shadow_counts, "ATTACKS", attacks)
        path = str(tmp_path / "t.csv")
        shadow_counts.tabulate(cell, list(attacks), [targets], [shadows], path)
        return read_csv(path)

    return tabulate


def test_subsets_are_pairs_and_nested():
    for draw in range(shadow_counts.DRAWS):
        largest = shadow_counts.subset(64, 64, draw)
        assert largest.tolist() == list(range(64))
        for count in (32, 16, 8, 4, 2):
            chosen = shadow_counts.subset(64, count, draw)
            assert len(set(chosen)) == count
            assert set(chosen) < set(largest)
            assert {row ^ 1 for row in chosen} == set(chosen)
            assert (np.diff(chosen) > 0).all()
            largest = chosen
    draws = {tuple(shadow_counts.subset(64, 8, draw)) for draw in range(shadow_counts.DRAWS)}
    assert len(draws) == shadow_counts.DRAWS
    assert tuple(shadow_counts.subset(64, 8, 0)) in draws


def test_columns_and_rows(tabulate, shadows, targets):
    table = tabulate(shadows, mean=ATTACK, mean2=ATTACK)
    assert list(table.columns[8:]) == [
        "attack",
        "num_shadows",
        "draw",
        "target",
        "metric",
        "value",
    ]
    draws = table.groupby(["attack", "num_shadows"])["draw"].unique()
    assert {key: values.tolist() for key, values in draws.items()} == {
        (attack, count): [0] if count == 16 else list(range(shadow_counts.DRAWS))
        for attack in ("mean", "mean2")
        for count in (4, 8, 16)
    }
    one = table[(table["num_shadows"] == 8) & (table["draw"] == 3) & (table["attack"] == "mean")]
    assert set(one["target"]) == {"target-0", "target-1"}
    assert one["metric"].is_unique is False
    assert {"auc", "tpr_at_fpr_0.01", "f1"} <= set(one["metric"])


@pytest.mark.parametrize(("count", "draw"), [(4, 0), (8, 2), (16, 0)])
def test_numbers_are_those_of_the_shadows_drawn(tabulate, shadows, targets, count, draw):
    table = tabulate(shadows, mean=ATTACK)
    rows = table[(table["num_shadows"] == count) & (table["draw"] == draw)]
    found = rows.set_index(["target", "metric"])["value"]
    shadows, targets = bank_of(read_scores([shadows])), bank_of(read_scores([targets]))
    part = shadows.select(shadow_counts.subset(16, count, draw))
    score_TN = against_mean(part, targets)
    for name, score_N, member_N in zip(targets.names, score_TN, targets.member_MN, strict=True):
        assert found[name, "auc"] == pytest.approx(ranking.auc(score_N, member_N), rel=1e-8)
        if count == 4:  # without a pair, too few are left to fix a threshold
            assert np.isnan(found[name, "accuracy"])
            continue
        own_MN = attack_shadows(ATTACK, part)
        thresholds = fix_thresholds(own_MN, part.member_MN, part.nonmember_MN)
        expected = confusion(score_N, member_N, thresholds.balanced)
        assert found[name, "accuracy"] == pytest.approx(expected.accuracy, rel=1e-8)


def test_what_an_attack_does_not_evaluate_is_left_out(tabulate, shadows, targets):
    def first_half(scores):
        scores = scores.copy()
        scores[:, NUM_EXAMPLES // 2 :] = np.nan
        return scores

    attack = replace(ATTACK, score=lambda *banks: first_half(against_mean(*banks)))
    table = tabulate(shadows, half=attack)
    rows = table[table["num_shadows"] == 16].set_index(["target", "metric"])["value"]
    kept = slice(NUM_EXAMPLES // 2)
    shadows, targets = bank_of(read_scores([shadows])), bank_of(read_scores([targets]))
    score_N = against_mean(shadows, targets)[0, kept]
    expected = ranking.auc(score_N, targets.member_MN[0, kept])
    assert rows["target-0", "auc"] == pytest.approx(expected, rel=1e-8)


def test_draws_that_leave_an_example_with_too_few_shadows_are_left_out(
    tabulate, write_scores, roles_of_shadows
):
    """Shadows validate on some examples: one more pair than needed holds them."""
    roles_of_shadows[0, 3] = roles.VALIDATION
    gapped, _ = write_scores("gapped", shadow_names("gapped", 16), roles_of_shadows)
    needy = replace(ATTACK, per_example=True)
    table = tabulate(gapped, needy=needy, other=ATTACK)
    draws = table.groupby(["attack", "num_shadows"])["draw"].unique()
    without = [d for d in range(shadow_counts.DRAWS) if 0 not in shadow_counts.subset(16, 4, d)]
    assert 0 < len(without) < shadow_counts.DRAWS
    assert draws["needy", 4].tolist() == without
    assert draws["needy", 8].tolist() == draws["other", 4].tolist() == list(range(5))


def test_too_few_shadows_for_any_count(tabulate, shadows, targets):
    table = tabulate(shadows, big=replace(ATTACK, min_shadows=32))
    assert len(table) == 0
    assert "num_shadows" in table.columns


def test_online_attacks_of_the_registry_do_better_with_more_shadows(cell, tmp_path, write_scores):
    """The shadow's φ of members is 2 higher, and examples differ by more than that."""
    paths = []
    for block, count in (("target", 4), ("shadow-00", 32)):
        roles_MN = halves(count, NUM_EXAMPLES, seed=count)
        path, arrays = write_scores(block, shadow_names(block, count), roles_MN, 1)
        difficulty_N = np.random.default_rng(5).normal(0, 5, NUM_EXAMPLES)[:, None]
        arrays["phi"] /= 3
        arrays["phi"] += difficulty_N + 2 * (roles_MN == roles.MEMBER)[:, :, None]
        storage.write_hdf5(path, arrays, {}, training_settings={})
        paths.append([path])
    shadow_counts.tabulate(cell, ["lira_online"], *paths, str(tmp_path / "t.csv"))
    table = read_csv(tmp_path / "t.csv")
    aucs = table[table["metric"] == "auc"].groupby("num_shadows")["value"].mean()
    assert aucs.index.tolist() == [4, 8, 16, 32]
    assert aucs[8] + 0.02 < aucs[32]
    assert 0.85 < aucs[32] < 0.95  # Φ(2 / √2) = 0.92 with all that can be known
