"""Estimates of curvature against exact Hessians, and the arrays of score files."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import grad, hessian, jvp, vmap

from shadowmill import architectures
from shadowmill.data.store import load
from shadowmill.scores import score
from shadowmill.scores.arrays import CURVATURES
from shadowmill.scores.curvature import (
    curvature,
    finite_difference,
    random_signs,
    trace_and_frobenius,
)
from shadowmill.scores.files import read_scores
from shadowmill.scores.statistics import cross_entropy, logit_scaled_confidence
from shadowmill.training.modelfile import read_model

# With import-mode importlib, modules beside the tests are found through this.
sys.path.append(str(Path(__file__).parent))

from jobs_for_scores import POOL, settings_of, train

STEP = 1e-3
PROBES = {"probes": 3, "step": STEP}
ALL = [*CURVATURES.values(), "max_phi", "logits", "sensitivity"]
BATCH = range(20, 60)


@pytest.fixture(autouse=True)
def _one_thread():
    """Many small layers: on a busy machine, threads would wait for each other most of the time."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def random(seed=0):
    return torch.Generator().manual_seed(seed)


def smooth_network(num_inputs=6, num_classes=4):
    """A small network with second derivatives of its own, in float64."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = nn.Sequential(nn.Linear(num_inputs, 8), nn.Tanh(), nn.Linear(8, num_classes))
    return network.double().requires_grad_(False)


def batch_of(num_examples, shape, num_classes):
    inputs = torch.randn(num_examples, *shape, generator=random(1), dtype=torch.float64)
    return inputs, torch.randint(num_classes, (num_examples,), generator=random(2))


def exact_hessians(network, inputs, labels):
    """(B, D, D), from PyTorch's own loss."""

    def loss(x, label):
        return F.cross_entropy(network(x[None]), label[None])

    return vmap(hessian(loss))(inputs, labels).reshape(len(inputs), inputs[0].numel(), -1)


def of_hessians(hessian_BDD):
    """Their traces and their Frobenius norms."""
    return hessian_BDD.diagonal(dim1=1, dim2=2).sum(dim=1), hessian_BDD.flatten(1).norm(dim=1)


def check_estimates(network, inputs, labels, hessian_BDD, num_probes):
    """Compare with sums over exact products, probe by probe, then with what they estimate."""
    signs = random_signs(range(len(inputs)), 0, num_probes, inputs.shape[1:])
    found_trace, found_norm = trace_and_frobenius(network, inputs, labels, signs)
    assert found_trace.dtype == found_norm.dtype == torch.float64
    directions = signs[:, 0].flatten(2).double()
    products = torch.einsum("bij,pbj->pbi", hessian_BDD, directions)
    terms = (directions * products).sum(dim=2)
    torch.testing.assert_close(found_trace, terms.mean(dim=0), rtol=1e-9, atol=1e-12)
    squares = products.square().sum(dim=2)
    torch.testing.assert_close(found_norm, squares.mean(dim=0).sqrt(), rtol=1e-9, atol=1e-12)
    trace, norm = of_hessians(hessian_BDD)
    for found, expected, samples in (
        (found_trace, trace, terms),
        (found_norm**2, norm**2, squares),
    ):
        deviation = samples.std(dim=0) / math.sqrt(num_probes)
        assert ((found - expected).abs() < 5 * deviation + 1e-9 * expected.abs()).all()
        assert (deviation < 0.2 * expected.abs().mean()).all()  # so that this says something


def test_exact_products_of_a_network_with_second_derivatives_of_its_own():
    network = smooth_network()
    inputs, labels = batch_of(8, (6,), 4)
    hessians = exact_hessians(network, inputs, labels)
    assert (hessians.diagonal(dim1=1, dim2=2).sum(dim=1) < 0).any()  # not of squares alone
    check_estimates(network, inputs, labels, hessians, num_probes=2_000)


def test_exact_products_of_softmax_regression_in_closed_form():
    weight = torch.randn(5, 7, generator=random(), dtype=torch.float64)
    inputs, labels = batch_of(6, (7,), 5)
    p = (inputs @ weight.T).softmax(dim=1)
    of_logits = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
    hessians = weight.T @ of_logits @ weight
    check_estimates(lambda x: x @ weight.T, inputs, labels, hessians, num_probes=2_000)


def quadratic(matrix):
    """A network whose logits are xᵀAx / 2 and 0: at x = 0 the Hessian is −A / 2 for label 0."""
    return lambda x: torch.stack([(x @ matrix * x).sum(dim=1) / 2, torch.zeros(len(x))], dim=1)


