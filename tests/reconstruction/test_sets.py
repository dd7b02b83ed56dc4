"""Which examples a set has, and how its rows are labelled."""

import numpy as np
import pytest

from shadowmill.errors import ConfigError, DataError
from shadowmill.reconstruction.sets import draw_sets, group_labels, layout, split_examples
from shadowmill.seeds import generator

SETS = {
    "task": "multiclass",
    "classes": [3, 0, 2],
    "positive": [],
    "random_labels": None,
    "class_size": 2,
    "test_fraction": None,
    "seed": 11,
}
BINARY = SETS | {"task": "binary", "positive": [0, 3]}
RANDOM = SETS | {"classes": [0, 1, 2, 3], "random_labels": 3}
IDENTITY = SETS | {"task": "identity", "classes": []}
ASIDE = {"test_fraction": 0.29}

# 100 examples of the pool and 40 of the test set; of four classes, so class 1 is not in use.
LABELS_n = np.concatenate([np.arange(100) % 4, np.arange(40) % 4])
POOL = 100


def groups_of(sets_SN, num_groups=3):
    return sets_SN.reshape(len(sets_SN), num_groups, -1)


def test_layout_of_classes():
    of_groups = layout(SETS, conditional=True)
    assert of_groups.labels_N.tolist() == [0, 0, 1, 1, 2, 2]
    assert of_groups.labels_N.dtype == of_groups.candidates_GM.dtype == np.int64
    assert of_groups.candidates_GM.tolist() == [[0, 1], [2, 3], [4, 5]]
    whole = layout(SETS, conditional=False)
    assert whole.labels_N.tolist() == [0, 0, 1, 1, 2, 2]
    assert whole.candidates_GM.tolist() == [[0, 1, 2, 3, 4, 5]]


def test_layout_of_a_binary_task():
    of_groups = layout(BINARY, conditional=True)
    assert of_groups.labels_N.tolist() == [1, 1, 1, 1, 0, 0]  # of classes 3, 0, 2
    assert of_groups.labels_N.dtype == np.int64
    assert of_groups.candidates_GM.tolist() == [[0, 1], [2, 3], [4, 5]]


def test_layout_of_random_labels():
    assert layout(RANDOM, conditional=True).labels_N.tolist() == [0, 0, 1, 1, 2, 2]


def test_layout_of_identities():
    found = layout(IDENTITY, conditional=False)
    assert found.labels_N.tolist() == [1, 1] + 18 * [0]
    assert found.candidates_GM.tolist() == [[0, 1]]
    with pytest.raises(ValueError, match="the task identity has no groups"):
        layout(IDENTITY, conditional=True)


def test_group_labels():
    assert group_labels(np.array([0, 1, 2, 3, 3]), 5, SETS).tolist() == [1, -1, 2, 0, 0]
    assert group_labels(np.array([0, 1, 2, 3, 3]), 5, IDENTITY).tolist() == [0] * 5


def test_random_labels_are_balanced_in_each_split():
    # 75 examples of the pool and 30 of the test set are in use.
    sets = SETS | {"random_labels": 4}
    groups_n = group_labels(LABELS_n, POOL, sets)
    assert np.array_equal(groups_n == -1, LABELS_n == 1)
    pool, test = groups_n[:POOL], groups_n[POOL:]
    assert sorted(np.bincount(pool[pool >= 0])) == [18, 19, 19, 19]
    assert sorted(np.bincount(test[test >= 0])) == [7, 7, 8, 8]
    # Nothing of the classes is left in them: each class has examples of each label.
    assert all(set(groups_n[LABELS_n == label]) == {0, 1, 2, 3} for label in (0, 2, 3))
    assert not np.array_equal(groups_n, group_labels(LABELS_n, POOL, sets | {"seed": 12}))
    # The test set does not change the pool.
    assert np.array_equal(pool, group_labels(LABELS_n[:POOL], POOL, sets))


@pytest.mark.parametrize("split", ["train", "test"])
def test_splits_are_pool_and_test_set(split):
    rows = split_examples(LABELS_n, POOL, SETS | ASIDE, split)
    everything = np.flatnonzero(LABELS_n != 1)
    expected = everything[(everything < POOL) == (split == "train")]
    assert np.array_equal(rows, expected)


