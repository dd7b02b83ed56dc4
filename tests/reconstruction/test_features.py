"""Deep features as files."""

import dataclasses

import numpy as np
import pytest
import torch

from shadowmill import storage
from shadowmill.architectures.structure import structure
from shadowmill.errors import ArtefactError
from shadowmill.provenance import array_digest
from shadowmill.reconstruction.backbones import BACKBONES, build
from shadowmill.reconstruction.backbones.files import BackboneFile, write_backbone
from shadowmill.reconstruction.features import extract, read_features

EXECUTION = {"device": "cpu"}


@pytest.fixture
def small(digits, monkeypatch):
    """The first examples alone, for large networks."""
    few = dataclasses.replace(digits, inputs=digits.inputs[:5], labels=digits.labels[:5])
    monkeypatch.setattr("shadowmill.reconstruction.features.load_data", lambda path: few)
    return few


def write(path, network, architecture="tiny_cnn", channels=1, image_size=8):
    """Write a backbone and return it in evaluation mode."""
    facts = {"identity": "1dea", "settings": {"architecture": architecture, "seed": 1}}
    facts["structure"] = structure(network, (channels, image_size, image_size))
    write_backbone(path, BackboneFile(network.whole_state(), channels, image_size, 5, facts, {}))
    return network.eval()


def tiny(channels=1):
    return build("tiny_cnn", channels, 5, seed=1)


@pytest.fixture
def job(digits_path, tmp_path):
    return {
        "data_path": digits_path,
        "backbone_path": str(tmp_path / "backbone.safetensors"),
        "settings": {"architecture": "tiny_cnn", "seed": 1},
        "output": str(tmp_path / "features.h5"),
        "execution": EXECUTION,
        "threads": 1,
    }


@torch.no_grad()
def test_features_of_all_examples_in_order(job, digits):
    network = write(job["backbone_path"], tiny())
    extract(**job)
    features = read_features(job["output"])
    inputs = (torch.from_numpy(digits.inputs).movedim(-1, 1) / 255 - 0.5) / 0.5
    expected = network.features(inputs).numpy()
    assert features.values_nd.shape == (1797, 64)
    assert features.values_nd.dtype == np.float32
    np.testing.assert_allclose(features.values_nd, expected, rtol=1e-4, atol=1e-6)
    assert features.data_digest == digits.digest
    assert features.digest == array_digest(features.values_nd)
    assert features.backbone_identity == "1dea"
    assert features.backbone_settings == {"architecture": "tiny_cnn", "seed": 1}


@torch.no_grad()
def test_grey_images_are_resized_and_repeated(job, small):
    """Also in evaluation mode: BatchNorm and dropout of training would give other features."""
    row = BACKBONES["efficientnet_b0"]
    grey = torch.from_numpy(small.inputs).movedim(-1, 1) / 255
    large = torch.nn.functional.interpolate(grey, (64, 64), mode="bicubic", antialias=True)
    mean, std = (torch.tensor(values)[:, None, None] for values in (row.mean, row.std))
    inputs = (large.clamp(0, 1).repeat(1, 3, 1, 1) - mean) / std
    network = build("efficientnet_b0", 3, 5, seed=1)
    # With the initial statistics of BatchNorm features come to 1e-15, and any two are close.
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = 1.0
    network(inputs)
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = 0.1  # as the row builds it
    write(job["backbone_path"], network, "efficientnet_b0", channels=3, image_size=64)
    extract(**job | {"settings": {"architecture": "efficientnet_b0", "seed": 1}})
    expected = network.features(inputs).numpy()
    found = read_features(job["output"]).values_nd
    assert found.shape == (5, 1280)
    assert expected.std() > 0.01
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3 * expected.std())


def test_grey_images_fit_a_tiny_network_for_colour(job, small):
    write(job["backbone_path"], tiny(channels=3), channels=3)
    extract(**job)
    assert read_features(job["output"]).values_nd.shape == (5, 64)


def test_colour_images_do_not_fit_a_network_for_grey(job, small, monkeypatch):
    write(job["backbone_path"], tiny())
    colour = dataclasses.replace(small, inputs=np.repeat(small.inputs, 3, axis=-1))
    monkeypatch.setattr("shadowmill.reconstruction.features.load_data", lambda path: colour)
    with pytest.raises(
        ArtefactError, match="takes images of 1 channels, but those of digits have 3"
    ):
        extract(**job)


def test_features_that_are_no_numbers(job):
    network = tiny()
    network.whole_state()["classifier.0.bias"].fill_(torch.nan)
    write(job["backbone_path"], network)
    with pytest.raises(ArtefactError, match="some features of digits are no finite numbers"):
        extract(**job)


def test_a_backbone_of_another_configuration(job):
    write(job["backbone_path"], tiny())
    job["settings"] = {"architecture": "tiny_cnn", "seed": 2}
    with pytest.raises(ArtefactError, match=r"backbone\.safetensors: .*configuration has: seed"):
        extract(**job)


def test_a_backbone_of_another_network(job, monkeypatch):
    def edited(*arguments, **options):
        network = build(*arguments, **options)
        network.body.convolutions[1] = torch.nn.Sigmoid()
        return network

    write(job["backbone_path"], tiny())
    monkeypatch.setattr("shadowmill.reconstruction.backbones.files.build", edited)
    with pytest.raises(ArtefactError, match=r"backbone\.safetensors: .*in the present network"):
        extract(**job)


def test_missing_backbone(job):
    with pytest.raises(ArtefactError, match=r"backbone.safetensors: no such file"):
        extract(**job)


def test_missing_or_other_features(tmp_path):
    with pytest.raises(ArtefactError, match=r"features.h5: no such file"):
        read_features(str(tmp_path / "features.h5"))
    storage.write_hdf5(tmp_path / "features.h5", {"labels": np.zeros(3)}, {})
    with pytest.raises(ArtefactError, match=r"features.h5: it has no array features"):
        read_features(str(tmp_path / "features.h5"))
