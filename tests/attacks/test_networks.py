"""Attacks by networks trained on the shadows."""

import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
import torch
from banks import replace, score_bank
from torch import nn

from shadowmill.attacks import ATTACKS, attack_shadows, networks
from shadowmill.attacks.networks import (
    multilayer_perceptron,
    network_attack,
    self_attention,
)
from shadowmill.errors import TrainingError
from shadowmill.metrics.intervals import auc_interval
from shadowmill.metrics.ranking import auc

CPU = torch.device("cpu")
KINDS = ("nn", "nn_top3", "nn_cls", "samia")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """What is tested here takes few epochs."""
    monkeypatch.setattr(networks, "EPOCHS", 2)
    monkeypatch.setattr(networks, "_claimed", lambda device, threads: CPU)


def make_bank(num_models, *, num_examples=600, num_classes=3, shift=8.0, seed=0):
    """Members are surer of their class by `shift`; every tenth pair has neither role."""
    rng = np.random.default_rng(seed)
    labels_N = rng.integers(0, num_classes, num_examples)
    role_MN = rng.random((num_models, num_examples))
    member_MN, nonmember_MN = role_MN < 0.45, role_MN > 0.55
    logits_MNK = rng.normal(size=(num_models, num_examples, num_classes))
    logits_MNK[:, np.arange(num_examples), labels_N] += shift * member_MN
    return score_bank(
        logits_MNK[:, np.arange(num_examples), labels_N, None],
        member_MN,
        nonmember_MN,
        labels=labels_N,
        logits=logits_MNK.astype(np.float32),
        sensitivity=rng.exponential(size=logits_MNK.shape).astype(np.float32),
    )


@pytest.fixture
def shadows():
    return make_bank(5, num_examples=200)


@pytest.fixture
def targets():
    return make_bank(2, num_examples=200, seed=1)


def shapes(network):
    return [tuple(parameter.shape) for parameter in network.parameters()]


def test_perceptron_as_published():
    network = multilayer_perceptron(10)
    assert shapes(network) == [
        *[(512, 10), (512,), (256, 512), (256,)],
        *[(128, 256), (128,), (2, 128), (2,)],
    ]
    assert "".join(type(layer).__name__[0] for layer in network) == "LRDLRDLRL"
    assert [layer.p for layer in network if isinstance(layer, nn.Dropout)] == [0.2, 0.2]


def test_self_attention_as_published():
    network = self_attention(10)
    encoder_layer = [
        *[(192, 64), (192,), (64, 64), (64,)],  # queries, keys and values at once; their sum
        *[(128, 64), (128,), (64, 128), (64,)],  # feed-forward
        *[(64,), (64,), (64,), (64,)],  # two layer norms
    ]
    assert shapes(network) == [
        *[(30,), (30,), (64, 3), (64,)],
        *encoder_layer * 3,
        *[(64, 640), (64,), (2, 64), (2,)],
    ]
    layers = network[4].layers
    assert all(layer.self_attn.num_heads == 4 for layer in layers)
    assert all(layer.activation is nn.functional.gelu for layer in layers)
    dropouts = [module.p for module in network.modules() if isinstance(module, nn.Dropout)]
    assert dropouts + [layer.self_attn.dropout for layer in layers] == [0.2] * 12


def test_a_class_is_a_token_and_tokens_have_no_order():
    """Before they are put side by side, the classes are told apart by their features alone."""
    network = self_attention(4).eval()
    inputs = torch.randn(5, 4, 3, generator=torch.Generator().manual_seed(0))
    order = torch.tensor([2, 0, 3, 1])
    tokens, reordered = (network[:5](x.flatten(1)) for x in (inputs, inputs[:, order]))
    assert tokens.shape == (5, 4, 64)
    torch.testing.assert_close(tokens[:, order], reordered)


@pytest.mark.parametrize("kind", KINDS)
def test_inputs_by_hand(kind):
    # Posteriors ¼ ¼ ½ of class 1, and 0.6 0.1 0.3 of class 0.
    posterior_NK = np.array([[1 / 4, 1 / 4, 1 / 2], [0.6, 0.1, 0.3]])
    sensitivity_MNK = np.array([[[7, 8, 9], [4, 5, 6]]], dtype=np.float32)
    bank = score_bank(
        np.zeros((1, 2, 1)),
        np.array([[True, False]]),
        labels=np.array([1, 0]),
        logits=np.log(posterior_NK[None] * 5).astype(np.float32),
        sensitivity=sensitivity_MNK,
    )
    expected = {
        "nn": posterior_NK,
        "nn_top3": [[1 / 2, 1 / 4, 1 / 4], [0.6, 0.3, 0.1]],
        "nn_cls": [[1 / 4, 1 / 4, 1 / 2, 0, 1, 0], [0.6, 0.1, 0.3, 1, 0, 0]],
        "samia": [[1 / 4, 7, 0, 1 / 4, 8, 1, 1 / 2, 9, 0], [0.6, 4, 1, 0.1, 5, 0, 0.3, 6, 0]],
    }[kind]
    found = networks._inputs(bank, np.array([1, 0]), kind, CPU)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found[[1, 0]], expected, rtol=1e-6)


