"""Curvature of the loss around an example: how large its Hessian H in the input is.

The loss is the cross-entropy, the input is normalised, the network in evaluation mode. Ravikumar et
al. 2024 (arXiv:2407.02747) tell members by it. What they call the trace their code does not
estimate, so both the code's quantity and the exact ones have names here: see `finite_difference`
and `trace_and_frobenius`.

The network runs in the precision of its inputs, float32 in score files, without TensorFloat-32 (see
`devices.claim`). The loss is computed from the logits in float64 by a formula that loses no digits
where it is small. Both are needed: with the float32 loss of the published code most examples that a
network is sure of have a second difference that is rounding error or exactly 0. What float32 then
costs is measured in benchmarks/curvature.py.

Legend: B examples, P probes, K classes.
"""

import math
from collections.abc import Callable, Collection, Sequence

import numpy as np
import torch
from torch import Tensor

from shadowmill.scores.statistics import cross_entropy
from shadowmill.seeds import generator

# From inputs (B, …) to logits (B, K).
Network = Callable[[Tensor], Tensor]


def random_signs(
    examples: Sequence[int], query: int, num_probes: int, shape: Sequence[int]
) -> Tensor:
    """The directions in which examples are probed: pairs of vectors of independent signs.

    They depend on the example, the query and the number of the probe alone, so every model is
    probed alike, whatever the batches. More probes begin with those of fewer.

    Args:
        examples: B indices in the data set.
        query: index of the view.
        num_probes: P.
        shape: of one input.

    Returns:
        (P, 2, B, *shape) int8, each −1 or 1.
    """
    num_bits = num_probes * 2 * math.prod(shape)
    signs = np.empty((num_probes, 2, len(examples), *shape), dtype=np.int8)
    for row, example in enumerate(examples):
        drawn = generator("curvature", example, query).bytes((num_bits + 7) // 8)
        bits = np.unpackbits(np.frombuffer(drawn, np.uint8), count=num_bits)
        signs[:, :, row] = 2 * bits.reshape(num_probes, 2, *shape).astype(np.int8) - 1
    return torch.from_numpy(signs)


@torch.no_grad()
def finite_difference(
    network: Network, inputs: Tensor, labels: Tensor, signs: Tensor, step: float
) -> Tensor:
    """The published measure: mean |ℓ(x+v+u) − ℓ(x−v+u) − ℓ(x+v−u) + ℓ(x−v−u)| / 4h over probes.

    Ravikumar et al. 2024, arXiv:2407.02747, as in their code; v and u are h times random signs. To
    leading order a probe is h·|r₁ᵀHr₂| with independent signs r₁ and r₂. Its mean is not the trace:
    r₁ᵀHr₂ has mean 0 and deviation ‖H‖_F, so the mean is near h·√(2/π)·‖H‖_F where r₁ᵀHr₂ is
    nearly normal, and less (down to h·(2/π)·‖H‖_F) where few eigenvalues dominate. Networks of
    ReLUs bend only where a unit switches, which no derivative sees but steps of finite length do:
    there the value can be several times that.

    The published code adds 1e-7 to each sign. That is less than a float32 input resolves, and left
    out here.

    Args:
        network: to be asked 4 P times.
        inputs: (B, …), normalised.
        labels: (B,) int64.
        signs: (P, 2, B, …), see `random_signs`.
        step: h, in units of the normalised input.

    Returns:
        (B,) float64, at least 0.
    """
    total = torch.zeros(len(inputs), dtype=torch.float64, device=inputs.device)
    for pair in signs:
        v, u = step * pair.to(inputs)
        points = torch.cat([inputs + (v + u), inputs - (v - u), inputs + (v - u), inputs - (v + u)])
        loss = cross_entropy(network(points), labels.repeat(4)).view(4, -1)
        total += (loss[0] - loss[1] - loss[2] + loss[3]).abs()
    return total / (len(signs) * 4 * step)


def trace_and_frobenius(
    network: Network, inputs: Tensor, labels: Tensor, signs: Tensor
) -> tuple[Tensor, Tensor]:
    """Trace and Frobenius norm of the Hessian, from exact products with random signs r.

    The trace is estimated by the mean of rᵀHr (Hutchinson 1990, doi:10.1080/03610919008812866), the
    norm by the root of the mean of ‖Hr‖², since E‖Hr‖² = ‖H‖_F². Products come from differentiating
    the gradient once more, which every layer can do; one graph serves all probes.

    Args:
        network: differentiable twice; its parameters need no gradients.
        inputs: (B, …), normalised.
        labels: (B,) int64.
        signs: (P, …), of which the first of each pair is used, see `random_signs`.

    Returns:
        Two of (B,) float64. The trace may be negative.
    """
    inputs = inputs.detach().requires_grad_()
    loss = cross_entropy(network(inputs), labels).sum()
    (gradient,) = torch.autograd.grad(loss, inputs, create_graph=True)
    trace, square = torch.zeros(2, len(inputs), dtype=torch.float64, device=inputs.device)
    for pair in signs:
        direction = pair[0].to(inputs)
        (product,) = torch.autograd.grad(gradient, inputs, direction, retain_graph=True)
        # Squares of what float32 can just represent would be 0 in float32.
        trace += (direction * product).flatten(1).double().sum(dim=1)
        square += product.flatten(1).double().square().sum(dim=1)
    return trace / len(signs), (square / len(signs)).sqrt()


def curvature(
    network: Network,
    inputs: Tensor,
    labels: Tensor,
    signs: Tensor,
    estimators: Collection[str],
    step: float,
) -> dict[str, Tensor]:
    """All estimates that are asked for.

    Args:
        network: one model, in evaluation mode.
        inputs: (B, …), normalised.
        labels: (B,) int64.
        signs: (P, 2, B, …), on the device of the inputs.
        estimators: some of `CURVATURES`.
        step: of `finite_difference`.

    Returns:
        (B,) float64 by the name of the estimator.
    """
    found = {}
    if "finite_difference" in estimators:
        found["finite_difference"] = finite_difference(network, inputs, labels, signs, step)
    if {"trace", "frobenius"} & set(estimators):
        pair = trace_and_frobenius(network, inputs, labels, signs)
        found["trace"], found["frobenius"] = pair
    return {name: found[name] for name in estimators}
