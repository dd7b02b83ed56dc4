"""Many models trained as one: stacked parameters, one forward and one backward pass for all.

Each model keeps its own members, batch order, augmentation and initialisation; the sum of their
losses has as gradient, for each model's slice, that model's own gradient. So model k trained in a
stack equals model k trained alone, to rounding.

Legend: E models, B examples of a batch, K classes, V validation examples, L random layers.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.func import stack_module_state

from shadowmill.architectures.noise import noise_keys
from shadowmill.data.store import Data
from shadowmill.defenses import effective_recipe, is_per_example
from shadowmill.defenses.losses import objective, objective_phase
from shadowmill.optimizer_state import load_optimizer_state, optimizer_state
from shadowmill.pruning import PruningPlan
from shadowmill.pruning.masks import compute_masks, masked, prunable
from shadowmill.seeds import generator
from shadowmill.training import steps_per_epoch
from shadowmill.training.adversary import Adversary
from shadowmill.training.batches import BatchSource, Pool
from shadowmill.training.forward import autocast, channels_last_weights, stacked_forward
from shadowmill.training.graphs import GraphedStep
from shadowmill.training.history import History
from shadowmill.training.recipe import learning_rate, optimizer
from shadowmill.training.spec import ModelSpec, TrainedModel, initial_module
from shadowmill.training.stopping import EarlyStopping

# Validation images of one forward pass, over all models of a stack.
_IMAGES_PER_PASS = {"cpu": 512, "cuda": 4096}


class Stack:
    """E models with their masks and their optimiser, at some step of their training."""

    def __init__(
        self,
        specs: Sequence[ModelSpec],
        settings: Mapping[str, Any],
        data: Data,
        pool: Pool,
        epoch_size: int,
        compile_mode: str = "none",
    ) -> None:
        """Initialise the models.

        Args:
            specs: of the E models; one only with DP-SGD.
            settings: `architecture`, `recipe`, `pruning` and `defense` of their configuration.
            data: the data set.
            pool: the same, on the device where to train.
            epoch_size: number of examples that count as an epoch.
            compile_mode: `none`, or a mode of torch.compile.

        Raises:
            ArtefactError: an initial state does not fit the network.
            ConfigError: the network has nothing that the criterion prunes, or no noise gives the
                privacy that is asked for.
        """
        defense = settings["defense"]
        self.names = [spec.name for spec in specs]
        self._seeds = [spec.seed for spec in specs]
        self._recipe = recipe = effective_recipe(settings["recipe"], defense)
        self.steps_per_epoch = steps_per_epoch(epoch_size, recipe["batch_size"])
        self.total_steps = recipe["epochs"] * self.steps_per_epoch
        self._plan = PruningPlan.of(settings["pruning"], self.steps_per_epoch)
        self._defense, self._objective = defense, objective(defense, recipe)
        self._pool = pool
        self._build(specs, settings, data)
        self._forward_stacked = (
            stacked_forward
            if compile_mode == "none"
            else torch.compile(stacked_forward, mode=compile_mode)
        )
        self.masks: dict[str, Tensor] = {}
        self.optimizer = optimizer(recipe, self.parameters.values())
        self._batches = BatchSource(
            pool,
            self._seeds,
            [spec.members for spec in specs],
            recipe,
            self.steps_per_epoch,
            poisson=self._privacy is not None,
        )
        self._adversary = self._make_adversary(specs, defense, data.num_classes)
        self._stopping = self._make_stopping(specs)
        self._graphed = GraphedStep(self._descend) if self._is_graphed(compile_mode) else None
        self.step = 0
        self.seconds = 0.0
        self.history = History(self.names, pool.device)

    def share_network(self, other: "Stack") -> None:
        """Pass through the network of another stack of this configuration: it is compiled once."""
        self._module, self._forward_stacked = other._module, other._forward_stacked

    def _is_graphed(self, compile_mode: str) -> bool:
        """Whether steps can be captured: on a GPU, with batches of one size and fused optimisers.

        `reduce-overhead` captures graphs of its own.
        """
        alike = self._privacy is None and self._adversary is None
        is_fused = bool(self.optimizer.defaults.get("fused"))
        on_gpu = self._pool.device.type == "cuda" and self._pool.is_on_device
        return on_gpu and alike and is_fused and compile_mode != "reduce-overhead"

    def _build(self, specs: Sequence[ModelSpec], settings: Mapping[str, Any], data: Data) -> None:
        """Initialise the networks and stack them."""
        device, defense = self._pool.device, settings["defense"]
        modules = [initial_module(spec, settings, data) for spec in specs]
        parameters, buffers = stack_module_state(modules)
        self._privacy = None
        if is_per_example(defense["name"]):
            # Not before it is needed: opacus takes seconds to import.
            from shadowmill.training.privacy import Privacy

            self._privacy = Privacy(
                initial_module(specs[0], settings, data).to(device),
                self._seeds[0],
                len(specs[0].members),
                self._recipe,
                defense,
                self.total_steps,
            )
        self._module = modules[0].to("meta").train()
        parameters = {name: tensor.detach().to(device) for name, tensor in parameters.items()}
        if len(specs) == 1 and device.type == "cuda":
            parameters = channels_last_weights(parameters)
        self.parameters = {name: tensor.requires_grad_() for name, tensor in parameters.items()}
        self.buffers = {name: tensor.to(device) for name, tensor in buffers.items()}
        self._noise = noise_keys(self._module)
        self._noise_epoch = -1
        pruning = settings["pruning"]
        self._criterion, layers = pruning.get("criterion", ""), pruning.get("layers")
        self._prunable = (
            prunable(self._module, self._criterion, layers) if self._plan.sparsity else {}
        )

    def _make_adversary(
        self, specs: Sequence[ModelSpec], defense: Mapping[str, Any], num_classes: int
    ) -> Adversary | None:
        if defense["name"] != "adversarial":
            return None
        return Adversary(
            self._pool, specs, self._recipe, defense, self.steps_per_epoch, num_classes
        )

    def _make_stopping(self, specs: Sequence[ModelSpec]) -> EarlyStopping | None:
        if "early_stopping" not in self._recipe:
            return None
        # Rows of one length: shorter ones are filled up with -1.
        longest = max(len(spec.validation) for spec in specs)
        rows = [
            np.pad(s.validation, (0, longest - len(s.validation)), constant_values=-1)
            for s in specs
        ]
        self._validation = torch.from_numpy(np.stack(rows)).to(self._pool.device)
        return EarlyStopping(
            self._recipe["early_stopping"]["patience"],
            self._plan.full_from_epoch,
            self._tensors(),
            self._pool.device,
        )

    @property
    def num_models(self) -> int:
        """E."""
        return len(self.names)

    @property
    def is_finished(self) -> bool:
        """Whether all steps were taken, or early stopping has stopped every model."""
        if self._stopping is not None and self._stopping.all_stopped:
            return True
        return self.step >= self.total_steps

    def progress(self) -> dict[str, str]:
        """Means over the models as of the last epoch, and the speed so far."""
        latest = self.history.latest()
        shown = [n for n in ("loss", "accuracy", "validation_accuracy", "sparsity") if n in latest]
        done = self.step / self.total_steps * self.num_models
        return {name: f"{latest[name]:.3f}" for name in shown} | {
            "models/s": f"{done / self.seconds:.3g}"
        }

    def _tensors(self) -> dict[str, Tensor]:
        """What makes up the models: parameters, buffers but for random keys, masks."""
        buffers = {n: tensor for n, tensor in self.buffers.items() if n not in self._noise}
        masks = {f"mask/{name}": mask for name, mask in self.masks.items()}
        return {**self.parameters, **buffers, **masks}

    def _weights(self, step: int) -> dict[str, Tensor]:
        """What the forward pass uses: the parameters, sparse where there are masks."""
        feedback = self._plan.feedback_at(step)
        return {
            name: masked(tensor, self.masks[name], feedback) if name in self.masks else tensor
            for name, tensor in self.parameters.items()
        }

    def train_step(self) -> None:
        """One optimiser step of all models."""
        if self._plan.is_due(self.step):
            self._update_masks()
        self._set_noise_keys(self._noise_of_step())
        if self._adversary:
            self._adversary.learn(self._forward_aside, self.step)
        self._set_learning_rate()
        if self._privacy:
            losses, accuracies = self._private_descend()
        else:
            inputs = [self._noise_of_step(), *self._batches.draws(self.step)]
            losses, accuracies = (
                self._graphed(self._mode(), inputs) if self._graphed else self._descend(*inputs)
            )
        self.history.record_step(self.step, losses, accuracies)
        self.step += 1
        if self.step % self.steps_per_epoch == 0:
            self._end_epoch()

    def _mode(self) -> tuple[Hashable, ...]:
        """What decides which operations a step consists of."""
        epoch = self.step // self.steps_per_epoch
        feedback = self._plan.feedback_at(self.step)
        return bool(self.masks), feedback, objective_phase(self._defense, epoch)

    def _set_learning_rate(self) -> None:
        rate = learning_rate(self._recipe, self.step, self.total_steps, self.steps_per_epoch)
        for group in self.optimizer.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate

    def _descend(self, noise_EL: Tensor, *draws: Tensor) -> tuple[Tensor, Tensor]:
        """Losses and accuracies (E,) of a batch, and a step down its gradient."""
        self._set_noise_keys(noise_EL)
        self.optimizer.zero_grad()
        inputs, labels = self._batches.examples(*draws)
        with autocast(inputs.device, self._recipe):
            logits = self._forward_stacked(
                self._module, self._weights(self.step), self.buffers, inputs
            )
        logits = logits.float()
        losses = self._objective(logits, labels, self.step // self.steps_per_epoch)
        total = losses + self._adversary.penalty(logits, labels) if self._adversary else losses
        total.sum().backward()
        self.optimizer.step()
        return losses.detach(), (logits.argmax(dim=2) == labels).float().mean(dim=1)

    def _private_descend(self) -> tuple[Tensor, Tensor]:
        self.optimizer.zero_grad()
        masks = {} if self._plan.feedback_at(self.step) else self.masks
        with torch.no_grad():
            weights = self._weights(self.step)
        batch = self._batches.batch(self.step)
        losses, accuracies = self._privacy.backward(
            self.parameters, weights, masks, batch, self.step
        )
        self.optimizer.step()
        return losses, accuracies

    def _forward_aside(self, inputs: Tensor) -> Tensor:
        """Logits (E, B, K) as in training, but running statistics stay as they are."""
        buffers = {name: tensor.clone() for name, tensor in self.buffers.items()}
        with autocast(inputs.device, self._recipe):
            return stacked_forward(self._module, self._weights(self.step), buffers, inputs)

    def _noise_of_step(self) -> Tensor:
        """The key of every random layer of every model for this step, (E, L)."""
        epoch, within = divmod(self.step, self.steps_per_epoch)
        if epoch != self._noise_epoch:
            shape = (self.steps_per_epoch, len(self._noise))
            keys = [
                generator(seed, "noise", epoch).integers(0, 2**62, shape) for seed in self._seeds
            ]
            self._noise_ESL = torch.from_numpy(np.stack(keys)).to(self._pool.device)
            self._noise_epoch = epoch
        return self._noise_ESL[:, within]

    def _set_noise_keys(self, noise_EL: Tensor) -> None:
        for layer, name in enumerate(self._noise):
            self.buffers[name] = noise_EL[:, layer]

    @torch.no_grad()
    def _update_masks(self) -> None:
        sparsity = self._plan.sparsity_at(self.step // self.steps_per_epoch)
        weights = {name: self.parameters[name] for name in self._prunable}
        masks = compute_masks(weights, self._prunable, self._criterion, sparsity)
        self.history.record_masks(self.masks, masks)
        # In place, as captured steps know the masks by their address.
        for name, mask in masks.items():
            self.masks.setdefault(name, mask).copy_(mask)

    def _end_epoch(self) -> None:
        accuracy = self._validation_accuracy() if self._stopping else None
        stopped = (
            self._stopping.stopped
            if self._stopping
            else torch.zeros(self.num_models, dtype=torch.bool, device=self._pool.device)
        )
        self.history.check_finite(stopped, lambda: self._pool.largest_input)
        self.history.end_epoch(self.steps_per_epoch, self.masks, accuracy)
        if self._stopping:
            epoch = self.step // self.steps_per_epoch - 1
            self._stopping.update(epoch, accuracy, self._tensors())

    @torch.no_grad()
    def _validation_accuracy(self) -> Tensor:
        """Of each model on its own validation examples, (E,) float64."""
        self._module.eval()
        size = max(1, _IMAGES_PER_PASS[self._pool.device.type] // self.num_models)
        hits = torch.zeros(self.num_models, dtype=torch.float64, device=self._pool.device)
        weights = self._weights(self.step)
        for index in self._validation.split(size, dim=1):
            inputs, labels = self._pool.plain(index.clamp(min=0))
            logits = stacked_forward(self._module, weights, self.buffers, inputs)
            hits += ((logits.argmax(dim=2) == labels) & (index >= 0)).sum(dim=1)
        self._module.train()
        return hits / (self._validation >= 0).sum(dim=1)

    def final(self, index: int) -> TrainedModel:
        """One model at the end: its last epoch, or with early stopping its best one."""
        epochs = self.step // self.steps_per_epoch
        kept, tensors = epochs - 1, {n: t[index].detach() for n, t in self._tensors().items()}
        if self._stopping:
            epochs, kept = self._stopping.epochs(index, epochs)
            tensors = self._stopping.best(index)
        masks = {n.removeprefix("mask/"): t for n, t in tensors.items() if n.startswith("mask/")}
        state = {n: t.clone() for n, t in tensors.items() if not n.startswith("mask/")}
        state |= {name: state[name] * mask for name, mask in masks.items()}
        facts: dict[str, Any] = {"epochs": epochs, "kept_epoch": kept}
        if self._privacy:
            facts["privacy"] = self._privacy.facts(self.step)
        return TrainedModel(state, masks, self.history.of(index, epochs), facts)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """All that a checkpoint needs: tensors, and what goes into JSON."""
        history, epochs = self.history.state()
        parts = {
            "model": self._tensors(),
            "optimizer": optimizer_state(self.optimizer, self.parameters),
            "history": history,
            "stopping": self._stopping.state() if self._stopping else {},
            "adversary": self._adversary.state() if self._adversary else {},
        }
        tensors = {f"{p}:{n}": tensor for p, part in parts.items() for n, tensor in part.items()}
        facts = {"step": self.step, "seconds": self.seconds, "history": epochs}
        if self._privacy:
            facts["drawn"] = self._privacy.drawn
        return tensors, facts

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Continue from a checkpoint."""
        parts: dict[str, dict[str, Tensor]] = {}
        for key, tensor in tensors.items():
            part, name = key.split(":", 1)
            parts.setdefault(part, {})[name] = tensor.to(self._pool.device)
        own = self._tensors()
        for name, tensor in parts["model"].items():
            if name in own:
                own[name].copy_(tensor)
            else:
                self.masks[name.removeprefix("mask/")] = tensor
        load_optimizer_state(self.optimizer, self.parameters, parts.get("optimizer", {}))
        self.step, self.seconds = facts["step"], facts["seconds"]
        self.history.load(parts["history"], facts["history"])
        if self._stopping:
            self._stopping.load(parts["stopping"])
        if self._adversary:
            self._adversary.load(parts["adversary"])
        if self._privacy:
            self._privacy.drawn = facts["drawn"]
