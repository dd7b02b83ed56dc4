"""A small convolutional network for small grey images."""

from torch import nn


def small_convnet(in_channels: int, num_classes: int, image_size: int, width: int = 8) -> nn.Module:
    """Three 3×3 convolutions (8, 16, 16 channels), the last two with stride 2, and a linear layer.

    About 4,000 weights on 8×8 images: enough to memorise, small enough for dozens at a time on a
    CPU. Strides instead of pooling: grouped over many models, pooling costs as much as convolving.
    """
    side = (image_size + 3) // 4
    return nn.Sequential(
        nn.Conv2d(in_channels, width, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(width, 2 * width, 3, padding=1, stride=2),
        nn.ReLU(),
        nn.Conv2d(2 * width, 2 * width, 3, padding=1, stride=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(2 * width * side**2, num_classes),
    )
