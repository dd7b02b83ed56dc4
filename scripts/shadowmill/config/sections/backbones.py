"""Section `backbones`: networks whose last hidden layer gives the features of reconstructions."""

from typing import Annotated, Literal

from pydantic import Field

from shadowmill.config.sections.fields import (
    Count,
    CountOrZero,
    Different,
    NotNegative,
    Number,
    PathText,
    Positive,
    Section,
    Share,
    Truth,
    Whole,
)

Classes = Annotated[list[CountOrZero], Field(min_length=2), Different]


class Phase(Section):
    """One phase of a backbone's training."""

    layers: Literal["all", "last"] = "all"
    """last trains the classifier alone."""
    epochs: Count
    """Times that each example is seen."""
    learning_rate: Positive
    """Of Adam."""
    weight_decay: NotNegative = 0
    """Of Adam."""
    batch_size: Annotated[Whole, Field(ge=2)]
    """Examples of one step."""
    freeze_batch_norm: Truth = False
    """Keep the statistics of BatchNorm as they are."""


class Distortion(Section):
    """Random changes of images."""

    rotation: Annotated[Number, Field(ge=0, le=180)] = 0
    """By up to so many degrees."""
    scale: Share = 0
    """By up to this share."""
    shear: Annotated[Number, Field(ge=0, lt=90)] = 0
    """By up to so many degrees."""
    flip: Truth = False
    """Random left-right flips."""


class Backbone(Section):
    """One network."""

    dataset: str
    """What it is trained on."""
    classes: Classes = None
    """Labels of the examples it is trained on; without this key all."""
    labels: Literal["classes", "attributes"] = "classes"
    """attributes are CelebA's forty."""
    architecture: str
    """Name of a backbone architecture."""
    image_size: Annotated[Whole, Field(ge=8)] = None
    """Images are scaled to so many pixels a side; without this key they stay as they are."""
    weights: PathText = None
    """File to start from: a state dict of torchvision (.pth), or .safetensors."""
    phases: list[Phase] = Field(default_factory=list)
    """Trained with Adam, one after another; none uses the weights as they are."""
    augmentation: Distortion = Distortion()
    """Random changes of images."""
    seed: CountOrZero = 0
    """Of all that is random."""