def test_inputs_of_the_second_model():
    bank = make_bank(2, num_examples=7)
    found = networks._inputs(bank, np.array([7 + 3]), "samia", CPU).reshape(3, 3)
    np.testing.assert_array_equal(found[:, 1], bank["sensitivity"][1, 3])
    np.testing.assert_array_equal(found[:, 2], np.arange(3) == bank["labels"][3])


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_learns_what_tells_members(kind, monkeypatch):
    monkeypatch.setattr(networks, "EPOCHS", 15)
    targets = make_bank(2, seed=1)
    score_TN = network_attack(make_bank(4), targets, kind)
    assert score_TN.shape == (2, 600)
    assert score_TN.dtype == np.float64
    for score_N, member_N in zip(score_TN, targets.member_MN, strict=True):
        assert auc(score_N, member_N) > 0.9


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_finds_nothing_where_there_is_nothing(kind, monkeypatch):
    monkeypatch.setattr(networks, "EPOCHS", 6)
    shadows, targets = (make_bank(m, shift=0, seed=m) for m in (4, 20))
    score_TN = network_attack(shadows, targets, kind)
    has_role_TN = targets.member_MN | targets.nonmember_MN
    low, high = auc_interval(score_TN[has_role_TN], targets.member_MN[has_role_TN], 0.999)
    assert low < 0.5 < high
    assert high - low < 0.05


@pytest.mark.parametrize("kind", KINDS)
def test_same_scores_whatever_was_drawn_before(kind, shadows, targets):
    torch.manual_seed(1)
    first = network_attack(shadows, targets, kind)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    np.testing.assert_array_equal(network_attack(shadows, targets, kind), first)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("kind", KINDS)
