"""Part `imports` of a study: finished models, and what they were trained on."""

from typing import Annotated

from pydantic import Field

from shadowmill.config.sections.fields import (
    Name,
    NotEmpty,
    Number,
    PathText,
    Positive,
    Section,
    Truth,
)


class ImportedModel(Section):
    """A finished model."""

    file: PathText
    """Its weights: safetensors, or a state dict of torch (.pth, .pt, .ckpt, .bin)."""
    members: PathText
    """What it was trained on: a list of ids, one a line (.txt, .csv; indices from 0 if the data
    have no ids), or a .npy file of truth values, indices or ids."""
    held_out: PathText = None
    """The same of what it never saw and is compared with; without it, all of the training part that
    is no member."""
    mean: Annotated[list[Number], NotEmpty] = None
    """By which its inputs were normalised, one number for each channel, bytes scaled to 0…1;
    without it, the mean of the data set."""
    std: Annotated[list[Positive], NotEmpty] = None
    """Likewise."""
    trust: Truth = False
    """Whether code in the file may be run, where it holds more than tensors."""


class Import(Section):
    """What is brought in of a variant."""

    targets: Annotated[dict[Name, ImportedModel], Field(min_length=1)]
    """Finished models by names of your own."""
