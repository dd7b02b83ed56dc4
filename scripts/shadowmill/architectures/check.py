"""Whether a network of the user's own can be trained and attacked: one batch, on the CPU.

Legend: B examples of a batch, K classes, E models.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn.modules.batchnorm import _BatchNorm

from shadowmill.architectures.noise import noise_keys
from shadowmill.architectures.own import STACKED_BELOW, told
from shadowmill.errors import ConfigError, some
from shadowmill.pruning.masks import PREFIX

_BATCH = 4

Build = Callable[..., nn.Module]
"""From a seed, and perhaps `group_norm`, to a network in training mode."""


@dataclass(frozen=True)
class Facts:
    """What is known of a network once it was built.

    Attributes:
        num_parameters: how many numbers it learns.
        batch_norm: whether it has any BatchNorm layer.
        not_stacked: why its models cannot be trained in lock-step; "" if they can be.
        unused: parameters that no gradient reaches.
    """

    num_parameters: int
    batch_norm: bool
    not_stacked: str
    unused: tuple[str, ...]

    @property
    def stacked(self) -> bool:
        """Whether its models are trained in lock-step if nothing else is asked for."""
        return not self.not_stacked and self.num_parameters < STACKED_BELOW

    def notes(self) -> Iterator[str]:
        """What the user should know, in words."""
        if self.not_stacked:
            yield f"its models are trained one after the other, as {self.not_stacked}"
        if self.unused:
            yield f"no gradient reaches {some(self.unused)}, so they stay as they are initialised"


def check(
    build: Build,
    input_shape: Sequence[int],
    num_classes: int,
    require_prunable: Callable[[nn.Module], Any] | None = None,
    private: bool = False,
    file: str | None = None,
) -> Facts:
    """Try a network out.

    Args:
        build: makes it.
        input_shape: of one example.
        num_classes: K.
        require_prunable: if it is to be pruned: what raises ConfigError if it cannot be.
        private: whether it is to be trained with DP-SGD.
        file: the user's file, for messages.

    Raises:
        ConfigError: all that is wrong, in one message.
    """
    network = build(0)
    faults = list(_parameter_faults(network))
    inputs = torch.randn(_BATCH, *input_shape, generator=torch.Generator().manual_seed(0))
    if not faults:
        try:
            faults += [
                *_output_faults(network, inputs, num_classes),
                *_random_faults(build, inputs),
                *_gradient_faults(build(0), inputs),
            ]
        except (Exception, SystemExit) as error:  # whatever the user's code raises
            faults.append(
                f"its forward pass fails for inputs {_shape(inputs)}: {told(error, file)}"
            )
    if not faults:
        if require_prunable:
            faults += _pruning_faults(build(0), require_prunable)
        if private:
            faults += _private_faults(build, inputs, num_classes, file)
    if faults:
        raise ConfigError("; ".join(faults) + ".")
    unused = _unused(build(0), inputs, num_classes)
    return Facts(
        sum(parameter.numel() for parameter in network.parameters()),
        any(isinstance(layer, _BatchNorm) for layer in network.modules()),
        _why_not_stacked(build, inputs),
        unused,
    )


def _shape(tensor: Tensor) -> str:
    return f"({', '.join(map(str, tensor.shape))})"


def _parameter_faults(network: nn.Module) -> Iterator[str]:
    parameters = dict(network.named_parameters())
    if not parameters:
        yield "it has no parameters to train"
    lazy = [
        name
        for name, tensor in network.state_dict(keep_vars=True).items()
        if nn.parameter.is_lazy(tensor)
    ]
    if lazy:
        yield f"{some(lazy)} have no size yet: give layers their sizes instead of Lazy ones"
        return
    other = [name for name, tensor in parameters.items() if tensor.dtype != torch.float32]
    if other:
        yield f"{some(other)} are {parameters[other[0]].dtype}, float32 expected; see `precision`"
    frozen = [name for name, tensor in parameters.items() if not tensor.requires_grad]
    if frozen:
        yield f"{some(frozen)} are frozen, which is not supported: all weights would be trained"
    saved = {*network.state_dict(), *noise_keys(network)}
    unsaved = [name for name, _ in network.named_buffers() if name not in saved]
    if unsaved:
        yield f"{some(unsaved)} are buffers that are not saved: make them persistent"
    taken = [name for name in saved if name.startswith(PREFIX)]
    if taken:
        yield f"{some(taken)}: the name mask is taken for those of pruning, choose another"
    every = [name for name, _ in network.named_parameters(remove_duplicate=False)]
    shared = [name for name in every if name not in parameters]
    if shared:
        yield f"{some(shared)} are shared with other layers, which is not supported"


@torch.no_grad()
def _output_faults(network: nn.Module, inputs: Tensor, num_classes: int) -> Iterator[str]:
    network.eval()
    given = inputs.clone()
    outputs = network(given)
    if not torch.equal(given, inputs):
        yield "it changes its inputs in place: write x = 2 * x instead of x *= 2"
        return
    if not isinstance(outputs, Tensor):
        yield (
            f"it gives a {type(outputs).__name__}, a tensor of logits expected; wrap it in a "
            "module that returns these alone"
        )
        return
    if outputs.shape != (len(inputs), num_classes):
        found = f"it gives {_shape(outputs)}, logits ({len(inputs)}, {num_classes}) expected"
        if outputs.numel() == len(inputs):
            found += ": for two classes give two logits, not one"
        yield found
        return
    if not outputs.isfinite().all():
        yield "its outputs are no finite numbers before any training"
        return
    louder = network(100 * inputs)
    if all(((out >= 0) & (out <= 1)).all() for out in (outputs, louder)):
        sums = torch.allclose(outputs.sum(dim=1), torch.ones(len(outputs)), atol=1e-4)
        if sums:
            yield "it gives probabilities, logits expected: remove the softmax at its end"
        else:
            yield (
                "it gives numbers from 0 to 1 as of a sigmoid, logits expected: remove it if each "
                "example has one label; several labels for an example are not supported"
            )
    if not torch.equal(network(inputs), outputs):
        yield "in evaluation mode it gives other outputs for the same inputs each time"
    elif not torch.allclose(network(inputs[1:2]), outputs[1:2], rtol=1e-3, atol=1e-4):
        yield "in evaluation mode what it says of an example depends on the others of its batch"


def _random_faults(build: Build, inputs: Tensor) -> Iterator[str]:
    """Random numbers that do not follow from the model's seed and keys."""
    one, other = build(1).state_dict(), build(1).state_dict()
    drawn = [name for name in one if not torch.equal(one[name], other[name])]
    if drawn:
        yield (
            f"{some(drawn)} start otherwise each time: draw initial weights from torch's own "
            "generator, whose seed is set"
        )
    elif all(torch.equal(one[name], tensor) for name, tensor in build(2).state_dict().items()):
        yield (
            "its initial weights are the same for every seed, so all models would start alike: let "
            "each call build new layers, and set no seed"
        )
    network = build(0)
    consumers = _consumers(network, inputs)
    if consumers:
        yield (
            f"{some(consumers)} draw random numbers while training that would depend on the other "
            "models of a job: use nn.Dropout, nn.Dropout2d or torchvision's StochasticDepth, which "
            "are replaced by layers drawn from keys, and set the dropout of other layers to 0"
        )
        return
    # With keys, dropout draws the same again. Two networks, as one may keep what it was given.
    twins = build(0), build(0)
    states = random.getstate(), np.random.get_state()  # noqa: NPY002  as the user's code may
    outputs = [twin(inputs) for twin in twins]
    again = twins[0](inputs)
    is_other = random.getstate() != states[0] or any(
        not np.array_equal(a, b)
        for a, b in zip(np.random.get_state(), states[1], strict=True)  # noqa: NPY002
    )
    if is_other or (isinstance(outputs[0], Tensor) and not torch.equal(*outputs)):
        yield "while training it draws random numbers from elsewhere than its layers of dropout"
    elif isinstance(again, Tensor) and not torch.equal(again, outputs[0]):
        yield (
            "while training it gives other outputs for the same inputs each time, though it draws "
            "no random numbers: it keeps something from one forward pass to the next"
        )


