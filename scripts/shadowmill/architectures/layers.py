"""What several image networks share: their initialisation and their first layer."""

from typing import Literal

from torch import Tensor, nn

# Sides in pixels up to which the ImageNet networks keep the resolution of their input. Their own
# stems would leave an image of 32 pixels 8 wide before the first block.
SMALL_SIDE = 64


def has_small_side(input_shape: tuple[int, int, int]) -> bool:
    """Whether images (C, H, W) are too small for an ImageNet network's own stem."""
    return max(input_shape[1:]) <= SMALL_SIDE


def adapted_stem(
    stem: nn.Conv2d,
    input_shape: tuple[int, int, int],
    fan: Literal["fan_in", "fan_out"] = "fan_out",
) -> nn.Conv2d:
    """The first convolution of an ImageNet network, for other images.

    Args:
        stem: the network's own; without bias.
        input_shape: (C, H, W). Up to `SMALL_SIDE`, the convolution is 3×3 with stride 1.
        fan: the side of the weight whose size scales He's normal distribution: the network's.
    """
    size, stride = (
        ((3, 3), (1, 1)) if has_small_side(input_shape) else (stem.kernel_size, stem.stride)
    )
    conv = nn.Conv2d(
        input_shape[0],
        stem.out_channels,
        size,
        stride,
        padding=(size[0] // 2, size[1] // 2),
        bias=False,
    )
    nn.init.kaiming_normal_(conv.weight, mode=fan, nonlinearity="relu")
    return conv


class GlobalAveragePool(nn.Module):
    """The mean over height and width; AdaptiveAvgPool2d(1) without its detour under vmap."""

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, 1, 1)."""
        return inputs.mean(dim=(2, 3), keepdim=True)


def he_initialised(network: nn.Module) -> nn.Module:
    """Draw the convolutions from N(0, 2/fan_out), their biases 0 (He et al., arXiv:1502.01852).

    Linear layers keep PyTorch's own initialisation.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return network
