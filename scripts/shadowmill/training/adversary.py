"""Adversarial regularisation within a stack: the attack networks and the data they learn from.

Legend: E models, B examples of a batch, K classes.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from shadowmill.defenses.adversarial import AttackNetworks
from shadowmill.seeds import seed_of
from shadowmill.training.batches import BatchSource, Pool
from shadowmill.training.spec import ModelSpec


class Adversary:
    """Attack networks that learn to tell members from validation examples, step by step."""

    def __init__(
        self,
        pool: Pool,
        specs: Sequence[ModelSpec],
        recipe: Mapping[str, Any],
        defense: Mapping[str, Any],
        steps_per_epoch: int,
        num_classes: int,
    ) -> None:
        """Draw the attack networks.

        Args:
            pool: the data on the device.
            specs: of the E models; their validation examples are the reference data.
            recipe: of the models; batches are of its size and augmented alike.
            defense: with `value` (λ) and `attack_steps`.
            steps_per_epoch: of the models.
            num_classes: K.
        """
        self._attack_steps, self._strength = defense["attack_steps"], defense["value"]
        self._sources = [
            BatchSource(
                pool,
                [seed_of(spec.seed, "adversary", side) for spec in specs],
                indices,
                recipe,
                steps_per_epoch * self._attack_steps,
            )
            for side, indices in (
                ("members", [spec.members for spec in specs]),
                ("reference", [spec.validation for spec in specs]),
            )
        ]
        attack_seeds = [seed_of(spec.seed, "adversary") for spec in specs]
        self._networks = AttackNetworks(attack_seeds, num_classes, pool.device)

    def learn(self, forward: Callable[[Tensor], Tensor], step: int) -> None:
        """Train the attack networks on what the models say now.

        Args:
            forward: from (E, B, …) inputs to (E, B, K) logits, without side effects.
            step: of the models.
        """
        for turn in range(step * self._attack_steps, (step + 1) * self._attack_steps):
            batches = [source.batch(turn) for source in self._sources]
            with torch.no_grad():
                logits = [forward(inputs).float() for inputs, _ in batches]
            (_, member_labels), (_, reference_labels) = batches
            self._networks.train_step(logits[0], member_labels, logits[1], reference_labels)

    def penalty(self, logits: Tensor, labels: Tensor) -> Tensor:
        """λ times the attack networks' gain on members, (E,)."""
        return self._strength * self._networks.gain(logits, labels)

    def state(self) -> dict[str, Tensor]:
        """All that a checkpoint needs."""
        return self._networks.state()

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Continue from a checkpoint."""
        self._networks.load(state)