def test_a_diagonal_hessian_has_its_exact_trace_after_one_probe():
    matrix = torch.diag(torch.tensor([1.0, -3.0, 5.0, 0.5], dtype=torch.float64))
    inputs, labels = torch.zeros(3, 4, dtype=torch.float64), torch.tensor([0, 1, 0])
    signs = random_signs(range(3), 0, 1, (4,))
    trace, norm = trace_and_frobenius(quadratic(matrix), inputs, labels, signs)
    torch.testing.assert_close(trace, 3.5 / 2 * torch.tensor([-1.0, 1.0, -1.0]).double())
    torch.testing.assert_close(norm, torch.full((3,), 0.5 * math.sqrt(35.25)).double())


def test_finite_difference_is_the_bilinear_form_of_the_hessian():
    network = smooth_network()
    inputs, labels = batch_of(8, (6,), 4)
    hessians = exact_hessians(network, inputs, labels)
    signs = random_signs(range(8), 0, 50, (6,))
    first, second = signs.double().unbind(dim=1)
    form = torch.einsum("pbi,bij,pbj->pb", first, hessians, second)
    expected = STEP * form.abs().mean(dim=0)
    found = finite_difference(network, inputs, labels, signs, STEP)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-10)


def test_finite_difference_is_the_published_formula():
    network = smooth_network()
    inputs, labels = batch_of(8, (6,), 4)
    signs = random_signs(range(8), 0, 10, (6,))
    h, curv = 0.05, 0.0
    for one, other in signs.double():
        v, u = h * one, h * other

        def loss(x):
            return F.cross_entropy(network(x), labels, reduction="none")

        x = inputs
        curv += (loss(x + v + u) - loss(x - v + u) - loss(x + v - u) + loss(x - v - u)).abs()
    expected = curv / (4 * h) / 10
    found = finite_difference(network, inputs, labels, signs, h)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize(
    ("matrix", "factor"),
    [
        # One eigenvalue: the product of two normal numbers. Many: one normal number.
        (torch.ones(64, 64), 2 / math.pi),
        (torch.randn(64, 64, generator=random()), math.sqrt(2 / math.pi)),
    ],
    ids=["one eigenvalue", "many"],
)
def test_finite_difference_is_near_the_frobenius_norm_not_the_trace(matrix, factor):
    matrix = (matrix + matrix.T).double()
    matrix -= matrix.trace() / 64 * (factor > 0.7) * torch.eye(64)  # many: of trace 0
    inputs, labels = torch.zeros(2, 64, dtype=torch.float64), torch.tensor([0, 1])
    signs = random_signs(range(2), 0, 4_000, (64,))
    found = finite_difference(quadratic(matrix), inputs, labels, signs, 1e-4)
    expected = torch.full((2,), 1e-4 * factor * matrix.norm() / 2).double()
    torch.testing.assert_close(found, expected, rtol=0.06, atol=0)


