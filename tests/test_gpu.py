"""What only a GPU can show: training, resume and scores there against the CPU's."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

# With import-mode importlib, modules beside the tests are found through this.
sys.path += [str(Path(__file__).parent), str(Path(__file__).parent / "training")]

from gpu_jobs import check_scores, read_digits, run, scores_on, stack_on
from jobs_for_tests import PRIVATE, PRUNING, TRAININGS, make_specs, settings_of

from shadowmill.pruning.masks import compute_masks
from shadowmill.training.batches import Pool
from shadowmill.training.checkpoint import Checkpoint
from shadowmill.training.lockstep import Stack
from shadowmill.training.streams import SideBySide

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

KINDS = TRAININGS | {
    "resnet20": settings_of(PRUNING["dpf"], "resnet20", learning_rate=0.01),
    "efficientnet_b0": settings_of(PRUNING["dense"], "efficientnet_b0", learning_rate=0.01),
}


@pytest.fixture(scope="module")
def digits():
    return read_digits()


def settings_of_kind(kind):
    if kind in PRIVATE:
        pytest.importorskip("opacus")
    return KINDS.get(kind) or PRIVATE[kind]


@pytest.mark.parametrize("models", [1, 2])
@pytest.mark.parametrize("kind", [*KINDS, *PRIVATE])
def test_training_follows_that_on_the_cpu(digits, kind, models):
    settings = settings_of_kind(kind)
    if models > 1 and kind not in TRAININGS:
        pytest.skip("never stacked on a GPU")
    on_gpu, on_cpu = (run(stack_on(device, settings, digits, models)) for device in ("cuda", "cpu"))
    assert on_gpu.step == on_cpu.step or "early" in kind
    for index in range(models):
        found, expected = on_gpu.final(index).history, on_cpu.final(index).history
        np.testing.assert_allclose(found["loss"][:2], expected["loss"][:2], rtol=0.15)
        assert found["sparsity"] == pytest.approx(expected["sparsity"], abs=1e-9)


@pytest.mark.parametrize("stop", [2, 13])
@pytest.mark.parametrize("kind", [*KINDS, *PRIVATE])
def test_resumed_follows_uninterrupted(digits, kind, stop, tmp_path):
    settings = settings_of_kind(kind)
    whole = run(stack_on("cuda", settings, digits))
    saved = Checkpoint(tmp_path / "c", "digest")
    saved.save(run(stack_on("cuda", settings, digits), stop))
    resumed = stack_on("cuda", settings, digits)
    assert saved.restore(resumed)
    run(resumed)
    assert resumed.step == whole.step or "early" in kind
    found, expected = resumed.final(0), whole.final(0)
    np.testing.assert_allclose(found.history["loss"], expected.history["loss"], rtol=0.1)


@pytest.mark.parametrize("kind", ["dense", "static", "dpf", "adam", "ppb", "relaxloss", "resnet20"])
def test_a_captured_step_is_the_step(digits, kind):
    graphed, usual = (stack_on("cuda", KINDS[kind], digits) for _ in range(2))
    assert graphed._graphed is not None
    usual._graphed = None
    run(graphed)
    run(usual)
    assert graphed._graphed._captured
    found, expected = graphed.final(0), usual.final(0)
    np.testing.assert_allclose(found.history["loss"], expected.history["loss"], rtol=0.02)


@pytest.mark.parametrize("kind", ["dpf", "early stopping", "resnet20"])
def test_models_side_by_side_are_the_models_alone(digits, kind, tmp_path):
    def side_by_side():
        stacks = [stack_on("cuda", KINDS[kind], digits) for _ in range(2)]
        return SideBySide(stacks)

    together, alone = run(side_by_side()), run(stack_on("cuda", KINDS[kind], digits))
    saved = Checkpoint(tmp_path / "c", "digest")
    saved.save(run(side_by_side(), 13))
    resumed = side_by_side()
    assert saved.restore(resumed)
    assert resumed.step == 13
    run(resumed)
    expected = alone.final(0).history["loss"]
    for trainer in (together, resumed):
        for index in range(2):
            length = min(len(expected), len(trainer.final(index).history["loss"]))
            found = trainer.final(index).history["loss"][:length]
            np.testing.assert_allclose(found, expected[:length], rtol=0.1)


def test_a_step_is_captured_while_earlier_graphs_are_forgotten(digits):
    for kind in ("ppb", "relaxloss", "dense"):
        for _ in range(6):
            run(stack_on("cuda", KINDS[kind], digits), 20)


def test_masks_are_those_of_the_cpu():
    random = torch.Generator().manual_seed(0)
    weights = {
        "a": torch.randn(2, 64, 32, 3, 3, generator=random),
        "b": torch.randn(2, 128, 64, 3, 3, generator=random).round(decimals=1),  # with ties
    }
    companions = dict.fromkeys(weights, ())
    for sparsity in (0.3, 0.9, 0.999):
        expected = compute_masks(weights, companions, "global_magnitude", sparsity)
        moved = {name: weight.cuda() for name, weight in weights.items()}
        found = compute_masks(moved, companions, "global_magnitude", sparsity)
        assert all(torch.equal(found[name].cpu(), expected[name]) for name in weights)


@pytest.mark.parametrize("architecture", ["small_convnet", "resnet20"])
def test_scores_are_those_of_the_cpu(digits, architecture):
    found, expected = (scores_on(device, architecture, digits) for device in ("cuda", "cpu"))
    check_scores(found, expected)


def test_models_side_by_side_are_compiled_once(digits):
    settings = KINDS["dense"]
    pool = Pool(digits, len(digits.labels), torch.device("cuda"))

    def stack():
        return Stack(make_specs(1), settings, digits, pool, 200, "default")

    torch._dynamo.utils.counters.clear()
    together = run(SideBySide([stack() for _ in range(3)]), 8)
    compiled = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    assert compiled == 1
    expected = run(stack_on("cuda", settings, digits), 8)
    for index in range(3):
        for name, tensor in together.final(index).state.items():
            torch.testing.assert_close(tensor, expected.final(0).state[name], rtol=0.05, atol=0.02)
