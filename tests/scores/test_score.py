"""Scoring trained models: equal to asking each of them one by one."""

import dataclasses
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from shadowmill import architectures, roles, storage
from shadowmill.data.store import load
from shadowmill.errors import ArtefactError
from shadowmill.roles import UNUSED, VALIDATION
from shadowmill.scores import score
from shadowmill.scores.files import read_scores
from shadowmill.scores.statistics import entropy, modified_entropy
from shadowmill.training.modelfile import read_model

# With import-mode importlib, modules beside the tests are found through this.
sys.path.append(str(Path(__file__).parent))

from jobs_for_scores import DENSE, POOL, STATIC, TEST, settings_of, train

DP_SGD = {
    "name": "dp_sgd",
    "value": 1.0,
    "strength": "noise_multiplier",
    "delta": 1e-3,
    "max_grad_norm": 1.0,
}
FIRST, SECOND = "shadow-00-0", "shadow-00-1"


@pytest.fixture(scope="module")
def sparse(tmp_path_factory):
    return train(tmp_path_factory.mktemp("sparse"), settings_of(STATIC))


def slow_logits(path, data, inputs):
    """One model by itself, built in the usual way."""
    model = read_model(path)
    settings = model.provenance["settings"]
    module = architectures.build(
        settings["architecture"],
        data.input_shape,
        data.num_classes,
        seed=99,
        group_norm=settings["defense"]["name"] == "dp_sgd",
    )
    module.load_state_dict(model.state)
    module.eval()
    if data.kind == "image":
        inputs = ((inputs / 255.0 - data.mean) / data.std).transpose(0, 3, 1, 2).copy()
    with torch.no_grad():
        return module(torch.from_numpy(inputs).float()).double()


def slow_phi(logits, labels):
    p = F.softmax(logits, dim=1)
    own = F.one_hot(labels, p.shape[1]).bool()
    return torch.log(p[own] / p.masked_fill(own, 0).sum(dim=1)).numpy()


def check_against_one_by_one(models, tmp_path, pool_size=POOL):
    """Compare identity query, correctness and test set; return what was found."""
    found = models.score(tmp_path / "shadow-00.h5")
    data = load(models.data_path)
    labels, test_labels = (torch.from_numpy(p) for p in np.split(data.labels, [pool_size]))
    assert found["phi"].shape == (len(models.paths), pool_size, 1)
    assert found["phi"].dtype == np.float32
    for row, path in enumerate(models.paths.values()):
        logits = slow_logits(path, data, data.inputs[:pool_size])
        expected = slow_phi(logits, labels)
        np.testing.assert_allclose(found["phi"][row, :, 0], expected, rtol=1e-4, atol=1e-4)
        correct = (logits.argmax(dim=1) == labels).numpy()
        np.testing.assert_array_equal(found["correct"][row], correct)
        np.testing.assert_allclose(found["logits"][row], logits, rtol=1e-4, atol=1e-4)
        spread = entropy(logits).numpy()
        np.testing.assert_allclose(found["entropy"][row], spread, rtol=1e-3, atol=1e-5)
        modified = modified_entropy(logits, labels).numpy()
        np.testing.assert_allclose(found["modified_entropy"][row], modified, rtol=1e-3, atol=1e-5)
        moves = found["sensitivity"][row].any()  # a network pruned to death does not
        assert moves == bool(logits.std(dim=0).any())
        if len(test_labels):
            logits = slow_logits(path, data, data.inputs[pool_size:])
            expected = slow_phi(logits, test_labels)
            found_phi = found["population_phi"][row]
            np.testing.assert_allclose(found_phi, expected, rtol=1e-4, atol=1e-4)
            hits = (logits.argmax(dim=1) == test_labels).double().mean()
            assert found["test_accuracy"][row] == pytest.approx(hits.item(), rel=1e-12)
            loss = F.cross_entropy(logits, test_labels).item()
            assert found["test_loss"][row] == pytest.approx(loss, rel=1e-5)
    return found


