"""DP-SGD in the span of a head's examples against DP-SGD on all of its weights."""

import math

import pytest
import torch
import torch.nn.functional as F

from shadowmill.reconstruction.heads import train, weights
from shadowmill.reconstruction.heads.private import off_span_noise, off_span_std

MULTICLASS = {
    "outputs": 2,
    "hidden": 0,
    "epochs": 2,
    "learning_rate": 0.5,
    "weight_decay": 0.2,
    "init_std": 0.3,
    "optimizer": "sgd",
    "positive_weight": 1.0,
    "restart": None,
    "privacy": None,
}
BINARY = MULTICLASS | {"outputs": 1, "positive_weight": 3.0}
HIDDEN = BINARY | {"hidden": 2}
KINDS = {"multiclass": MULTICLASS, "binary": BINARY, "hidden": HIDDEN}
FEATURES_ND = torch.tensor(
    [[1.0, 0, 2, 0, 1], [0, 1, 1, -1, 0], [1, 1, 0, 0, 2]], dtype=torch.float64
)
DUPLICATES_ND = FEATURES_ND[[0, 1, 0]]
LABELS_N = torch.tensor([1, 0, 1])


def with_privacy(settings, *, noise=0.8, norm=0.5, rate=0.5):
    privacy = {"noise_multiplier": noise, "max_grad_norm": norm, "sample_rate": rate, "delta": 0.1}
    return settings | {"privacy": privacy}


def some_keys(num_heads):
    return [("head", 0, "train", 5, number) for number in range(num_heads)]


def of_span(features_ND, settings, num_heads=1):
    """Final weights of heads that have all the same examples."""
    features_HND, keys = features_ND.expand(num_heads, -1, -1), some_keys(num_heads)
    heads = train(features_HND, LABELS_N, keys, settings)
    return weights(heads, features_HND, keys, settings)


def loss_of_one(flat_D, x_d, y, settings):
    """Loss of one example under flattened weights."""
    units = settings["hidden"] or settings["outputs"]
    first, bias, *rest = flat_D.split(
        [units * len(x_d), units] + ([units, 1] if settings["hidden"] else [])
    )
    out = first.view(units, -1) @ x_d + bias
    if rest:
        out = rest[0] @ out.relu() + rest[1]
    if settings["outputs"] > 1:
        return F.cross_entropy(out, y)
    weight = torch.tensor(settings["positive_weight"], dtype=torch.float64)
    return F.binary_cross_entropy_with_logits(out.squeeze(), y.double(), pos_weight=weight)


def plain(features_ND, settings, num_heads, start_HD, seed):
    """DP-SGD on all weights: per-example gradients, noise in every coordinate."""
    privacy, random = settings["privacy"], torch.Generator().manual_seed(seed)
    per_example = torch.func.vmap(
        torch.func.grad(lambda flat_D, x_d, y: loss_of_one(flat_D, x_d, y, settings)), (None, 0, 0)
    )
    of_heads = torch.func.vmap(per_example, (0, None, None))
    flat_HD, rate, norm = start_HD.clone(), privacy["sample_rate"], privacy["max_grad_norm"]
    for _ in range(settings["epochs"] * round(1 / rate)):
        grad_HND = of_heads(flat_HD, features_ND, LABELS_N)
        grad_HND *= (norm / grad_HND.norm(dim=2, keepdim=True)).clamp(max=1)
        grad_HND *= torch.rand(grad_HND.shape[:2], generator=random)[..., None] < rate
        noise_HD = torch.randn(flat_HD.shape, generator=random, dtype=torch.float64)
        noise_HD *= privacy["noise_multiplier"] * norm
        grad_HD = (grad_HND.sum(1) + noise_HD) / (rate * len(LABELS_N))
        flat_HD -= settings["learning_rate"] * (grad_HD + settings["weight_decay"] * flat_HD)
    return flat_HD


def initial(features_ND, settings, num_heads):
    return of_span(features_ND, settings | {"epochs": 0, "privacy": None}, num_heads)


