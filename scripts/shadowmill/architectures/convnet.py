"""A small convolutional network for small grey images."""

from torch import nn


def small_convnet(input_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    """Three 3×3 convolutions (8, 16, 16 channels), the last two with stride 2, and a linear layer.

    About 4,000 weights on 8×8 images: enough to memorise, small enough for dozens at a time on a
    CPU. Strides instead of pooling: grouped over many models, pooling costs as much as convolving.

    Args:
        input_shape: (C, H, W).
        num_classes: K.
    """
    in_channels, height, width = input_shape
    num_positions = ((height + 3) // 4) * ((width + 3) // 4)
    return nn.Sequential(
        nn.Conv2d(in_channels, 8, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, padding=1, stride=2),
        nn.ReLU(),
        nn.Conv2d(16, 16, 3, padding=1, stride=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(16 * num_positions, num_classes),
    )
