"""Section `studies`: experiments on membership."""

from typing import Annotated, Literal

from pydantic import Field

from shadowmill.config.sections.fields import (
    Count,
    CountOrZero,
    Different,
    ExactInt,
    Name,
    NotEmpty,
    Number,
    PathText,
    Positive,
    Section,
    Truth,
    Whole,
)
from shadowmill.config.sections.imports import Import
from shadowmill.pruning import CRITERIA


class Subsets(Section):
    """Targets on the first examples of an order."""

    sizes: Annotated[list[Count], NotEmpty, Different]
    """Numbers of training examples; there is one target for each seed and size."""
    scores: PathText = None
    """Order by ascending score, read from this file (.npy of one number per example, or .csv with
    columns example and score)."""
    order: PathText = None
    """Or the order itself: a .npy file with the number of each example once. Without either the
    order is random."""


class Pruning(Section):
    """When a method prunes; of a method of one's own also how."""

    epoch: CountOrZero = None
    """Prune once, at the start of this epoch (0 is at initialisation)."""
    every: Count = None
    """Recompute the mask every so many steps, along a cubic ramp."""
    target_epoch: Count = None
    """Up to this epoch, when sparsity is full."""
    freeze_epoch: Count = None
    """From this epoch on masks stay as they are."""
    criterion: Literal[tuple(CRITERIA)] = None
    """What is pruned first (methods of one's own)."""
    layers: Annotated[list[Literal["conv", "linear"]], NotEmpty, Different] = None
    """Kinds of layers that are pruned, instead of those that the criterion prunes by itself:
    convolutions, and of layer_magnitude linear layers too."""
    feedback: Truth = None
    """Whether pruned weights still get gradients and may come back (methods of one's own)."""


class Adversarial(Section):
    """Adversarial regularisation."""

    attack_steps: Count = 1
    """Steps of the attack network before each step of the model."""


class DPSGD(Section):
    """Differentially private training."""

    strength: Literal["epsilon", "noise_multiplier"] = "epsilon"
    """What the number in the name is."""
    delta: Annotated[Positive, Field(lt=1)] = 1.0e-5
    """Of the privacy guarantee (ε, δ)."""
    max_grad_norm: Positive = 1.0
    """Norm to which the gradient of each example is clipped."""


class Defenses(Section):
    """Settings of defences beyond the number in their names."""

    adversarial: Adversarial = Adversarial()
    """Of adversarial regularisation."""
    dp_sgd: DPSGD = DPSGD()
    """Of DP-SGD."""


class Queries(Section):
    """Views of each example that every model is asked about."""

    mirror: Truth = False
    """Also the left-right mirror image."""
    shift: Annotated[Whole, Field(ge=0, le=4)] = 0
    """Also all shifts by up to this many pixels."""


class Curvature(Section):
    """How the curvature of the loss with respect to the input is estimated."""

    probes: Count = 10
    """Random directions for each query."""
    step: Positive = 1.0e-3
    """Of the finite differences; inputs are normalised."""


class Study(Section):
    """One experiment, and one target."""

    description: str = ""
    """For readers."""
    datasets: Annotated[list[str], NotEmpty]
    """Names of data sets."""
    architectures: Annotated[list[str], NotEmpty]
    """Names of networks."""
    variants: Annotated[list[str], NotEmpty]
    """dense or METHOD-SPARSITY such as static-0.9, with +DEFENCE-STRENGTH such as +ppb-4 for a
    defended one."""
    recipe: str
    """Name of a recipe."""
    fine_tune: str = None
    """Name of a recipe. Every variant but dense then starts from the dense models and is pruned and
    trained by this one."""
    protocol: Literal["half", "disjoint"] = "half"
    """half trains every model on a random half of the training set. disjoint gives half of all
    examples to the targets and the other half to the shadows; each model splits its part into 45 %
    members, 10 % validation and 45 % non-members."""
    validation: Annotated[Number, Field(ge=0, le=0.5)] = 0
    """Share of a model's non-members that is set aside for early stopping and for defences that
    need further data (half only)."""
    subsets: Subsets = None
    """Targets train on the first examples of a fixed order instead of on a random half."""
    seed: CountOrZero = 0
    """Of the splits and of the shadow models."""
    imports: dict[str, Import] = Field(default_factory=dict)
    """Variants to finished models of your own. What is not named is trained here, on the same
    members."""
    target_seeds: Annotated[list[CountOrZero], NotEmpty] = None
    """One audited model for each; the seed decides its part of the data and its training. Must be
    given where nothing is imported."""
    num_shadows: Annotated[Whole, Field(ge=2, le=4096)]
    """A multiple of models_per_job, and even unless the protocol is disjoint. A validation share
    takes some of them from attacks."""
    models_per_job: Annotated[Literal[1, 2, 4, 5, 8, 16, 32, 64], ExactInt]
    """Shadow models that one job trains, and one job scores. It is part of the names of their
    files."""
    adversaries: Annotated[
        list[Literal["adaptive", "non_adaptive", "original"]], NotEmpty, Different
    ] = Field(default_factory=lambda: ["adaptive"])
    """What shadows the attacks have. An adaptive adversary trains them as the targets were trained,
    a non_adaptive one without the targets' defence, one with original shadows has the dense ones.
    Figures show the first."""
    unhealthy_shadows: Literal["keep", "drop"] = "keep"
    """Whether attacks use shadows whose accuracy lies far below their siblings'. The table
    health.csv lists them in either case."""
    pruning: dict[Name, Pruning] = Field(default_factory=dict)
    """When each pruning method prunes. A name of your own describes another method by its
    criterion, schedule and feedback."""
    defenses: Defenses = Defenses()
    """Settings of defences beyond the number in their names."""
    queries: Queries = Queries()
    """Views of each example that every model is asked about. Use what the augmentation used."""
    curvature: Curvature = Curvature()
    """How the curvature of the loss with respect to the input is estimated, for attacks that use
    it."""
    shadows: str = None
    """Name of a study with the same data, network, recipe and shadows, whose shadow models are used
    instead of training them again."""
    attacks: Annotated[list[str], NotEmpty]
    """Names of attacks. The first one is the headline of figures and of the summary."""
