"""Role matrices: exact counts, complementary pairs, nested prefixes, nothing ever drawn anew."""

import itertools
import math
import re

import numpy as np
import pytest
from halves import halves

from shadowmill import roles, storage
from shadowmill.errors import ArtefactError, ConfigError, DataError
from shadowmill.provenance import array_digest
from shadowmill.roles import (
    MEMBER,
    NON_MEMBER,
    UNUSED,
    VALIDATION,
)
from shadowmill.roles.order import random_order
from shadowmill.roles.splits import (
    prefix,
    shadow_half,
    shadow_split,
    target_half,
    target_split,
    with_rotating_validation,
    with_validation,
)

# Roles of a block, and their file.

BLOCK = {f"shadow-01-{slot}": ["shadow", 4 + slot] for slot in range(4)}


@pytest.fixture
def path(tmp_path):
    roles.draw(tmp_path / "roles.h5", BLOCK, num_examples=25, seed=5)
    return tmp_path / "roles.h5"


def test_a_block_of_shadows(path):
    matrix = roles.load(path)
    assert matrix.models == tuple(BLOCK)
    assert matrix.roles_MN.dtype == np.int8
    np.testing.assert_array_equal(matrix.roles_MN, halves(8, 25, seed=5)[4:])


def test_a_block_of_one_target(tmp_path):
    roles.draw(tmp_path / "roles.h5", {"target-42": ["target", 42]}, num_examples=25, seed=5)
    matrix = roles.load(tmp_path / "roles.h5")
    assert matrix.models == ("target-42",)
    np.testing.assert_array_equal(matrix.roles_MN, target_half(42, 25, seed=5)[None])


@pytest.mark.parametrize("size", [1, 2, 8])
def test_the_members_of_a_shadow_do_not_depend_on_the_size_of_the_blocks(tmp_path, size):
    rows = []
    for block in range(8 // size):
        models = {f"s-{k}": ["shadow", k] for k in range(block * size, (block + 1) * size)}
        roles.draw(tmp_path / f"{block}.h5", models, num_examples=25, seed=5)
        rows.append(roles.load(tmp_path / f"{block}.h5").roles_MN)
    np.testing.assert_array_equal(np.concatenate(rows), halves(8, 25, seed=5))


def test_the_file_says_how_it_was_drawn(path):
    with storage.open_hdf5(path) as file:
        facts = storage.attribute(file)
    assert facts["settings"] == {
        "protocol": "half",
        "seed": 5,
        "models": BLOCK,
        "validation": 0.0,
    }
    assert facts["roles_digest"] == array_digest(roles.load(path).roles_MN)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ArtefactError, match=re.escape(str(tmp_path / "roles.h5"))):
        roles.load(tmp_path / "roles.h5")


@pytest.mark.parametrize("num_examples", [2, 3, 10, 101])
@pytest.mark.parametrize(
    "models",
    [
        {"t": ["target", 3]},
        {"a": ["shadow", 0]},
        {"b": ["shadow", 1]},
        {"a": ["shadow", 0], "b": ["shadow", 1]},
    ],
)
def test_an_epoch_is_the_smaller_half_in_every_block(tmp_path, models, num_examples):
    # An odd shadow has one example more, but takes the same steps as its twin.
    roles.draw(tmp_path / "roles.h5", models, num_examples, seed=0)
    assert roles.load(tmp_path / "roles.h5").epoch_size == num_examples // 2


def drawn(tmp_path, models, num_examples=25, seed=5, **settings):
    roles.draw(tmp_path / "drawn.h5", models, num_examples, seed, **settings)
    return roles.load(tmp_path / "drawn.h5")


def counts(row):
    """Numbers of UNUSED, MEMBER, VALIDATION and NON_MEMBER."""
    return np.bincount(row, minlength=4).tolist()


# Validation.


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0.0, [0, 12, 0, 13]), (0.1, [0, 12, 1, 12]), (0.5, [0, 12, 6, 7]), (0.9, [0, 12, 12, 1])],
)
def test_validation_is_a_rounded_share_of_the_non_members(share, expected):
    # 13 non-members of 25: 1.3, 6.5 (to even) and 11.7 of them.
    row = with_validation(target_half(3, 25, seed=5), share, 5, "target", 3)
    assert row.dtype == np.int8
    assert counts(row) == expected


def test_validation_leaves_members_alone(tmp_path):
    without = drawn(tmp_path, BLOCK).roles_MN
    smaller, larger = (drawn(tmp_path, BLOCK, validation=v).roles_MN for v in (0.2, 0.4))
    for roles_MN in (smaller, larger):
        np.testing.assert_array_equal(roles_MN == MEMBER, without == MEMBER)
    assert (larger == VALIDATION).sum() > (smaller == VALIDATION).sum() > 0


