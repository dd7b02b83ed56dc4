"""Attack files: what they hold, and which models the attack is judged by."""

import re

import numpy as np
import pytest

from shadowmill import roles, storage
from shadowmill.attacks import ATTACKS, ScoreBank
from shadowmill.attacks.run import read_attack, run_attack
from shadowmill.errors import ArtefactError
from shadowmill.roles import MEMBER, NON_MEMBER, UNUSED, VALIDATION

NUM_EXAMPLES, NUM_SHADOWS = 40, 8
SETTINGS = {
    "architecture": "small_convnet",
    "recipe": {"epochs": 5},
    "pruning": {"method": "dense", "sparsity": 0.0},
    "defense": {"name": "none"},
    "pretraining": None,
    "protocol": "half",
    "seed": 0,
    "precision": "float32",
}
PPB = SETTINGS | {"defense": {"name": "ppb", "value": 4.0}}


@pytest.fixture
def write_scores(tmp_path):
    def write(block, models, roles_MN, settings=SETTINGS):
        random = np.random.default_rng(sum(block.encode()))
        phi = random.normal(size=(*roles_MN.shape, 2)) + (roles_MN == MEMBER)[..., None]
        number = np.ones(len(models))
        arrays = {
            "phi": phi.astype(np.float32),
            "correct": phi[..., 0] > 0,
            "roles": roles_MN,
            "models": models,
        } | dict.fromkeys(
            ("test_accuracy", "test_loss", "sparsity", "epochs", "training_seconds"), number
        )
        path = str(tmp_path / f"{block}.h5")
        storage.write_hdf5(path, arrays, {}, training_settings=settings)
        return path, arrays

    return write


@pytest.fixture
def files(write_scores):
    """Two targets in files of their own, eight shadows in two; with parts for validation."""

    def write(target_settings=SETTINGS, shadow_settings=SETTINGS):
        shadow_roles = roles.half(NUM_SHADOWS, NUM_EXAMPLES, seed=0)
        shadow_roles[0, np.flatnonzero(shadow_roles[0] == NON_MEMBER)[:3]] = VALIDATION
        shadow_roles[1, np.flatnonzero(shadow_roles[1] == NON_MEMBER)[:3]] = UNUSED
        targets = [
            write_scores(
                f"target-{seed}",
                [f"target-{seed}"],
                roles.target_half(seed, NUM_EXAMPLES, 0)[None],
                target_settings,
            )
            for seed in (42, 7)
        ]
        names = [f"shadow-{b:02d}-{k}" for b in range(2) for k in range(4)]
        shadows = [
            write_scores(f"shadow-{b:02d}", names[part], shadow_roles[part], shadow_settings)
            for b, part in enumerate((slice(0, 4), slice(4, 8)))
        ]
        return targets, shadows

    return write


def run(written, output, attack="lira_fixed", adaptive=True):
    targets, shadows = ([path for path, _ in part] for part in written)
    run_attack(
        attack=attack,
        target_scores=targets,
        shadow_scores=shadows,
        adaptive=adaptive,
        output=str(output),
    )
    return read_attack(output)


def joined(files, key):
    return np.concatenate([arrays[key] for _, arrays in files])


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_file_holds_the_scores_of_targets_and_shadows(files, tmp_path, attack):
    targets, shadows = written = files()
    scores = run(written, tmp_path / "a.h5", attack)
    shadow_roles = joined(shadows, "roles")
    bank = ScoreBank(
        joined(shadows, "phi"), shadow_roles == MEMBER, nonmember_MN=shadow_roles == NON_MEMBER
    )
    assert scores.targets == ("target-42", "target-7")
    assert scores.shadows == tuple(joined(shadows, "models"))
    for score_N, phi_NA in zip(scores.score_TN, joined(targets, "phi"), strict=True):
        np.testing.assert_array_equal(score_N, ATTACKS[attack].score(bank, phi_NA), strict=True)
    np.testing.assert_array_equal(scores.leave_one_out_MN, ATTACKS[attack].leave_one_out(bank))
    np.testing.assert_array_equal(scores.target_roles_TN, joined(targets, "roles"), strict=True)
    np.testing.assert_array_equal(scores.shadow_roles_MN, shadow_roles, strict=True)


