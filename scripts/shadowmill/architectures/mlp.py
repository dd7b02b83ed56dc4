"""The multilayer perceptron of the tabular data sets."""

from collections.abc import Sequence

from torch import nn

from shadowmill.architectures.noise import KeyedDropout


def mlp(input_shape: tuple[int], num_classes: int) -> nn.Module:
    """Two hidden layers, 256 and 128 wide, each with ReLU and dropout 0.1.

    The network that Yuan & Zhang (USENIX Security 2022, arXiv:2202.03335) train on Location,
    Purchase100 and Texas100, as in their published code. Weights start from PyTorch's own
    distribution; theirs are re-drawn from Xavier's.

    Args:
        input_shape: (D,).
        num_classes: K.
    """
    (num_features,) = input_shape
    return nn.Sequential(
        nn.Linear(num_features, 256),
        nn.ReLU(),
        KeyedDropout(0.1),
        nn.Linear(256, 128),
        nn.ReLU(),
        KeyedDropout(0.1),
        nn.Linear(128, num_classes),
    )


def perceptron(
    input_shape: tuple[int], num_classes: int, hidden: Sequence[int], dropout: float
) -> nn.Module:
    """Hidden layers of any widths, each with ReLU and dropout.

    Args:
        input_shape: (D,).
        num_classes: K.
        hidden: widths of the layers.
        dropout: probability that a unit is dropped, at least 0 and below 1.
    """
    layers, (width,) = [], input_shape
    for units in hidden:
        layers += [nn.Linear(width, units), nn.ReLU(), KeyedDropout(dropout)]
        width = units
    return nn.Sequential(*layers, nn.Linear(width, num_classes))
