"""The training of a backbone, step by step, in phases.

Legend: B examples of a batch, K outputs; images are S × S pixels with C channels.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shadowmill.architectures.noise import KeyedDropout
from shadowmill.architectures.structure import structure
from shadowmill.errors import TrainingError
from shadowmill.optimizer_state import load_optimizer_state, optimizer_state
from shadowmill.reconstruction.backbones import BACKBONES, build
from shadowmill.reconstruction.backbones.augmentation import augmented
from shadowmill.reconstruction.backbones.examples import Examples
from shadowmill.reconstruction.backbones.files import BackboneFile, load_weights
from shadowmill.reconstruction.backbones.networks import FeatureNetwork
from shadowmill.reconstruction.images import normalised, resized
from shadowmill.seeds import generator, seed_of
from shadowmill.training import steps_per_epoch
from shadowmill.training.batches import example_order
from shadowmill.training.forward import autocast

# Images of one forward pass in evaluation.
_IMAGES_PER_PASS = {"cpu": 64, "cuda": 512}


class _Phase:
    """A phase of the training: which steps are its, and with what they are taken."""

    def __init__(self, settings: Mapping[str, Any], first_step: int, num_examples: int) -> None:
        self.layers, self.batch_size = settings["layers"], settings["batch_size"]
        self.is_batch_norm_frozen = settings["freeze_batch_norm"]
        self.learning_rate = settings["learning_rate"]
        self.weight_decay = settings["weight_decay"]
        self.steps_per_epoch = steps_per_epoch(num_examples, self.batch_size)
        self.first_step = first_step
        self.stop_step = first_step + settings["epochs"] * self.steps_per_epoch

    def set_modes(self, network: FeatureNetwork) -> None:
        """Training mode for what is trained, evaluation mode for the rest."""
        network.train()
        network.body.train(self.layers == "all")
        if self.is_batch_norm_frozen:
            for layer in _batch_norms(network):
                layer.eval()

    def trained(self, network: FeatureNetwork) -> list[nn.Parameter]:
        """What is trained."""
        module = network if self.layers == "all" else network.last
        frozen = _batch_norms(network) if self.is_batch_norm_frozen else []
        left_out = {id(p) for layer in frozen for p in layer.parameters()}
        return [p for p in module.parameters() if id(p) not in left_out]


def _batch_norms(network: nn.Module) -> list[nn.BatchNorm2d]:
    return [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]


class Pretrainer:
    """A backbone with its optimiser, at some step of its training (see `checkpoint.Trainer`)."""

    def __init__(self, examples: Examples, settings: Mapping[str, Any]) -> None:
        """Initialise the network.

        Args:
            examples: to learn from.
            settings: as for `backbones.training.pretrain`.

        Raises:
            ArtefactError: the weights to start from are missing, damaged, or of another network.
        """
        self._examples, self._settings = examples, settings
        self._row = BACKBONES[settings["architecture"]]
        self._seed = seed_of("backbone", settings["seed"])
        self._size = settings["image_size"] or examples.images.shape[1]
        self._device = examples.images.device
        self._network = self._build().to(self._device, memory_format=torch.channels_last)
        self._noise = [m for m in self._network.modules() if isinstance(m, KeyedDropout)]
        self._phases: list[_Phase] = []
        first_step = 0
        for phase in settings["phases"]:
            self._phases.append(_Phase(phase, first_step, len(examples.train_R)))
            first_step = self._phases[-1].stop_step
        self.total_steps = first_step
        self.step = 0
        self.seconds = 0.0
        self.history: dict[str, list[float]] = {}
        # Sums of loss and accuracy over the steps of an epoch, on the device: no step waits.
        self._running = torch.zeros(2, dtype=torch.float64, device=self._device)
        self._optimizer: torch.optim.Adam | None = None
        self._order_epoch: tuple[int, int] | None = None

    def _build(self) -> FeatureNetwork:
        name, weights = self._settings["architecture"], self._settings["weights"]
        channels = self._row.num_channels(self._examples.images.shape[-1])
        network = build(name, channels, self._examples.num_outputs, self._seed)
        if weights is not None:
            load_weights(network, weights, name)
        return network

    @property
    def _named(self) -> dict[str, nn.Parameter]:
        return dict(self._network.named_parameters())

    @property
    def is_finished(self) -> bool:
        """Whether all steps were taken."""
        return self.step >= self.total_steps

    @property
    def _phase_index(self) -> int:
        return next(i for i, phase in enumerate(self._phases) if self.step < phase.stop_step)

    @property
    def steps_per_epoch(self) -> int:
        """Of the present phase; of the last one at the end."""
        return self._phases[-1 if self.is_finished else self._phase_index].steps_per_epoch

    def progress(self) -> dict[str, str]:
        """The latest epoch."""
        return {name: f"{values[-1]:.3f}" for name, values in self.history.items()}

    def train_step(self) -> None:
        """One step of Adam."""
        index = self._phase_index
        phase = self._phases[index]
        if self.step == phase.first_step or self._optimizer is None:
            self._begin(phase)
        epoch, within = divmod(self.step - phase.first_step, phase.steps_per_epoch)
        rows = self._rows(index, epoch, within)
        self._draw_noise_keys()
        with autocast(self._device, {}):
            logits = self._forward(phase, self._inputs(rows))
        logits, targets = logits.float(), self._examples.targets[rows]
        loss = _loss(logits, targets)
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        self._running += torch.stack([loss.detach(), _accuracy(logits, targets)])
        self.step += 1
        if within + 1 == phase.steps_per_epoch:
            self._end_epoch(phase)

    def _begin(self, phase: _Phase) -> None:
        phase.set_modes(self._network)
        self._network.requires_grad_(False)
        trained = phase.trained(self._network)
        for parameter in trained:
            parameter.requires_grad_(True)
        self._optimizer = torch.optim.Adam(
            trained, lr=phase.learning_rate, weight_decay=phase.weight_decay
        )

    def _rows(self, index: int, epoch: int, within: int) -> Tensor:
        """Examples of the batch at a step of an epoch of a phase, (B,)."""
        phase = self._phases[index]
        if self._order_epoch != (index, epoch):
            stretch = phase.steps_per_epoch * phase.batch_size
            seed = seed_of(self._seed, "phase", index)
            order = example_order(seed, self._examples.train_R, epoch * stretch, stretch)
            self._order = torch.from_numpy(order).to(self._device).split(phase.batch_size)
            self._order_epoch = index, epoch
        return self._order[within]

    def _inputs(self, rows: Tensor) -> Tensor:
        """The images of a batch, augmented, (B, C, S, S)."""
        images = resized(self._examples.images[rows], self._size)
        random = generator(self._seed, "augmentation", self.step)
        return self._normalised(augmented(images, self._settings["augmentation"], random))

    def _normalised(self, images: Tensor) -> Tensor:
        images = normalised(images, self._row.mean, self._row.std)
        # The layout that GPUs are fastest with, and CPUs too.
        return images.contiguous(memory_format=torch.channels_last)

    def _forward(self, phase: _Phase, inputs: Tensor) -> Tensor:
        if phase.layers == "all":
            return self._network(inputs)
        with torch.no_grad():
            features = self._network.features(inputs)
        return self._network.last(features)

    def _draw_noise_keys(self) -> None:
        random = generator(self._seed, "noise", self.step)
        for layer, key in zip(
            self._noise, random.integers(0, 2**62, len(self._noise)).tolist(), strict=True
        ):
            layer.key.fill_(key)

    def _end_epoch(self, phase: _Phase) -> None:
        loss, accuracy = (self._running / phase.steps_per_epoch).tolist()
        self._running.zero_()
        if not np.isfinite(loss):
            raise TrainingError(
                f"backbone {self._settings['architecture']}: the loss is no longer a finite number "
                f"at step {self.step} of {self.total_steps}. Lower the learning rate of this "
                "phase and rerun."
            )
        test_loss, test_accuracy = self._test()
        phase.set_modes(self._network)
        latest = {"loss": loss, "accuracy": accuracy}
        latest |= {"test_loss": test_loss, "test_accuracy": test_accuracy}
        for name, value in latest.items():
            self.history.setdefault(name, []).append(value)

    @torch.no_grad()
    def _test(self) -> tuple[float, float]:
        """Loss and accuracy on the official test set, in float32; NaN without one."""
        if not len(self._examples.test):
            return float("nan"), float("nan")
        self._network.eval()
        sums = torch.zeros(2, dtype=torch.float64, device=self._device)
        test = torch.from_numpy(self._examples.test).to(self._device)
        for rows in test.split(_IMAGES_PER_PASS[self._device.type]):
            images = resized(self._examples.images[rows], self._size)
            logits, targets = self._network(self._normalised(images)), self._examples.targets[rows]
            sums += len(rows) * torch.stack([_loss(logits, targets), _accuracy(logits, targets)])
        loss, accuracy = (sums / len(test)).tolist()
        return loss, accuracy

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """All that a checkpoint needs: tensors, and what goes into JSON."""
        moments = optimizer_state(self._optimizer, self._named) if self._optimizer else {}
        tensors = {f"network:{n}": t for n, t in self._network.whole_state().items()}
        tensors |= {f"optimizer:{name}": tensor for name, tensor in moments.items()}
        facts = {"step": self.step, "seconds": self.seconds, "history": self.history}
        return tensors | {"running:": self._running}, facts

    def load(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Continue from a checkpoint."""
        self.step, self.seconds = facts["step"], facts["seconds"]
        self.history = facts["history"]
        self._running = tensors["running:"].to(self._device)
        parts: dict[str, dict[str, Tensor]] = {"network": {}, "optimizer": {}, "running": {}}
        for key, tensor in tensors.items():
            part, name = key.split(":", 1)
            parts[part][name] = tensor
        self._network.load_whole_state(parts["network"])
        if self.is_finished or self.step == self._phases[self._phase_index].first_step:
            return  # the next phase, if any, begins with an optimiser of its own
        self._begin(self._phases[self._phase_index])
        load_optimizer_state(self._optimizer, self._named, parts["optimizer"])

    def structure(self) -> list[str]:
        """The operations of the network, for its provenance."""
        channels = self._row.num_channels(self._examples.images.shape[-1])
        return structure(self._network, (channels, self._size, self._size))

    def final(self, facts: dict[str, Any]) -> BackboneFile:
        """The network as it is written.

        Args:
            facts: its provenance.
        """
        state = self._network.whole_state()
        channels = self._row.num_channels(self._examples.images.shape[-1])
        num_outputs = self._examples.num_outputs
        return BackboneFile(state, channels, self._size, num_outputs, facts, self.history)


def _loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy; for attributes, over these too."""
    if targets.is_floating_point():
        return F.binary_cross_entropy_with_logits(logits, targets)
    return F.cross_entropy(logits, targets)


def _accuracy(logits: Tensor, targets: Tensor) -> Tensor:
    """Share of labels told right; for attributes, over these too."""
    if targets.is_floating_point():
        return ((logits > 0) == (targets > 0.5)).float().mean()
    return (logits.argmax(dim=1) == targets).float().mean()
