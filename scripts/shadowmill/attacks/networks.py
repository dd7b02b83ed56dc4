"""Attacks that train a network on the shadows to tell members from non-members.

Shokri et al. (2017), "Membership inference attacks against machine learning models",
arXiv:1610.05820; Salem et al. (2019), "ML-Leaks", arXiv:1806.01246, for the top three posteriors;
Yuan and Zhang (2022), "Membership inference attacks and defenses in neural network pruning",
arXiv:2202.03335, for the self-attention attack (SAMIA). Networks and training are those of the code
published with the last, but for three things: members and non-members are balanced in every epoch,
an epoch has no more pairs than `PAIRS_PER_EPOCH`, and the epoch to keep is chosen on held-out
shadows (that code keeps the last one).

Everything random follows from the attack and the names of the shadows that it learns from.

Legend: M shadows, T targets, N examples of the pool, P pairs of a model and an example,
K classes, D inputs of the attack network.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shadowmill.attacks.bank import ScoreBank
from shadowmill.errors import TrainingError
from shadowmill.seeds import generator, seed_of

if TYPE_CHECKING:  # the workflow reads the names of the attacks while it is parsed: no torch then
    import torch
    from torch import Tensor, nn

Kind = Literal["nn", "nn_top3", "nn_cls", "samia"]

EPOCHS = 100
PAIRS_PER_EPOCH = 135_000
"""The published attack on CIFAR-10 learns from as many: five shadows, 13,500 of either role each.
Of a larger bank every epoch draws its own."""

_BATCH_SIZE = 128
_LEARNING_RATE, _MOMENTUM, _WEIGHT_DECAY = 1e-3, 0.9, 5e-4
_DROPOUT = 0.2
_VALIDATION_PART = 5  # one in five
_MIN_SHADOWS_TO_HOLD_OUT = 3
_SCORING_BATCH_SIZE = 1024  # attention over 100 classes then takes 160 MB per layer

Float = NDArray[np.float64]
Index = NDArray[np.intp]


def network_attack(
    shadows: ScoreBank, targets: ScoreBank, kind: Kind, device: str = "auto", threads: int = 1
) -> Float:
    """Score every example for membership in each target, by a network trained on the shadows.

    - ``nn``: the posterior p (K) into a multilayer perceptron.
    - ``nn_top3``: its three largest entries, in falling order, into the same.
    - ``nn_cls``: p and the true class, one-hot (2K), into the same.
    - ``samia``: p, its sensitivity and the true class (3K) into self-attention over the classes.

    Every fifth shadow, at least one, is held out to choose the epoch; of one or two shadows, a
    fifth of the examples instead. Pairs of a shadow and an example that is neither member nor
    non-member are left out. The learning rate falls to a tenth after half and after three quarters
    of the `EPOCHS`.

    Args:
        shadows: bank of the M shadows, with `logits`; ``nn_cls`` and ``samia`` want `labels` too,
            ``samia`` also `sensitivity`.
        targets: bank of the T targets, likewise.
        kind: which network.
        device: `auto`, `cpu` or `cuda`.
        threads: CPU threads.

    Returns:
        (T, N) float64, logit of member minus logit of non-member, higher = more likely a member.

    Raises:
        ValueError: a bank lacks a statistic, or the shadows learned from or held out have no
            members or no non-members.
        TrainingError: the network diverged.
        ConfigError: `cuda` was asked for and there is none.
    """
    where = _claimed(device, threads)
    _inputs(targets, np.arange(1), kind, where)  # what they lack shall not show after the training
    network = _trained(shadows, kind, where)
    pairs = np.arange(targets.member_MN.size)
    logits = _logits(network, targets, pairs, kind, where).double().cpu().numpy()
    return (logits[:, 1] - logits[:, 0]).reshape(targets.member_MN.shape)


def multilayer_perceptron(num_inputs: int) -> nn.Sequential:
    """The network of the ``nn`` attacks: D-512-256-128-2, ReLU, dropout after the first two.

    Args:
        num_inputs: D.

    Returns:
        (P, D) float32 to logits (P, 2): non-member, member.
    """
    from torch import nn

    widths = (num_inputs, 512, 256, 128)
    hidden = [(nn.Linear(*pair), nn.ReLU(), nn.Dropout(_DROPOUT)) for pair in pairwise(widths)]
    # No dropout before the last layer.
    layers = [layer for block in hidden for layer in block][:-1]
    return nn.Sequential(*layers, nn.Linear(128, 2))


def self_attention(num_classes: int) -> nn.Sequential:
    """The network of SAMIA: each class is a token of three features; no positional encoding.

    Args:
        num_classes: K.

    Returns:
        (P, 3K) float32, the features of a class side by side, to logits (P, 2): non-member,
        member.
    """
    from torch import nn

    width = 64
    layer = nn.TransformerEncoderLayer(
        width, nhead=4, dim_feedforward=128, dropout=_DROPOUT, activation="gelu", batch_first=True
    )
    return nn.Sequential(
        nn.BatchNorm1d(3 * num_classes),
        nn.Unflatten(1, (num_classes, 3)),
        nn.Linear(3, width),
        nn.GELU(),
        nn.TransformerEncoder(layer, num_layers=3, enable_nested_tensor=False),
        nn.Flatten(),
        nn.Linear(num_classes * width, width),
        nn.ReLU(),
        nn.Linear(width, 2),
    )


@cache  # on a machine with several GPUs each claim takes another one
def _claimed(device: str, threads: int) -> torch.device:
    from shadowmill import devices

    return devices.claim(device, threads)


class _Pairs(NamedTuple):
    """Positions in the raveled role matrix."""

    members: Index
    nonmembers: Index

    @classmethod
    def of(cls, bank: ScoreBank, allowed_MN: NDArray[np.bool_], purpose: str) -> _Pairs:
        pairs = cls(
            np.flatnonzero(bank.member_MN & allowed_MN),
            np.flatnonzero(bank.nonmember_MN & allowed_MN),
        )
        if not (pairs.members.size and pairs.nonmembers.size):
            names = [bank.names[model] for model in np.flatnonzero(allowed_MN.any(axis=1))]
            raise ValueError(
                f"the {purpose} of an attack network has {pairs.members.size} members and "
                f"{pairs.nonmembers.size} non-members of {', '.join(names) or 'no shadow'}, "
                "expected some of both; give the shadows members and non-members, or more of them"
            )
        return pairs

    def balanced(self, limit: int, *key: str | int) -> Index:
        """As many members as non-members, at most `limit` in all, without repetition, shuffled."""
        random = generator(*key)
        count = min(len(self.members), len(self.nonmembers), limit // 2)
        return random.permutation(
            np.concatenate([random.choice(side, count, replace=False) for side in self])
        )


def _split(bank: ScoreBank, *key: str | int) -> NDArray[np.bool_]:
    """Which pairs choose the epoch of a network, (M, N); it learns from the others."""
    num_models, num_examples = bank.member_MN.shape
    validation_MN = np.zeros((num_models, num_examples), dtype=bool)
    if num_models >= _MIN_SHADOWS_TO_HOLD_OUT:
        validation_MN[-max(1, num_models // _VALIDATION_PART) :] = True
    else:
        order_N = generator(*key, "validation examples").permutation(num_examples)
        validation_MN[:, order_N[: num_examples // _VALIDATION_PART]] = True
    return validation_MN


def _inputs(bank: ScoreBank, pairs: Index, kind: Kind, device: torch.device) -> Tensor:
    """What the network of an attack sees of some pairs, (P, D) float32 on the device."""
    import torch
    import torch.nn.functional as F

    def rows(statistic_MNK: NDArray[np.float32]) -> Tensor:
        flat = statistic_MNK.reshape(-1, statistic_MNK.shape[-1])
        return torch.from_numpy(flat[pairs]).to(device)

    posterior = rows(bank["logits"]).double().softmax(dim=1).float()
    num_classes = posterior.shape[1]
    if kind == "nn":
        return posterior
    if kind == "nn_top3":
        return posterior.topk(min(3, num_classes)).values
    classes = torch.from_numpy(bank["labels"][pairs % len(bank["labels"])]).to(device)
    label = F.one_hot(classes, num_classes).float()
    if kind == "nn_cls":
        return torch.cat([posterior, label], dim=1)
    tokens = torch.stack([posterior, rows(bank["sensitivity"]).float(), label], dim=2)
    return tokens.flatten(start_dim=1)


def _initialised(kind: Kind, num_inputs: int, seed: int) -> nn.Sequential:
    """A new network, initialised as published; the global generators are left as they were."""
    import torch
    from torch import nn

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        if kind == "samia":
            network = self_attention(num_inputs // 3)
        else:
            network = multilayer_perceptron(num_inputs)
        for module in network.modules():
            # The projection out of attention is a subclass and keeps torch's own initialisation.
            if type(module) is nn.Linear:
                nn.init.xavier_normal_(module.weight)
                nn.init.zeros_(module.bias)
    return network


def _trained(bank: ScoreBank, kind: Kind, device: torch.device) -> nn.Sequential:
    """The network of an attack at its best epoch, in evaluation mode."""
    import torch
    import torch.nn.functional as F
    from torch.nn.attention import SDPBackend, sdpa_kernel

    from shadowmill import progress

    key = ("attack network", kind, *map(str, bank.names))
    validation_MN = _split(bank, *key)
    training = _Pairs.of(bank, ~validation_MN, "training set")
    held_out = _Pairs.of(bank, validation_MN, "validation set")
    held_out_pairs = held_out.balanced(PAIRS_PER_EPOCH // _VALIDATION_PART, *key, "validation")
    is_member = torch.from_numpy(bank.member_MN).long().to(device).ravel()

    num_inputs = _inputs(bank, held_out_pairs[:1], kind, device).shape[1]
    network = _initialised(kind, num_inputs, seed_of(*key, "initialisation")).to(device)
    optimizer = torch.optim.SGD(
        network.parameters(), lr=_LEARNING_RATE, momentum=_MOMENTUM, weight_decay=_WEIGHT_DECAY
    )
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [EPOCHS // 2, EPOCHS * 3 // 4])
    on_gpu = device.type == "cuda"
    source = torch.cuda.default_generators[device.index] if on_gpu else torch.default_generator
    lowest, best = torch.inf, None
    # The plain form of attention, as the gradients of the fused ones vary from run to run on GPUs.
    with (
        torch.random.fork_rng(devices=[device] if on_gpu else []),
        sdpa_kernel(SDPBackend.MATH),
    ):
        for epoch in progress.bar(range(EPOCHS), desc=f"attack network {kind}", unit="epoch"):
            source.manual_seed(seed_of(*key, "dropout", epoch))
            pairs = training.balanced(PAIRS_PER_EPOCH, *key, "pairs", epoch)
            inputs = _inputs(bank, pairs, kind, device)
            _learn(network, optimizer, inputs, is_member[pairs])
            schedule.step()
            logits = _logits(network, bank, held_out_pairs, kind, device)
            loss = F.cross_entropy(logits, is_member[held_out_pairs])
            if loss < lowest:
                lowest = loss
                best = {name: value.clone() for name, value in network.state_dict().items()}
    if best is None:
        raise TrainingError(
            f"the network of the attack {kind} diverged: its validation loss was never finite. "
            "Look for extreme logits or sensitivities in the score files, or leave the attack out."
        )
    network.load_state_dict(best)
    return network


def _learn(
    network: nn.Sequential, optimizer: torch.optim.Optimizer, inputs: Tensor, roles: Tensor
) -> None:
    """One epoch: inputs (P, D) in the order given, roles (P,) 1 for members."""
    import torch.nn.functional as F

    network.train()
    for batch, role_B in zip(inputs.split(_BATCH_SIZE), roles.split(_BATCH_SIZE), strict=True):
        optimizer.zero_grad()
        F.cross_entropy(network(batch), role_B).backward()
        optimizer.step()


def _logits(
    network: nn.Sequential, bank: ScoreBank, pairs: Index, kind: Kind, device: torch.device
) -> Tensor:
    """Of non-member and member, (P, 2) float32."""
    import torch

    network.eval()
    parts = []
    with torch.no_grad():
        for start in range(0, len(pairs), _SCORING_BATCH_SIZE):
            some = pairs[start : start + _SCORING_BATCH_SIZE]
            parts.append(network(_inputs(bank, some, kind, device)))
    return torch.cat(parts)
