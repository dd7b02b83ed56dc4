"""Reconstructions scored under both hypotheses, one by one."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from shadowmill import storage
from shadowmill.data.store import load
from shadowmill.defenses.private import epsilon
from shadowmill.errors import ArtefactError, ConfigError
from shadowmill.reconstruction.evaluation import reconstruct as module
from shadowmill.reconstruction.evaluation.reconstruct import nearest_mse
from shadowmill.reconstruction.evaluation.results import read_reconstructions
from shadowmill.reconstruction.heads.shards import HeadStore
from shadowmill.reconstruction.images import ExampleImages, to_bytes
from shadowmill.reconstruction.reconstructor.files import read_reconstructor
from shadowmill.reconstruction.sets import layout, split_examples
from shadowmill.reconstruction.statistics import read_statistics

# With import-mode importlib, modules beside the tests are found through this.
sys.path.append(str(Path(__file__).parent))

from studies_for_tests import RECONSTRUCTOR, Study

NUM_HEADS, NUM_GROUPS = 6, 3


@pytest.fixture
def make_study(tmp_path, write_data, write_features, sets_settings, heads_settings):
    def make(folder=".", sets=None, heads=None, features=None, num_heads=6, **data):
        (tmp_path / folder).mkdir(exist_ok=True)
        path = write_data(**{"size": 8, "pool_size": 120, "num_test": 48} | data)
        return Study.make(
            tmp_path / folder,
            path,
            write_features(path, **features or {}),
            sets_settings | (sets or {}),
            heads_settings | (heads or {}),
            num_heads=num_heads,
        )

    return make


@pytest.fixture
def trained(make_study):
    study = make_study()
    study.train()
    return study


def slow_reconstructions(study, tested, conditional):
    """Images under H0 and H1 and the candidates of each head and group, one at a time."""
    statistics, file = read_statistics(study.statistics), read_reconstructor(study.model)
    store = HeadStore([tested.test_shard], tested.features, "cpu")
    null = statistics.sample(store.num_heads, ("null", 3))
    images = ExampleImages(load(tested.data).inputs, 8, "cpu")
    network, rows_GM = file.generator(), layout(tested.sets, conditional).candidates_GM
    for head in range(store.num_heads):
        own = statistics.standardise(store.weights(np.array([head])))
        for group, rows in enumerate(rows_GM):
            with torch.no_grad():
                h0, h1 = (network(w, torch.tensor([group]))[0] for w in (own, null[[head]]))
            indices = store.indices(np.array([head]))[0, rows]
            yield head, group, rows, h0, h1, images.targets(indices)


@pytest.mark.parametrize("class_size", [1, 2])
@pytest.mark.parametrize("conditional", [True, False])
def test_scores_one_by_one(make_study, conditional, class_size):
    study = make_study(sets={"class_size": class_size})
    study.train(reconstructor=RECONSTRUCTOR | {"conditional": conditional})
    found = read_reconstructions(study.reconstruct())
    assert found.min_mse_h0_HG.shape == (NUM_HEADS, NUM_GROUPS if conditional else 1)
    for head, group, rows, h0, h1, candidates in slow_reconstructions(study, study, conditional):
        for image, scores in ((h0, found.min_mse_h0_HG), (h1, found.min_mse_h1_HG)):
            errors = [(image - candidate).square().mean().item() for candidate in candidates]
            assert scores[head, group] == pytest.approx(min(errors), rel=1e-5)
            if image is h0:
                assert found.best_HG[head, group] == rows[np.argmin(errors)]


def test_min_mse_by_hand(make_study, monkeypatch):
    """A reconstructor that draws one colour, black under H0; examples n have the colour n."""

    class OneColour(torch.nn.Module):
        def forward(self, weights, groups):
            return torch.full((len(weights), 1, 8, 8), -1.0)

    study = make_study(sets={"class_size": 2})
    study.train()
    monkeypatch.setattr(
        module.ReconstructorFile, "generator", lambda self: OneColour(), raising=True
    )

    def colours(self, indices):
        shape = (*indices.shape, 1, 8, 8)
        return torch.from_numpy(indices / 127.5 - 1).float()[..., None, None, None].expand(shape)

    monkeypatch.setattr(ExampleImages, "targets", colours)
    found = read_reconstructions(study.reconstruct())
    pairs = found.indices_HN.reshape(NUM_HEADS, NUM_GROUPS, 2)
    np.testing.assert_allclose(
        found.min_mse_h0_HG, (pairs.min(axis=2) / 127.5) ** 2, rtol=1e-5, atol=1e-9
    )
    np.testing.assert_array_equal(found.min_mse_h0_HG, found.min_mse_h1_HG)
    np.testing.assert_array_equal(found.best_HG % 2, pairs.argmin(axis=2))
    np.testing.assert_array_equal(found.best_HG // 2, np.tile([0, 1, 2], (NUM_HEADS, 1)))


def test_nearest_neighbours_of_what_was_reconstructed(make_study):
    study = make_study(sets={"class_size": 2})
    study.train()
    path = study.reconstruct()
    found, data = read_reconstructions(path), load(study.data)
    images = ExampleImages(data.inputs, 8, "cpu").targets(np.arange(168))
    in_use = split_examples(data.labels, data.pool_size, study.sets, "train")
    assert len(in_use) == 90  # three of four classes
    for (head, group), row in np.ndenumerate(found.best_HG):
        image = images[found.indices_HN[head, row]]
        errors = (images[in_use] - image).square().mean(dim=(1, 2, 3))
        assert found.nearest_HG[head, group] == pytest.approx(errors.min().item(), rel=1e-5)
    assert found.nearest_threshold == pytest.approx(np.quantile(found.nearest_HG, 0.25))


def test_pictures_are_of_the_first_heads(make_study):
    study = make_study(pool_size=200, num_test=120)
    study.train_shard(study.test_shard, "test", 0, 20)
    study.train()
    found = read_reconstructions(study.reconstruct())
    assert found.originals_RYXC.shape == (16, 8, 8, 1)
    inputs = load(study.data).inputs
    for head, group, _, h0, h1, _ in slow_reconstructions(study, study, True):
        if head < 16 and group == head % NUM_GROUPS:
            original = inputs[found.indices_HN[head, found.best_HG[head, group]]]
            np.testing.assert_array_equal(found.originals_RYXC[head], original)
            # A rounding of a tie may fall either way.
            for drawn, image in ((found.reconstructions_RYXC, h0), (found.null_RYXC, h1)):
                difference = drawn[head].astype(int) - to_bytes(image).numpy()
                assert abs(difference).max() <= 1


def test_null_weights_are_those_of_no_head(make_study):
    """Weights of the null differ from head to head; candidates do not differ from H0's."""
    study = make_study()
    study.train()
    found = read_reconstructions(study.reconstruct())
    assert not np.isclose(found.min_mse_h0_HG, found.min_mse_h1_HG).any()
    store = HeadStore([study.test_shard], study.features, "cpu")
    np.testing.assert_array_equal(found.indices_HN, store.indices(np.arange(NUM_HEADS)))


