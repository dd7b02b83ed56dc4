"""Section `recipes`: how models are trained."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from shadowmill.config.sections.fields import (
    Count,
    CountOrZero,
    NotNegative,
    Number,
    Positive,
    Section,
    Share,
    Truth,
)


def _chosen(value: str) -> str | None:
    return None if value == "auto" else value


# What is left to the device is no setting: models without the key stay as they are.
Precision = Annotated[Literal["auto", "float32", "bfloat16"], AfterValidator(_chosen)]


class EarlyStopping(Section):
    """When to stop before the last epoch."""

    patience: Count
    """So many epochs without a better one are endured."""


class Schedule(Section):
    """How the learning rate changes."""

    name: Literal["constant", "multistep", "cosine", "one_cycle"]
    """multistep multiplies the learning rate by gamma at each milestone; cosine falls to zero;
    one_cycle rises over the first part of the steps and falls to zero along a cosine."""
    milestones: list[Count] = None
    """Epochs (multistep)."""
    gamma: Annotated[Positive, Field(le=1)] = None
    """Factor at each milestone (multistep)."""
    warmup: Share = None
    """Part of the steps over which the learning rate rises (one_cycle)."""
    warmup_epochs: Count = None
    """The learning rate rises linearly over so many epochs (all but one_cycle)."""
    warmup_start: Annotated[Number, Field(ge=0, le=1)] = None
    """It starts at this part of the learning rate."""


class Augmentation(Section):
    """Random changes of training images."""

    crop: CountOrZero = 0
    """Random crops after padding by this many pixels."""
    padding: Literal["zero", "reflect"] = "zero"
    """What the padding consists of, black pixels or the mirrored border."""
    flip: Truth = False
    """Random left-right flips."""
    cutout: CountOrZero = 0
    """Side in pixels of a square that is blanked at a random place."""


class Recipe(Section):
    """One recipe."""

    optimizer: Literal["sgd", "adam", "rmsprop"] = "sgd"
    """The optimiser."""
    learning_rate: Positive
    """The largest learning rate."""
    momentum: Share = 0.9
    """Of sgd and rmsprop."""
    nesterov: Truth = False
    """Nesterov's momentum (sgd)."""
    weight_decay: NotNegative = 0
    """Factor of the L2 penalty's gradient."""
    epochs: Count
    """How often each training example is seen."""
    batch_size: Count
    """Examples of one step."""
    precision: Precision = None
    """Number format of the forward pass: float32 or bfloat16; auto, as without this key, takes
    bfloat16 on GPUs and float32 on CPUs. Weights are float32 in either case, and so is DP-SGD."""
    label_smoothing: Share = 0
    """Share of the label's probability that is spread over all classes."""
    early_stopping: EarlyStopping = None
    """Keep the epoch of best validation accuracy; stop after more than `patience` epochs without a
    better one."""
    schedule: Schedule
    """How the learning rate changes."""
    augmentation: Augmentation = Augmentation()
    """Random changes of training images."""