def test_a_share_is_set_aside_without_a_test_set():
    sets = SETS | ASIDE
    labels_n = np.repeat([0, 1, 2, 3], 100)
    train, test = (split_examples(labels_n, 400, sets, split) for split in ("train", "test"))
    assert np.array_equal(np.sort(np.concatenate([train, test])), np.flatnonzero(labels_n != 1))
    # 0.29 · 100 is 28.999999999999996 in floating point.
    assert np.bincount(labels_n[test]).tolist() == [29, 0, 29, 29]
    assert (np.diff(test) > 0).all()
    others = split_examples(labels_n, 400, sets | {"seed": 12}, "test")
    assert len(np.intersect1d(test, others)) < 60


def test_at_least_a_chunk_is_set_aside():
    labels_n = np.repeat([0, 2, 3], 5)  # 0.29 · 5 is 1.45
    test = split_examples(labels_n, 15, SETS | ASIDE, "test")
    assert np.bincount(labels_n[test]).tolist() == [2, 0, 2, 2]


def test_no_test_split():
    with pytest.raises(ConfigError, match=r"test_fraction is not set, .* Give a share between"):
        split_examples(LABELS_n, len(LABELS_n), SETS, "train")


@pytest.mark.parametrize("sets", [SETS, BINARY], ids=["multiclass", "binary"])
@pytest.mark.parametrize("split", ["train", "test"])
def test_sets_are_chunks_of_permuted_groups(sets, split):
    # 25 examples of each class in the pool, 10 in the test set.
    drawn = draw_sets(LABELS_n, POOL, sets, split, 7, 5)
    rows = [n for n in range(140) if LABELS_n[n] != 1 and (n < POOL) == (split == "train")]
    order = generator("heads", 11, split, 7).permutation(rows)
    expected = []
    for j in range(5):
        expected.append([])
        for label in (3, 0, 2):
            members = [n for n in order if LABELS_n[n] == label]
            expected[-1] += members[2 * j : 2 * j + 2]
    assert drawn.tolist() == expected
    assert drawn.dtype == np.int64
    assert len(np.unique(drawn)) == drawn.size


def test_few_sets_are_the_first_of_many():
    many = draw_sets(LABELS_n, POOL, SETS, "train", 7, 12)
    assert np.array_equal(draw_sets(LABELS_n, POOL, SETS, "train", 7, 3), many[:3])
    assert not np.array_equal(draw_sets(LABELS_n, POOL, SETS, "train", 8, 12), many)


def test_sets_of_random_labels():
    drawn = draw_sets(LABELS_n, POOL, RANDOM, "test", 7, 6)
    groups_n = group_labels(LABELS_n, POOL, RANDOM)
    assert np.array_equal(groups_n[drawn], np.tile([0, 0, 1, 1, 2, 2], (6, 1)))
    assert drawn.min() >= POOL
    assert len(np.unique(drawn)) == drawn.size


def test_train_sets_never_see_what_was_set_aside():
    sets, labels_n = SETS | ASIDE, LABELS_n[:POOL]
    test = split_examples(labels_n, POOL, sets, "test")
    assert len(test) == 21  # 0.29 · 25 = 7.25 of each class
    train_sets = draw_sets(labels_n, POOL, sets, "train", 1, 9)
    test_sets = draw_sets(labels_n, POOL, sets, "test", 1, 3)
    assert not np.isin(train_sets, test).any()
    assert np.isin(test_sets, test).all()


def test_too_many_sets():
    labels_n = LABELS_n.copy()
    labels_n[np.flatnonzero(labels_n[:POOL] == 2)[:4]] = 1  # leaves 21 of class 2
    assert len(draw_sets(labels_n, POOL, SETS, "train", 0, 10)) == 10
    message = (
        "11 disjoint sets of the train split with class_size 2 need 22 examples of each class, but "
        "class 2 has 21: at most 10 sets. Lower the number of heads"
    )
    with pytest.raises(DataError, match=message):
        draw_sets(labels_n, POOL, SETS, "train", 0, 11)
    with pytest.raises(DataError, match=r"but random label \d has 13: at most 6 sets"):
        draw_sets(LABELS_n, POOL, RANDOM, "test", 0, 7)


