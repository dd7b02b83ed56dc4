"""Differentially private training (DP-SGD: Abadi et al. 2016, arXiv:1607.00133, Algorithm 1).

The gradient of each example is clipped to an L2 norm of at most C, the clipped ones are summed, and
Gaussian noise of standard deviation σC is added. If batches are Poisson samples, each example being
in each with probability q, T steps are (ε, δ)-differentially private with respect to adding or
removing one example.

The noise is pseudo-random and follows from the model's seed: the guarantee holds towards those who
do not know it, as suits experiments but no release of sensitive data.

Legend: B examples of a batch, b examples of a part of it, K classes.
"""

import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from opacus import GradSampleModule
from opacus.accountants import PRVAccountant, RDPAccountant
from opacus.accountants.utils import get_noise_multiplier
from torch import Tensor, nn

from shadowmill.errors import ConfigError
from shadowmill.memory import in_batches
from shadowmill.seeds import seed_of

# The accountant works with e^ε in double precision; somewhat above this it overflows.
_LARGEST_EPSILON = 500.0


@cache
def epsilon(noise_multiplier: float, sample_rate: float, steps: int, delta: float) -> float:
    """The ε of a training.

    By numerical composition (Gopi, Lee and Wutschitz 2021, arXiv:2106.02848), with opacus.

    Args:
        noise_multiplier: σ, at least 0.
        sample_rate: q in (0, 1].
        steps: T.
        delta: δ in (0, 1).

    Returns:
        An upper bound, at least 0, too large by about 0.02 or 0.2 % at most. Infinity above 500,
        which is more than the accountant can tell and no privacy anyhow.

    Raises:
        ConfigError: δ is too small for double precision.
    """
    if noise_multiplier == 0:
        return math.inf
    history = [(noise_multiplier, sample_rate, steps)]
    coarse, accountant = RDPAccountant(), PRVAccountant()
    coarse.history, accountant.history = history, history
    with _accounting(f"σ = {noise_multiplier:g}", sample_rate, steps, delta):
        error = _allowed_error(coarse.get_epsilon(delta))
        bound = float(accountant.get_epsilon(delta, eps_error=error))
    return max(bound, 0.0) if bound <= _LARGEST_EPSILON else math.inf


@cache  # models of a block ask for the same, and it takes seconds
def noise_multiplier(target_epsilon: float, sample_rate: float, steps: int, delta: float) -> float:
    """The smallest σ, nearly, with which a training is (ε, δ)-differentially private.

    Args:
        target_epsilon: ε.
        sample_rate: q in (0, 1].
        steps: T.
        delta: δ in (0, 1).

    Returns:
        σ, of which `epsilon` is the target to within about 0.02 or 0.2 %.

    Raises:
        ConfigError: no noise gives this ε, or the accountant cannot tell which does.
    """
    if target_epsilon > _LARGEST_EPSILON:
        raise ConfigError(
            f"DP-SGD with ε = {target_epsilon:g}: the noise can be found for ε up to "
            f"{_LARGEST_EPSILON:g}. Choose a smaller ε, or give the noise multiplier itself."
        )
    error = _allowed_error(target_epsilon)
    with _accounting(f"ε = {target_epsilon:g}", sample_rate, steps, delta):
        return get_noise_multiplier(
            target_epsilon=target_epsilon,
            target_delta=delta,
            sample_rate=sample_rate,
            steps=steps,
            accountant="prv",
            epsilon_tolerance=error,
            eps_error=error,
        )


def noise_of(defense: Mapping[str, Any], sample_rate: float, steps: int) -> float:
    """The σ of a training.

    Args:
        defense: settings of dp_sgd, whose value is σ itself or an ε.
        sample_rate: q in (0, 1].
        steps: T.

    Raises:
        ConfigError: as `noise_multiplier`.
    """
    if defense["strength"] == "noise_multiplier":
        return defense["value"]
    return noise_multiplier(defense["value"], sample_rate, steps, defense["delta"])


def _allowed_error(epsilon: float) -> float:
    """How exact an ε of this size need be.

    The accountant's grid is the finer the smaller this is: at a fixed one, large ε take gigabytes.
    """
    return max(0.01, epsilon / 1000)


