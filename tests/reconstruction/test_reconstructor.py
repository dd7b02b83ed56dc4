"""Training of reconstructors: learning, interruptions, files, mistakes."""

import csv
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from shadowmill.data.store import load
from shadowmill.errors import ArtefactError, ConfigError, Interrupted, TrainingError
from shadowmill.reconstruction.heads.shards import HeadStore
from shadowmill.reconstruction.images import ExampleImages
from shadowmill.reconstruction.reconstructor import trainer as steps_module
from shadowmill.reconstruction.reconstructor import training as module
from shadowmill.reconstruction.reconstructor.batches import (
    candidates,
)
from shadowmill.reconstruction.reconstructor.files import read_reconstructor
from shadowmill.reconstruction.reconstructor.losses import soft_minimum, squared_errors
from shadowmill.reconstruction.reconstructor.trainer import ReconstructorTrainer
from shadowmill.reconstruction.sets import layout
from shadowmill.reconstruction.statistics import read_statistics

# With import-mode importlib, modules beside the tests are found through this.
sys.path.append(str(Path(__file__).parent))

from studies_for_tests import RECONSTRUCTOR, Study


@pytest.fixture
def study(tmp_path, write_data, write_features, sets_settings, heads_settings):
    data = write_data(size=8)
    return Study.make(tmp_path, data, write_features(data), sets_settings, heads_settings)


@pytest.fixture
def other_study(tmp_path, write_data, write_features, sets_settings, heads_settings):
    """On data of their own."""
    folder = tmp_path / "other"
    folder.mkdir()

    def make(sets=None, heads=None, features=None, **data):
        path = write_data(**{"name": "others", "size": 8} | data)
        features = write_features(path, **features or {"seed": 1})
        return Study.make(
            folder, path, features, sets_settings | (sets or {}), heads_settings | (heads or {})
        )

    return make


# Learning


@pytest.mark.long
@pytest.mark.parametrize(
    "settings",
    [
        {"conditional": True, "steps": 600, "width": 16},
        {"conditional": False, "steps": 200, "width": 8},
    ],
    ids=["conditional", "unconditional"],
)
def test_a_reconstructor_learns_four_heads_by_heart(
    tmp_path, write_data, write_features, sets_settings, heads_settings, settings
):
    data = write_data(size=8)
    study = Study.make(
        tmp_path, data, write_features(data), sets_settings, heads_settings, 1, num_heads=4
    )
    study.train(reconstructor=RECONSTRUCTOR | settings)
    store = HeadStore(study.shards, study.features, "cpu")
    heads, where = np.arange(4), layout(study.sets, settings["conditional"])
    weights = read_statistics(study.statistics).standardise(store.weights(heads))
    network = read_reconstructor(study.model).generator()
    assert not network.training
    images = ExampleImages(load(data).inputs, 8, "cpu")
    for group in range(len(where.candidates_GM)):
        drawn = network(weights, torch.full((4,), group))
        shown = candidates(store.indices(heads), np.full(4, group), where, images)
        for head in range(4):
            errors = [squared_errors(drawn[[head]], one[None]).amin().item() for one in shown]
            # Much nearer to an example of its own head than to any of another head.
            assert 2 * errors.pop(head) < min(errors)


def rows_of(path):
    with Path(path).open() as file:
        return list(csv.DictReader(file))


@pytest.mark.long
@pytest.mark.parametrize(("steps", "rows"), [(20, 20), (50, 50), (51, 26), (120, 40)])
def test_learning_curve(study, steps, rows):
    study.train(reconstructor=RECONSTRUCTOR | {"steps": steps})
    curve = rows_of(study.curve)
    assert list(curve[0]) == [
        "step",
        "train_loss",
        "validation_min_mse",
        "validation_null_min_mse",
    ]
    assert len(curve) == rows
    assert int(curve[-1]["step"]) == steps
    file = read_reconstructor(study.model)
    found = [[float(value) for value in row.values()] for row in curve]
    np.testing.assert_allclose(found, file.curve, rtol=1e-8)
    assert all(0 < value < 4 for row in found for value in row[1:])


