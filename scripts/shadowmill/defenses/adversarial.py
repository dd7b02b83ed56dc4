"""Adversarial regularisation: each model is trained against an attack network of its own.

Nasr, Shokri and Houmansadr 2018, arXiv:1807.05852, Algorithm 1. In turns, the attack network h
learns to tell members from reference examples by maximising ½ E[log h] + ½ E[log(1 − h)], and the
model minimises its loss plus λ · E[log h] over its members.

Differs from the authors' code: networks start from PyTorch's initialisation instead of
N(0, 0.01²), which makes the first gradients so small that Adam magnifies rounding, and a model in a
stack would part from the same model alone. That code also has other sizes than the paper (label
branch K-128-64, a deeper joint part) and takes squared errors of h and raw logits; here sizes,
objective and posteriors are the paper's.

Legend: E models, B examples of a batch, K classes.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from shadowmill.optimizer_state import load_optimizer_state, optimizer_state
from shadowmill.seeds import seed_of

_LEARNING_RATE = 1e-3


class _AttackNetwork(nn.Module):
    """From a posterior (B, K) and a label, one-hot (B, K), to the logit of membership (B,)."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.posterior = nn.Sequential(*_layers(num_classes, 1024, 512, 64))
        self.label = nn.Sequential(*_layers(num_classes, 512, 64))
        # The last activation is a sigmoid, and part of the loss.
        self.joint = nn.Sequential(*_layers(128, 256, 64), nn.Linear(64, 1))

    def forward(self, posterior: Tensor, label: Tensor) -> Tensor:
        both = torch.cat([self.posterior(posterior), self.label(label)], dim=-1)
        return self.joint(both).squeeze(-1)


def _layers(*widths: int) -> list[nn.Module]:
    return [layer for pair in pairwise(widths) for layer in (nn.Linear(*pair), nn.ReLU())]


class AttackNetworks:
    """The attack networks of E models, and their optimiser (Adam, as in the paper)."""

    def __init__(self, seeds: Sequence[int], num_classes: int, device: torch.device) -> None:
        """Initialise each network from a seed alone; the global generator is left as it was.

        Args:
            seeds: one for each of the E models.
            num_classes: K.
            device: of the models.
        """
        networks = [_initialised(num_classes, seed) for seed in seeds]
        parameters, _ = stack_module_state(networks)
        self._network = networks[0].to("meta")
        self._num_classes = num_classes
        self._parameters = {
            name: tensor.detach().to(device).requires_grad_() for name, tensor in parameters.items()
        }
        # It acts on each element alone: one step on the stack is one step on each network.
        self._optimizer = torch.optim.Adam(self._parameters.values(), lr=_LEARNING_RATE)

    def train_step(
        self,
        member_logits: Tensor,
        member_labels: Tensor,
        reference_logits: Tensor,
        reference_labels: Tensor,
    ) -> None:
        """One step of all attack networks towards telling members from reference examples.

        Args:
            member_logits: (E, B, K) of the models on examples they train on; no gradient passes.
            member_labels: (E, B) int64.
            reference_logits: (E, B', K) on examples they do not train on; no gradient passes.
            reference_labels: (E, B') int64.
        """
        members = self._membership(self._parameters, member_logits.detach(), member_labels)
        others = self._membership(self._parameters, reference_logits.detach(), reference_labels)
        # log h and log(1 − h), where h is the sigmoid of what the networks return.
        gains = 0.5 * (F.logsigmoid(members).mean(dim=1) + F.logsigmoid(-others).mean(dim=1))
        self._optimizer.zero_grad()
        (-gains.sum()).backward()
        self._optimizer.step()

    def gain(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Mean log h over members: what the models, times λ, add to their losses.

        Args:
            logits: (E, B, K) on members; gradients pass to them and not to the attack networks.
            labels: (E, B) int64.

        Returns:
            (E,), at most 0; the nearer to 0, the more certain the attack is.
        """
        fixed = {name: tensor.detach() for name, tensor in self._parameters.items()}
        return F.logsigmoid(self._membership(fixed, logits, labels)).mean(dim=1)

    def _membership(
        self, parameters: Mapping[str, Tensor], logits: Tensor, labels: Tensor
    ) -> Tensor:
        """Logits of membership, (E, B)."""

        def one(parameters: dict[str, Tensor], posterior: Tensor, label: Tensor) -> Tensor:
            return functional_call(self._network, parameters, (posterior, label))

        one_hot = F.one_hot(labels, self._num_classes).to(logits.dtype)
        return vmap(one)(dict(parameters), logits.softmax(dim=2), one_hot)

    def state(self) -> dict[str, Tensor]:
        """All that resuming needs: parameters and, from the first step on, Adam's moments.

        Returns:
            Copies, under the names ``KIND/PARAMETER``.
        """
        state = {f"parameter/{n}": t.detach() for n, t in self._parameters.items()}
        state |= optimizer_state(self._optimizer, self._parameters)
        return {name: tensor.clone() for name, tensor in state.items()}

    @torch.no_grad()
    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what `state` returned, bit for bit.

        Args:
            state: tensors on any device.
        """
        moments = dict(state)
        for name, parameter in self._parameters.items():
            parameter.copy_(moments.pop(f"parameter/{name}"))
        load_optimizer_state(self._optimizer, self._parameters, moments)


def _initialised(num_classes: int, seed: int) -> _AttackNetwork:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(seed, "attack network"))
        return _AttackNetwork(num_classes)
