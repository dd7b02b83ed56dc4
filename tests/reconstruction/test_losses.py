"""Errors of reconstructions: by hand, and the perceptual distance layer by layer."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models import vgg16

from shadowmill.errors import ArtefactError, ConfigError
from shadowmill.reconstruction.reconstructor.losses import (
    PerceptualDistance,
    candidate_errors,
    soft_minimum,
    squared_errors,
)


def flat(*values, size=2):
    """Images of one colour, (len(values), 1, size, size)."""
    return torch.tensor(values)[:, None, None, None].expand(-1, 1, size, size)


def test_errors_by_hand():
    images = flat(0.5, -1.0)
    candidates = torch.stack([flat(0.0, -1.0), flat(1.0, 1.0)])
    # Differences 0.5, 1.5; -2, -2.
    torch.testing.assert_close(
        squared_errors(images, candidates), torch.tensor([[0.25, 2.25], [4.0, 4.0]])
    )
    # (0.25 + 0.5) / 2, (2.25 + 1.5) / 2; (4 + 2) / 2.
    torch.testing.assert_close(
        candidate_errors(images, candidates), torch.tensor([[0.375, 1.875], [3.0, 3.0]])
    )


def test_errors_average_over_channels_and_pixels():
    image, candidate = torch.zeros(1, 3, 2, 2), torch.zeros(1, 1, 3, 2, 2)
    candidate[0, 0, 1, 0, 1] = 0.6
    assert squared_errors(image, candidate).item() == pytest.approx(0.36 / 12)
    assert candidate_errors(image, candidate).item() == pytest.approx((0.36 + 0.6) / 24)


def test_a_perceptual_distance_is_added():
    images, candidates = flat(0.5), torch.stack([flat(0.0, 1.0)])
    plain = candidate_errors(images, candidates)
    more = candidate_errors(images, candidates, lambda *_: torch.tensor([[1.0, 2.0]]))
    torch.testing.assert_close(more - plain, torch.tensor([[1.0, 2.0]]))


def test_soft_minimum_by_hand():
    # Weights e^-1 and e^-3 over their sum.
    expected = (0.01 * math.exp(-1) + 0.03 * math.exp(-3)) / (math.exp(-1) + math.exp(-3))
    assert soft_minimum(torch.tensor([[0.01, 0.03]])).item() == pytest.approx(expected)


def test_soft_minimum_of_one_candidate_is_its_error():
    errors = torch.rand(5, 1)
    torch.testing.assert_close(soft_minimum(errors), errors[:, 0])


def test_soft_minimum_is_nearly_the_minimum():
    errors = torch.tensor([[0.9, 0.2, 0.5], [0.3, 0.3, 0.3]], requires_grad=True)
    found = soft_minimum(errors)
    torch.testing.assert_close(found, torch.tensor([0.2, 0.3]))
    found.sum().backward()
    torch.testing.assert_close(errors.grad[0], torch.tensor([0.0, 1.0, 0.0]), atol=1e-9, rtol=0)


@pytest.fixture(scope="module")
def states():
    """State dicts of a VGG-16 and of channel weights, drawn at random."""
    torch.manual_seed(0)
    with torch.device("meta"):
        shapes = {n: t.shape for n, t in vgg16().state_dict().items() if n.startswith("features")}
    vgg = {
        name: torch.randn(shape) * math.sqrt(2 / math.prod(shape[1:]))
        if len(shape) == 4
        else 0.1 * torch.randn(shape)
        for name, shape in shapes.items()
    }
    widths = (64, 128, 256, 512, 512)
    linear = {f"lin{i}.model.1.weight": torch.rand(1, w, 1, 1) for i, w in enumerate(widths)}
    return vgg | {"classifier.0.bias": torch.zeros(3)}, linear


@pytest.fixture(scope="module")
def paths(states, tmp_path_factory):
    folder = tmp_path_factory.mktemp("perceptual")
    for state, name in zip(states, ("vgg16.pth", "linear.pth"), strict=True):
        torch.save(state, folder / name)
    return str(folder / "vgg16.pth"), str(folder / "linear.pth")


def slow_distance(image, candidate, states):
    """Zhang et al. 2018, Eq. 1, of one (3, S, S) image and one candidate."""
    vgg, linear = states
    shift = torch.tensor([-0.030, -0.088, -0.188])[:, None, None]
    scale = torch.tensor([0.458, 0.448, 0.450])[:, None, None]

    def features(x):
        x, number, stages = (x - shift) / scale, 0, []
        for convolutions in (2, 2, 3, 3, 3):
            if stages:
                x, number = F.max_pool2d(x, 2), number + 1
            for _ in range(convolutions):
                weight, bias = vgg[f"features.{number}.weight"], vgg[f"features.{number}.bias"]
                x = F.relu(F.conv2d(x, weight, bias, padding=1))
                number += 2
            stages.append(x / x.norm(dim=0))
        return stages

    return sum(
        (weight[0] * (one - other) ** 2).sum(dim=0).mean()
        for one, other, weight in zip(
            features(image), features(candidate), linear.values(), strict=True
        )
    )


@pytest.mark.parametrize("channels", [1, 3])
def test_perceptual_distance_layer_by_layer(paths, states, channels):
    torch.manual_seed(1)
    images = torch.rand(2, channels, 16, 16) * 2 - 1
    candidates = torch.rand(2, 3, channels, 16, 16) * 2 - 1
    found = PerceptualDistance(*paths, image_size=16)(images, candidates)
    for row, image in enumerate(images.expand(-1, 3, -1, -1)):
        for column, candidate in enumerate(candidates[row].expand(-1, 3, -1, -1)):
            expected = slow_distance(image, candidate, states)
            torch.testing.assert_close(found[row, column], expected, rtol=1e-3, atol=1e-5)


def test_perceptual_distance_moves_images_alone(paths):
    distance = PerceptualDistance(*paths, image_size=16)
    images = (torch.rand(1, 1, 16, 16) * 2 - 1).requires_grad_()
    candidates = torch.rand(1, 2, 1, 16, 16).requires_grad_()
    distance(images, candidates).sum().backward()
    assert images.grad.abs().sum() > 0
    assert candidates.grad is None
    assert not any(parameter.requires_grad for parameter in distance.parameters())
    assert distance(images, images[:, None]).item() == pytest.approx(0, abs=1e-6)


def test_gradients_are_finite_where_no_feature_responds(paths):
    distance = PerceptualDistance(*paths, image_size=16)
    with torch.no_grad():
        distance.stages[0][0].bias.fill_(-1000)
        distance.stages[0][2].bias.fill_(-1000)
    images = torch.zeros(1, 3, 16, 16, requires_grad=True)
    distance(images, torch.ones(1, 1, 3, 16, 16)).sum().backward()
    assert images.grad.isfinite().all()


def test_small_images_are_refused(paths):
    with pytest.raises(ConfigError, match=r"images of 8 pixels are too small.*at least 16"):
        PerceptualDistance(*paths, image_size=8)


@pytest.mark.parametrize("which", [0, 1])
def test_missing_files_are_told_of(paths, which):
    found = [*paths]
    found[which] = "nowhere.pth"
    key = ("vgg16", "linear")[which]
    message = f"nowhere.pth: no such file of weights. Download .* under `reconstructor.*{key}`"
    with pytest.raises(ArtefactError, match=message):
        PerceptualDistance(*found, image_size=16)


@pytest.mark.parametrize("content", [b"", b"no weights at all", b"PK\x03\x04 half an archive"])
def test_damaged_files_are_told_of(paths, tmp_path, content):
    path = tmp_path / "linear.pth"
    path.write_bytes(content)
    with pytest.raises(ArtefactError, match=r"linear.pth: no file of weights, or a damaged one"):
        PerceptualDistance(paths[0], str(path), image_size=16)


def test_unsafe_files_are_not_loaded(paths, tmp_path):
    torch.save(nn.Linear(1, 1), tmp_path / "module.pth")
    with pytest.raises(ArtefactError, match="no file of weights"):
        PerceptualDistance(paths[0], str(tmp_path / "module.pth"), image_size=16)


def test_other_networks_are_refused(paths, states, tmp_path):
    path = str(tmp_path / "other.pth")
    torch.save({n: t for n, t in states[0].items() if n != "features.28.bias"}, path)
    with pytest.raises(ArtefactError, match=r"other.pth: .*missing.*: features.28.bias. Download"):
        PerceptualDistance(path, paths[1], image_size=16)
    torch.save(states[1] | {"lin3.model.1.weight": torch.rand(1, 256, 1, 1)}, path)
    with pytest.raises(ArtefactError, match=r"another shape: lin3.model.1.weight"):
        PerceptualDistance(paths[0], path, image_size=16)
    torch.save([1, 2], path)
    with pytest.raises(ArtefactError, match="not a state dict"):
        PerceptualDistance(paths[0], path, image_size=16)
