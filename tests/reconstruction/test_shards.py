"""Shards of heads: what is in them, what is formed from them, and what is refused."""

import h5py
import numpy as np
import pytest
import torch
from torch.nn import functional

from shadowmill import storage
from shadowmill.errors import ArtefactError, ConfigError, DataError, TrainingError
from shadowmill.reconstruction.features import read_features
from shadowmill.reconstruction.heads import flattened_size
from shadowmill.reconstruction.heads.shards import HeadStore, read_shards
from shadowmill.reconstruction.sets import draw_sets, layout


def arrays_of(path):
    with h5py.File(path) as file:
        return {name: file[name][:] for name in file}


def assert_same_arrays(first, second):
    assert first.keys() == second.keys()
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name], strict=True)


PRIVACY = {"noise_multiplier": 1.0, "max_grad_norm": 1.0, "sample_rate": 0.5, "delta": 1e-3}
BINARY_SETS = {"task": "binary", "positive": [1]}
BINARY = {"outputs": 1, "hidden": 4, "positive_weight": 2.0}
KINDS = {
    "linear": ({}, {}),
    "private": ({}, {"privacy": PRIVACY}),
    "adam": ({}, {"optimizer": "adam"}),
    "hidden": (BINARY_SETS, BINARY),
    "hidden adam": (BINARY_SETS, BINARY | {"optimizer": "adam"}),
    "binary linear": (BINARY_SETS, {"outputs": 1}),
}


@pytest.fixture(params=KINDS)
def kind(request, sets_settings, heads_settings):
    """Settings of sets and heads, of every kind."""
    sets, heads = KINDS[request.param]
    return sets_settings | sets, heads_settings | heads


def logits_of(weights_D, features_ND, heads):
    """What a head answers, by torch's own layers."""
    num_units, num_features = heads["hidden"] or heads["outputs"], features_ND.shape[1]
    first, bias, rest = weights_D.split(
        [num_units * num_features, num_units, len(weights_D) - num_units * (num_features + 1)]
    )
    answer = functional.linear(features_ND, first.view(num_units, num_features), bias)
    if heads["hidden"]:
        answer = functional.linear(answer.relu(), rest[None, :num_units], rest[num_units:])
    return answer


def loss_of(logits, labels, heads):
    if heads["outputs"] > 1:
        return functional.cross_entropy(logits, labels)
    weight = torch.tensor(heads["positive_weight"])
    return functional.binary_cross_entropy_with_logits(
        logits[:, 0], labels.float(), pos_weight=weight
    )


def test_weights_indices_and_labels_belong_together(make_shard, kind):
    """The loss that training recorded is that of the weights on the examples of the set."""
    sets, heads = kind
    path, features_path, _ = make_shard(sets=sets, heads=heads)
    store, features = HeadStore([path], features_path, "cpu"), read_features(features_path)
    labels = torch.from_numpy(layout(sets, conditional=False).labels_N)
    rows = np.arange(store.num_heads)
    for weights, indices, loss in zip(
        store.weights(rows), store.indices(rows), read_shards([path]).heads.losses_H, strict=True
    ):
        logits = logits_of(weights, torch.from_numpy(features.values_nd[indices]), heads)
        assert loss_of(logits, labels, heads).item() == pytest.approx(loss.item(), rel=1e-4)


def test_what_a_shard_holds(make_shard, sets_settings, heads_settings):
    path, features_path, data_path = make_shard(seed=3)
    arrays = arrays_of(path)
    shapes = {name: (array.shape, array.dtype) for name, array in arrays.items()}
    assert shapes == {
        "indices": ((6, 3), np.int32),
        "attempts": ((6,), np.int64),
        "losses": ((6,), np.float32),
        "accuracies": ((6,), np.float32),
        "coefficients": ((6, 3, 3), np.float32),
        "bias": ((6, 3), np.float32),
    }
    with storage.open_hdf5(data_path) as file:
        expected = draw_sets(file["labels"][:], 60, sets_settings, "train", 3, 6)
    np.testing.assert_array_equal(arrays["indices"], expected)
    with storage.open_hdf5(path) as file:
        facts = storage.attribute(file)["settings"]
        names = ("sets", "heads", "split", "permutation_seed", "features_digest", "version")
        assert facts == {name: storage.attribute(file, name) for name in names}
    assert facts["sets"] == sets_settings
    assert facts["heads"] == heads_settings
    assert (facts["split"], facts["permutation_seed"]) == ("train", 3)
    assert facts["features_digest"] == read_features(features_path).digest


def test_the_test_split_is_the_official_test_set(make_shard):
    for split, expected in (("train", range(60)), ("test", range(60, 84))):
        path, *_ = make_shard(split=split)
        assert set(arrays_of(path)["indices"].ravel()) <= set(expected)


