"""Membership attack on heads: confidences, scores, and what it finds where there is something."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import norm
from torch import nn

from shadowmill import storage
from shadowmill.errors import ArtefactError, ConfigError
from shadowmill.reconstruction.evaluation.membership import confidences, head_membership, score
from shadowmill.reconstruction.features import read_features
from shadowmill.reconstruction.heads.shards import HeadStore, train_shard
from shadowmill.reconstruction.sets import layout

BINARY_SETS = {"task": "binary", "positive": [1]}
KINDS = {
    "multiclass": ({"class_size": 2}, {}),
    "binary": (BINARY_SETS, {"outputs": 1}),
    "hidden": (BINARY_SETS, {"outputs": 1, "hidden": 4, "init_std": 0.5}),
}


@pytest.fixture
def make_shards(tmp_path, write_data, write_features, sets_settings, heads_settings, execution):
    """Train the test heads of some permutation seeds, as many as `counts`; paths and features."""

    def make(counts, sets=None, heads=None, data=None):
        data_path = write_data(**(data or {}))
        features_path = write_features(data_path, num_features=24)
        paths = [str(tmp_path / f"test-{seed}.h5") for seed in range(len(counts))]
        for seed, (path, count) in enumerate(zip(paths, counts, strict=True)):
            train_shard(
                features_path=features_path,
                data_path=data_path,
                split="test",
                permutation_seed=seed,
                num_heads=count,
                sets=sets_settings | (sets or {}),
                heads=heads_settings | (heads or {}),
                materialise=False,
                output=path,
                execution=execution,
                threads=1,
            )
        return paths, features_path

    return make


@pytest.fixture
def attack(tmp_path, execution):
    """Run the attack; return the arrays of its file and the AUC."""

    def run(shards, features_path):
        path = str(tmp_path / "membership.h5")
        head_membership(
            shards=shards,
            features_path=features_path,
            output=path,
            execution=execution,
            threads=1,
        )
        with storage.open_hdf5(path) as file:
            return {name: file[name][:] for name in file}, storage.attribute(file, "auc")

    return run


def network_of(weights_D, num_features, heads):
    """A head as torch builds it."""
    units, outputs = heads["hidden"] or heads["outputs"], heads["outputs"]
    layers = [nn.Linear(num_features, units)]
    if heads["hidden"]:
        layers += [nn.ReLU(), nn.Linear(units, outputs)]
    network = nn.Sequential(*layers)
    nn.utils.vector_to_parameters(weights_D, network.parameters())
    return network


def confidence_of(network, features_D, label):
    """log p / (1 - p) of the true label, from the probabilities themselves."""
    logits = network(features_D).double()
    if len(logits) == 1:
        logits = torch.stack([torch.zeros(()), logits[0]])
    p = logits.softmax(0)[label].item()
    return math.log(p / (1 - p))


@pytest.mark.parametrize("kind", KINDS)
def test_confidences_are_those_of_torchs_own_layers(make_shards, monkeypatch, kind):
    monkeypatch.setattr("shadowmill.reconstruction.evaluation.membership._HEADS_TOGETHER", 4)
    paths, features_path = make_shards([3, 3], *KINDS[kind])
    store, features_nd = HeadStore(paths, features_path, "cpu"), read_features(features_path)
    features_nd = torch.from_numpy(features_nd.values_nd)
    labels_N = layout(store.sets, conditional=False).labels_N
    weights_HD, indices_HN = (ask(np.arange(6)) for ask in (store.weights, store.indices))
    for apart, asked in ((0, [0, 1, 2, 3, 4, 5]), (1, [1, 2, 0, 4, 5, 3])):
        expected = [
            confidence_of(
                network_of(weights_HD[head], 24, store.settings), features_nd[example], label
            )
            for head, indices_N in zip(asked, indices_HN, strict=True)
            for example, label in zip(indices_N, labels_N, strict=True)
        ]
        found_SE = confidences(store, features_nd, 3, apart)
        assert found_SE.dtype == np.float64
        np.testing.assert_allclose(found_SE, np.reshape(expected, (2, -1)), rtol=1e-4, atol=1e-5)


def slow_scores(inside_SE, outside_SE, indices_SE):
    """Likelihood ratios example by example: own means, and residuals of all for σ."""
    shadows = {}
    for seed in range(1, len(indices_SE)):
        for place, example in enumerate(indices_SE[seed]):
            sides = shadows.setdefault(example, ([], []))
            sides[0].append(inside_SE[seed, place])
            sides[1].append(outside_SE[seed, place])
    targets = indices_SE[0]
    sigmas = []
    for side in (0, 1):
        of_each = [np.array(shadows[example][side]) for example in targets]
        squares = sum(((phi - phi.mean()) ** 2).sum() for phi in of_each)
        sigmas.append(math.sqrt(squares / sum(len(phi) - 1 for phi in of_each)))

    def ratio(phi, example):
        means = [np.mean(side) for side in shadows[example]]
        log_in, log_out = (
            norm(mean, sigma).logpdf(phi) for mean, sigma in zip(means, sigmas, strict=True)
        )
        return log_in - log_out

    return tuple(
        np.array([ratio(phi, example) for phi, example in zip(phi_E, targets, strict=True)])
        for phi_E in (inside_SE[0], outside_SE[0])
    )


@pytest.mark.parametrize("num_examples", [20, 26], ids=["all in all seeds", "some are missing"])
def test_scores_equal_a_slow_loop(num_examples):
    random = np.random.default_rng(3)
    indices_SE = 5 + np.stack([random.permutation(num_examples)[:20] for _ in range(9)])
    inside_SE = random.normal(2, 1.5, (9, 20)) + indices_SE / 10
    outside_SE = random.normal(0, 1, (9, 20)) + indices_SE / 10
    found = score(inside_SE, outside_SE, indices_SE)
    expected = slow_scores(inside_SE, outside_SE, indices_SE)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


def test_confidences_of_examples_that_are_no_targets_do_not_count():
    random = np.random.default_rng(4)
    indices_SE = np.array([[0, 1, 2], [2, 1, 9], [1, 0, 2], [2, 0, 7]])
    inside_SE, outside_SE = random.normal(size=(2, 4, 3))
    before = score(inside_SE, outside_SE, indices_SE)
    for phi_SE in (inside_SE, outside_SE):
        phi_SE[1, 2], phi_SE[3, 2] = 1e6, -1e6  # of the examples 9 and 7
    np.testing.assert_array_equal(score(inside_SE, outside_SE, indices_SE), before)


@pytest.mark.parametrize(
    ("indices_SE", "found"),
    [
        ([[0, 1]], "2 of the 2 examples .* fewer than 2 of the 0 further seeds"),
        ([[0, 1], [1, 0]], "2 of the 2 examples .* fewer than 2 of the 1 further seeds"),
        ([[0, 1, 5], [1, 0, 7], [1, 2, 8], [1, 3, 9]], "2 of the 3 examples"),
    ],
)
def test_most_examples_with_fewer_than_two_shadows(indices_SE, found):
    indices_SE = np.array(indices_SE)
    phi_SE = np.random.default_rng(0).normal(size=indices_SE.shape)
    with pytest.raises(ConfigError, match=f"{found}.*Raise membership_seeds"):
        score(phi_SE, -phi_SE, indices_SE)


def test_a_rare_example_with_fewer_than_two_shadows_is_left_out():
    # Example 2 is in one further seed alone; the others are scored as if it were not there.
    indices_SE = np.array([[0, 1, 2], [2, 1, 0], [1, 0, 9], [7, 1, 0]])
    inside_SE, outside_SE = np.random.default_rng(1).normal(size=(2, 4, 3))
    found = np.array(score(inside_SE, outside_SE, indices_SE))
    assert np.isnan(found[:, 2]).all()
    replaced_SE = indices_SE.copy()
    replaced_SE[1, 0] = 8
    without = np.array(score(inside_SE, outside_SE, replaced_SE))
    np.testing.assert_array_equal(found[:, :2], without[:, :2])
    assert np.isfinite(found[:, :2]).all()


class TestAttack:
    def test_members_of_trained_heads_are_found(self, make_shards, attack):
        """Much of the features is an example's own, and heads of three examples fit it."""
        heads = {"epochs": 200, "learning_rate": 0.1}
        arrays, auc = attack(*make_shards([50] * 12, heads=heads, data={"num_test": 240}))
        assert auc > 0.8
        wins = arrays["score_in"][:, None] - arrays["score_out"]
        assert auc == pytest.approx(np.mean((wins > 0) + 0.5 * (wins == 0)), abs=1e-12)

    def test_heads_that_never_saw_their_examples_tell_nothing(self, make_shards, attack):
        """Not trained at all: the AUC is ½ within three standard errors of the rank-sum statistic
        (measured over 60 seeds of the sets: mean 0.4997, standard deviation 0.0128).
        """
        heads = {"learning_rate": 0.0, "init_std": 1.0}
        _, auc = attack(*make_shards([300] * 5, heads=heads, data={"num_test": 1200}))
        error = math.sqrt((2 * 900 + 1) / (12 * 900**2))
        assert auc == pytest.approx(0.5, abs=3 * error)

    def test_what_the_file_says_about_each_example(self, make_shards, attack):
        paths, features_path = make_shards([5] * 9, sets={"class_size": 2}, data={"num_test": 48})
        arrays, _ = attack(paths, features_path)
        store = HeadStore(paths[:1], features_path, "cpu")
        indices_HN = store.indices(np.arange(5))
        assert arrays["indices"].shape == (30,)
        assert {array.dtype.kind for array in arrays.values()} == {"i", "f"}
        np.testing.assert_array_equal(
            indices_HN[arrays["head"], arrays["group_row"]], arrays["indices"]
        )
        assert len({*zip(arrays["head"], arrays["group_row"], strict=True)}) == 30

    def test_the_first_shard_is_the_target(self, make_shards, attack):
        paths, features_path = make_shards([6] * 4)
        shifted, _ = attack(paths[1:] + paths[:1], features_path)
        shards = HeadStore(paths[1:2], features_path, "cpu")
        np.testing.assert_array_equal(shifted["indices"], shards.indices(np.arange(6)).ravel())


