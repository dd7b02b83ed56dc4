"""Section `architectures`: networks of the user's own."""

from typing import Any

from pydantic import Field

from shadowmill.config.sections.fields import PathText, Section


class OwnArchitecture(Section):
    """A network of your own: exactly one of `file`, `torchvision` and `ours`."""

    file: PathText = None
    """Python file with a function that builds the network."""
    function: str = None
    """Its name: (input_shape, num_classes, **arguments) to an nn.Module that gives logits."""
    torchvision: str = None
    """Name of a function of torchvision.models."""
    ours: str = None
    """A family of our own: wide_resnet (depth, width), cifar_resnet (depth) or perceptron (hidden,
    dropout)."""
    arguments: dict[str, Any] = Field(default_factory=dict)
    """Arguments of the function, by name."""
