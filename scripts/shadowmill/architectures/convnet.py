"""A small convolutional network for small grey images."""

from torch import nn


def small_convnet(in_channels: int, num_classes: int, image_size: int, width: int = 8) -> nn.Module:
    """Three 3×3 convolutions (8, 16, 16 channels), two poolings and a linear layer.

    About 4,000 weights on 8×8 images: enough to memorise, small enough for 64 at a time on a CPU.
    """
    return nn.Sequential(
        nn.Conv2d(in_channels, width, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(width, 2 * width, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(2 * width, 2 * width, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(2 * width * (image_size // 4) ** 2, num_classes),
    )