class TestRefused:
    def test_shards_of_different_sizes(self, make_shards, attack):
        """Even if the sum can be shared out evenly."""
        paths, features_path = make_shards([5, 4, 6])
        expected = r"test-1\.h5: it holds 4 heads, and .*test-0\.h5 5; .*Delete the older"
        with pytest.raises(ArtefactError, match=expected):
            attack(paths, features_path)

    def test_a_single_head(self, make_shards, attack):
        paths, features_path = make_shards([1, 1, 1])
        with pytest.raises(ConfigError, match=r"test-0\.h5: .* a single head\. Raise test_heads"):
            attack(paths, features_path)

    def test_sets_of_one_identity(self, make_shards, attack, identity_sets):
        sets = identity_sets | {"class_size": 1}
        data = {"identities": 4, "num_test": 40}
        paths, features_path = make_shards([3, 3, 3], sets, {"outputs": 1}, data)
        with pytest.raises(ConfigError, match=r"task identity.*Set membership_seeds to 0"):
            attack(paths, features_path)

    def test_too_few_seeds(self, make_shards, attack):
        paths, features_path = make_shards([6, 6])
        with pytest.raises(ConfigError, match=r"18 of the 18 examples .* the 1 further"):
            attack(paths, features_path)

    def test_a_missing_shard(self, make_shards, attack, tmp_path):
        paths, features_path = make_shards([6, 6])
        with pytest.raises(ArtefactError, match=r"test-9\.h5: no such file"):
            attack([*paths, str(tmp_path / "test-9.h5")], features_path)
