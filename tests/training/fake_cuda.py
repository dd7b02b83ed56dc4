"""CUDA without a GPU: tensors that know their device, layout and type, and compute nothing.

With PyTorch's fake tensors the dispatch is that of a GPU, so mixed devices, copies to the host and
memory layouts show on a machine without one. Fused optimisers check what their kernels ask for.
"""

from contextlib import ExitStack, contextmanager
from unittest import mock

import torch
from torch._subclasses.fake_tensor import FakeTensorMode, unset_fake_temporarily

DEVICE = torch.device("cuda:0")


def _backward(loss, *arguments, **options):
    """Gradients as they would come: like their leaves, which is what autograd sees to."""
    pending, seen = [loss.grad_fn], set()
    while pending:
        node = pending.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        leaf = getattr(node, "variable", None)
        if leaf is not None:
            leaf.grad = torch.empty_like(leaf)
        pending += [following for following, _ in node.next_functions]


def _same_layout(*lists):
    for tensors in zip(*(each for each in lists if len(each)), strict=True):
        layouts = {(tensor.stride(), tensor.device) for tensor in tensors}
        assert len(layouts) == 1, f"a fused step over layouts {layouts}"


def _fused_sgd(parameters, gradients, momenta, **options):
    _same_layout(parameters, gradients, momenta)


def _fused_adam(parameters, gradients, averages, squares, *rest, **options):
    _same_layout(parameters, gradients, averages, squares)


@contextmanager
def fake_cuda():
    """Everything within is on a GPU that is not there."""

    with ExitStack() as stack:
        for name, value in (
            ("torch.amp.autocast_mode.is_available", lambda *_: True),
            ("torch.cuda.amp.common.amp_definitely_not_available", lambda: False),
            ("torch.cuda.is_bf16_supported", lambda *_: True),
            ("torch.cuda.mem_get_info", lambda *_: (1 << 34, 1 << 34)),
            ("torch._fused_sgd_", _fused_sgd),
            ("torch._fused_adam_", _fused_adam),
            ("torch.Tensor.backward", _backward),
        ):
            stack.enter_context(mock.patch(name, value, create=True))
        yield stack.enter_context(FakeTensorMode(allow_non_fake_inputs=True))


def real(build):
    """A builder whose networks are real, as vmap and load_state_dict want them."""

    def built(*arguments, **options):
        with unset_fake_temporarily():
            return build(*arguments, **options)

    return built