@pytest.mark.parametrize("margin", [5.0, 20.0, 45.0])
def test_float32_estimates_keep_their_digits_where_the_loss_is_tiny(margin):
    """The float32 loss of the published code is 0 from a margin of 17 on."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = nn.Sequential(nn.Conv2d(1, 6, 3), nn.SiLU(), nn.Flatten(), nn.Linear(216, 3))
    network.requires_grad_(False)
    network[0].weight *= 20  # as steep as after training
    inputs, labels = batch_of(16, (1, 8, 8), 3)
    inputs = inputs.float()
    shift = margin * F.one_hot(labels, 3)
    signs = random_signs(range(16), 0, 10, (1, 8, 8))

    def estimates(module, inputs):
        def ask(x):
            return module(x) + shift.repeat(len(x) // 16, 1)

        return curvature(ask, inputs, labels, signs, CURVATURES, STEP)

    found = estimates(network, inputs)
    exact = estimates(network.double(), inputs.double())
    assert exact["frobenius"].median() < 3e3 * math.exp(-margin)
    for name, tolerance in (("finite_difference", 0.05), ("trace", 1e-4), ("frobenius", 1e-4)):
        torch.testing.assert_close(found[name], exact[name], rtol=tolerance, atol=0)


def test_signs_are_fair_independent_and_of_each_example_query_and_probe():
    signs = random_signs(range(40), 0, 5, (3, 4, 4))
    assert signs.shape == (5, 2, 40, 3, 4, 4)
    assert signs.dtype == torch.int8
    assert set(signs.unique().tolist()) == {-1, 1}
    vectors = torch.cat([signs, random_signs(range(40), 1, 5, (3, 4, 4))]).flatten(3)
    vectors = vectors.flatten(0, 2).double()  # 800 of 48 signs
    products = vectors @ vectors.T / math.sqrt(48)
    off_diagonal = products[~torch.eye(800, dtype=torch.bool)]
    assert off_diagonal.abs().max() < 6
    assert off_diagonal.std() == pytest.approx(1, abs=0.02)
    assert vectors.mean().abs() < 5 / math.sqrt(vectors.numel())


def test_signs_depend_neither_on_the_batch_nor_on_the_number_of_probes():
    signs = random_signs(range(30), 1, 7, (3, 3))  # 9 signs do not fill bytes
    torch.testing.assert_close(random_signs([7, 3], 1, 7, (3, 3)), signs[:, :, [7, 3]])
    torch.testing.assert_close(random_signs(range(30), 1, 4, (3, 3)), signs[:4])


def test_all_estimators_at_once_equal_each_alone():
    network = smooth_network()
    inputs, labels = batch_of(5, (6,), 4)
    signs = random_signs(range(5), 0, 3, (6,))
    whole = curvature(network, inputs, labels, signs, CURVATURES, STEP)
    assert tuple(whole) == tuple(CURVATURES)
    for name in CURVATURES:
        alone = curvature(network, inputs, labels, signs, [name], STEP)
        assert alone.keys() == {name}
        torch.testing.assert_close(alone[name], whole[name], rtol=0, atol=0)


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "group_norm"),
    [
        *(("mlp", False), ("small_convnet", False), ("resnet20", False), ("resnet20", True)),
        *(("resnet18", False), ("wrn28_2", False), ("vgg16_bn", False)),
        *(("densenet121", False), ("efficientnet_b0", False)),
    ],
)
def test_every_kind_of_layer_can_be_asked(name, group_norm):
    """Differentiated backwards twice, here against forwards after backwards."""
    shape = (1, 8, 8) if architectures.ARCHITECTURES[name].kind == "image" else (30,)
    network = architectures.build(name, shape, 3, seed=0, group_norm=group_norm)
    network.eval().requires_grad_(False).double()
    inputs, labels = batch_of(3, shape, 3)
    signs = random_signs(range(3), 0, 2, shape)
    found = curvature(network, inputs, labels, signs, CURVATURES, STEP)
    gradient = grad(lambda x: F.cross_entropy(network(x), labels, reduction="sum"))
    directions = signs[:, 0].double()
    products = torch.stack([jvp(gradient, (inputs,), (r,))[1] for r in directions]).flatten(2)
    trace = (directions.flatten(2) * products).sum(dim=2).mean(dim=0)
    torch.testing.assert_close(found["trace"], trace, rtol=1e-6, atol=0)
    norm = products.square().sum(dim=2).mean(dim=0).sqrt()
    torch.testing.assert_close(found["frobenius"], norm, rtol=1e-6, atol=0)
    assert found["finite_difference"].isfinite().all()


# ---- score files ----


def check_close(found, expected, name):
    """But for the few examples so near to where a unit switches that rounding decides."""
    error = np.abs(found - expected) / np.abs(expected)
    assert np.median(error) < {"finite_difference": 0.1, "trace": 1e-4, "frobenius": 1e-4}[name]
    assert np.quantile(error, 0.75) < 0.3


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return train(tmp_path_factory.mktemp("models"), settings_of(epochs=10))


@pytest.fixture(scope="module")
def scored(models, tmp_path_factory):
    path = tmp_path_factory.mktemp("scores") / "shadow-00.h5"
    mirrored = {"mirror": True, "shift": 0}
    return models.score(path, mirrored, arrays=ALL, curvature=PROBES), path


# With BatchNorm, the running statistics must be those of each model itself.
@pytest.mark.long
@pytest.mark.parametrize(("architecture", "epochs"), [("small_convnet", 10), ("resnet20", 4)])
def test_files_hold_what_each_model_says_alone(tmp_path, architecture, epochs):
    models = train(tmp_path / "made", settings_of(architecture=architecture, epochs=epochs))
    queries = {"mirror": True, "shift": 0}
    found = models.score(tmp_path / "shadow-00.h5", queries, arrays=ALL, curvature=PROBES)
    data = load(models.data_path)
    images = ((data.inputs[BATCH] / 255.0 - data.mean) / data.std).transpose(0, 3, 1, 2)
    labels = torch.from_numpy(data.labels[BATCH])
    for row, path in enumerate(models.paths.values()):
        network = architectures.build(architecture, (1, 8, 8), 10, seed=99)
        network.load_state_dict(read_model(path).state)
        network.eval().requires_grad_(False)
        for query in range(2):
            view = images[..., ::-1] if query else images
            inputs = torch.from_numpy(view.copy()).float()
            signs = random_signs(BATCH, query, 3, (1, 8, 8))
            expected = curvature(network, inputs, labels, signs, CURVATURES, STEP)
            for name, values in expected.items():
                array = found[f"curvature_{name}"]
                assert array.shape == (2, POOL, 2)
                assert array.dtype == np.float32
                check_close(array[row, BATCH, query], values.numpy(), name)
            logits = network(inputs).double()
            top = logits.softmax(dim=1).amax(dim=1)
            np.testing.assert_allclose(
                found["max_phi"][row, BATCH, query], (top / (1 - top)).log(), rtol=1e-3, atol=1e-4
            )


def test_max_phi_is_phi_where_the_model_is_right(scored):
    found, _ = scored
    phi, max_phi, correct = (found[name] for name in ("phi", "max_phi", "correct"))
    assert max_phi.shape == phi.shape
    assert max_phi.dtype == np.float32
    assert correct.any()
    assert not correct.all()
    np.testing.assert_array_equal(max_phi[..., 0][correct], phi[..., 0][correct])
    assert (max_phi[..., 0][~correct] > phi[..., 0][~correct]).all()


def test_only_what_is_asked_for_is_in_the_file(models, scored, tmp_path):
    found, _ = scored
    plain = models.score(tmp_path / "plain.h5")
    assert plain.keys() == found.keys() - {
        "max_phi",
        *CURVATURES.values(),
    }
    without = models.score(tmp_path / "without.h5")
    assert without.keys() == plain.keys()
    arrays = ["curvature_frobenius", "logits", "sensitivity"]
    one = models.score(tmp_path / "one.h5", arrays=arrays, curvature=PROBES)
    assert one.keys() == plain.keys() | {"curvature_frobenius"}
    key = "curvature_frobenius"
    check_close(one[key][..., 0], found[key][..., 0], "frobenius")
    for name in ("phi", "entropy"):  # nothing else moves
        np.testing.assert_array_equal(one[name], plain[name])


def test_neither_batches_nor_blocks_matter(models, scored, tmp_path, monkeypatch):
    found, _ = scored
    monkeypatch.setattr(score, "_CURVATURE_BATCH", 37)
    turned = dict(reversed(models.paths.items()))
    again = models.score(
        tmp_path / "again.h5",
        {"mirror": True, "shift": 0},
        paths=turned,
        arrays=ALL,
        curvature=PROBES,
    )
    for name in CURVATURES:
        check_close(again[f"curvature_{name}"], found[f"curvature_{name}"], name)


def test_the_arrays_are_read_by_name_with_their_queries(scored):
    found, path = scored
    names = ("curvature_trace", "max_phi", "entropy")
    whole = read_scores([str(path)], names)
    identity = read_scores([str(path)], names, identity_only=True)
    for name in names[:2]:
        np.testing.assert_array_equal(whole[name], found[name], strict=True)
        np.testing.assert_array_equal(identity[name], found[name][:, :, :1], strict=True)
    np.testing.assert_array_equal(identity["entropy"], found["entropy"], strict=True)


def test_cross_entropy_is_pytorchs():
    logits = torch.randn(3, 50, 10, generator=random(), dtype=torch.float64) * 8
    labels = torch.randint(10, (3, 50), generator=random())
    loss = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").view(3, 50)
    torch.testing.assert_close(cross_entropy(logits, labels), loss, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("phi", [-300.0, -50.0, 0.0, 50.0, 300.0])
def test_derivatives_of_the_cross_entropy_keep_their_digits(phi):
    logits = torch.tensor([phi, 0.0], dtype=torch.float64, requires_grad=True)
    label = torch.tensor(0)
    assert logit_scaled_confidence(logits, label).item() == phi
    (first,) = torch.autograd.grad(cross_entropy(logits, label), logits, create_graph=True)
    (second,) = torch.autograd.grad(first[0], logits)
    error = 1 / (1 + math.exp(phi))  # 1 − p_y
    assert first[0].item() == pytest.approx(-error, rel=1e-12)
    if phi >= 0:
        assert second[0].item() == pytest.approx(error * (1 - error), rel=1e-12)
    else:
        assert second[0].item() == pytest.approx(error * (1 - error), abs=1e-15)