@pytest.mark.long
@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        # With BatchNorm it is the running statistics that must be used, of each model its own.
        (settings_of(architecture="resnet20"), "image"),
        (settings_of(architecture="mlp"), "tabular"),
        # GroupNorm in the place of BatchNorm.
        (settings_of(architecture="resnet20", defense=DP_SGD), "image"),
        (settings_of(architecture="mlp", defense=DP_SGD), "tabular"),
        (settings_of(STATIC, defense={"name": "ppb", "value": 4.0}), "image"),
    ],
    ids=["batch norm", "tabular", "dp_sgd", "tabular dp_sgd", "pruned ppb"],
)
def test_scores_equal_those_of_the_models_one_by_one(tmp_path, settings, kind):
    models = train(tmp_path / "made", settings, kind)
    check_against_one_by_one(models, tmp_path)


def test_every_query_is_asked(sparse, tmp_path):
    found = sparse.score(tmp_path / "shadow-00.h5", {"mirror": True, "shift": 0})
    data = load(sparse.data_path)
    pool, labels = data.inputs[:POOL], torch.from_numpy(data.labels[:POOL])
    assert found["phi"].shape == (2, POOL, 2)
    for row, path in enumerate(sparse.paths.values()):
        for query, images in enumerate((pool, pool[:, :, ::-1])):
            expected = slow_phi(slow_logits(path, data, images), labels)
            np.testing.assert_allclose(found["phi"][row, :, query], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "keys",
    [{"target-7": ["target", 7]}, {f"shadow-00-{k}": ["shadow", k] for k in range(2)}],
    ids=["target", "shadow"],
)
def test_the_pool_of_disjoint_splits_includes_the_test_set(tmp_path, keys):
    """All examples are scored, and none is left to be a test set."""
    settings = settings_of() | {"protocol": "disjoint"}
    models = train(tmp_path / "made", settings, keys=keys, num_examples=POOL + TEST)
    found = check_against_one_by_one(models, tmp_path, pool_size=POOL + TEST)
    assert np.isnan(found["test_accuracy"]).all()
    assert np.isnan(found["test_loss"]).all()
    assert ((found["roles"] == UNUSED).sum(axis=1) == (POOL + TEST) // 2).all()
    assert (found["roles"] == VALIDATION).any(axis=1).all()


def test_prefixes_of_the_pool_leave_the_test_set_alone(tmp_path):
    keys = {"target-7-64": ["prefix", 7, 64]}
    models = train(tmp_path / "made", settings_of(), keys=keys)
    found = check_against_one_by_one(models, tmp_path)
    assert (found["roles"] == roles.MEMBER).sum() == 64


def test_a_score_file_can_be_read_with_its_facts(sparse, tmp_path):
    sparse.score(tmp_path / "shadow-00.h5")
    matrix = roles.load(sparse.roles_path)
    path = str(tmp_path / "shadow-00.h5")
    scores = read_scores([path], ["sparsity", "epochs", "training_seconds"])
    np.testing.assert_array_equal(scores["roles"], matrix.roles_MN, strict=True)
    assert scores.models == (FIRST, SECOND)
    assert scores["phi"].shape == (2, POOL, 1)
    assert scores["sparsity"] == pytest.approx(0.9, abs=1e-3)
    assert scores["epochs"].tolist() == [1, 1]
    assert (scores["training_seconds"] > 0).all()
    assert scores.training_settings == settings_of(STATIC) | {
        "precision": "float32",
        "data_digest": load(sparse.data_path).digest,
    }
    with storage.open_hdf5(tmp_path / "shadow-00.h5") as file:
        facts = storage.attribute(file)
    assert facts["settings"] == {
        "queries": {"mirror": False, "shift": 0},
        "arrays": ["logits", "sensitivity"],
    }
    assert facts["device"] == "cpu"
    assert facts["models"].keys() == {FIRST, SECOND}


def test_memory_for_a_few_examples_gives_the_same_scores(sparse, tmp_path, monkeypatch):
    """A part of a pass is done when memory runs out; it must count once."""
    usual = sparse.score(tmp_path / "usual.h5", {"mirror": True, "shift": 0})
    forward, sizes = score.stacked_forward, []

    def short(module, parameters, buffers, inputs, *, shared):
        sizes.append(len(inputs))
        # The first passes of a batch go well: memory runs out in the midst of it.
        if len(inputs) > 50 and len(sizes) % 2 == 0:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return forward(module, parameters, buffers, inputs, shared=shared)

    monkeypatch.setattr(score, "stacked_forward", short)
    found = sparse.score(tmp_path / "short.h5", {"mirror": True, "shift": 0})
    assert max(sizes) == POOL
    assert found.keys() == usual.keys()
    for name in ("phi", "logits", "sensitivity", "population_phi", "test_loss", "test_accuracy"):
        np.testing.assert_allclose(found[name], usual[name], rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(found["correct"], usual["correct"], strict=True)


def test_epochs_are_those_trained_and_sparsity_is_that_of_the_epoch_kept(sparse, tmp_path):
    """As of two models that stopped early, each at its own time."""
    paths, expected = {}, []
    for number, (name, path) in enumerate(sparse.paths.items()):
        tensors, metadata = storage.read_tensors(path)
        kept = [0, 2][number]
        metadata["provenance"] |= {"epochs": 4 + number, "kept_epoch": kept}
        metadata["history"]["sparsity"] = [0.11, 0.22, 0.33, 0.44, 0.55][: 4 + number]
        expected.append(metadata["history"]["sparsity"][kept])
        paths[name] = str(tmp_path / f"{name}.safetensors")
        storage.write_tensors(paths[name], tensors, metadata)
    found = sparse.score(tmp_path / "shadow-00.h5", paths=paths)
    assert found["epochs"].tolist() == [4, 5]
    assert found["sparsity"].tolist() == expected == [0.11, 0.33]


def test_models_that_stop_early_report_the_sparsity_of_their_weights(tmp_path):
    settings = settings_of(STATIC | {"epoch": 1}, epochs=4, early_stopping={"patience": 0})
    models = train(tmp_path / "made", settings, validation=0.3)
    found = models.score(tmp_path / "shadow-00.h5")
    for row, path in enumerate(models.paths.values()):
        model = read_model(path)
        zeros = sum(int((~mask).sum()) for mask in model.masks.values())
        share = zeros / sum(mask.numel() for mask in model.masks.values())
        assert found["sparsity"][row] == pytest.approx(share, rel=1e-12)
        assert found["epochs"][row] == len(model.history["loss"])
        assert 1 <= model.provenance["kept_epoch"] < found["epochs"][row]


def altered_data(models, path, arrays=None, **facts):
    """The data set of some models with other arrays or facts."""
    with storage.open_hdf5(models.data_path) as file:
        arrays = {key: file[key][:] for key in file} | (arrays or {})
        found = {key: storage.attribute(file, key) for key in file.attributes}
    del found["provenance"]
    storage.write_hdf5(path, arrays, {}, **found | facts)
    return path


def test_without_an_official_test_set_its_numbers_are_undefined(sparse, tmp_path):
    data = load(sparse.data_path)
    pool = {"images": data.inputs[:POOL], "labels": data.labels[:POOL]}
    found = sparse.score(
        tmp_path / "shadow-00.h5", data_path=altered_data(sparse, tmp_path / "digits.h5", pool)
    )
    assert np.isnan(found["test_accuracy"]).all()
    assert np.isnan(found["test_loss"]).all()


def test_models_trained_on_other_data_are_refused(sparse, tmp_path):
    other = altered_data(sparse, tmp_path / "digits.h5", digest="another")
    path = re.escape(sparse.paths[FIRST])
    with pytest.raises(ArtefactError, match=f"{path}: .* another version of digits .*Delete it"):
        sparse.score(tmp_path / "shadow-00.h5", data_path=other)
    assert not (tmp_path / "shadow-00.h5").exists()


def test_models_under_swapped_names_are_refused(sparse, tmp_path):
    # The two halves of a pair swapped: all numbers would look fine, every membership be wrong.
    swapped = {FIRST: sparse.paths[SECOND], SECOND: sparse.paths[FIRST]}
    path = re.escape(sparse.paths[SECOND])
    with pytest.raises(ArtefactError, match=f"{path}: it holds the model {SECOND}, not {FIRST}"):
        sparse.score(tmp_path / "shadow-00.h5", paths=swapped)
    assert not (tmp_path / "shadow-00.h5").exists()


def test_models_trained_on_other_members_are_refused(sparse, tmp_path):
    with storage.open_hdf5(sparse.roles_path) as file:
        arrays = {key: file[key] for key in file}
        epoch_size = storage.attribute(file, "epoch_size")
    arrays["roles"] = arrays["roles"][::-1]
    storage.write_hdf5(tmp_path / "roles.h5", arrays, {}, epoch_size=epoch_size)
    turned = dataclasses.replace(sparse, roles_path=tmp_path / "roles.h5")
    path = re.escape(sparse.paths[FIRST])
    with pytest.raises(ArtefactError, match=f"{path}: .* other examples .*Delete it"):
        turned.score(tmp_path / "shadow-00.h5")


def test_a_copy_of_a_sibling_is_refused(sparse, tmp_path):
    paths = sparse.paths | {SECOND: sparse.paths[FIRST]}
    with pytest.raises(ArtefactError, match=f"it holds the model {FIRST}, not {SECOND}"):
        sparse.score(tmp_path / "shadow-00.h5", paths=paths)


def test_a_model_of_another_network_is_refused(sparse, tmp_path, monkeypatch):
    def with_sigmoid(*arguments, **options):
        network = build(*arguments, **options)
        network[1] = torch.nn.Sigmoid()
        return network

    build = architectures.build
    monkeypatch.setattr(architectures, "build", with_sigmoid)
    path = re.escape(sparse.paths[FIRST])
    with pytest.raises(ArtefactError, match=rf"{path}: .*relu.*in the file, .*sigmoid.*Restore"):
        sparse.score(tmp_path / "shadow-00.h5")


def test_scores_and_roles_belong_to_the_names_in_whatever_order(sparse, tmp_path):
    sparse.score(tmp_path / "shadow-00.h5")
    turned = {name: sparse.paths[name] for name in reversed(sparse.paths)}
    sparse.score(tmp_path / "turned/shadow-00.h5", paths=turned)
    one, other = (read_scores([str(tmp_path / f"{n}shadow-00.h5")]) for n in ("", "turned/"))
    assert other.models == one.models == (FIRST, SECOND)
    np.testing.assert_array_equal(other["roles"], one["roles"])
    np.testing.assert_array_equal(other["phi"], one["phi"])


@pytest.mark.parametrize("part", [0, 0.5, 0.99])
def test_a_truncated_model_is_refused(sparse, tmp_path, part):
    content = Path(sparse.paths[SECOND]).read_bytes()
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(content[: int(part * len(content))])
    with pytest.raises(ArtefactError, match=rf"{re.escape(str(broken))}: .*truncated.*Move it"):
        sparse.score(tmp_path / "shadow-00.h5", paths=sparse.paths | {SECOND: str(broken)})
    assert not (tmp_path / "shadow-00.h5").exists()


def rewritten(models, path, change):
    """Paths of two models, of which the second was changed."""
    tensors, metadata = storage.read_tensors(models.paths[SECOND])
    change(tensors, metadata)
    storage.write_tensors(path, tensors, metadata)
    return models.paths | {SECOND: str(path)}


def test_a_model_that_diverged_is_refused_by_name(sparse, tmp_path):
    def diverge(tensors, metadata):
        bias = next(name for name in tensors if name.endswith(".bias"))
        tensors[bias] = torch.full_like(tensors[bias], torch.nan)

    broken = tmp_path / "broken.safetensors"
    paths = rewritten(sparse, broken, diverge)
    with pytest.raises(ArtefactError, match=rf"{re.escape(str(broken))}: .*diverged"):
        sparse.score(tmp_path / "shadow-00.h5", paths=paths)
    assert not (tmp_path / "shadow-00.h5").exists()


def test_models_trained_in_another_precision_do_not_share_a_score_file(sparse, tmp_path):
    def change(tensors, metadata):
        metadata["provenance"]["precision"] = "bfloat16"

    paths = rewritten(sparse, tmp_path / "other.safetensors", change)
    with pytest.raises(ArtefactError, match=r"other settings .* precision"):
        sparse.score(tmp_path / "shadow-00.h5", paths=paths)


@pytest.mark.parametrize(
    ("settings", "field"),
    [(settings_of(DENSE), "pruning"), (settings_of(STATIC, learning_rate=0.04), "recipe")],
    ids=["pruning", "recipe"],
)
def test_a_model_of_another_configuration_is_refused(sparse, tmp_path, settings, field):
    others = train(tmp_path / "others", settings)
    path = re.escape(others.paths[FIRST])
    for paths in (others.paths, sparse.paths | {FIRST: others.paths[FIRST]}):
        with pytest.raises(ArtefactError, match=rf"{path}: .* than the configuration has: {field}"):
            sparse.score(tmp_path / "shadow-00.h5", paths=paths)