def test_training_loss_is_the_mean_since_the_row_before(study, monkeypatch):
    losses = []

    def recorded(errors):
        losses.append(soft_minimum(errors).mean().item())
        return soft_minimum(errors)

    monkeypatch.setattr(steps_module, "soft_minimum", recorded)
    study.train(reconstructor=RECONSTRUCTOR | {"steps": 120})
    found = [row[1] for row in read_reconstructor(study.model).curve]
    np.testing.assert_allclose(found, np.reshape(losses, (40, 3)).mean(axis=1), rtol=1e-6)


def test_last_validation_by_hand(study):
    study.train()
    file, statistics = read_reconstructor(study.model), read_statistics(study.statistics)
    store = HeadStore([study.test_shard], study.features, "cpu")
    images = ExampleImages(load(study.data).inputs, 8, "cpu")
    null = statistics.sample(6, ("null", 3, "validation"))
    own = statistics.standardise(store.weights(np.arange(6)))
    for weights, expected in zip((own, null), file.curve[-1][2:], strict=True):
        errors = []
        for head in range(6):
            group = head % 3  # with one example of each group, also its row
            drawn = file.generator()(weights[[head]], torch.tensor([group]))
            shown = images.targets(store.indices(np.array([head]))[0, [group]])
            errors.append((drawn - shown).square().mean().item())
        assert expected == pytest.approx(np.mean(errors), rel=1e-5)


def test_streamed_training(study):
    study.train(reconstructor=RECONSTRUCTOR | {"stream": True})
    streamed = read_reconstructor(study.model)
    study.train()
    assert streamed.curve[0] != read_reconstructor(study.model).curve[0]
    assert len(streamed.curve) == 20


def test_a_perceptual_distance_is_part_of_the_loss(study, monkeypatch):
    class Constant(torch.nn.Module):
        def __init__(self, *arguments):
            super().__init__()
            assert arguments == ("a", "b", 8)

        def forward(self, images, candidates):
            return torch.full(candidates.shape[:2], 7.0)

    study.train()
    plain = read_reconstructor(study.model).curve[0][1]
    monkeypatch.setattr(module, "PerceptualDistance", Constant)
    files = {"vgg16": "a", "linear": "b"}
    study.train(reconstructor=RECONSTRUCTOR | {"perceptual": files})
    assert read_reconstructor(study.model).curve[0][1] == pytest.approx(plain + 7, rel=1e-5)


def test_file_says_what_it_is(study):
    study.train()
    file = read_reconstructor(study.model)
    assert file.provenance["settings"] == {
        "sets": study.sets,
        "heads": study.heads,
        "reconstructor": RECONSTRUCTOR,
    }
    assert file.provenance["device"] == "cpu"
    assert file.interface.num_weights == 39  # 12 features and a bias, three times
    assert file.interface.num_groups == 3
    assert file.interface.backbone_identity == "backbone"
    assert file.interface.statistics_digest == read_statistics(study.statistics).digest
    assert not study.state_folder.exists()


# Interruptions


def interrupt_at(monkeypatch, step):
    whole = ReconstructorTrainer.train_step

    def train_step(self):
        whole(self)
        if self.step == step:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(ReconstructorTrainer, "train_step", train_step)


def assert_same(one, other):
    assert one.curve == other.curve
    assert one.state.keys() == other.state.keys()
    assert all(torch.equal(tensor, other.state[name]) for name, tensor in one.state.items())


KINDS = {
    "stored": {},
    "unconditional": {"conditional": False},
    "streamed": {"stream": True},
    "larger": {"image_size": 16},
}


@pytest.mark.parametrize("kind", KINDS)
# In the middle of a row of the learning curve, at its end, before the last step.
@pytest.mark.long
@pytest.mark.parametrize("stop", [1, 30, 53])
def test_resumed_equals_uninterrupted(study, monkeypatch, caplog, kind, stop):
    caplog.set_level("INFO")
    settings = RECONSTRUCTOR | {"steps": 54} | KINDS[kind]
    study.train(reconstructor=settings)
    whole = read_reconstructor(study.model)
    Path(study.model).unlink()
    with monkeypatch.context() as context:
        interrupt_at(context, stop)
        with pytest.raises(Interrupted, match=f"at step {stop} of 54; a checkpoint was written"):
            study.train(reconstructor=settings)
    assert not Path(study.model).exists()
    study.train(reconstructor=settings)
    assert f"continuing at step {stop} of 54" in caplog.text
    assert_same(read_reconstructor(study.model), whole)


