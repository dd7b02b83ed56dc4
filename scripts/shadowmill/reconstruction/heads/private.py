"""DP-SGD of heads within the span of their examples, with the conventions of opacus.

At each step an example takes part with probability q. Its gradient to all weights and biases is
clipped to norm C; the sum is given noise of standard deviation σC in every coordinate, and divided
by qN, the expected number of examples (Abadi et al. 2016, arXiv:1607.00133, Algorithm 1).

In the first layer, noise orthogonal to the examples moves no logit of theirs. So each step needs
its projection on their span alone: with K = XXᵀ and standard normals ξ, XᵀK⁻¹ᐟ²ξ has just that
distribution. The rest adds up to one Gaussian of known variance, drawn when weights are formed.

Legend: H heads, N examples of a set, J units of the first layer, T steps, R rows of J numbers, d
features.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from shadowmill.reconstruction.heads.draws import Key, for_purpose, normals
from shadowmill.reconstruction.heads.network import (
    Gradients,
    Outer,
    Parameters,
    kept_per_step,
    num_steps,
    num_units,
)
from shadowmill.seeds import generator

# Eigenvalues of K below this share of the largest are rounding errors: some examples are the same.
_SMALLEST_EIGENVALUE = 1e-10


class Privacy:
    """What takes the place of the mean gradient: sampling, clipping and noise."""

    def __init__(
        self,
        gram_HNN: Tensor,
        keys: Sequence[Key],
        attempts: Sequence[int],
        settings: Mapping[str, Any],
    ) -> None:
        """Draw for all steps.

        Args:
            gram_HNN: (H, N, N) float64, K of each head.
            keys: of the heads.
            attempts: of each head, 0 at first.
            settings: of the heads, with `privacy`.
        """
        privacy, steps = settings["privacy"], num_steps(settings)
        self._size = gram_HNN.shape[1]
        self._max_norm, rate = privacy["max_grad_norm"], privacy["sample_rate"]
        self._expected = rate * self._size
        self._std = privacy["noise_multiplier"] * self._max_norm / self._expected
        self._squares_HN1 = gram_HNN.diagonal(dim1=1, dim2=2)[..., None] + 1  # 1 for the bias
        self._inverse_root_HNN = power(gram_HNN, -0.5)
        sampled = [
            generator(*key).random((steps, self._size, 1)) < rate
            for key in for_purpose("sampling", keys, attempts)
        ]
        self._is_sampled_HTN1 = torch.from_numpy(np.stack(sampled)).to(gram_HNN.device)
        # A row for each example, the bias of the first layer and, if there is a second one, its
        # weights and its bias, of which one number is used.
        num_rows = self._size + (3 if settings["hidden"] else 1)
        shape = (steps, num_rows, num_units(settings))
        self._noise_HTRJ = normals(for_purpose("noise", keys, attempts), shape).to(gram_HNN.device)

    def gradient(self, of_examples: Gradients, step: int) -> Parameters:
        """The private gradient of a step.

        Args:
            of_examples: of all N examples.
            step: from 0 to T − 1.
        """
        squares_HN1 = self._squares_HN1 * of_examples.first_HNJ.square().sum(2, keepdim=True)
        if of_examples.outer_HNJ is not None:
            squares_HN1 += of_examples.outer_HNJ.square().sum(2, keepdim=True)
            squares_HN1 += of_examples.outer_bias_HN1.square()
        # A zero gradient gives C/0 = ∞, clamped to 1.
        clipping_HN1 = (self._max_norm / squares_HN1.sqrt()).clamp(max=1)
        total = of_examples.total(clipping_HN1 * self._is_sampled_HTN1[:, step] / self._expected)
        pairs = zip(total.tensors(), self._noise(step), strict=False)
        coefficients_HNJ, bias_H1J, *outer = (part + noise for part, noise in pairs)
        return Parameters(coefficients_HNJ, bias_H1J, Outer(*outer) if outer else None)

    def _noise(self, step: int) -> tuple[Tensor, ...]:
        """In the order of `Parameters.tensors`; what there is no second layer for means nothing."""
        noise_HRJ = self._noise_HTRJ[:, step].double() * self._std
        span_HNJ = self._inverse_root_HNN @ noise_HRJ[:, : self._size]
        bias_H1J = noise_HRJ[:, self._size : self._size + 1]
        return span_HNJ, bias_H1J, noise_HRJ[:, -2:-1].mT, noise_HRJ[:, -1:, :1]


def gram_in_double(features_HND: Tensor) -> Tensor:
    """K = XXᵀ of each head, (H, N, N), in float64 throughout: its inverse is needed."""
    features_HND = features_HND.double()
    return features_HND @ features_HND.mT


def power(gram_HNN: Tensor, exponent: float) -> Tensor:
    """Powers of positive semi-definite matrices on their range, symmetric and 0 outside it.

    Args:
        gram_HNN: (H, N, N) float64.
        exponent: negative for powers of the pseudo-inverse.

    Returns:
        (H, N, N) float64.
    """
    values_HN, vectors_HNN = torch.linalg.eigh(gram_HNN)
    is_zero_HN = values_HN <= _SMALLEST_EIGENVALUE * values_HN[:, -1:]
    powers_HN = values_HN.masked_fill(is_zero_HN, 1).pow(exponent).masked_fill(is_zero_HN, 0)
    return (vectors_HNN * powers_HN[:, None]) @ vectors_HNN.mT


def off_span_std(settings: Mapping[str, Any], num_examples: int) -> float:
    """Standard deviation of each coordinate of the first layer orthogonal to the examples.

    Args:
        settings: of the heads, with `privacy`.
        num_examples: N.

    Returns:
        ησC/(qN) · (Σ_{t<T} k^{2t})^½, as weight decay shrinks earlier noise by k at each step.
    """
    privacy, kept = settings["privacy"], kept_per_step(settings)
    of_step = settings["learning_rate"] * privacy["noise_multiplier"] * privacy["max_grad_norm"]
    of_step /= privacy["sample_rate"] * num_examples
    return of_step * math.sqrt(math.fsum(kept ** (2 * t) for t in range(num_steps(settings))))


def off_span_noise(
    features_HND: Tensor, keys: Sequence[Key], attempts: Sequence[int], settings: Mapping[str, Any]
) -> Tensor:
    """Standard normals projected on what is orthogonal to the examples.

    Args:
        features_HND: (H, N, d).
        keys: of the heads.
        attempts: of each head.
        settings: of the heads.

    Returns:
        (H, J, d) R − RXᵀK⁺X in the dtype and on the device of the features.
    """
    shape = (num_units(settings), features_HND.shape[2])
    noise_HJD = normals(for_purpose("off_span", keys, attempts), shape).to(features_HND)
    inverse_HNN = power(gram_in_double(features_HND), -1)
    inside_HJN = (noise_HJD @ features_HND.mT).double() @ inverse_HNN
    return noise_HJD.baddbmm_(inside_HJN.to(features_HND), features_HND, alpha=-1)