def test_same_scores_on_a_gpu(kind, shadows, targets, monkeypatch):
    monkeypatch.setattr(networks, "_claimed", lambda device, threads: torch.device("cuda", 0))
    first, second = (network_attack(shadows, targets, kind) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_other_shadows_give_another_network(shadows, targets):
    renamed = replace(shadows, names=[f"other {m}" for m in range(5)])
    first, second = (network_attack(bank, targets, "nn") for bank in (shadows, renamed))
    assert not np.allclose(first, second)


@pytest.mark.parametrize("kind", KINDS)
def test_pairs_without_a_role_do_not_count(kind, shadows, targets):
    expected_TN = network_attack(shadows, targets, kind)
    neither_MN = ~(shadows.member_MN | shadows.nonmember_MN)
    assert neither_MN.sum() > 50
    shadows["logits"][neither_MN] = [50, -50, 0]
    shadows["sensitivity"][neither_MN] = np.nan
    np.testing.assert_array_equal(network_attack(shadows, targets, kind), expected_TN)


def test_pairs_with_a_role_do_count(shadows, targets):
    expected_TN = network_attack(shadows, targets, "nn")
    shadows["logits"][shadows.nonmember_MN] *= 2
    assert not np.allclose(network_attack(shadows, targets, "nn"), expected_TN)


@pytest.mark.parametrize(
    ("num_shadows", "num_pairs", "folds"),
    [(2, 0, [1, 1]), (5, 0, [2, 1, 1, 1]), (6, 1, [3, 1, 1, 1]), (4, 2, [2, 2])],
)
def test_every_shadow_in_turn_is_the_attack_on_each_fold_by_the_others(
    num_shadows, num_pairs, folds
):
    bank = make_bank(num_shadows, num_examples=100)
    member_MN = bank.member_MN
    for pair in range(num_pairs):
        member_MN[2 * pair + 1] = ~member_MN[2 * pair]
    if num_pairs:
        bank = replace(bank, nonmember_MN=~member_MN)
    found_MN = attack_shadows(ATTACKS["nn_cls"], bank)
    assert found_MN.shape == (num_shadows, 100)
    bounds = np.cumsum([0, *folds])
    for start, end in pairwise(bounds):
        fold = np.arange(start, end)
        others = bank.select(np.setdiff1d(np.arange(num_shadows), fold))
        expected_MN = network_attack(others, bank.select(fold), "nn_cls")
        np.testing.assert_array_equal(found_MN[fold], expected_MN)


def test_a_fold_does_not_see_its_own_roles(shadows):
    expected_MN = attack_shadows(ATTACKS["nn"], shadows)
    member_MN, nonmember_MN = shadows.member_MN.copy(), shadows.nonmember_MN.copy()
    member_MN[:2], nonmember_MN[:2] = nonmember_MN[:2].copy(), member_MN[:2].copy()
    turned = replace(shadows, member_MN=member_MN, nonmember_MN=nonmember_MN)
    found_MN = attack_shadows(ATTACKS["nn"], turned)
    np.testing.assert_array_equal(found_MN[:2], expected_MN[:2])
    assert all(not np.allclose(found_MN[m], expected_MN[m]) for m in (2, 3, 4))


def test_top3_does_not_know_the_classes():
    shadows, targets = (make_bank(m, num_examples=100, num_classes=5, seed=m) for m in (4, 2))
    order = [3, 0, 4, 1, 2]
    renamed = [replace(bank, logits=bank["logits"][..., order]) for bank in (shadows, targets)]
    score_TN = network_attack(shadows, targets, "nn_top3")
    np.testing.assert_allclose(network_attack(*renamed, "nn_top3"), score_TN, rtol=1e-4)
    assert not np.allclose(network_attack(*renamed, "nn"), network_attack(shadows, targets, "nn"))


def test_two_classes_have_no_third_posterior():
    shadows, targets = (make_bank(2, num_examples=60, num_classes=2, seed=s) for s in (0, 1))
    assert np.isfinite(network_attack(shadows, targets, "nn_top3")).all()


@pytest.mark.parametrize(
    ("num_shadows", "held_out"), [(3, [2]), (9, [8]), (10, [8, 9]), (16, [13, 14, 15])]
)
def test_one_shadow_in_five_is_held_out(num_shadows, held_out):
    bank = make_bank(num_shadows, num_examples=4)
    validation_MN = networks._split(bank, "key")
    expected_M = np.isin(np.arange(num_shadows), held_out)
    np.testing.assert_array_equal(validation_MN, np.tile(expected_M[:, None], 4))


def test_of_two_shadows_one_example_in_five_is_held_out():
    validation_MN = networks._split(make_bank(2, num_examples=50), "key")
    assert validation_MN[0].sum() == 10
    np.testing.assert_array_equal(validation_MN[1], validation_MN[0])


def test_the_epoch_is_chosen_on_the_shadows_held_out(shadows, targets, monkeypatch):
    """What four shadows teach is wrong for the fifth: the less learned, the better."""
    shadows["logits"][4] *= -1
    shadows["logits"][4][shadows.nonmember_MN[4]] = [20, 0, 0]
    found = []
    for epochs in (4, 8):
        monkeypatch.setattr(networks, "EPOCHS", epochs)
        found.append(network_attack(shadows, targets, "nn"))
    # The learning rate of the first epoch is the same, that of the later ones is not.
    np.testing.assert_array_equal(*found)


def test_pairs_of_an_epoch():
    members, nonmembers = np.arange(30), np.arange(100, 150)
    pairs = networks._Pairs(members, nonmembers)
    whole = pairs.balanced(1000, "key", 0)
    assert len(np.unique(whole)) == len(whole) == 60
    assert set(whole) >= set(members)
    assert (whole[:30] >= 100).any()
    capped = pairs.balanced(21, "key", 0)
    assert len(np.unique(capped)) == len(capped) == 20
    assert (capped >= 100).sum() == 10
    np.testing.assert_array_equal(pairs.balanced(1000, "key", 0), whole)
    assert set(pairs.balanced(1000, "key", 1)) != set(whole)


@pytest.mark.parametrize("kind", KINDS)
def test_batches_of_scoring_do_not_show(kind, shadows, targets, monkeypatch):
    whole_TN = network_attack(shadows, targets, kind)
    monkeypatch.setattr(networks, "_SCORING_BATCH_SIZE", 37)
    np.testing.assert_allclose(
        network_attack(shadows, targets, kind), whole_TN, rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize(
    ("kind", "statistic"), [(kind, name) for kind in KINDS for name in sorted(ATTACKS[kind].needs)]
)
def test_a_statistic_is_missing(kind, statistic, shadows, targets):
    without = replace(shadows, **{statistic: None})
    for call in (
        lambda: network_attack(without, targets, kind),
        lambda: network_attack(targets, without, kind),
        lambda: attack_shadows(ATTACKS[kind], without),
    ):
        with pytest.raises(ValueError, match=f"{statistic} is not in the bank"):
            call()


def test_nothing_to_learn_from(shadows, targets):
    shadows.nonmember_MN[:4] = False
    with pytest.raises(
        ValueError, match=r"training set .* has \d+ members and 0 non-members of model 0, model 1,"
    ):
        network_attack(shadows, targets, "nn")


def test_nothing_to_validate_on(shadows, targets):
    shadows.member_MN[4] = False
    with pytest.raises(ValueError, match=r"validation set .* has 0 members and .* of model 4"):
        network_attack(shadows, targets, "nn")


def test_divergence_is_named(shadows, targets):
    shadows["sensitivity"][:] = np.inf
    with pytest.raises(TrainingError, match="attack samia diverged"):
        network_attack(shadows, targets, "samia")


@pytest.mark.parametrize("device", ["cpu", "auto"])
def test_it_runs_where_it_is_told_to(device, shadows, targets, monkeypatch):
    claimed = []

    def claim(device, threads):
        claimed.append((device, threads))
        return CPU

    monkeypatch.setattr(networks, "_claimed", claim)
    network_attack(shadows, targets, "nn", device, threads=3)
    assert set(claimed) == {(device, 3)}


def test_import_is_light():
    """The workflow reads the names of the attacks while it is parsed."""
    code = "import sys, shadowmill.attacks.networks; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