def test_an_adaptive_attack_is_judged_by_the_shadows(files, tmp_path):
    scores = run(files(PPB, PPB), tmp_path / "a.h5")
    assert scores.is_adaptive is True
    who, score_MN, roles_MN = scores.audited
    assert who == "shadows"
    assert score_MN is scores.leave_one_out_MN
    assert roles_MN is scores.shadow_roles_MN


def test_an_attack_with_undefended_shadows_is_judged_by_the_targets(files, tmp_path):
    scores = run(files(PPB, SETTINGS), tmp_path / "a.h5", adaptive=False)
    assert scores.is_adaptive is False
    who, score_TN, roles_TN = scores.audited
    assert who == "targets"
    assert score_TN is scores.score_TN
    assert roles_TN is scores.target_roles_TN


def test_an_adaptive_attack_needs_shadows_with_the_targets_defence(files, tmp_path):
    targets, shadows = written = files(PPB, SETTINGS)
    pattern = rf"{re.escape(targets[0][0])}: .*{re.escape(shadows[0][0])}: defense\. "
    with pytest.raises(ArtefactError, match=pattern):
        run(written, tmp_path / "a.h5", adaptive=True)
    assert not (tmp_path / "a.h5").exists()


@pytest.mark.parametrize("adaptive", [True, False])
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("recipe", {"epochs": 6}),
        ("pruning", {"method": "static", "sparsity": 0.9}),
        ("pretraining", {"recipe": {}}),
        ("seed", 1),
        ("precision", "bfloat16"),
    ],
)
def test_nothing_but_the_defence_may_differ(files, tmp_path, adaptive, field, value):
    defended = SETTINGS if adaptive else PPB
    with pytest.raises(ArtefactError, match=rf": {field}\. Delete"):
        run(files(defended | {field: value}), tmp_path / "a.h5", adaptive=adaptive)


def test_targets_of_different_defences_are_refused_even_if_not_adaptive(
    files, write_scores, tmp_path
):
    targets, shadows = files(PPB, SETTINGS)
    other = write_scores("target-7", ["target-7"], targets[1][1]["roles"], SETTINGS)
    with pytest.raises(ArtefactError, match=rf"{re.escape(other[0])}: .*: defense\. "):
        run(([targets[0], other], shadows), tmp_path / "a.h5", adaptive=False)


def test_provenance_tells_the_attack_and_what_it_read(files, tmp_path):
    digests = []
    for name, written in (("a", files(PPB, SETTINGS)), ("b", files(PPB, SETTINGS))):
        run(written, tmp_path / f"{name}.h5", "loss", adaptive=False)
        with storage.open_hdf5(tmp_path / f"{name}.h5") as file:
            facts = storage.attribute(file)
        assert facts["settings"] == {"attack": "loss", "adaptive": False}
        digests.append((facts["targets_digest"], facts["shadows_digest"]))
    assert digests[0] == digests[1]
    assert digests[0][0] != digests[0][1]


def test_a_shadow_that_diverged_is_refused_by_name(files, tmp_path):
    written = files()
    path, arrays = written[1][0]
    arrays["phi"][0, 3, 0] = np.nan
    storage.write_hdf5(path, arrays, {}, training_settings=SETTINGS)
    with pytest.raises(ArtefactError, match="φ of shadow-00-0 at example 3, query 0 is nan"):
        run(written, tmp_path / "a.h5")
    assert not (tmp_path / "a.h5").exists()


def test_a_missing_attack_file_is_named(tmp_path):
    with pytest.raises(ArtefactError, match=rf"{re.escape(str(tmp_path))}.*no such file"):
        read_attack(str(tmp_path / "a.h5"))