def _consumers(network: nn.Module, inputs: Tensor) -> list[str]:
    """The innermost layers that draw from torch's generator in a forward pass."""
    before: dict[str, Tensor] = {}
    found: list[str] = []

    def enter(name: str) -> Callable[..., None]:
        def note(*_: Any) -> None:
            before[name] = torch.get_rng_state()

        return note

    def leave(name: str, layer: nn.Module) -> Callable[..., None]:
        def compare(*_: Any) -> None:
            is_inner = not any(other.startswith(f"{name}.") or not name for other in found)
            if is_inner and not torch.equal(before[name], torch.get_rng_state()):
                found.append(name or type(layer).__name__)

        return compare

    with torch.random.fork_rng(devices=[]):
        handles = []
        for name, layer in network.named_modules():
            handles.append(layer.register_forward_pre_hook(enter(name)))
            handles.append(layer.register_forward_hook(leave(name, layer)))
        network(inputs)
        for handle in handles:
            handle.remove()
    return found


def _gradient_faults(network: nn.Module, inputs: Tensor) -> Iterator[str]:
    outputs = network(inputs)
    if not isinstance(outputs, Tensor):
        yield (
            f"while training it gives a {type(outputs).__name__}, a tensor of logits expected: "
            "leave auxiliary outputs out (aux_logits)"
        )
    elif not outputs.requires_grad:
        yield "what it gives has no gradient, so it cannot be trained"


