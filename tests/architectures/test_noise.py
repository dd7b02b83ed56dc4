"""Keyed dropout: the published bits, the statistics, the independence of everything else."""

import pytest
import torch
from torch import nn
from torch.func import functional_call, vmap
from torchvision.ops import StochasticDepth

from shadowmill.architectures.noise import (
    KeyedDropout,
    noise_keys,
    random_bits,
    replace_random_layers,
)
from shadowmill.seeds import generator


def dropped(layer, key, x):
    return functional_call(layer, {"key": torch.tensor(key)}, (x,))


def splitmix64(state, count):
    """The generator as published, one number after the other, on Python's integers."""
    outputs = []
    for _ in range(count):
        state = (state + 0x9E3779B97F4A7C15) % 2**64
        z = state
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
        outputs.append(z ^ (z >> 31))
    return outputs


def unsigned(bits):
    return [value % 2**64 for value in bits.tolist()]


def test_bits_are_those_of_the_published_test_vector():
    # The first outputs for the seed 1234567, as listed with many implementations.
    expected = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    assert splitmix64(1234567, 5) == expected
    assert unsigned(random_bits(torch.tensor(1234567), 5)) == expected


@pytest.mark.parametrize("key", [0, -1, 2**63 - 1, -(2**63)])
def test_bits_of_extreme_keys(key):
    assert unsigned(random_bits(torch.tensor(key), 100)) == splitmix64(key % 2**64, 100)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_share_and_scale_of_the_kept(p):
    x = torch.ones(1000, 200)
    out = dropped(KeyedDropout(p), 3, x)
    kept = out != 0
    torch.testing.assert_close(out[kept], torch.full_like(out[kept], 1 / (1 - p)))
    # 200,000 draws: five standard deviations.
    assert kept.float().mean().item() == pytest.approx(1 - p, abs=5 * (p * (1 - p) / 2e5) ** 0.5)


def test_keep_rate_of_every_position_over_keys():
    """Keys as the trainer draws them: each position is kept as often as any other."""
    keys = generator("test of dropout").integers(-(2**63), 2**63, size=4000)
    layer = KeyedDropout(0.3)
    kept = vmap(lambda key: functional_call(layer, {"key": key}, (torch.ones(4, 5),)))(
        torch.from_numpy(keys)
    )
    rate = (kept != 0).float().mean(dim=0)
    # Standard deviation √(0.21 / 4000) = 0.0072.
    torch.testing.assert_close(rate, torch.full((4, 5), 0.7), atol=0.036, rtol=0)


def test_mask_depends_on_the_key():
    layer, x = KeyedDropout(0.5), torch.ones(8, 100)
    assert torch.equal(dropped(layer, 1, x), dropped(layer, 1, x))
    agreement = ((dropped(layer, 1, x) == 0) == (dropped(layer, 2, x) == 0)).float().mean().item()
    # Independent fair masks agree in half of 800 places: five standard deviations.
    assert agreement == pytest.approx(0.5, abs=0.09)


def test_global_generator_is_neither_read_nor_moved():
    layer, x = KeyedDropout(0.5), torch.ones(8, 10)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one = dropped(layer, 1, x)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert torch.equal(dropped(layer, 1, x), one)


def test_whole_examples():
    x = torch.randn(500, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    out = dropped(KeyedDropout(0.2, per_example=True), 7, x)
    gone = (out == 0).flatten(1).all(dim=1)
    torch.testing.assert_close(out[~gone], x[~gone] / 0.8)
    assert 60 < int(gone.sum()) < 140  # 100 ± 4.5 standard deviations


@pytest.mark.parametrize("per_example", [False, True])
@pytest.mark.parametrize("shape", [(6, 5), (6, 3, 4, 4)])
def test_stacked_equals_alone(shape, per_example):
    layer = KeyedDropout(0.4, per_example)
    keys = torch.tensor([11, -12, 13])
    x = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0))
    stacked = vmap(lambda key, x: functional_call(layer, {"key": key}, (x,)))(keys, x)
    for index, key in enumerate(keys.tolist()):
        assert torch.equal(stacked[index], dropped(layer, key, x[index]))
    shared = vmap(lambda key: functional_call(layer, {"key": key}, (x[0],)))(keys)
    assert torch.equal(shared[1], dropped(layer, -12, x[0]))


def test_gradient_is_that_of_the_mask():
    x = torch.ones(4, 6, requires_grad=True)
    out = dropped(KeyedDropout(0.5), 9, x)
    out.sum().backward()
    assert torch.equal(x.grad, out.detach())


def test_identity_without_training_or_without_drops():
    x = torch.randn(4, 6)
    assert dropped(KeyedDropout(0.5).eval(), 1, x) is x
    assert dropped(KeyedDropout(0.0), 1, x) is x


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_dtype_is_kept(dtype):
    assert dropped(KeyedDropout(0.5), 1, torch.ones(4, 6, dtype=dtype)).dtype == dtype


@pytest.mark.parametrize("p", [-0.1, 1.0])
def test_impossible_probability(p):
    with pytest.raises(ValueError, match=f"p is {p}"):
        KeyedDropout(p)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_same_mask_on_the_gpu():
    layer, x = KeyedDropout(0.3), torch.ones(64, 1000)
    key = {"key": torch.tensor(-5, device="cuda")}
    on_gpu = functional_call(layer, key, (x.cuda(),))
    assert torch.equal(on_gpu.cpu() != 0, dropped(layer, -5, x) != 0)


def test_random_layers_are_replaced():
    network = nn.Sequential(
        nn.Linear(3, 3),
        nn.Dropout(0.1, inplace=True),
        nn.Sequential(StochasticDepth(0.2, "row"), nn.ReLU()),
    )
    replace_random_layers(network)
    assert (network[1].p, network[1].per_example) == (0.1, False)
    assert (network[2][0].p, network[2][0].per_example) == (0.2, True)
    assert noise_keys(network) == ["1.key", "2.0.key"]
    assert set(noise_keys(network)) <= dict(network.named_buffers()).keys()
    assert not set(noise_keys(network)) & network.state_dict().keys()


def test_key_of_a_bare_layer():
    assert noise_keys(KeyedDropout(0.1)) == ["key"]
    assert noise_keys(nn.Dropout(0.1)) == []
