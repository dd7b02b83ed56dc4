"""How far reconstructions are from the examples they may show.

A head is trained on several examples, the candidates; a reconstruction is as good as its
resemblance to the nearest of them.

Legend: B reconstructions, M candidates of each, C channels, S × S pixels.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shadowmill.errors import ArtefactError, ConfigError
from shadowmill.state_dicts import read_state_dict

# (B, C, S, S) reconstructions and (B, M, C, S, S) candidates to (B, M).
Distance = Callable[[Tensor, Tensor], Tensor]

_SHARPNESS = 100
_MIN_PERCEPTUAL_SIZE = 16  # VGG-16 halves the size four times before its last layer read here
# Convolutions of VGG-16 after whose ReLU features are read: the last of each of its five stages.
_LAYERS = (2, 7, 14, 21, 28)
_WIDTHS = (64, 128, 256, 512, 512)
_WHERE_FROM = {
    "vgg16": "Download https://download.pytorch.org/models/vgg16-397923af.pth and name the file",
    "linear": (
        "Download lpips/weights/v0.1/vgg.pth of https://github.com/richzhang/PerceptualSimilarity "
        "and name the file"
    ),
}


def squared_errors(images: Tensor, candidates: Tensor) -> Tensor:
    """Mean squared error of each reconstruction to each of its candidates.

    Args:
        images: (B, C, S, S).
        candidates: (B, M, C, S, S).

    Returns:
        (B, M), at most 4 for pixels of −1…1.
    """
    return (images[:, None] - candidates).square().mean(dim=(2, 3, 4))


def candidate_errors(
    images: Tensor, candidates: Tensor, perceptual: Distance | None = None
) -> Tensor:
    """What training makes small: ½ (MSE + mean absolute error), plus a perceptual distance.

    Args:
        images: (B, C, S, S) of −1…1.
        candidates: (B, M, C, S, S) of −1…1.
        perceptual: such a distance, if any; like `PerceptualDistance`.

    Returns:
        (B, M).
    """
    difference = images[:, None] - candidates
    errors_BM = (difference.square() + difference.abs()).mean(dim=(2, 3, 4)) / 2
    return errors_BM if perceptual is None else errors_BM + perceptual(images, candidates)


def soft_minimum(errors_BM: Tensor) -> Tensor:
    """Mean of the errors with weights softmax(−100·error): nearly the smallest of each row.

    Args:
        errors_BM: (B, M); with M = 1, the result is the error itself.

    Returns:
        (B,).
    """
    return (errors_BM * (-_SHARPNESS * errors_BM).softmax(dim=1)).sum(dim=1)


class PerceptualDistance(nn.Module):
    """LPIPS with VGG-16, version 0.1 (Zhang et al. 2018, arXiv:1801.03924, Eq. 1).

    Features of five layers of a VGG-16 trained on ImageNet, scaled to unit length at each pixel;
    squared differences are weighted for each channel, and averaged over the pixels. The weights of
    channels were fitted to human judgements. Nothing here is trained.
    """

    shift_C11: Tensor
    scale_C11: Tensor

    def __init__(self, vgg16_path: str, linear_path: str, image_size: int) -> None:
        """Read both networks.

        Args:
            vgg16_path: torchvision's state dict of VGG-16, weights IMAGENET1K_V1.
            linear_path: the state dict with the weights of channels, `lin0.model.1.weight` to
                `lin4.model.1.weight`.
            image_size: S of the images that will be compared.

        Raises:
            ArtefactError: a file is missing, damaged, or of another network.
            ConfigError: images too small for VGG-16.
        """
        super().__init__()
        if image_size < _MIN_PERCEPTUAL_SIZE:
            raise ConfigError(
                f"reconstructor.perceptual: images of {image_size} pixels are too small for this "
                f"distance, which needs at least {_MIN_PERCEPTUAL_SIZE}. Leave it out, or raise "
                "image_size."
            )
        from torchvision.models import vgg16

        with torch.device("meta"):  # what is read replaces the weights: none need be drawn
            features = vgg16(weights=None).features[: _LAYERS[-1] + 2]
        expected = {f"features.{name}": t.shape for name, t in features.state_dict().items()}
        found = _read_state(vgg16_path, expected, "vgg16", ignored="classifier.")
        features.load_state_dict(
            {n.removeprefix("features."): t for n, t in found.items()}, assign=True
        )
        starts = (0, *(layer + 2 for layer in _LAYERS))
        self.stages = nn.ModuleList(features[start:end] for start, end in pairwise(starts))
        names = [f"lin{index}.model.1.weight" for index in range(len(_WIDTHS))]
        shapes = {n: torch.Size((1, w, 1, 1)) for n, w in zip(names, _WIDTHS, strict=True)}
        linear = _read_state(linear_path, shapes, "linear")
        self.channel_weights = nn.ParameterList(linear[name].float() for name in names)
        # Published constants: from −1…1 to what VGG-16 was trained on.
        shift_C, scale_C = torch.tensor([[-0.030, -0.088, -0.188], [0.458, 0.448, 0.450]])
        self.register_buffer("shift_C11", shift_C[:, None, None], persistent=False)
        self.register_buffer("scale_C11", scale_C[:, None, None], persistent=False)
        self.float().requires_grad_(False).eval().to(memory_format=torch.channels_last)

    def forward(self, images: Tensor, candidates: Tensor) -> Tensor:
        """Distance of each reconstruction to each of its candidates.

        Args:
            images: (B, C, S, S) of −1…1; grey ones count as three equal channels.
            candidates: (B, M, C, S, S), likewise; no gradient reaches them.

        Returns:
            (B, M) float32.
        """
        shape_BM = candidates.shape[:2]
        with torch.no_grad():
            theirs = self._unit_features(candidates.flatten(end_dim=1))
        distance_BM = images.new_zeros(shape_BM)
        for a, b, weight in zip(
            self._unit_features(images), theirs, self.channel_weights, strict=True
        ):
            difference = (a[:, None] - b.unflatten(0, shape_BM)).square()
            distance_BM = distance_BM + (difference * weight).sum(dim=2).mean(dim=(2, 3))
        return distance_BM

    def _unit_features(self, images: Tensor) -> Sequence[Tensor]:
        """Features of each stage, of length 1 at each pixel, float32."""
        x = (images - self.shift_C11) / self.scale_C11  # grey images become three channels
        units = []
        for stage in self.stages:
            x = stage(x)
            units.append(F.normalize(x.float(), dim=1, eps=1e-10))
        return units


def _read_state(
    path: str, shapes: Mapping[str, torch.Size], what: str, ignored: str | None = None
) -> dict[str, Tensor]:
    """Tensors of exactly these names and shapes from a file of torch.

    Args:
        path: the file.
        shapes: by name.
        what: key of `_WHERE_FROM`.
        ignored: tensors whose names start so may be there, and are left out.

    Raises:
        ArtefactError: the file is missing, damaged, or has other tensors.
    """
    advice = f"{_WHERE_FROM[what]} under `reconstructor.perceptual.{what}`."
    state = read_state_dict(path, advice)
    found = {
        name: tensor.shape
        for name, tensor in state.items()
        if ignored is None or not name.startswith(ignored)
    }
    odd = sorted(n for n in found.keys() | shapes.keys() if found.get(n) != shapes.get(n))
    if odd:
        raise ArtefactError(
            f"{path}: tensors missing, unexpected or of another shape: {', '.join(odd[:5])}"
            f"{' and more' if len(odd) > 5 else ''}. {advice}"
        )
    return {name: state[name] for name in shapes}
