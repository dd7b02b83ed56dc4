"""A GPU with little memory: in a process of its own, as other tests' graphs keep theirs."""

import gc
import logging
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

# With import-mode importlib, modules beside the tests are found through this.
sys.path += [str(Path(__file__).parent), str(Path(__file__).parent / "training")]

from gpu_jobs import check_scores, read_digits, run, scores_on, stack_on
from jobs_for_tests import PRIVATE, PRUNING, settings_of

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@contextmanager
def memory_for(share_of_peak):
    """Room for a share of what was needed since the peak was last forgotten."""
    total = torch.cuda.get_device_properties(0).total_memory
    most = share_of_peak * torch.cuda.max_memory_allocated()
    gc.collect()
    torch.cuda.empty_cache()
    assert torch.cuda.memory_reserved() < most
    torch.cuda.set_per_process_memory_fraction(most / total)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def test_scores_where_memory_is_short(caplog):
    digits = read_digits()
    torch.cuda.reset_peak_memory_stats()
    expected = scores_on("cuda", "resnet20", digits)
    with caplog.at_level(logging.INFO), memory_for(0.5):
        found = scores_on("cuda", "resnet20", digits)
    assert "memory is too small" in caplog.text
    check_scores(found, expected)


def test_private_training_where_memory_is_short(caplog):
    pytest.importorskip("opacus")
    settings = settings_of(PRUNING["dense"], "resnet20", PRIVATE["dp_sgd"]["defense"])
    digits = read_digits()
    torch.cuda.reset_peak_memory_stats()
    expected = run(stack_on("cuda", settings, digits), 6).state()[0]
    with caplog.at_level(logging.INFO), memory_for(0.5):
        found = run(stack_on("cuda", settings, digits), 6).state()[0]
    assert "memory is too small" in caplog.text
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-3, atol=1e-4)