@pytest.mark.parametrize("images_per_pass", [1, 7, 10_000])
def test_passes_do_not_matter(make_study, monkeypatch, images_per_pass):
    study = make_study()
    study.train()
    expected = read_reconstructions(study.reconstruct())
    monkeypatch.setitem(module._IMAGES_PER_PASS, "cpu", images_per_pass)
    monkeypatch.setattr(module, "_NEIGHBOURS_TOGETHER", images_per_pass)
    found = read_reconstructions(study.reconstruct())
    for name in ("min_mse_h0_HG", "min_mse_h1_HG", "nearest_HG"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-5)
    np.testing.assert_array_equal(found.best_HG, expected.best_HG)


def test_names_of_groups(make_study):
    study = make_study()
    study.train()
    assert read_reconstructions(study.reconstruct()).class_names == ("a", "b", "d")
    study.train(reconstructor=RECONSTRUCTOR | {"conditional": False})
    assert read_reconstructions(study.reconstruct()).class_names == ("all",)
    random = make_study("random", sets={"random_labels": 3})
    random.train()
    found = read_reconstructions(random.reconstruct())
    assert found.class_names == ("label 0", "label 1", "label 2")


def test_heads_on_other_data(make_study):
    """Scored against their own examples; nearest neighbours are the reconstructor's."""
    study = make_study(sets={"random_labels": 3})
    other = make_study("other", name="others", sets={"seed": 8}, features={"seed": 1})
    study.train()
    found = read_reconstructions(study.reconstruct(tested=other))
    for head, group, _, h0, _, candidates in slow_reconstructions(study, other, True):
        error = (h0 - candidates[0]).square().mean().item()
        assert found.min_mse_h0_HG[head, group] == pytest.approx(error, rel=1e-5)
    assert found.class_names == ("a", "b", "d")
    data = load(study.data)
    images = ExampleImages(data.inputs, 8, "cpu").targets(
        split_examples(data.labels, data.pool_size, study.sets, "train")
    )
    best = found.indices_HN[0, found.best_HG[0, 0]]
    image = ExampleImages(load(other.data).inputs, 8, "cpu").targets(np.array([best]))
    nearest = (images - image).square().mean(dim=(1, 2, 3)).min().item()
    assert found.nearest_HG[0, 0] == pytest.approx(nearest, rel=1e-5)