def test_made_again_it_is_the_same_to_the_last_bit(make_shard, kind):
    sets, heads = kind
    first, features, data = make_shard(sets=sets, heads=heads, materialise=True, name="first")
    again, *_ = make_shard(
        sets=sets,
        heads=heads,
        materialise=True,
        data_path=data,
        features_path=features,
        name="again",
    )
    assert_same_arrays(arrays_of(first), arrays_of(again))


def test_chunks_leave_no_trace(make_shard, monkeypatch):
    whole = arrays_of(make_shard(materialise=True, name="whole")[0])
    monkeypatch.setattr("shadowmill.reconstruction.heads.study._HEADS_TOGETHER", 4)
    parts = arrays_of(make_shard(materialise=True, name="parts")[0])
    assert whole.keys() == parts.keys()
    for name, array in whole.items():
        np.testing.assert_allclose(array, parts[name], rtol=1e-5, atol=1e-7)


def test_training_that_fails_leaves_the_older_shard(make_shard, heads_settings, monkeypatch):
    path, features, data = make_shard(num_heads=4)
    before = arrays_of(path)
    monkeypatch.setattr("shadowmill.reconstruction.heads.study._HEADS_TOGETHER", 2)
    heads = heads_settings | {"learning_rate": 1e30, "epochs": 60, "init_std": 1e10}
    with pytest.raises(TrainingError, match="learning_rate"):
        make_shard(num_heads=4, heads=heads, data_path=data, features_path=features)
    assert_same_arrays(arrays_of(path), before)


def test_what_a_killed_job_left_is_overwritten(make_shard, tmp_path):
    left = tmp_path / "heads" / ".train-0.h5.part"
    left.parent.mkdir()
    left.write_bytes(b"half a shard")
    path, *_ = make_shard()
    assert not left.exists()
    assert len(read_shards([path]).indices_HN) == 6


def test_materialised_weights_are_those_of_the_store(make_shard, kind):
    sets, heads = kind
    path, features_path, _ = make_shard(sets=sets, heads=heads, materialise=True)
    store, written = HeadStore([path], features_path, "cpu"), arrays_of(path)["weights"]
    assert written.shape == (6, store.num_weights) == (6, flattened_size(12, heads))
    rows = np.array([4, 0, 4, 2])
    formed = store.weights(rows)
    assert formed.dtype == torch.float32
    np.testing.assert_allclose(formed, written[rows], rtol=1e-5, atol=1e-7)


def test_materialised_weights_are_not_read(make_shard):
    """Those of millions of heads would take all the memory there is."""
    with_weights, features, data = make_shard(seed=0, materialise=True)
    without, *_ = make_shard(seed=1, data_path=data, features_path=features)
    shards = read_shards([with_weights, without])
    assert shards.heads.weights_HD is None
    assert len(shards.heads) == 12


def test_shards_are_put_one_after_the_other(make_shard):
    first, features, data = make_shard(seed=7, num_heads=4)
    second, *_ = make_shard(seed=2, num_heads=3, data_path=data, features_path=features)
    shards = read_shards([first, second])
    a, b = arrays_of(first), arrays_of(second)
    for found, name in (
        (shards.indices_HN, "indices"),
        (shards.heads.coefficients_HNJ.numpy(), "coefficients"),
        (shards.heads.attempts_H.numpy(), "attempts"),
        (shards.heads.losses_H.numpy(), "losses"),
    ):
        np.testing.assert_array_equal(found, np.concatenate([a[name], b[name]]), strict=True)
    assert shards.permutation_seeds_H.tolist() == [7, 7, 7, 7, 2, 2, 2]
    assert shards.numbers_H.tolist() == [0, 1, 2, 3, 0, 1, 2]
    assert shards.keys(np.array([5, 3])) == [
        ("head", 5, "train", 2, 1),
        ("head", 5, "train", 7, 3),
    ]
    store, alone = (HeadStore(paths, features, "cpu") for paths in ([first, second], [second]))
    np.testing.assert_allclose(
        store.weights(np.array([4, 6])), alone.weights(np.array([0, 2])), rtol=1e-5, atol=1e-7
    )


def test_initial_weights_differ_from_head_to_head(make_shard, heads_settings):
    """With no training at all, weights are the initial ones."""
    paths, features, data = [], None, None
    for seed, split in ((0, "train"), (1, "train")):
        path, features, data = make_shard(
            seed=seed,
            split=split,
            heads=heads_settings | {"learning_rate": 0.0},
            data_path=data,
            features_path=features,
        )
        paths.append(path)
    first = HeadStore(paths, features, "cpu").weights(np.arange(12))[:, : 3 * 12]
    assert first.std().item() == pytest.approx(0.01, rel=0.15)
    assert len(np.unique(first)) == first.numel()


