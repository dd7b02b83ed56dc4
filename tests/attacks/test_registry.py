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
    }
    assert len({attack.title for attack in ATTACKS.values()}) == len(ATTACKS)


def test_import_is_light():
    """The workflow reads the names while it is parsed."""
    code = (
        "import sys, shadowmill.attacks, shadowmill.metrics.ranking;"
        "print([m for m in ('scipy', 'pandas', 'torch', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