def test_persons(make_study):
    study = make_study(
        sets={"task": "identity", "classes": [], "class_size": 2},
        heads={"outputs": 1, "hidden": 4},
        features={"num_features": 24},
        identities=12,
    )
    study.train(reconstructor=RECONSTRUCTOR | {"conditional": False})
    found = read_reconstructions(study.reconstruct())
    assert found.min_mse_h0_HG.shape == (6, 1)
    assert found.best_HG.max() <= 1  # one of the two images of the person
    assert found.class_names == ("all",)


def test_privacy_of_the_heads_is_told(make_study):
    privacy = {"noise_multiplier": 1.0, "max_grad_norm": 1.0, "sample_rate": 0.5, "delta": 1e-3}
    study = make_study(heads={"privacy": privacy})
    study.train()
    # Four epochs of two steps.
    expected = epsilon(1.0, 0.5, 8, 1e-3)
    assert read_reconstructions(study.reconstruct()).epsilon == pytest.approx(expected)


def test_no_privacy_without_noise(trained):
    assert read_reconstructions(trained.reconstruct()).epsilon is None


def test_nearest_by_hand():
    # Pixels -1, 1 - 1/127.5 and so on: differences of bytes by 2/255.
    first = np.array([10, 200, 30], np.uint8)[:, None, None, None] * np.ones((1, 8, 8, 1), np.uint8)
    second = np.array([0, 100, 33, 200], np.uint8)[:, None, None, None] * np.ones(
        (1, 8, 8, 1), np.uint8
    )
    found = nearest_mse(
        ExampleImages(first, 8, "cpu"),
        np.array([2, 0, 1]),
        ExampleImages(second, 8, "cpu"),
        np.array([0, 2, 3]),
    )
    # 30 to 33, 10 to 0, 200 to 200: exactly nothing.
    np.testing.assert_allclose(found[:2], [(3 / 127.5) ** 2, (10 / 127.5) ** 2], rtol=1e-4)
    assert found[2] == 0


# Mistakes


def test_reconstructor_of_other_statistics_is_refused(trained, make_study):
    other = make_study("other", heads={"epochs": 7})
    message = r"reconstructor.safetensors: .*other statistics than .*weight_statistics.h5"
    with pytest.raises(ArtefactError, match=message):
        trained.reconstruct(statistics_path=other.statistics)


def test_other_train_data_are_refused(trained, write_data):
    path = write_data(name="others", size=8)
    with pytest.raises(ArtefactError, match=r"others.h5: the reconstructor learned from heads on"):
        trained.reconstruct(train_data_path=path)


def test_heads_that_do_not_fit_are_refused(trained, make_study):
    other = make_study("other", name="others", features={"num_features": 18})
    with pytest.raises(ConfigError, match="number of weights 57, expected 39"):
        trained.reconstruct(tested=other)


def test_features_of_other_data_are_refused(trained, make_study):
    other = make_study("other", name="others", features={"seed": 1})
    with pytest.raises(ArtefactError, match="features of other data"):
        trained.reconstruct(data_path=other.data)


def test_a_damaged_reconstructor_is_told_of(trained):
    path = Path(trained.model)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ArtefactError, match="truncated or damaged"):
        trained.reconstruct()


def test_provenance(trained):
    with storage.open_hdf5(trained.reconstruct()) as file:
        found = storage.attribute(file)
    identity = read_reconstructor(trained.model).provenance["identity"]
    assert found["reconstructor"] == identity
    assert found["settings"]["sets"] == trained.sets
