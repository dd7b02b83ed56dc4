"""Scoring trained models: equal to asking each of them one by one."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from shadowmill import architectures, roles, storage
from shadowmill.data import DATASETS, Dataset, readers
from shadowmill.data.store import load, prepare
from shadowmill.errors import ArtefactError
from shadowmill.scores.files import read_scores
from shadowmill.scores.score import score_block
from shadowmill.training.block import train_block
from shadowmill.training.modelfile import read_model

NAMES = ["shadow-00-0", "shadow-00-1"]
KEYS = {name: ["shadow", k] for k, name in enumerate(NAMES)}
EXECUTION = {"device": "cpu", "stacking": "stacked", "checkpoint_minutes": 5}
POOL, TEST = 240, 60
SETTINGS = {
    "recipe": {
        "optimizer": "sgd",
        "learning_rate": 0.05,
        "momentum": 0.9,
        "nesterov": False,
        "weight_decay": 0.0,
        "epochs": 1,
        "batch_size": 16,
        "schedule": {"name": "one_cycle", "warmup": 0.2},
        "augmentation": {"crop": 0, "flip": False},
    },
    "protocol": "half",
    "seed": 0,
}
STATIC = {"method": "static", "sparsity": 0.9, "epoch": 0}
DENSE = {"method": "dense", "sparsity": 0.0}


def train(folder, kind, architecture, pruning):
    (folder / kind).mkdir()
    models = {name: str(folder / kind / f"{name}.safetensors") for name in NAMES}
    train_block(
        data_path=str(folder / "data.h5"),
        roles_path=str(folder / "roles.h5"),
        outputs=models,
        keys=KEYS,
        settings=SETTINGS | {"architecture": architecture, "pruning": pruning},
        state_folder=str(folder / "state"),
        title="a test",
        execution=EXECUTION,
        threads=1,
    )
    return models


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Some digits, with the last of them as the official test set, and their roles."""
    folder = tmp_path_factory.mktemp("scores")
    whole = readers.digits(folder)
    few = readers.Examples(
        whole.images[: POOL + TEST],
        whole.labels[: POOL + TEST],
        np.arange(POOL + TEST) >= POOL,
        whole.class_names,
        "some digits",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(DATASETS, "few", Dataset("Few digits", "few", POOL, 10))
        patch.setattr(readers, "few", lambda root: few, raising=False)
        prepare("few", "unused", folder / "data.h5")
    roles.draw(folder / "roles.h5", KEYS, POOL, seed=0)
    return folder


@pytest.fixture(scope="module")
def sparse_models(folder):
    return train(folder, "sparse", "small_convnet", STATIC)


def score(folder, models, output, queries=None, data_path=None):
    score_block(
        data_path=str(data_path or folder / "data.h5"),
        roles_path=str(folder / "roles.h5"),
        models=models,
        output=str(output),
        settings={"queries": queries or {"mirror": False, "shift": 0}},
        execution=EXECUTION,
        threads=1,
    )


def slow_logits(path, data, images):
    """One model by itself, built in the usual way; images (N, H, W, C) uint8."""
    model = read_model(path)
    architecture = model.provenance["settings"]["architecture"]
    height, _, channels = data.images.shape[1:]
    module = architectures.build(architecture, channels, data.num_classes, height, seed=99)
    module.load_state_dict(model.state)
    module.eval()
    inputs = (images / 255.0 - data.mean) / data.std
    with torch.no_grad():
        return module(torch.from_numpy(inputs.transpose(0, 3, 1, 2).copy()).float()).double()


def slow_phi(logits, labels):
    p = F.softmax(logits, dim=1)
    own = F.one_hot(labels, p.shape[1]).bool()
    return torch.log(p[own] / p.masked_fill(own, 0).sum(dim=1)).numpy()


@pytest.mark.parametrize("architecture", ["small_convnet", "resnet18"])
def test_scores_equal_those_of_the_models_one_by_one(folder, tmp_path, architecture, request):
    if architecture == "small_convnet":
        models = request.getfixturevalue("sparse_models")
    else:  # with BatchNorm: its running statistics are what must be used
        models = train(folder, "resnets", architecture, DENSE)
    score(folder, models, tmp_path / "scores.h5", {"mirror": True, "shift": 0})
    data = load(folder / "data.h5")
    pool, test = data.images[:POOL], data.images[POOL:]
    labels, test_labels = (torch.from_numpy(part) for part in np.split(data.labels, [POOL]))
    with storage.open_hdf5(tmp_path / "scores.h5") as file:
        found = {key: file[key][:] for key in file}
    assert found["phi"].shape == (2, POOL, 2)
    assert found["phi"].dtype == np.float32
    for row, path in enumerate(models.values()):
        logits = slow_logits(path, data, pool)
        np.testing.assert_allclose(
            found["phi"][row, :, 0], slow_phi(logits, labels), rtol=1e-4, atol=1e-4
        )
        mirrored = slow_logits(path, data, pool[:, :, ::-1])
        np.testing.assert_allclose(
            found["phi"][row, :, 1], slow_phi(mirrored, labels), rtol=1e-4, atol=1e-4
        )
        correct = (logits.argmax(dim=1) == labels).numpy()
        np.testing.assert_array_equal(found["correct"][row], correct)
        logits = slow_logits(path, data, test)
        hits = (logits.argmax(dim=1) == test_labels).double().mean()
        assert found["test_accuracy"][row] == pytest.approx(hits.item(), rel=1e-12)
        loss = F.cross_entropy(logits, test_labels).item()
        assert found["test_loss"][row] == pytest.approx(loss, rel=1e-5)


def test_a_score_file_can_be_read_with_its_facts(folder, sparse_models, tmp_path):
    score(folder, sparse_models, tmp_path / "scores.h5")
    matrix = roles.load(folder / "roles.h5")
    scores = read_scores([str(tmp_path / "scores.h5")])
    np.testing.assert_array_equal(scores.roles_MN, matrix.roles_MN, strict=True)
    assert scores.models == tuple(NAMES)
    assert scores.phi_MNA.shape == (2, POOL, 1)
    assert scores.sparsity_M == pytest.approx(0.9, abs=1e-3)
    assert (scores.seconds_M > 0).all()
    assert scores.training_settings == SETTINGS | {
        "precision": "float32",
        "architecture": "small_convnet",
        "pruning": STATIC,
    }
    with storage.open_hdf5(tmp_path / "scores.h5") as file:
        facts = storage.attribute(file)
    assert facts["settings"] == {"queries": {"mirror": False, "shift": 0}}
    assert facts["device"] == "cpu"


def test_without_an_official_test_set_its_numbers_are_undefined(tmp_path, sparse_models, folder):
    with storage.open_hdf5(folder / "data.h5") as file:
        arrays = {key: file[key][:] for key in file}
        facts = {key: storage.attribute(file, key) for key in file.attrs}
    del facts["provenance"]
    arrays |= {key: arrays[key][:POOL] for key in ("images", "labels")}
    storage.write_hdf5(tmp_path / "data.h5", arrays, {}, **facts)
    score(folder, sparse_models, tmp_path / "scores.h5", data_path=tmp_path / "data.h5")
    with storage.open_hdf5(tmp_path / "scores.h5") as file:
        assert np.isnan(file["test_accuracy"][:]).all()
        assert np.isnan(file["test_loss"][:]).all()


def test_models_trained_on_other_data_are_refused(folder, sparse_models, tmp_path):
    with storage.open_hdf5(folder / "data.h5") as file:
        arrays = {key: file[key][:] for key in file}
        facts = {key: storage.attribute(file, key) for key in file.attrs}
    del facts["provenance"]
    storage.write_hdf5(tmp_path / "data.h5", arrays, {}, **facts | {"digest": "another"})
    path = re.escape(sparse_models[NAMES[0]])
    with pytest.raises(ArtefactError, match=f"{path}: .* another version of few .*Delete it"):
        score(folder, sparse_models, tmp_path / "scores.h5", data_path=tmp_path / "data.h5")
    assert not (tmp_path / "scores.h5").exists()


def test_models_trained_on_other_members_are_refused(folder, sparse_models, tmp_path):
    # The two halves of a pair swapped: all numbers would look fine, every membership be wrong.
    first, second = (sparse_models[name] for name in NAMES)
    with pytest.raises(ArtefactError, match=f"{re.escape(second)}: .* other examples .*Delete it"):
        score(folder, {NAMES[0]: second, NAMES[1]: first}, tmp_path / "scores.h5")
    assert not (tmp_path / "scores.h5").exists()


def test_scores_and_roles_belong_to_the_names_in_whatever_order(folder, sparse_models, tmp_path):
    score(folder, sparse_models, tmp_path / "scores.h5")
    turned = {name: sparse_models[name] for name in reversed(NAMES)}
    score(folder, turned, tmp_path / "turned.h5")
    one, other = (read_scores([str(tmp_path / f"{n}.h5")]) for n in ("scores", "turned"))
    assert other.models == one.models == tuple(NAMES)
    np.testing.assert_array_equal(other.roles_MN, one.roles_MN)
    np.testing.assert_array_equal(other.phi_MNA, one.phi_MNA)


@pytest.mark.parametrize("part", [0, 0.5, 0.99])
def test_a_truncated_model_is_refused(folder, sparse_models, tmp_path, part):
    content = Path(sparse_models[NAMES[1]]).read_bytes()
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(content[: int(part * len(content))])
    with pytest.raises(ArtefactError, match=rf"{re.escape(str(broken))}: .*truncated.*Delete"):
        score(folder, sparse_models | {NAMES[1]: str(broken)}, tmp_path / "scores.h5")
    assert not (tmp_path / "scores.h5").exists()


def test_a_model_that_diverged_is_refused_by_name(folder, sparse_models, tmp_path):
    tensors, metadata = storage.read_tensors(sparse_models[NAMES[1]])
    bias = next(name for name in tensors if name.endswith(".bias"))
    tensors[bias] = torch.full_like(tensors[bias], torch.nan)
    broken = tmp_path / "broken.safetensors"
    storage.write_tensors(broken, tensors, metadata)
    with pytest.raises(ArtefactError, match=rf"{re.escape(str(broken))}: .*diverged"):
        score(folder, sparse_models | {NAMES[1]: str(broken)}, tmp_path / "scores.h5")
    assert not (tmp_path / "scores.h5").exists()


def test_models_trained_in_another_precision_do_not_share_a_score_file(
    folder, sparse_models, tmp_path
):
    tensors, metadata = storage.read_tensors(sparse_models[NAMES[1]])
    metadata["provenance"]["precision"] = "bfloat16"
    other = tmp_path / "other.safetensors"
    storage.write_tensors(other, tensors, metadata)
    with pytest.raises(ArtefactError, match=r"other settings .* precision"):
        score(folder, sparse_models | {NAMES[1]: str(other)}, tmp_path / "scores.h5")


def test_models_of_different_settings_do_not_share_a_score_file(folder, sparse_models, tmp_path):
    dense = train(folder, "dense", "small_convnet", DENSE)
    mixed = {NAMES[0]: dense[NAMES[0]], NAMES[1]: sparse_models[NAMES[1]]}
    with pytest.raises(ArtefactError, match=re.escape(sparse_models[NAMES[1]])):
        score(folder, mixed, tmp_path / "scores.h5")