# Identities 0…9 have 1…10 images, twice in the pool (a hundred and more later), in mixed order.
COUNTS = np.arange(10) + 1
IDENTITY_n = np.concatenate(
    [
        np.random.default_rng(1).permutation(np.repeat(np.arange(10), COUNTS)),
        np.random.default_rng(2).permutation(np.repeat(100 + np.arange(10), COUNTS)),
    ]
)


def identity_sets(split, num_sets, *, seed=3, pool=55, **settings):
    labels_n = np.zeros(110, dtype=np.int64)
    return draw_sets(labels_n, pool, IDENTITY | settings, split, seed, num_sets, IDENTITY_n)


@pytest.mark.parametrize("split", ["train", "test"])
def test_sets_of_identities(split):
    drawn = identity_sets(split, 8)
    who = IDENTITY_n[drawn]
    assert drawn.shape == (8, 20)
    own, others = who[:, :2], who[:, 2:]
    assert np.array_equal(own[:, 0], own[:, 1])
    # All of those with more than two images, each once.
    assert sorted(own[:, 0] % 100) == list(range(2, 10))
    assert (others != own[:, :1]).all()
    assert ((drawn < 55) == (split == "train")).all()
    assert all(len(np.unique(row)) == 20 for row in drawn)


def test_others_are_drawn_uniformly_and_for_each_set_by_itself():
    counts = np.zeros(110)
    for seed in range(300):
        drawn = identity_sets("train", 8, seed=seed)
        assert len(np.unique(drawn[:, 2:], axis=0)) == 8
        np.add.at(counts, drawn[:, 2:], 1)
    # Each of eight identities, of k = 3…10 images, is the own one of 300 sets. For those, each
    # of the other 55 − k images is drawn with probability 18 / (55 − k).
    expected = {
        who: sum(300 * 18 / (55 - k) for k in range(3, 11) if k != COUNTS[who]) for who in range(10)
    }
    for image in range(55):
        mean = expected[IDENTITY_n[image]]
        assert abs(counts[image] - mean) < 5 * np.sqrt(mean)


def test_own_images_are_any_of_the_identity():
    drawn = [identity_sets("train", 8, seed=seed)[:, :2] for seed in range(60)]
    assert set(np.unique(drawn)) == set(np.flatnonzero((IDENTITY_n >= 2) & (IDENTITY_n < 100)))


def test_few_sets_of_identities_are_the_first_of_many():
    assert np.array_equal(identity_sets("train", 3), identity_sets("train", 8)[:3])


def test_identities_are_set_aside_whole():
    labels_n = np.zeros(110, dtype=np.int64)
    sets = IDENTITY | {"test_fraction": 0.3}
    train, test = (
        split_examples(labels_n, 110, sets, split, IDENTITY_n) for split in ("train", "test")
    )
    assert len(train) + len(test) == 110
    assert len(np.unique(IDENTITY_n[test])) == 6  # of twenty
    assert not set(IDENTITY_n[train]) & set(IDENTITY_n[test])
    one = split_examples(labels_n, 110, sets | {"test_fraction": 0.01}, "test", IDENTITY_n)
    assert len(np.unique(IDENTITY_n[one])) == 1


def test_too_few_identities():
    message = "9 sets of the test split need as many identities of more than class_size = 2 .* 8."
    with pytest.raises(DataError, match=message):
        identity_sets("test", 9)
    with pytest.raises(DataError, match=r"needs 54 examples of other .* are 45"):
        identity_sets("train", 4, class_size=6)


@pytest.mark.parametrize("sets", [IDENTITY, IDENTITY | ASIDE])
def test_unknown_identities(sets):
    pool = 110 if sets["test_fraction"] else 55
    with pytest.raises(ValueError, match="needs to know who each example shows"):
        draw_sets(np.zeros(110, dtype=np.int64), pool, sets, "train", 0, 1)
