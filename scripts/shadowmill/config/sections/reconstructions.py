"""Section `reconstructions`: experiments on the reconstruction of training data from heads."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from shadowmill.config.sections.backbones import Classes
from shadowmill.config.sections.fields import (
    Count,
    CountOrZero,
    Different,
    ExactInt,
    NotEmpty,
    NotNegative,
    PathText,
    Positive,
    Section,
    Truth,
    Whole,
)

Optimizer = Literal["sgd", "adam"]
Fraction = Annotated[Positive, Field(lt=1)]


class Restart(Section):
    """Train a head again from other initial weights."""

    above: Positive
    """While its final loss is above this."""
    times: Count
    """So many times at the most."""


class Privacy(Section):
    """DP-SGD; an epoch is then 1/sample_rate steps."""

    noise_multiplier: NotNegative
    """Standard deviation of the noise, in units of max_grad_norm."""
    max_grad_norm: Positive
    """Norm to which the gradient of each example is clipped."""
    sample_rate: Annotated[Positive, Field(le=1)] = 0.5
    """Probability with which each example is in a batch."""
    delta: Fraction = None
    """N to the power of -1.1 for N examples if not given."""


class Heads(Section):
    """How heads are trained."""

    class_size: Count = 1
    """Training examples of each class (of the person)."""
    hidden: CountOrZero = 0
    """Units of a hidden layer (binary and identity)."""
    epochs: Count
    """Steps, each on all examples."""
    epochs_per_class_size: CountOrZero = 0
    """Added to epochs for each example of a class."""
    learning_rate: Positive
    """Of the optimiser."""
    weight_decay: NotNegative = 0
    """Factor of the L2 penalty's gradient."""
    init_std: Positive
    """Standard deviation of the initial weights."""
    optimizer: Optimizer = "sgd"
    """On all examples at once."""
    positive_weight: Positive = 1
    """Of the loss on examples with label 1 (binary and identity)."""
    restart: Restart = None
    """Train a head again from other initial weights while its final loss is too high."""
    privacy: Privacy = None
    """Train privately, by DP-SGD."""


class Sweep(Section):
    """One setting of the heads and the values it takes in turn."""

    class_size: Annotated[list[Count], NotEmpty, Different] = None
    """Values of heads.class_size."""
    epochs: Annotated[list[Count], NotEmpty, Different] = None
    """Values of heads.epochs."""
    init_std: Annotated[list[Positive], NotEmpty, Different] = None
    """Values of heads.init_std."""
    optimizer: Annotated[list[Optimizer], NotEmpty, Different] = None
    """Values of heads.optimizer."""
    noise_multiplier: Annotated[list[NotNegative], NotEmpty, Different] = None
    """Values of heads.privacy.noise_multiplier."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        number = len(self.model_fields_set)
        if number != 1:
            found = f"has {number}; give at most 1" if number else "is empty; give at least 1"
            raise PydanticCustomError("one_value", found)
        return self


class TrainHeads(Section):
    """Heads that the reconstructor learns from."""

    seeds: Count
    """Permutations of the data; each is one job."""
    per_seed: Annotated[Whole, Field(ge=2)]
    """Heads of one permutation."""


class Perceptual(Section):
    """Files for the perceptual term of the loss (LPIPS)."""

    vgg16: PathText
    """torchvision's state dict."""
    linear: PathText
    """Its linear layers, as published (v0.1/vgg.pth)."""


class Reconstructor(Section):
    """The network that turns a head's weights into an image."""

    conditional: Truth = True
    """Tell the reconstructor which class to reconstruct."""
    image_size: Annotated[Literal[8, 16, 32, 64, 128], ExactInt]
    """Pixels a side."""
    width: Count
    """Channels of the last blocks."""
    batch_size: Annotated[Whole, Field(ge=2)] = 32
    """Heads of one step."""
    learning_rate: Positive = 2.0e-4
    """Of Adam."""
    steps: Count
    """Of training."""
    perceptual: Perceptual = None
    """Files for the perceptual term of the loss; without them there is none."""


class Reconstruction(Section):
    """One experiment, and one target."""

    description: str = ""
    """For readers."""
    backbone: str
    """Name of a backbone."""
    dataset: str
    """What heads are trained on."""
    classes: Classes = None
    """Labels of the examples that heads are trained on; without this key all."""
    task: Literal["multiclass", "binary", "identity"] = "multiclass"
    """multiclass heads tell the classes apart; binary ones whether the class is among `positive`;
    identity ones a person from others."""
    positive: Annotated[list[CountOrZero], NotEmpty, Different] = None
    """Classes that a binary head says yes to."""
    random_labels: Annotated[Whole, Field(ge=2)] = None
    """Give examples random labels, balanced among so many."""
    test_fraction: Annotated[Positive, Field(le=0.9)] = None
    """Share of each class that only test heads see; for data sets without official test set."""
    seed: CountOrZero = 0
    """Of all that is random."""
    heads: Heads
    """How heads are trained."""
    sweep: Sweep = None
    """One setting of the heads and the values it takes in turn; a figure shows the reconstruction
    rate against it."""
    train_heads: TrainHeads
    """Heads that the reconstructor learns from, given for a class size of 1; with c examples of a
    class there are c times the seeds and 1/c of the heads of each."""
    test_heads: Annotated[Whole, Field(ge=2)]
    """Heads of one permutation of the test examples, likewise."""
    membership_seeds: CountOrZero = 0
    """Further permutations of the test examples, whose heads are the shadows of a membership attack
    (LiRA) on the test heads; 0 leaves it out."""
    materialise: Truth = False
    """Write the weights of heads too, not only what they follow from."""
    stream: Truth = False
    """Train fresh heads for the reconstructor instead of going over the same ones again."""
    reconstructor: Reconstructor
    """The network that turns a head's weights into an image."""
    threshold: Positive = None
    """Mean squared error below which a reconstruction counts as one."""
    nearest_quantile: Fraction = 0.5
    """Another threshold, from the data: this quantile of the errors of the nearest training
    example."""
    test_on: str = None
    """Another reconstruction whose test heads are reconstructed with the reconstructor of this
    one."""
