"""Whole trainings of backbones: files, attributes, interruptions, messages."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from jobs_for_backbones import PHASE, TWO_PHASES, assert_equal_states, trainer_of

from shadowmill import storage
from shadowmill.data.store import load
from shadowmill.errors import ArtefactError, ConfigError, Interrupted, TrainingError
from shadowmill.reconstruction.backbones.files import read_backbone
from shadowmill.reconstruction.backbones.trainer import Pretrainer
from shadowmill.reconstruction.backbones.training import pretrain


def test_pretraining_learns(job):
    job["settings"]["phases"] = [PHASE | {"epochs": 8}]
    pretrain(**job)
    file = read_backbone(job["output"])
    assert file.history["accuracy"][-1] > 0.8
    assert file.history["loss"][-1] < file.history["loss"][0]
    # The digits have no official test set.
    assert np.isnan(file.history["test_accuracy"]).all()
    assert np.isnan(file.history["test_loss"]).all()
    assert (file.channels, file.image_size, file.num_outputs) == (1, 8, 5)
    assert file.provenance["settings"] == job["settings"]
    assert len(file.history["loss"]) == 8
    assert not Path(job["state_folder"]).exists()


def test_no_phases_leave_the_weights_as_they_are(job, tmp_path):
    pretrain(**job)
    first = read_backbone(job["output"])
    job["settings"] |= {"weights": job["output"], "phases": [], "classes": None}
    job["output"] = str(tmp_path / "again.safetensors")
    pretrain(**job)
    again = read_backbone(job["output"])
    assert again.history == {}
    assert again.num_outputs == 10
    body = [name for name in first.state if not name.startswith("classifier.last")]
    assert len(body) == 6
    assert all(torch.equal(again.state[name], first.state[name]) for name in body)


def test_identity_follows_the_content_of_the_weights(job, tmp_path):
    weights = tmp_path / "weights.pth"
    identities = []
    for seed in (0, 1):
        torch.save(trainer_of(load(job["data_path"]), seed=seed)._network.whole_state(), weights)
        job["settings"] |= {"weights": str(weights), "phases": []}
        pretrain(**job)
        identities.append(read_backbone(job["output"]).provenance["identity"])
    assert identities[0] != identities[1]


@pytest.fixture
def with_attributes(digits_path, tmp_path):
    """The digits with three attributes: the bits of the label."""
    path = tmp_path / "with_attributes" / "digits.h5"
    with storage.open_hdf5(digits_path) as file:
        arrays, facts = {name: file[name] for name in file}, dict(file.attributes)
    provenance = facts.pop("provenance")
    arrays["attributes"] = ((arrays["labels"][:, None] >> np.arange(3)) & 1).astype(np.uint8)
    storage.write_hdf5(path, arrays, provenance, **facts)
    return str(path)


def test_attributes_are_learned_each_on_its_own(job, with_attributes):
    job["data_path"] = with_attributes
    job["settings"] |= {
        "labels": "attributes",
        "classes": None,
        "phases": [PHASE | {"epochs": 5, "learning_rate": 3e-3}],
    }
    pretrain(**job)
    file = read_backbone(job["output"])
    assert file.num_outputs == 3
    assert file.history["accuracy"][-1] > 0.85
    data = load(with_attributes)
    inputs = (torch.from_numpy(data.inputs).movedim(-1, 1) / 255 - 0.5) / 0.5
    with torch.no_grad():
        bits = (file.network(job["output"]).eval()(inputs) > 0).numpy()
    right = bits == ((data.labels[:, None] >> np.arange(3)) & 1)
    assert (right.mean(axis=0) > 0.85).all()


def test_attributes_where_there_are_none(job):
    job["settings"]["labels"] = "attributes"
    with pytest.raises(ConfigError, match="attributes were asked for, but digits has none"):
        pretrain(**job)


def test_classes_that_do_not_exist(job):
    job["settings"]["classes"] = [3, 11, 10]
    with pytest.raises(ConfigError, match=r"no example of \[10, 11\] .* labels are 0 to 9"):
        pretrain(**job)


def test_missing_weights_are_told_of(job):
    job["settings"]["weights"] = "nowhere.pth"
    with pytest.raises(ArtefactError, match=r"nowhere.pth: no such file of weights"):
        pretrain(**job)


def test_divergence_is_told_of(job):
    job["settings"]["phases"] = [PHASE | {"learning_rate": 1e20, "epochs": 3}]
    with pytest.raises(TrainingError, match=r"tiny_cnn: the loss is no longer a finite number"):
        pretrain(**job)
    assert not Path(job["output"]).exists()


class _Signalling(Pretrainer):
    """Gets a signal in the middle of its training."""

    def train_step(self):
        super().train_step()
        if self.step == 3:
            os.kill(os.getpid(), signal.SIGTERM)


def test_an_interrupted_job_goes_on_where_it_was(job, monkeypatch, caplog):
    caplog.set_level("INFO")
    job["settings"]["phases"] = TWO_PHASES
    pretrain(**job)
    undisturbed = read_backbone(job["output"])
    Path(job["output"]).unlink()
    monkeypatch.setattr("shadowmill.reconstruction.backbones.training.Pretrainer", _Signalling)
    with pytest.raises(Interrupted, match="asked to stop at step 3 of 6"):
        pretrain(**job)
    assert not Path(job["output"]).exists()
    caplog.clear()
    monkeypatch.undo()
    pretrain(**job)
    assert "continuing at step 3 of 6" in caplog.text
    resumed = read_backbone(job["output"])
    assert_equal_states(resumed.state, undisturbed.state)
    assert resumed.history["loss"] == undisturbed.history["loss"]
    assert resumed.provenance["identity"] == undisturbed.provenance["identity"]


def test_a_checkpoint_of_other_settings_is_left_aside(job, monkeypatch, caplog):
    caplog.set_level("INFO")
    job["settings"]["phases"] = TWO_PHASES
    with monkeypatch.context() as patch:
        patch.setattr("shadowmill.reconstruction.backbones.training.Pretrainer", _Signalling)
        with pytest.raises(Interrupted):
            pretrain(**job)
    job["settings"]["seed"] = 1
    pretrain(**job)
    assert "continuing" not in caplog.text


def test_what_is_trained_is_kept_until_it_is_written(job, monkeypatch, caplog):
    caplog.set_level("INFO")

    def fail(*arguments):
        raise OSError("no room left")

    with monkeypatch.context() as patch:
        patch.setattr("shadowmill.reconstruction.backbones.training.write_backbone", fail)
        with pytest.raises(OSError, match="no room left"):
            pretrain(**job)
    pretrain(**job)
    assert "continuing at step 28 of 28" in caplog.text
    assert read_backbone(job["output"]).history["loss"]