def _pruning_faults(
    network: nn.Module, require_prunable: Callable[[nn.Module], Any]
) -> Iterator[str]:
    try:
        require_prunable(network)
    except ConfigError as error:
        yield str(error).rstrip(".")


def _private_faults(
    build: Build, inputs: Tensor, num_classes: int, file: str | None
) -> Iterator[str]:
    # Not before it is needed: opacus takes seconds to import.
    from opacus.validators import ModuleValidator

    from shadowmill.defenses.private import PrivateGradients

    labels = torch.arange(len(inputs)) % num_classes
    try:
        network = build(0, group_norm=True)
        faults = [str(fault).splitlines()[0] for fault in ModuleValidator.validate(network)]
        if faults:
            yield f"DP-SGD cannot train it: {some(faults)}"
            return
        weights = {name: tensor.detach().clone() for name, tensor in network.named_parameters()}
        gradients = PrivateGradients(network, 1.0, 0.0, len(inputs), 0, len(inputs))
        gradients(weights, {}, inputs, labels, 0, 0.0)
    except Exception as error:  # opacus' hooks, or the user's code under them
        yield (
            "DP-SGD needs the gradient of each example, which this network does not give: "
            f"{told(error, file)}"
        )


def _unused(network: nn.Module, inputs: Tensor, num_classes: int) -> tuple[str, ...]:
    labels = torch.arange(len(inputs)) % num_classes
    F.cross_entropy(network(inputs), labels).backward()
    return tuple(name for name, tensor in network.named_parameters() if tensor.grad is None)


def _why_not_stacked(build: Build, inputs: Tensor) -> str:
    """Why two models cannot be trained as one; "" if they can."""
    models = [build(seed) for seed in (0, 1)]
    alone = torch.stack([model(inputs) for model in models])
    models = [build(seed) for seed in (0, 1)]
    parameters, buffers = stack_module_state(models)
    module = models[0].to("meta").train()

    def one(parameters: dict[str, Tensor], buffers: dict[str, Tensor], inputs: Tensor) -> Tensor:
        return functional_call(module, (parameters, buffers), (inputs,))

    both = inputs.expand(2, *inputs.shape)
    try:
        together = vmap(one)(parameters, buffers, both)
        together.sum().backward()
    except Exception as error:  # torch's word for: not under vmap
        reason = " ".join(str(error).split()) or type(error).__name__
        return f"vmap cannot run it ({reason[:200]})"
    if not torch.allclose(together, alone, rtol=1e-3, atol=1e-4):
        return "it gives other outputs in a stack than alone"
    return ""