@pytest.mark.parametrize("share", [0.1, 0.25, 0.3])
@pytest.mark.parametrize("num", [1797, 1000])
def test_shadows_take_turns_in_validating(share, num):
    pairs = 16
    rows = [
        with_rotating_validation(shadow_half(k, num, seed=3), share, k // 2, seed=3)
        for k in range(2 * pairs)
    ]
    times_N = (np.stack(rows) == VALIDATION).sum(axis=0)
    assert set(times_N) <= {math.floor(pairs * share), math.ceil(pairs * share)}
    sizes = [int((row == VALIDATION).sum()) for row in rows]
    for even, odd in zip(sizes[::2], sizes[1::2], strict=True):
        assert abs(even + odd - share * num) <= 1
        assert abs(even - odd) < 5 * np.sqrt(share * num)


def test_both_shadows_of_a_pair_validate_on_the_same_stretch(tmp_path):
    # Ten pairs, a tenth each: every example once, by the shadow that does not train on it.
    models = {f"shadow-{k}": ["shadow", k] for k in range(20)}
    roles_MN = drawn(tmp_path, models, 40, validation=0.1).roles_MN
    assert ((roles_MN == VALIDATION).sum(axis=0) == 1).all()


def test_validation_is_drawn_for_each_model_alone(tmp_path):
    together = drawn(tmp_path, BLOCK, 200, validation=0.3).roles_MN
    for row, (name, key) in zip(together, BLOCK.items(), strict=True):
        alone = drawn(tmp_path, {name: key}, 200, validation=0.3).roles_MN
        np.testing.assert_array_equal(alone[0], row)
    assert len(np.unique(together == VALIDATION, axis=0)) == len(BLOCK)


def test_validation_is_uniform_over_the_non_members():
    row = target_half(0, 20, seed=0)
    num = 4000
    hits_N = sum(with_validation(row, 0.3, 0, "model", k) == VALIDATION for k in range(num))
    assert hits_N[row == MEMBER].sum() == 0
    share = hits_N[row == NON_MEMBER] / num
    assert np.abs(share - 0.3).max() < 5 * np.sqrt(0.3 * 0.7 / num)


# Disjoint sides.


@pytest.mark.parametrize(
    ("num_examples", "of_target", "of_shadow"),
    [
        # UNUSED, MEMBER, VALIDATION, NON_MEMBER; ⌊0.45·n⌋ of n on its own side.
        (6, [3, 1, 1, 1], [3, 1, 1, 1]),
        (7, [4, 1, 1, 1], [3, 1, 2, 1]),
        (40, [20, 9, 2, 9], [20, 9, 2, 9]),
        (1797, [899, 404, 90, 404], [898, 404, 91, 404]),
        (60_000, [30_000, 13_500, 3_000, 13_500], [30_000, 13_500, 3_000, 13_500]),
    ],
)
def test_sizes_of_disjoint_splits(num_examples, of_target, of_shadow):
    for split, expected in ((target_split, of_target), (shadow_split, of_shadow)):
        row = split(7, num_examples, seed=0)
        assert row.dtype == np.int8
        assert counts(row) == expected


@pytest.mark.parametrize("num_examples", [6, 31, 400])
def test_targets_and_shadows_share_no_example_and_leave_none_out(num_examples):
    targets = [target_split(seed, num_examples, seed=2) != UNUSED for seed in (42, 7, 0)]
    shadows = [shadow_split(index, num_examples, seed=2) != UNUSED for index in range(4)]
    for target in targets:
        np.testing.assert_array_equal(target, targets[0])
        for shadow in shadows:
            np.testing.assert_array_equal(shadow, ~target)


def test_every_model_splits_its_side_anew():
    rows = [shadow_split(index, 200, seed=2) for index in range(6)]
    rows += [target_split(seed, 200, seed=2) for seed in range(6)]
    assert len(np.unique(np.array(rows) == MEMBER, axis=0)) == 12
    np.testing.assert_array_equal(rows[3], shadow_split(3, 200, seed=2))
    # Another study has other sides.
    assert ((target_split(0, 200, seed=3) == UNUSED) != (rows[6] == UNUSED)).any()


def test_splits_of_a_side_are_uniform():
    num = 4000
    roles_MN = np.stack([shadow_split(index, 40, seed=1) for index in range(num)])
    roles_MN = roles_MN[:, roles_MN[0] != UNUSED]
    for role, share in ((MEMBER, 0.45), (VALIDATION, 0.1), (NON_MEMBER, 0.45)):
        found = (roles_MN == role).mean(axis=0)
        assert np.abs(found - share).max() < 5 * np.sqrt(share * (1 - share) / num)


def test_sides_are_uniform_over_studies():
    num = 4000
    own = np.mean([target_split(0, 6, seed) != UNUSED for seed in range(num)], axis=0)
    assert np.abs(own - 0.5).max() < 5 * 0.5 / np.sqrt(num)


def test_disjoint_blocks(tmp_path):
    # Of 25 examples the shadows have 13, of which ⌊5.85⌋ are members.
    models = {f"shadow-01-{slot}": ["shadow", 5 + slot] for slot in range(3)}
    matrix = drawn(tmp_path, models, protocol="disjoint")
    expected = [shadow_split(index, 25, seed=5) for index in (5, 6, 7)]
    np.testing.assert_array_equal(matrix.roles_MN, expected)
    assert matrix.epoch_size == 5
    matrix = drawn(tmp_path, {"target-42": ["target", 42]}, protocol="disjoint")
    np.testing.assert_array_equal(matrix.roles_MN, [target_split(42, 25, seed=5)])
    assert matrix.epoch_size == 5
    with storage.open_hdf5(tmp_path / "drawn.h5") as file:
        assert storage.attribute(file)["settings"]["protocol"] == "disjoint"


@pytest.mark.parametrize("num_examples", [0, 2, 5])
def test_too_few_examples_for_sides_are_refused(num_examples):
    with pytest.raises(DataError, match=f"{num_examples} examples are too few.*protocol half"):
        target_split(0, num_examples, seed=0)


# Prefixes.


def test_prefix_by_hand():
    assert prefix(2, np.array([3, 0, 4, 1, 2])).tolist() == [1, 3, 3, 1, 3]


@pytest.mark.parametrize("size", [0, 5, 6])
def test_a_prefix_that_leaves_no_one_in_or_out_is_refused(size):
    with pytest.raises(ConfigError, match=f"first {size} examples: the pool has 5.*from 1 to 4"):
        prefix(size, np.arange(5))


def test_prefixes_are_nested_whatever_the_seeds_of_the_models(tmp_path):
    members = []
    for number, size in enumerate((3, 4, 11, 24)):
        matrix = drawn(tmp_path, {"target": ["prefix", number, size]})
        assert matrix.epoch_size == size
        assert counts(matrix.roles_MN[0]) == [0, size, 0, 25 - size]
        members.append(matrix.roles_MN[0] == MEMBER)
    for smaller, larger in itertools.pairwise(members):
        assert (smaller <= larger).all()
    np.testing.assert_array_equal(np.flatnonzero(members[0]), sorted(random_order(25, 5)[:3]))


def test_orders_of_studies_differ_and_are_uniform():
    first = np.bincount([random_order(8, seed)[0] for seed in range(4000)], minlength=8) / 4000
    assert np.abs(first - 1 / 8).max() < 5 * np.sqrt(1 / 8 * 7 / 8 / 4000)


def test_prefixes_have_validation_examples_among_the_rest(tmp_path):
    models = {"target-1-5": ["prefix", 1, 5]}
    row = drawn(tmp_path, models, validation=0.3).roles_MN[0]
    assert counts(row) == [0, 5, 6, 14]
    np.testing.assert_array_equal(row == MEMBER, drawn(tmp_path, models).roles_MN[0] == MEMBER)


# What must not be mixed.


@pytest.mark.parametrize(
    ("models", "settings", "complaint"),
    [
        ({"a": ["shadow", 0], "b": ["prefix", 1, 3]}, {}, "prefixes and other models"),
        ({"a": ["prefix", 0, 3], "b": ["prefix", 0, 4]}, {}, r"\[3, 4\] members"),
        (
            {"a": ["target", 0]},
            {"validation": 0.1, "protocol": "disjoint"},
            "validation=0.1 with the protocol disjoint",
        ),
        ({"a": ["target", 0]}, {"validation": 1.0}, "validation=1.0"),
        ({"a": ["target", 0]}, {"scores_path": "scores.npy"}, "an order, scores.npy, with"),
    ],
)
def test_blocks_that_make_no_sense_are_refused(tmp_path, models, settings, complaint):
    with pytest.raises(ValueError, match=complaint):
        drawn(tmp_path, models, **settings)
    assert not (tmp_path / "drawn.h5").exists()


def test_one_more_on_the_attackers_side_is_seen_in_the_epoch_size(tmp_path):
    # 39 examples: ⌊0.45·19⌋ = 8 for targets, ⌊0.45·20⌋ = 9 for shadows.
    assert drawn(tmp_path, {"a": ["target", 0]}, 39, protocol="disjoint").epoch_size == 8
    assert drawn(tmp_path, {"a": ["shadow", 0]}, 39, protocol="disjoint").epoch_size == 9