def test_a_checkpoint_of_other_settings_is_not_used(study, monkeypatch, caplog):
    caplog.set_level("INFO")
    with monkeypatch.context() as context:
        interrupt_at(context, 5)
        with pytest.raises(Interrupted):
            study.train()
    study.train(reconstructor=RECONSTRUCTOR | {"learning_rate": 0.1})
    assert "continuing" not in caplog.text


def test_a_finished_training_is_not_repeated_if_its_files_were_not_written(study, monkeypatch):
    study.train()
    whole = read_reconstructor(study.model)

    def fail(*arguments):
        raise OSError("no space left")

    with monkeypatch.context() as context:
        context.setattr(module.storage, "write_text", fail)
        with pytest.raises(OSError, match="no space"):
            study.train()
    monkeypatch.setattr(ReconstructorTrainer, "train_step", fail)
    study.train()
    assert_same(read_reconstructor(study.model), whole)
    assert not study.state_folder.exists()


# Mistakes


def test_divergence_is_told_of(study):
    with pytest.raises(TrainingError, match=r"no longer a finite number.*learning_rate"):
        study.train(reconstructor=RECONSTRUCTOR | {"learning_rate": 1e30})


def test_statistics_of_other_heads_are_refused(study):
    message = r"weight_statistics.h5: these are statistics of other heads.*differs is count"
    with pytest.raises(ArtefactError, match=message):
        study.train(shards=study.shards[:1])


def test_heads_of_other_settings_are_refused(study):
    heads = study.heads | {"epochs": 9}
    with pytest.raises(ArtefactError, match="what differs is settings"):
        study.train(settings={"heads": heads})
    with pytest.raises(ArtefactError, match="what differs is sets"):
        study.train(settings={"sets": study.sets | {"seed": 9}})
    with pytest.raises(ArtefactError, match="what differs is settings"):
        study.train(RECONSTRUCTOR | {"stream": True}, {"heads": heads})


def test_features_of_other_data_are_refused(study, other_study):
    with pytest.raises(ArtefactError, match=r"features of other data than those in .*others.h5"):
        study.train(data=other_study().data)


@pytest.mark.parametrize(
    ("message", "difference"),
    [
        ("number of weights 57, expected 39", {"features": {"num_features": 18}}),
        ("number of groups 2, expected 3", {"sets": {"classes": [0, 1]}, "heads": {"outputs": 3}}),
        ("number of colour channels 3, expected 1", {"channels": 3}),
    ],
)
def test_test_heads_that_do_not_fit_are_refused(study, other_study, message, difference):
    study.train()
    with pytest.raises(ConfigError, match=rf"test-0000.h5: .*do not fit.*{message}.*test_on"):
        study.reconstruct(tested=other_study(**difference))


def test_test_heads_of_another_backbone_are_refused(study, other_study):
    study.train()
    other = other_study()
    with module.storage.open_hdf5(other.features) as file:
        values, digest = file["features"][:], module.storage.attribute(file, "digest")
        data_digest = module.storage.attribute(file, "data_digest")
    module.storage.write_hdf5(
        other.features,
        {"features": values},
        {},
        data_digest=data_digest,
        digest=digest,
        backbone_identity="another",
        backbone_settings={},
    )
    with pytest.raises(ConfigError, match="backbone another, expected backbone"):
        study.reconstruct(tested=other)


def test_test_heads_must_be_test_heads(study):
    with pytest.raises(ArtefactError, match=r"train-0000.h5: .*not of the test split"):
        study.train(validation_shard=study.shards[0])


def test_other_files_are_no_reconstructors(study, tmp_path):
    module.storage.write_tensors(tmp_path / "x", {"a": torch.zeros(1)}, {"provenance": {}})
    with pytest.raises(ArtefactError, match="of this workflow, but no reconstructor"):
        read_reconstructor(tmp_path / "x")
