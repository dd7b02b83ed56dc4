"""The network of the tutorial: what one has lying around, with dropout and BatchNorm."""

from torch import nn


def build(input_shape: tuple[int, int, int], num_classes: int, width: int = 16) -> nn.Module:
    """Three convolutions and a linear layer.

    Args:
        input_shape: (channels, height, width) of an image.
        num_classes: number of logits.
        width: channels of the first convolution.
    """
    channels, height, width_of_image = input_shape
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=1, stride=2),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.Conv2d(width, 2 * width, 3, padding=1, stride=2),
        nn.BatchNorm2d(2 * width),
        nn.ReLU(),
        nn.Dropout(0.1),
        nn.Flatten(),
        nn.Linear(2 * width * (height // 4) * (width_of_image // 4), num_classes),
    )