def test_sets_of_one_identity(make_shard, write_data, write_features, identity_sets):
    data = write_data(identities=4)
    features = write_features(data, num_features=24)
    heads = {**KINDS["hidden"][1], "epochs": 3, "learning_rate": 0.02, "weight_decay": 0.01}
    heads |= {"init_std": 0.01, "optimizer": "sgd", "restart": None, "privacy": None}
    path, *_ = make_shard(
        num_heads=3, sets=identity_sets, heads=heads, data_path=data, features_path=features
    )
    with storage.open_hdf5(data) as file:
        identity_HN = file["identity"][:][arrays_of(path)["indices"]]
    assert identity_HN.shape == (3, 20)
    for identity_N in identity_HN:
        assert identity_N[0] == identity_N[1]
        assert identity_N[0] not in identity_N[2:]


def rewrite(path, arrays=None, **facts):
    """Write a file anew with other arrays and attributes."""
    with storage.open_hdf5(path) as file:
        kept, attributes = {name: file[name] for name in file}, dict(file.attributes)
    provenance = attributes.pop("provenance")
    storage.write_hdf5(path, kept | (arrays or {}), provenance, **attributes | facts)


class TestRefused:
    def test_features_of_other_data(self, make_shard, write_data, write_features):
        data = write_data()
        features = write_features(data, data_digest="0123")
        with pytest.raises(ArtefactError, match=r"features-12-0\.h5: .* other data than those in "):
            make_shard(data_path=data, features_path=features)

    def test_as_many_examples_as_features(self, make_shard, sets_settings):
        with pytest.raises(ConfigError, match="heads of 12 examples need more than 12 features"):
            make_shard(sets=sets_settings | {"class_size": 4})

    def test_too_few_examples_of_a_class(self, make_shard):
        with pytest.raises(DataError, match="15"):
            make_shard(num_heads=16)

    def test_data_that_know_no_identities(self, make_shard, identity_sets):
        with pytest.raises(DataError, match=r"squares\.h5: squares does not say who is shown"):
            make_shard(sets=identity_sets)

    def test_a_truncated_shard(self, make_shard):
        path, *_ = make_shard()
        with open(path, "rb+") as file:  # noqa: PTH123
            file.truncate(1000)
        with pytest.raises(ArtefactError, match=r"train-0\.h5: cannot be read .*truncated"):
            read_shards([path])

    def test_a_missing_shard(self, make_shard, tmp_path):
        path, *_ = make_shard()
        with pytest.raises(ArtefactError, match=r"train-1\.h5: no such file"):
            read_shards([path, str(tmp_path / "train-1.h5")])

    @pytest.mark.parametrize(
        ("changes", "named"),
        [
            ({"heads": {"epochs": 5}}, "in heads. Delete"),
            ({"sets": {"seed": 6}}, "in sets. Delete"),
            ({"split": "test"}, "in split. Delete"),
            ({"sets": {"class_size": 2}}, "in sets, shapes of the arrays. Delete"),
        ],
    )
    def test_shards_of_other_settings(
        self, make_shard, sets_settings, heads_settings, changes, named
    ):
        first, features, data = make_shard()
        base = {"sets": sets_settings, "heads": heads_settings}
        changed = {
            name: base[name] | value if name in base else value for name, value in changes.items()
        }
        second, *_ = make_shard(seed=1, data_path=data, features_path=features, **changed)
        with pytest.raises(ArtefactError) as caught:
            read_shards([first, second])
        assert str(caught.value).startswith(f"{second}: its heads differ from those of {first} ")
        assert named in str(caught.value)

    def test_shards_on_other_features(self, make_shard, write_features):
        first, features, data = make_shard()
        others = write_features(data, seed=1)
        second, *_ = make_shard(seed=1, data_path=data, features_path=others)
        with pytest.raises(ArtefactError, match=r"in features_digest\. Delete"):
            read_shards([first, second])
        with pytest.raises(ArtefactError, match=r"train-0\.h5: these heads were trained on other"):
            HeadStore([first], others, "cpu")
        assert HeadStore([first], features, "cpu").num_heads == 6

    @pytest.mark.parametrize("name", ["train-1", "test-0", "copy"])
    def test_heads_under_the_name_of_others(self, make_shard, name):
        path, *_ = make_shard(name=name)
        pattern = rf"{name}\.h5: it holds the heads of permutation seed 0 of the train split"
        with pytest.raises(ArtefactError, match=pattern):
            read_shards([path])

    def test_a_shard_of_another_version(self, make_shard):
        path, *_ = make_shard()
        rewrite(path, version=0)
        with pytest.raises(ArtefactError, match=r"train-0\.h5: made by version 0 of the training"):
            read_shards([path])

    def test_arrays_of_different_lengths(self, make_shard):
        path, *_ = make_shard()
        rewrite(path, {"bias": np.zeros((5, 3), np.float32)})
        with pytest.raises(ArtefactError, match=r"train-0\.h5: not the heads of one shard"):
            read_shards([path])

    def test_a_file_of_something_else(self, make_shard):
        _, features, _ = make_shard()
        with pytest.raises(ArtefactError, match=r"features-12-0\.h5: it does not say its version"):
            read_shards([features])
