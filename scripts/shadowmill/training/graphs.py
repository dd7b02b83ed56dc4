"""Training steps as CUDA graphs: one launch a step, where hundreds take longer than the work."""

import gc
from collections.abc import Callable, Hashable, Sequence

import torch
from torch import Tensor

# Steps taken as usual before one is captured: cuDNN chooses its algorithms, and optimisers make
# their moments, which a graph may not.
_WARM_UP = 3


class GraphedStep:
    """A step that is captured once for each mode, then replayed.

    A graph has the addresses of all it reads and writes: parameters, buffers, masks and moments
    must be changed in place. Its inputs are copied to where it looks for them.
    """

    def __init__(self, step: Callable[..., tuple[Tensor, ...]]) -> None:
        """Take the step to capture.

        Args:
            step: from tensors on the GPU, of the same shapes each time, to tensors. It does not
                wait for the device, and all else that it depends on is named by the mode.
        """
        self._step = step
        self._stream = torch.cuda.Stream()
        self._memory = torch.cuda.graph_pool_handle()
        self._taken: dict[Hashable, int] = {}
        self._captured: dict[
            Hashable, tuple[torch.cuda.CUDAGraph, list[Tensor], tuple[Tensor, ...]]
        ] = {}

    def __call__(self, mode: Hashable, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Take a step.

        Args:
            mode: everything that decides which operations the step consists of.
            inputs: of the step.

        Returns:
            What the step returned; overwritten by the next step.
        """
        if self._taken.setdefault(mode, 0) < _WARM_UP:
            self._taken[mode] += 1
            return self._usual(inputs)
        if mode not in self._captured:
            self._captured[mode] = self._capture(inputs)
        graph, own, outputs = self._captured[mode]
        for tensor, given in zip(own, inputs, strict=True):
            tensor.copy_(given)
        graph.replay()
        return outputs

    def _usual(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        # On the stream of the capture, or what autograd keeps of this stream would end that.
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            outputs = self._step(*inputs)
        torch.cuda.current_stream().wait_stream(self._stream)
        return outputs

    def _capture(
        self, inputs: Sequence[Tensor]
    ) -> tuple[torch.cuda.CUDAGraph, list[Tensor], tuple[Tensor, ...]]:
        own = [tensor.clone() for tensor in inputs]
        graph = torch.cuda.CUDAGraph()
        # Freeing an earlier graph within a capture would end it, and the collector comes any time.
        gc.collect()
        gc.disable()
        try:
            with torch.cuda.graph(graph, pool=self._memory, stream=self._stream):
                outputs = self._step(*own)
        finally:
            gc.enable()
        return graph, own, outputs
