"""Attack files: what they hold, and which models the attack is judged by."""

import re
from dataclasses import replace
from itertools import count
from types import SimpleNamespace

import numpy as np
import pytest
from banks import score_bank
from halves import halves

from shadowmill import storage
from shadowmill.attacks import ATTACKS, attack_shadows
from shadowmill.attacks import run as attack_run
from shadowmill.attacks.run import JUDGES, _features, judged_by, read_attack, run_attack
from shadowmill.errors import ArtefactError
from shadowmill.roles import MEMBER, NON_MEMBER, UNUSED, VALIDATION
from shadowmill.roles.splits import target_half

NUM_EXAMPLES, NUM_SHADOWS = 200, 8
LABELS = np.arange(NUM_EXAMPLES) % 2
SETTINGS = {
    "architecture": "small_convnet",
    "recipe": {"epochs": 5},
    "pruning": {"method": "dense", "sparsity": 0.0},
    "defense": {"name": "none"},
    "pretraining": None,
    "protocol": "half",
    "seed": 0,
    "precision": "float32",
    "data_digest": "one",
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
            "labels": LABELS,
            "population_labels": LABELS[:0],
            "population_phi": np.empty((len(models), 0), np.float32),
            "entropy": random.random(roles_MN.shape).astype(np.float32),
            "curvature_trace": random.random(phi.shape).astype(np.float32),
            "max_phi": random.normal(size=phi.shape).astype(np.float32),
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
        shadow_roles = halves(NUM_SHADOWS, NUM_EXAMPLES, seed=0)
        shadow_roles[0, np.flatnonzero(shadow_roles[0] == NON_MEMBER)[:3]] = VALIDATION
        shadow_roles[1, np.flatnonzero(shadow_roles[1] == NON_MEMBER)[:3]] = UNUSED
        targets = [
            write_scores(
                f"target-{seed}",
                [f"target-{seed}"],
                target_half(seed, NUM_EXAMPLES, 0)[None],
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


def configured(settings):
    return {
        name: value for name, value in settings.items() if name not in ("precision", "data_digest")
    }


DEFAULTS = {
    "drop_unhealthy": False,
    "data_path": None,
    "groups_path": None,
    "execution": {"device": "cpu"},
    "threads": 1,
}


def run(
    written,
    folder,
    attack="lira_fixed",
    adversary="adaptive",
    targets_as=SETTINGS,
    shadows_as=SETTINGS,
    **options,
):
    targets, shadows = ([path for path, _ in part] for part in written)
    below = "adaptive" if adversary == "shared" else adversary
    output = folder / below / f"{attack}.h5"
    run_attack(
        attack=attack,
        target_scores=targets,
        shadow_scores=shadows,
        target_training=configured(targets_as),
        shadow_training=configured(shadows_as),
        adversary=adversary,
        output=str(output),
        **DEFAULTS | options,
    )
    return read_attack(output)


# With the examples, and without.
@pytest.mark.parametrize("attack", ["quantile_gaussian", "lira_fixed"])
def test_all_code_that_runs_is_in_the_digest_of_the_attacks_file(
    files, tmp_path, attack, executed, hangs_on
):
    written, data_path = files(), prepared(tmp_path)
    ran = executed(lambda: run(written, tmp_path / "a", attack, data_path=data_path))
    assert len(ran) > 20
    assert {place.name for place in ran - hangs_on(attack)} == {"read_attack", "_check_name"}


def joined(files, key):
    return np.concatenate([arrays[key] for _, arrays in files])


# With further arrays, with examples that the attack uses up, and with the examples themselves.
@pytest.mark.parametrize(
    "attack",
    [
        "lira_fixed",
        "entropy_per_class",
        "curvature_lira_trace",
        "published_carlini",
        "rmia_online",
        "quantile_gaussian",
    ],
)
def test_an_attack_file_holds_the_scores_of_targets_and_shadows(files, tmp_path, attack):
    targets, shadows = written = files()
    scores = run(written, tmp_path / "a", attack, data_path=prepared(tmp_path))
    shadow_roles = joined(shadows, "roles")
    features = np.arange(NUM_EXAMPLES * 4).reshape(NUM_EXAMPLES, 4) / np.float32(255)

    def bank(files):
        roles_MN = joined(files, "roles")
        return score_bank(
            joined(files, "phi"),
            roles_MN == MEMBER,
            nonmember_MN=roles_MN == NON_MEMBER,
            names=tuple(joined(files, "models")),
            labels=LABELS,
            entropy=joined(files, "entropy"),
            curvature_trace=joined(files, "curvature_trace"),
            max_phi=joined(files, "max_phi"),
            features=features,
        )

    assert scores.targets == ("target-42", "target-7")
    assert scores.shadows == tuple(joined(shadows, "models"))
    for found, roles_MN, expected, before in (
        (
            scores.score_TN,
            scores.target_roles_TN,
            ATTACKS[attack].score(bank(shadows), bank(targets)),
            joined(targets, "roles"),
        ),
        (
            scores.shadow_score_MN,
            scores.shadow_roles_MN,
            attack_shadows(ATTACKS[attack], bank(shadows)),
            shadow_roles,
        ),
    ):
        used_up = np.isnan(expected)
        if attack not in ("rmia_online", "quantile_gaussian"):
            # Members of a shadow whose complement does not hold them as non-members.
            assert used_up.sum() == (6 if roles_MN is scores.shadow_roles_MN else 0)
        else:
            assert used_up.any()
        np.testing.assert_array_equal(found, np.where(used_up, 0, expected), strict=True)
        np.testing.assert_array_equal(roles_MN, np.where(used_up, UNUSED, before))


def prepared(folder):
    """A data set of as many images of four pixels."""
    path = str(folder / "few.h5")
    images = np.arange(NUM_EXAMPLES * 4, dtype=np.uint8).reshape(NUM_EXAMPLES, 2, 2, 1)
    facts = {"name": "few", "kind": "image", "pool_size": NUM_EXAMPLES, "digest": ""}
    arrays = {"images": images, "labels": LABELS, "mean": np.zeros(1), "std": np.ones(1)}
    storage.write_hdf5(path, arrays, {}, class_names=["a", "b"], **facts)
    return path


def test_networks_are_trained_where_the_configuration_says(files, tmp_path, monkeypatch):
    given = []

    def score(shadows, targets, device, threads):
        given.append((device, threads))
        return np.zeros(targets.phi_MNA.shape[:2])

    row = replace(ATTACKS["nn"], score=score, needs=frozenset())
    monkeypatch.setitem(ATTACKS, "nn", row)
    run(files(), tmp_path / "a", "nn", execution={"device": "cuda"}, threads=3)
    assert given == [("cuda", 3)] * 5  # for the targets, and for four groups of shadows


def test_shadows_that_did_not_converge_are_dropped_if_asked(files, tmp_path):
    _, shadows = written = files()
    path, arrays = shadows[0]
    arrays["correct"][2] = False
    storage.write_hdf5(path, arrays, {}, training_settings=SETTINGS)
    kept = run(written, tmp_path / "a", "attack_r")
    dropped = run(written, tmp_path / "b", "attack_r", drop_unhealthy=True)
    assert len(kept.shadows) == NUM_SHADOWS
    assert dropped.shadows == tuple(n for n in kept.shadows if n != "shadow-00-2")
    assert (kept.judged_by, dropped.judged_by) == ("shadows", "targets")
    np.testing.assert_array_equal(
        dropped.shadow_roles_MN, np.delete(kept.shadow_roles_MN, 2, axis=0)
    )
    assert not np.array_equal(dropped.score_TN, kept.score_TN)


def test_an_adaptive_attack_is_judged_by_the_shadows(files, tmp_path):
    scores = run(files(PPB, PPB), tmp_path / "a", targets_as=PPB, shadows_as=PPB)
    assert scores.adversary == "adaptive"
    assert scores.judged_by == "shadows"
    names, score_MN, roles_MN = scores.judged
    assert names is scores.shadows
    assert score_MN is scores.shadow_score_MN
    assert roles_MN is scores.shadow_roles_MN


def test_an_attack_with_undefended_shadows_is_judged_by_the_targets(files, tmp_path):
    scores = run(files(PPB), tmp_path / "a", adversary="non_adaptive", targets_as=PPB)
    assert scores.adversary == "non_adaptive"
    assert scores.judged_by == "targets"
    names, score_TN, roles_TN = scores.judged
    assert names is scores.targets
    assert score_TN is scores.score_TN
    assert roles_TN is scores.target_roles_TN


@pytest.mark.parametrize(
    ("attack", "num_shadows", "alone", "adversary", "judge"),
    [
        ("lira_online", 6, 0, "adaptive", "shadows"),
        ("lira_online", 6, 0, "shared", "targets"),
        ("lira_online", 4, 0, "adaptive", "targets"),  # none of both sides would be left
        ("lira_online", 31, 1, "adaptive", "targets"),
        ("lira_online", 33, 1, "adaptive", "shadows_loo"),
        ("entropy_per_class", 5, 1, "adaptive", "shadows_loo"),
        ("entropy_per_class", 2, 0, "adaptive", "targets"),
        ("entropy_per_class", 4, 0, "adaptive", "shadows"),
        ("loss", 1, 1, "adaptive", "shadows"),
    ],
)
def test_who_shows_how_well_an_attack_does(attack, num_shadows, alone, adversary, judge):
    half_MN = np.random.default_rng(0).random((num_shadows, 30)) < 0.5
    half_MN[1::2] = ~half_MN[: num_shadows - 1 : 2]
    bank = score_bank(np.zeros((num_shadows, 30, 1)), half_MN)
    assert (~bank.is_paired_M).sum() == alone
    assert judged_by(ATTACKS[attack], bank, adversary) == judge
    assert judge in JUDGES


@pytest.mark.parametrize("adversary", ["adaptive", "non_adaptive", "original"])
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("recipe", {"epochs": 6}),
        ("pruning", {"method": "static", "sparsity": 0.9}),
        ("defense", PPB["defense"]),
        ("seed", 1),
    ],
)
def test_models_of_another_configuration_are_refused(files, tmp_path, adversary, field, value):
    other = SETTINGS | {field: value}
    pattern = r"{}\.h5: .* other settings than those of the configuration: " + field
    with pytest.raises(ArtefactError, match=pattern.format("target-42")):
        run(files(other), tmp_path / "a", adversary=adversary)
    with pytest.raises(ArtefactError, match=pattern.format("shadow-00")):
        run(files(SETTINGS, other), tmp_path / "a", adversary=adversary)
    assert not list((tmp_path / "a").rglob("*.h5"))
    run(files(other), tmp_path / "a", adversary=adversary, targets_as=other)


@pytest.mark.parametrize(("field", "value"), [("precision", "bfloat16"), ("data_digest", "other")])
def test_targets_and_shadows_of_other_data_or_precision_are_refused(files, tmp_path, field, value):
    written = files(SETTINGS, SETTINGS | {field: value})
    with pytest.raises(ArtefactError, match=rf"shadow-00\.h5: .*target-42\.h5: {field}\. Delete"):
        run(written, tmp_path / "a")


def test_targets_of_different_defences_are_refused_even_if_not_adaptive(
    files, write_scores, tmp_path
):
    targets, shadows = files(PPB, SETTINGS)
    other = write_scores("target-7", ["target-7"], targets[1][1]["roles"], SETTINGS)
    with pytest.raises(ArtefactError, match=rf"{re.escape(other[0])}: .*: defense\. "):
        run(([targets[0], other], shadows), tmp_path / "a", adversary="non_adaptive")


def test_provenance_tells_the_attack_and_what_it_read(files, tmp_path, monkeypatch):
    digests, clock = [], count(100, 7.5)
    monkeypatch.setattr(attack_run, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    for name, written in (("a", files(PPB, SETTINGS)), ("b", files(PPB, SETTINGS))):
        run(written, tmp_path / name, "loss", "non_adaptive", targets_as=PPB)
        with storage.open_hdf5(tmp_path / name / "non_adaptive/loss.h5") as file:
            facts = storage.attribute(file)
        assert facts["settings"] == {"attack": "loss", "adversary": "non_adaptive"}
        assert facts["seconds"] == 7.5
        digests.append((facts["targets_digest"], facts["shadows_digest"]))
    assert digests[0] == digests[1]
    assert digests[0][0] != digests[0][1]


def test_a_shadow_that_diverged_is_refused_by_name(files, tmp_path):
    written = files()
    path, arrays = written[1][0]
    arrays["phi"][0, 3, 0] = np.nan
    storage.write_hdf5(path, arrays, {}, training_settings=SETTINGS)
    with pytest.raises(ArtefactError, match="φ of shadow-00-0 at example 3, query 0 is nan"):
        run(written, tmp_path / "a")
    assert not list((tmp_path / "a").glob("*.h5"))


def test_a_curvature_that_is_no_number_is_refused_by_name(files, tmp_path):
    written = files()
    path, arrays = written[0][0]
    arrays["curvature_trace"][0, 3, 1] = np.nan
    storage.write_hdf5(path, arrays, {}, training_settings=SETTINGS)
    with pytest.raises(ArtefactError, match="curvature_trace of target-42 at example 3, query 1 "):
        run(written, tmp_path / "a", "curvature_nll_trace")
    run(written, tmp_path / "a", "published_carlini")


def test_a_missing_attack_file_is_named(tmp_path):
    with pytest.raises(ArtefactError, match=rf"{re.escape(str(tmp_path))}.*no such file"):
        read_attack(str(tmp_path / "a.h5"))


@pytest.mark.parametrize(
    "name", ["adaptive/loss", "original/lira_fixed", "non_adaptive/lira_fixed"]
)
def test_attacks_under_other_names_are_refused(files, tmp_path, name):
    run(files(), tmp_path, adversary="adaptive")
    path = tmp_path / f"{name}.h5"
    path.parent.mkdir(exist_ok=True)
    (tmp_path / "adaptive/lira_fixed.h5").rename(path)
    pattern = rf"{re.escape(str(path))}: it holds the attack lira_fixed, adaptive\. "
    with pytest.raises(ArtefactError, match=pattern):
        read_attack(path)


def test_shared_shadows_are_those_of_an_adaptive_adversary_elsewhere(files, tmp_path):
    assert run(files(), tmp_path, adversary="shared").adversary == "shared"


@pytest.mark.parametrize("kind", ["image", "tabular"])
@pytest.mark.parametrize("pool", [3, 5])
def test_features_are_the_examples_as_rows_inside_the_pool_and_outside(tmp_path, kind, pool):
    path = str(tmp_path / "five.h5")
    inputs = np.arange(20, dtype=np.uint8 if kind == "image" else np.float32)
    name = "images" if kind == "image" else "features"
    shape = (5, 2, 2, 1) if kind == "image" else (5, 4)
    arrays = {name: inputs.reshape(shape), "labels": np.zeros(5, int)}
    facts = {"name": "five", "kind": kind, "pool_size": pool, "digest": "", "class_names": ["a"]}
    storage.write_hdf5(path, arrays | {"mean": np.zeros(1), "std": np.ones(1)}, {}, **facts)
    rows = np.arange(20).reshape(5, 4) / (255 if kind == "image" else 1)
    found = _features(path, pool)
    expected = {"features": rows[:pool]}
    if pool < 5:
        expected["population_features"] = rows[pool:]
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert found[key].dtype == np.float32
        np.testing.assert_allclose(found[key], value, rtol=1e-6)
