"""privacy_audit: what is claimed beside what is shown."""

import numpy as np
import pytest
from halves import halves

from shadowmill import storage
from shadowmill.attacks.pairs import audit
from shadowmill.attacks.run import bank_of
from shadowmill.defenses.claims import claim_of
from shadowmill.metrics.epsilon import epsilon_of_gdp, gdp_bound, one_run_bound, one_run_p
from shadowmill.names import Cell, shadow_names
from shadowmill.roles import MEMBER
from shadowmill.roles.splits import target_half
from shadowmill.scores.files import read_scores
from shadowmill.tables import privacy_audit, read_csv

NUM_EXAMPLES = 300
RECIPE = {"batch_size": 10, "epochs": 2}
DP = {"name": "dp_sgd", "strength": "noise_multiplier", "delta": 1e-4}


@pytest.fixture
def tabulate(tmp_path, write_scores):
    def tabulate(leak, defense, own=True):
        paths = {}
        for block, roles_MN in (
            ("target-7", target_half(7, NUM_EXAMPLES, 0)[None]),
            ("shadow-00", halves(8, NUM_EXAMPLES, seed=0)),
        ):
            count = len(roles_MN)
            names = [block] if count == 1 else shadow_names(block, count)
            path, arrays = write_scores(block, names, roles_MN)
            arrays["phi"] += leak * (roles_MN == MEMBER)[..., None]
            settings = {"recipe": RECIPE, "defense": defense}
            storage.write_hdf5(path, arrays, {}, training_settings=settings)
            paths[block] = [path]
        cell = Cell("main", "digits", "small_convnet", "dense+dp_sgd-1")
        output = str(tmp_path / "audit.csv")
        privacy_audit.tabulate(cell, paths["target-7"], paths["shadow-00"], own, 1e-6, output)
        banks = [bank_of(read_scores(paths[name], identity_only=True)) for name in paths]
        (row,) = read_csv(output).to_dict("records")
        return row, audit(*banks, own=own), output

    return tabulate


def test_a_claim_that_holds(tabulate):
    row, found, output = tabulate(0.5, DP | {"value": 0.8})
    claim = claim_of({"recipe": RECIPE, "defense": DP | {"value": 0.8}}, 150, 150)
    counts = found[1:]
    assert [row[name] for name in ("runs", "pairs", "guesses", "right")] == list(found)
    assert row["delta"] == 1e-4
    assert row["claimed_epsilon"] == pytest.approx(claim.epsilon, rel=1e-8)
    assert row["claimed_epsilon_replace_one"] == pytest.approx(claim.replace_one, rel=1e-8)
    assert row["shown_epsilon"] == pytest.approx(one_run_bound(*counts, 1e-4), rel=1e-8)
    expected = epsilon_of_gdp(gdp_bound(*counts), 1e-4)
    assert row["shown_epsilon_gdp"] == pytest.approx(expected, rel=1e-8)
    p_value = one_run_p(*counts, claim.replace_one, 1e-4)
    assert row["p_value"] == pytest.approx(p_value, rel=1e-8)
    assert not row["exceeded"]
    assert privacy_audit.exceeded_claims(output) == []


def test_a_claim_that_is_exceeded_is_said(tabulate):
    row, _, output = tabulate(30.0, DP | {"value": 8.0})
    assert row["exceeded"]
    assert row["p_value"] < 0.01
    assert 0 < row["claimed_epsilon_replace_one"] < 1 < row["shown_epsilon"]
    (line,) = privacy_audit.exceeded_claims(output)
    assert line.startswith("CLAIM EXCEEDED: digits, small_convnet, dense+dp_sgd-1 claims ε ≤ 0.")


def test_models_without_privacy_claim_nothing_and_show_what_they_show(tabulate):
    row, found, output = tabulate(30.0, {"name": "none"})
    assert np.isnan([row["claimed_epsilon"], row["claimed_epsilon_replace_one"]]).all()
    assert np.isnan(row["p_value"])
    assert not row["exceeded"]
    assert row["delta"] == 1e-6
    assert row["shown_epsilon"] == pytest.approx(one_run_bound(*found[1:], 1e-6), rel=1e-8)
    assert privacy_audit.exceeded_claims(output) == []


def test_shadows_of_others_are_not_audited(tabulate):
    row, found, _ = tabulate(1.0, DP | {"value": 0.8}, own=False)
    assert row["runs"] == found.runs == 1
