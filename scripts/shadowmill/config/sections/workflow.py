"""The whole of workflow_config.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from shadowmill.config.sections.architectures import OwnArchitecture
from shadowmill.config.sections.backbones import Backbone
from shadowmill.config.sections.datasets import OwnDataset, PixelSize
from shadowmill.config.sections.fields import (
    Different,
    Name,
    NotEmpty,
    PathText,
    Positive,
    Section,
    Truth,
)
from shadowmill.config.sections.recipes import Recipe
from shadowmill.config.sections.reconstructions import Reconstruction
from shadowmill.config.sections.studies import Study


class Data(Section):
    """Where data sets are looked for."""

    root: PathText = "data"
    """Folder in which data sets are looked for and into which they are downloaded."""
    roots: dict[str, PathText] = Field(default_factory=dict)
    """Another folder for single data sets, name to folder."""
    sizes: dict[str, PixelSize] = Field(default_factory=dict)
    """Pixels a side to which the images of chmnist (32), imagenet and celeba (64) are scaled, name
    to size, where it is not this one."""


class Execution(Section):
    """How jobs run; no change here reruns anything."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto takes a GPU where there is one. Training is float32 on CPUs and bfloat16 on GPUs; models
    of both are never attacked together."""
    stacking: Literal["auto", "stacked", "sequential"] = "auto"
    """Train the models of a job in lock-step (stacked) or one after the other (sequential); auto
    asks the architecture, and on a GPU trains side by side what it does not stack."""
    compile: Literal["none", "default", "reduce-overhead"] = "none"
    """Compile the training step by torch.compile, in one of its modes; reduce-overhead uses CUDA
    graphs."""
    checkpoint_minutes: Positive = 5
    """Time between two checkpoints of a training job."""


class Workflow(Section):
    """The top level."""

    build: Annotated[list[str], NotEmpty, Different]
    """Studies and reconstructions that `snakemake` without a target, and the targets models,
    scores, attacks, tables and figures, build."""
    keep_models: Truth = True
    """false deletes the models of a block as soon as the block is scored."""
    data: Data = Data()
    """Where data sets are looked for."""
    datasets: dict[Name, OwnDataset] = Field(default_factory=dict)
    """Data of your own, by the names that studies list them by."""
    architectures: dict[Name, OwnArchitecture] = Field(default_factory=dict)
    """Networks of your own, by the names that studies list them by."""
    execution: Execution = Execution()
    """How jobs run; no change here reruns anything."""
    recipes: Annotated[dict[str, Recipe], NotEmpty]
    """Named training recipes."""
    studies: Annotated[dict[Name, Study], NotEmpty]
    """Experiments on membership; each is one target."""
    backbones: dict[Name, Backbone] = Field(default_factory=dict)
    """Networks whose last hidden layer gives the deep features of reconstructions."""
    reconstructions: dict[Name, Reconstruction] = Field(default_factory=dict)
    """Experiments on the reconstruction of training data from heads; each is one target."""
