"""paired_differences: each variant against its reference, on identical splits."""

import re

import numpy as np
import pytest
from halves import halves

from shadowmill import storage
from shadowmill.errors import ArtefactError
from shadowmill.metrics.bootstrap import paired_bootstrap
from shadowmill.metrics.multiplicity import holm
from shadowmill.names import Cell
from shadowmill.roles import MEMBER, NON_MEMBER
from shadowmill.tables import paired, read_csv

VARIANTS = ["dense", "static-0.9", "static-0.9+ppb-4", "dense+ppb-4"]


@pytest.fixture(autouse=True)
def few_replicates(monkeypatch):
    monkeypatch.setattr(paired, "REPLICATES", 40)


@pytest.fixture
def write(tmp_path, shadow_roles, target_roles):
    """Write the attack file of a variant, whose scores leak so much; its path."""

    def write(variant, leak, *, judged_by="shadows", **changes):
        random = np.random.default_rng(VARIANTS.index(variant))
        arrays = {
            "targets": ["target-42", "target-7"],
            "shadows": [f"shadow-00-{k}" for k in range(len(shadow_roles))],
            "target_roles": target_roles,
            "shadow_roles": shadow_roles,
        } | changes
        for name, of in (("score", "target_roles"), ("shadow_score", "shadow_roles")):
            noise = random.normal(size=arrays[of].shape)
            arrays.setdefault(name, noise + leak * (arrays[of] == MEMBER))
        path = tmp_path / f"{variant}.h5"
        storage.write_hdf5(path, arrays, {}, adversary="adaptive", judged_by=judged_by)
        return str(path), arrays

    return write


def cell(variant, architecture="small_convnet"):
    return Cell("main", "digits", architecture, variant)


def tabulate(tmp_path, files):
    cells = [cell(variant) for variant in files]
    paired.tabulate(cells, "loss", list(files.values()), str(tmp_path / "paired.csv"))
    return read_csv(tmp_path / "paired.csv")


def bootstrapped(score_MN, reference_MN, roles_MN, *fprs):
    member_MN, nonmember_MN = roles_MN == MEMBER, roles_MN == NON_MEMBER
    return paired_bootstrap(
        score_MN, reference_MN, member_MN, fprs, 40, seed=0, nonmember_MN=nonmember_MN
    )


@pytest.mark.parametrize(
    ("variant", "reference"),
    [
        ("dense", None),
        ("static-0.9", "dense"),
        ("dense+ppb-4", "dense"),
        ("static-0.9+ppb-4", "static-0.9"),
    ],
)
def test_references(variant, reference):
    expected = None if reference is None else cell(reference)
    assert paired.reference_of(cell(variant)) == expected


def test_each_variant_minus_its_reference(tmp_path, write, shadow_roles):
    leaks = zip(VARIANTS, (1, 0, 0, 3), strict=True)
    written = {variant: write(variant, leak) for variant, leak in leaks}
    table = tabulate(tmp_path, {variant: path for variant, (path, _) in written.items()})
    assert dict(zip(table["variant"], table["reference"], strict=True)) == {
        "static-0.9": "dense",
        "static-0.9+ppb-4": "static-0.9",
        "dense+ppb-4": "dense",
    }
    assert len(table) == 3 * 2 * 6
    indexed = table.set_index(["variant", "target", "metric"])
    scores = (written[name][1]["shadow_score"] for name in ("static-0.9", "dense"))
    expected = bootstrapped(*scores, shadow_roles, 0.1)
    for metric in ("auc", "tpr_at_fpr_0.1"):
        for aggregate in ("mean", "pooled"):
            row = indexed.loc["static-0.9", f"shadows-{aggregate}", metric]
            found = row[["difference", "ci_low", "ci_high", "p_value"]].tolist()
            assert found == pytest.approx(list(expected[metric, aggregate]), rel=1e-8)
    pooled = indexed.xs(("shadows-pooled", "auc"), level=("target", "metric"))["difference"]
    assert pooled["static-0.9"] < -0.1
    assert pooled["dense+ppb-4"] > 0.1
    assert abs(pooled["static-0.9+ppb-4"]) < 0.1


def test_p_values_are_adjusted_over_the_whole_table(tmp_path, write):
    leaks = zip(VARIANTS, (1, 0.8, 0.8, 1), strict=True)
    files = {variant: write(variant, leak)[0] for variant, leak in leaks}
    table = tabulate(tmp_path, files)
    np.testing.assert_allclose(table["p_holm"], holm(table["p_value"].to_numpy()), rtol=1e-7)
    assert (table["p_holm"] >= table["p_value"]).sum() == table["p_value"].notna().sum()
    # 200 examples: most TPRs are undefined, and are not in the family.
    assert table["p_value"].isna().sum() == table["difference"].isna().sum() > 0


