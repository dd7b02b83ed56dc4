import subprocess
import sys

import numpy as np
import pytest

from shadowmill.attacks import ATTACKS, ScoreBank, lira, lira_leave_one_out


@pytest.mark.parametrize("mode", ["online", "fixed", "offline"])
def test_entries_run_the_mode_they_name(mode):
    rng = np.random.default_rng(0)
    half_MN = rng.random((4, 30)) < 0.5
    bank = ScoreBank(rng.normal(size=(8, 30, 2)), np.concatenate([half_MN, ~half_MN]))
    attack = ATTACKS[f"lira_{mode}"]
    target_phi_NA = rng.normal(size=(30, 2))
    np.testing.assert_array_equal(
        attack.score(bank, target_phi_NA), lira(bank, target_phi_NA, mode)
    )
    np.testing.assert_array_equal(attack.leave_one_out(bank), lira_leave_one_out(bank, mode))


def test_names_and_shadow_counts():
    assert {name: attack.min_shadows for name, attack in ATTACKS.items()} == {
        "lira_online": 6,
        "lira_fixed": 4,
        "lira_offline": 6,
        "loss": 1,
    }
    assert len({attack.title for attack in ATTACKS.values()}) == len(ATTACKS)


def test_only_the_loss_does_without_shadows_that_know_the_examples():
    assert [name for name, attack in ATTACKS.items() if not attack.per_example] == ["loss"]


@pytest.mark.parametrize("name", ATTACKS)
def test_the_flag_tells_whether_shadows_of_other_examples_suffice(name):
    """A bank of the disjoint protocol: no shadow ever saw the target's examples."""
    rng = np.random.default_rng(1)
    nobody_MN = np.zeros((ATTACKS[name].min_shadows, 20), dtype=bool)
    bank = ScoreBank(rng.normal(size=(*nobody_MN.shape, 1)), nobody_MN, nobody_MN)
    if ATTACKS[name].per_example:
        with pytest.raises(ValueError, match=r"found 0 .* shadows for example 0"):
            ATTACKS[name].score(bank, bank.phi_MNA[0])
    else:
        assert np.isfinite(ATTACKS[name].score(bank, bank.phi_MNA[0])).all()


def test_the_entry_of_the_loss_runs_it():
    rng = np.random.default_rng(0)
    bank = ScoreBank(rng.normal(size=(3, 30, 2)), rng.random((3, 30)) < 0.5)
    for row, score_N in enumerate(ATTACKS["loss"].leave_one_out(bank)):
        found = ATTACKS["loss"].score(bank, bank.phi_MNA[row])
        np.testing.assert_array_equal(found, score_N, strict=True)


def test_import_is_light():
    """The workflow reads the names while it is parsed."""
    code = (
        "import sys, shadowmill.attacks, shadowmill.metrics.ranking;"
        "print([m for m in ('scipy', 'pandas', 'torch', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