@pytest.mark.parametrize("kind", KINDS)
def test_without_noise_clipping_and_sampling_it_is_gradient_descent(kind):
    settings = KINDS[kind]
    private = with_privacy(settings, noise=0.0, norm=1e6, rate=1.0)
    torch.testing.assert_close(
        of_span(FEATURES_ND, private, 4), of_span(FEATURES_ND, settings, 4), rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize("features_ND", [FEATURES_ND, DUPLICATES_ND], ids=["distinct", "same"])
@pytest.mark.parametrize("kind", KINDS)
def test_clipping_is_over_all_weights(kind, features_ND):
    settings = with_privacy(KINDS[kind], noise=0.0, rate=1.0)
    start_HD = initial(features_ND, settings, 4)
    torch.testing.assert_close(
        of_span(features_ND, settings, 4),
        plain(features_ND, settings, 4, start_HD, seed=0),
        rtol=1e-10,
        atol=1e-10,
    )


def assert_same_moments(one_HD, other_HD, deviations=5.0):
    """Means and covariances agree within so many standard errors, of normal variables."""
    num_heads = len(one_HD)
    cov_DD, other_DD = one_HD.T.cov(), other_HD.T.cov()
    var_D = (cov_DD.diagonal() + other_DD.diagonal()) / 2
    error_D = (2 * var_D / num_heads).sqrt()
    assert ((one_HD.mean(0) - other_HD.mean(0)).abs() < deviations * error_D).all()
    error_DD = ((var_D[:, None] * var_D + other_DD.square()) * 2 / num_heads).sqrt()
    assert ((cov_DD - other_DD).abs() < deviations * error_DD).all()


# With one step, weights are linear in that step's gradient; later ones depend on them through all
# of the logits.
@pytest.mark.long
@pytest.mark.parametrize("epochs", [1, 3])
@pytest.mark.parametrize("features_ND", [FEATURES_ND, DUPLICATES_ND], ids=["distinct", "same"])
@pytest.mark.parametrize("kind", KINDS)
def test_same_distribution_as_on_all_weights(kind, features_ND, epochs):
    num_heads = 4000
    settings = with_privacy(KINDS[kind]) | {"epochs": epochs}
    ours_HD = of_span(features_ND, settings, num_heads)
    start_HD = initial(features_ND, settings, num_heads).roll(1, 0)  # of another head
    theirs_HD = plain(features_ND, settings, num_heads, start_HD, seed=3)
    assert_same_moments(ours_HD, theirs_HD)
    # Logits of the examples: where a wrong direction of the noise in the span would show.
    units = settings["hidden"] or settings["outputs"]
    of_examples = [
        (flat_HD[:, : 5 * units].unflatten(1, (units, 5)) @ features_ND.T).flatten(1)
        for flat_HD in (ours_HD, theirs_HD)
    ]
    assert_same_moments(*of_examples)


def test_the_comparison_of_moments_finds_differences():
    random = torch.Generator().manual_seed(1)
    one_HD, other_HD = torch.randn(2, 4000, 3, generator=random, dtype=torch.float64)
    assert_same_moments(one_HD, other_HD)
    for wrong_HD in (other_HD + 0.15, other_HD * 1.1, other_HD + 0.15 * other_HD.roll(1, 1)):
        with pytest.raises(AssertionError):
            assert_same_moments(one_HD, wrong_HD)


def test_noise_of_a_step_by_hand():
    # Gradients are clipped to nothing beside the noise, so one step from zero weights leaves each
    # with −η·σC/(qN) times a standard normal, in the span and outside it.
    settings = with_privacy(MULTICLASS, noise=2e12, norm=1e-12, rate=1.0)
    flat_HD = of_span(FEATURES_ND, settings | {"epochs": 1, "init_std": 0.0}, 4000)
    std = 0.5 * 2 / 3
    normal_HD = std * torch.randn(
        flat_HD.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64
    )
    assert_same_moments(flat_HD, normal_HD)


@pytest.mark.parametrize("features_ND", [FEATURES_ND, DUPLICATES_ND], ids=["distinct", "same"])
def test_noise_off_the_span(features_ND):
    rank = int(torch.linalg.matrix_rank(features_ND))
    num_heads, features_HND = 3000, features_ND.expand(3000, -1, -1)
    noise_HJD = off_span_noise(features_HND, some_keys(num_heads), [0] * num_heads, MULTICLASS)
    assert (noise_HJD @ features_ND.T).abs().max() < 1e-12
    # Of variance 1 in each of the d − rank directions that are left.
    squares_HJ = noise_HJD.square().sum(2)
    assert squares_HJ.mean().item() == pytest.approx(5 - rank, abs=0.2)


def test_variance_off_the_span_adds_up_over_steps():
    settings = with_privacy(MULTICLASS, noise=0.8, norm=0.5, rate=0.5)  # four steps
    variance = 0.0
    for _ in range(4):
        variance = 0.9**2 * variance + (0.5 * 0.8 * 0.5 / (0.5 * 3)) ** 2
    assert off_span_std(settings, 3) == pytest.approx(math.sqrt(variance))
    settings["weight_decay"] = 0.0
    assert off_span_std(settings, 3) == pytest.approx(2 * 0.5 * 0.8 * 0.5 / 1.5)


@pytest.mark.parametrize("features_ND", [FEATURES_ND, DUPLICATES_ND], ids=["distinct", "same"])
def test_final_weights_have_that_variance_off_the_span(features_ND):
    settings = with_privacy(MULTICLASS) | {"init_std": 0.0, "epochs": 3}
    flat_HD = of_span(features_ND, settings, 4000)
    off_span_DR = torch.linalg.svd(features_ND).Vh[torch.linalg.matrix_rank(features_ND) :].T
    outside_HJR = flat_HD[:, :10].unflatten(1, (2, 5)) @ off_span_DR
    # 16,000 or more normal variables: their standard deviation is known to 0.6 %.
    assert outside_HJR.std().item() == pytest.approx(off_span_std(settings, 3), rel=0.02)


def test_single_precision_with_nearly_the_same_examples():
    # K is singular in single precision, where two rows differ in the last digits.
    features_ND = FEATURES_ND.clone()
    features_ND[2] = features_ND[0] * (1 + 1e-6)
    settings = with_privacy(MULTICLASS)
    exact = of_span(features_ND.float().double(), settings, 5)
    single = of_span(features_ND.float(), settings, 5)
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), exact, rtol=1e-3, atol=1e-3)