@contextmanager
def _accounting(asked: str, sample_rate: float, steps: int, delta: float) -> Iterator[None]:
    """Turn the accountants' errors into one of ours, and silence their warnings.

    Those say that RDP has too few orders, which here only sets the size of a grid, and that e^ε
    overflows, which the result shows too.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (ValueError, RuntimeError) as error:
        raise ConfigError(
            f"DP-SGD with {asked} over {steps} steps at sampling rate {sample_rate:g} and "
            f"δ = {delta:g}: the accountant finds no answer ({error}) Choose a larger ε or δ."
        ) from error


class PrivateGradients:
    """Clipped, summed and noisy gradients of one model."""

    def __init__(
        self,
        module: nn.Module,
        max_grad_norm: float,
        noise_multiplier: float,
        expected_batch_size: float,
        seed: int,
        physical_batch: int,
    ) -> None:
        """Hook into the module.

        Args:
            module: the network, on its device and in training mode, with GroupNorm instead of
                BatchNorm and no activations in place. Its weights are overwritten.
            max_grad_norm: C.
            noise_multiplier: σ.
            expected_batch_size: q times the number of members, by which sums are divided: the size
                of the batch itself would tell who is in it.
            seed: of the model.
            physical_batch: of so many examples per-example gradients are held at a time, or of
                fewer where memory is too small.
        """
        self._module = GradSampleModule(module, loss_reduction="sum")
        self._parameters = dict(module.named_parameters())
        self._max_grad_norm, self._noise_multiplier = max_grad_norm, noise_multiplier
        self._expected_batch_size = expected_batch_size
        self._seed, self._physical_batch = seed, physical_batch

    def __call__(
        self,
        weights: Mapping[str, Tensor],
        masks: Mapping[str, Tensor],
        inputs: Tensor,
        labels: Tensor,
        step: int,
        label_smoothing: float,
    ) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """Private gradients of one batch.

        Args:
            weights: of the forward pass, for every parameter of the module.
            masks: of some parameters, 0 or False where no gradient shall pass. Gradients are masked
                before they are clipped, so that what is thrown away takes nothing from the norm.
            inputs: (B, …); B may be 0, which leaves the noise alone.
            labels: (B,) int64.
            step: of the training; the noise follows from it and the seed, so resuming needs no
                state. Devices of one kind draw the same.
            label_smoothing: as in `shadowmill.defenses.losses.cross_entropy`.

        Returns:
            Gradients by name of the parameter, the losses (B,) in nats, and whether each prediction
            was correct, (B,) bool.
        """
        with torch.no_grad():
            for name, parameter in self._parameters.items():
                parameter.copy_(weights[name])
        sums = {name: torch.zeros_like(weights[name]) for name in self._parameters}
        losses = inputs.new_zeros(len(labels))
        correct = torch.zeros_like(labels, dtype=torch.bool)

        def add(part: slice) -> None:
            losses[part], correct[part] = self._backward(
                inputs[part], labels[part], label_smoothing
            )
            for name, clipped in self._clipped_sums(masks).items():
                sums[name] += clipped

        self._physical_batch = in_batches(add, 0, len(labels), self._physical_batch)
        return self._noisy(sums, masks, step), losses, correct

    def _backward(
        self, inputs: Tensor, labels: Tensor, label_smoothing: float
    ) -> tuple[Tensor, Tensor]:
        """Give every parameter its per-example gradients; losses and hits, (b,) each."""
        self._module.zero_grad()
        logits = self._module(inputs)
        losses = F.cross_entropy(logits, labels, reduction="none", label_smoothing=label_smoothing)
        with warnings.catch_warnings():
            # The hook of the first layer says that inputs get no gradients: none are wanted.
            warnings.filterwarnings("ignore", message="Full backward hook is firing")
            losses.sum().backward()
        return losses.detach(), logits.argmax(dim=1) == labels

    @torch.no_grad()
    def _clipped_sums(self, masks: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Sum over examples of gradients clipped to norm C over all parameters together."""
        gradients = {
            name: parameter.grad_sample * masks[name] if name in masks else parameter.grad_sample
            for name, parameter in self._parameters.items()
        }
        squares = [gradient.flatten(1).square().sum(dim=1) for gradient in gradients.values()]
        norms = torch.stack(squares).sum(dim=0).sqrt()
        # A zero gradient gives C/0 = ∞, clamped to 1.
        factors = (self._max_grad_norm / norms).clamp(max=1)
        return {n: torch.einsum("b,b...->...", factors, g) for n, g in gradients.items()}

    def _noisy(
        self, sums: dict[str, Tensor], masks: Mapping[str, Tensor], step: int
    ) -> dict[str, Tensor]:
        device = next(iter(sums.values())).device
        random = torch.Generator(device).manual_seed(seed_of(self._seed, "noise", step))
        std = self._noise_multiplier * self._max_grad_norm
        gradients = {}
        for name, total in sums.items():
            noise = std * torch.randn(
                total.shape, generator=random, device=device, dtype=total.dtype
            )
            noise = noise * masks[name] if name in masks else noise
            gradients[name] = (total + noise) / self._expected_batch_size
        return gradients