def test_targets_are_compared_where_shadows_lack_the_defence(tmp_path, write, target_roles):
    _, reference = write("dense", 1)
    path, arrays = write("dense+ppb-4", 0, judged_by="targets")
    table = tabulate(tmp_path, {"dense": str(tmp_path / "dense.h5"), "dense+ppb-4": path})
    assert set(table["target"]) == {"targets-mean", "targets-pooled"}
    expected = bootstrapped(arrays["score"], reference["score"], target_roles)["auc", "pooled"]
    row = table.set_index(["target", "metric"]).loc[("targets-pooled", "auc")]
    assert row["difference"] == pytest.approx(expected.value, rel=1e-8)


def test_shadows_that_are_left_out_alone_are_named(tmp_path, write):
    files = {"dense": write("dense", 1)[0]}
    files["static-0.9"] = write("static-0.9", 1, judged_by="shadows_loo")[0]
    assert set(tabulate(tmp_path, files)["target"]) == {"shadows_loo-mean", "shadows_loo-pooled"}


def test_shadows_that_one_side_dropped_are_left_out_of_both(tmp_path, write):
    _, arrays = write("dense", 1)
    _, other = write("static-0.9", 1)
    kept = [3, 0, 2]  # in another order, too
    fewer = {name: arrays[name][kept] for name in ("shadow_roles", "shadow_score")}
    fewer["shadows"] = [arrays["shadows"][row] for row in kept]
    dropped, _ = write("dense", 1, **fewer)
    table = tabulate(tmp_path, {"dense": dropped, "static-0.9": write("static-0.9", 1)[0]})
    common = [0, 2, 3]
    scores = (content["shadow_score"][common] for content in (other, arrays))
    expected = bootstrapped(*scores, arrays["shadow_roles"][common])["auc", "pooled"]
    row = table.set_index(["target", "metric"]).loc[("shadows-pooled", "auc")]
    assert row["difference"] == pytest.approx(expected.value, rel=1e-8)


def test_examples_that_either_side_did_not_evaluate_are_left_out_of_both(tmp_path, write):
    _, arrays = write("dense", 1)
    _, other = write("static-0.9", 1)
    aside = {}
    for name, content, where in (
        ("dense", arrays, slice(0, 20)),
        ("static-0.9", other, slice(10, 30)),
    ):
        content["shadow_score"][:, where] = np.nan
        aside[name] = write(name, 1, shadow_score=content["shadow_score"])[0]
    table = tabulate(tmp_path, aside).set_index(["target", "metric"])
    scores = (content["shadow_score"][:, 30:] for content in (other, arrays))
    expected = bootstrapped(*scores, arrays["shadow_roles"][:, 30:])
    for aggregate in ("mean", "pooled"):
        found = table.loc[(f"shadows-{aggregate}", "auc"), "difference"]
        assert found == pytest.approx(expected["auc", aggregate].value, rel=1e-8)


def test_a_study_without_references_has_an_empty_table(tmp_path, write):
    table = tabulate(tmp_path, {"static-0.9": write("static-0.9", 1)[0]})
    assert len(table) == 0
    assert {"reference", "difference", "p_holm"} <= set(table.columns)


def test_a_variant_of_another_architecture_is_no_reference(tmp_path, write):
    cells = [cell("dense", "resnet18"), cell("static-0.9", "resnet20")]
    paths = [write(variant, 1)[0] for variant in ("dense", "static-0.9")]
    paired.tabulate(cells, "loss", paths, str(tmp_path / "t.csv"))
    assert len(read_csv(tmp_path / "t.csv")) == 0


@pytest.mark.parametrize("what", ["names", "members", "examples"])
def test_other_splits_are_refused(tmp_path, write, shadow_roles, what):
    dense, _ = write("dense", 1)
    change = {
        "names": {"shadows": [f"shadow-01-{k}" for k in range(6)]},
        "members": {"shadow_roles": halves(6, shadow_roles.shape[1], seed=2)},
        "examples": {"shadow_roles": shadow_roles[:, 1:]},
    }[what]
    pruned, _ = write("static-0.9", 1, **change)
    message = f"{re.escape(pruned)}: its shadows have other names or other members"
    with pytest.raises(ArtefactError, match=message):
        tabulate(tmp_path, {"dense": dense, "static-0.9": pruned})
