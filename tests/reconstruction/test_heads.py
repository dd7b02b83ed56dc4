"""Heads trained many at a time against torch, one at a time."""

import numpy as np
import pytest
import torch
from torch import nn

from shadowmill.errors import TrainingError
from shadowmill.reconstruction.heads import Heads, flattened_size, num_steps, train, weights
from shadowmill.reconstruction.heads import training as training_module
from shadowmill.reconstruction.heads.draws import normals
from shadowmill.seeds import seed_of

FEATURES = 12
MULTICLASS = {
    "outputs": 3,
    "hidden": 0,
    "epochs": 20,
    "learning_rate": 0.1,
    "weight_decay": 0.01,
    "init_std": 0.3,
    "optimizer": "sgd",
    "positive_weight": 1.0,
    "restart": None,
    "privacy": None,
}
BINARY = MULTICLASS | {"outputs": 1}
HIDDEN = BINARY | {"hidden": 4}
PRIVACY = {"noise_multiplier": 1.0, "max_grad_norm": 1.0, "sample_rate": 0.5, "delta": 1e-5}
KINDS = {
    "multiclass": MULTICLASS,
    "no weight decay": MULTICLASS | {"weight_decay": 0.0},
    "binary": BINARY | {"positive_weight": 3.0},
    "hidden": HIDDEN,
    "hidden, positive weight": HIDDEN | {"positive_weight": 10.0, "weight_decay": 0.0},
}


def labels_of(settings):
    return torch.tensor([0, 0, 1, 1, 2, 2] if settings["outputs"] > 1 else [1, 1, 0, 0, 0, 0])


def some_features(num_heads, *, dtype=torch.float64, size=6):
    random = torch.Generator().manual_seed(num_heads)
    return torch.rand(num_heads, size, FEATURES, generator=random, dtype=torch.float64).to(dtype)


def some_keys(num_heads, split="train"):
    return [("head", 0, split, 5, number) for number in range(num_heads)]


def plain_head(features_ND, labels_N, key, settings, attempt=0):
    """A module and an optimiser of torch; returns all weights, the loss and the accuracy."""
    units = settings["hidden"] or settings["outputs"]
    module = nn.Sequential(nn.Linear(FEATURES, units))
    if settings["hidden"]:
        module.extend([nn.ReLU(), nn.Linear(units, 1)])
    module.double()
    with torch.no_grad():
        for layer, name in zip(module[::2], ("first", "outer"), strict=False):
            random = torch.Generator().manual_seed(seed_of(*key, name, attempt))
            drawn = torch.randn(layer.weight.numel(), generator=random).reshape_as(layer.weight)
            layer.weight.copy_(drawn.double() * settings["init_std"])
            layer.bias.zero_()
    optimizer = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[settings["optimizer"]](
        module.parameters(), lr=settings["learning_rate"], weight_decay=settings["weight_decay"]
    )
    if settings["outputs"] > 1:
        loss_of = nn.functional.cross_entropy
        target = labels_N
    else:
        weight = torch.tensor(settings["positive_weight"], dtype=torch.float64)
        loss_of, target = nn.BCEWithLogitsLoss(pos_weight=weight), labels_N[:, None].double()
    for _ in range(settings["epochs"]):
        optimizer.zero_grad()
        loss_of(module(features_ND), target).backward()
        optimizer.step()
    with torch.no_grad():
        logits = module(features_ND)
        guess = logits.argmax(1) if settings["outputs"] > 1 else (logits[:, 0] > 0).long()
        flat = torch.cat([parameter.flatten() for parameter in module.parameters()])
        return flat, loss_of(logits, target), (guess == labels_N).double().mean()


def assert_equal_to_plain(heads, features_HND, keys, settings, attempts):
    trained_HD = weights(heads, features_HND, keys, settings)
    assert trained_HD.shape == (len(keys), flattened_size(FEATURES, settings))
    for row, (features_ND, key, attempt) in enumerate(
        zip(features_HND, keys, attempts, strict=True)
    ):
        flat, loss, accuracy = plain_head(features_ND, labels_of(settings), key, settings, attempt)
        torch.testing.assert_close(trained_HD[row], flat, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(heads.losses_H[row], loss, rtol=1e-10, atol=1e-10)
        assert heads.accuracies_H[row] == accuracy


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("kind", KINDS)
def test_equal_to_torch(kind, optimizer):
    settings = KINDS[kind] | {"optimizer": optimizer}
    features_HND, keys = some_features(5), some_keys(5)
    heads = train(features_HND, labels_of(settings), keys, settings)
    assert heads.attempts_H.tolist() == [0] * 5
    assert_equal_to_plain(heads, features_HND, keys, settings, [0] * 5)


def test_a_step_by_hand():
    # From zero weights, the posteriors of two classes are ½, so the slopes of an example of class
    # 0 are (−½, ½). Examples (1, 0, 0) and (0, 2, 0) of classes 0 and 1, learning rate 1: the mean
    # gradient to the weights of class 0 is ½·(−½·(1, 0, 0) + ½·(0, 2, 0)) = (−¼, ½, 0).
    features_HND = torch.tensor([[[1.0, 0, 0], [0, 2, 0]]])
    settings = MULTICLASS | {"outputs": 2, "epochs": 1, "learning_rate": 1.0, "init_std": 0.0}
    heads = train(features_HND, torch.tensor([0, 1]), [("a",)], settings)
    assert heads.coefficients_HNJ.tolist() == [[[0.25, -0.25], [-0.25, 0.25]]]
    flat = weights(heads, features_HND, [("a",)], settings)
    assert flat.tolist() == [[0.25, -0.5, 0, -0.25, 0.5, 0, 0, 0]]
    # Logits of the first are ±¼, of the second ∓1, so both are right; loss log(1 + e^−difference).
    expected = (np.log1p(np.exp(-0.5)) + np.log1p(np.exp(-2))) / 2
    assert heads.losses_H.tolist() == pytest.approx([expected])
    assert heads.accuracies_H.tolist() == [1]


def test_no_epochs_leave_initial_weights():
    settings = HIDDEN | {"epochs": 0}
    features_HND, keys = some_features(2), some_keys(2)
    heads = train(features_HND, labels_of(settings), keys, settings)
    assert_equal_to_plain(heads, features_HND, keys, settings, [0, 0])


@pytest.mark.parametrize("kind", ["multiclass", "hidden"])
def test_single_precision_is_close(kind):
    settings = KINDS[kind]
    exact_HND, keys = some_features(4), some_keys(4)
    results = {}
    for dtype in (torch.float32, torch.float64):
        features_HND = exact_HND.float().to(dtype)
        heads = train(features_HND, labels_of(settings), keys, settings)
        assert heads.coefficients_HNJ.dtype == heads.losses_H.dtype == dtype
        results[dtype] = weights(heads, features_HND, keys, settings)
        assert results[dtype].dtype == dtype
    torch.testing.assert_close(
        results[torch.float32].double(), results[torch.float64], rtol=1e-5, atol=1e-6
    )


VARIANTS = {
    "multiclass": MULTICLASS,
    "hidden": HIDDEN,
    "adam": HIDDEN | {"optimizer": "adam"},
    "private": HIDDEN | {"privacy": PRIVACY},
    "restarted": HIDDEN | {"restart": {"above": 0.65, "times": 3}},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_head_does_not_depend_on_the_others(variant, monkeypatch):
    settings, labels_N = VARIANTS[variant], labels_of(VARIANTS[variant])
    features_HND, keys = some_features(7), some_keys(7)
    together = train(features_HND, labels_N, keys, settings)
    monkeypatch.setitem(training_module._CHUNK_NUMBERS, "cpu", 500)  # two or three heads at a time
    in_chunks = train(features_HND, labels_N, keys, settings)
    alone = [train(features_HND[h : h + 1], labels_N, keys[h : h + 1], settings) for h in range(7)]
    for others in (in_chunks, Heads.concatenate(alone)):
        assert others.tensors().keys() == together.tensors().keys()
        for name, tensor in together.tensors().items():
            torch.testing.assert_close(others.tensors()[name], tensor, rtol=1e-10, atol=1e-12)
    some = [5, 2]
    torch.testing.assert_close(
        weights(together.select(some), features_HND[some], [keys[h] for h in some], settings),
        weights(together, features_HND, keys, settings)[some],
        rtol=1e-10,
        atol=1e-12,
    )


@pytest.mark.parametrize("variant", VARIANTS)
def test_heads_of_other_keys_differ(variant):
    settings, features_HND = VARIANTS[variant], some_features(1)
    flat = [
        weights(
            train(features_HND, labels_of(settings), keys, settings), features_HND, keys, settings
        )
        for keys in (some_keys(1), some_keys(1, "test"))
    ]
    assert (flat[0][0, :FEATURES] != flat[1][0, :FEATURES]).all()


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_restarts_train_the_failed_again(optimizer):
    settings = HIDDEN | {"optimizer": optimizer, "epochs": 3, "learning_rate": 0.02}
    features_HND, keys, labels_N = some_features(16), some_keys(16), labels_of(HIDDEN)
    losses = np.array(
        [
            [plain_head(features_ND, labels_N, key, settings, attempt)[1] for attempt in range(3)]
            for features_ND, key in zip(features_HND, keys, strict=True)
        ]
    )
    above = float(np.sort(losses.flat)[23:25].mean())  # of 48, and not one of them
    # The first attempt that is good enough, or the last one.
    attempts = [next((a for a in range(2) if row[a] < above), 2) for row in losses]
    assert set(attempts) == {0, 1, 2}
    settings["restart"] = {"above": above, "times": 2}
    heads = train(features_HND, labels_N, keys, settings)
    assert heads.attempts_H.tolist() == attempts
    assert_equal_to_plain(heads, features_HND, keys, settings, attempts)


def test_the_limit_itself_has_failed():
    settings = BINARY | {"init_std": 0.0, "epochs": 0}  # losses are log 2
    restart = {"above": float(np.log(2)), "times": 2}
    heads = train(
        some_features(2), labels_of(BINARY), some_keys(2), settings | {"restart": restart}
    )
    assert heads.losses_H.tolist() == [np.log(2)] * 2
    assert heads.attempts_H.tolist() == [2, 2]


def test_sizes():
    # Those of the published heads.
    assert flattened_size(1280, MULTICLASS | {"outputs": 10}) == 12_810
    assert flattened_size(2048, HIDDEN) == 8_201
    assert flattened_size(256, BINARY) == 257


def test_steps():
    assert num_steps(MULTICLASS) == 20
    assert num_steps(MULTICLASS | {"privacy": PRIVACY}) == 40
    assert num_steps(MULTICLASS | {"privacy": PRIVACY | {"sample_rate": 0.9}}) == 20


def test_draws_do_not_depend_on_threads():
    before = torch.get_num_threads()
    drawn = []
    for num_threads in (1, 3):
        torch.set_num_threads(num_threads)
        drawn.append(normals(some_keys(8), (2, 3)))
    torch.set_num_threads(before)
    assert torch.equal(*drawn)
    random = torch.Generator().manual_seed(seed_of(*some_keys(8)[4]))
    assert torch.equal(drawn[0][4], torch.randn(6, generator=random).reshape(2, 3))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden": 2, "outputs": 3}, "hidden=2 with outputs=3: heads with hidden units have one"),
        ({"privacy": PRIVACY, "optimizer": "adam"}, "privacy with optimizer='adam': DP-SGD needs"),
    ],
)
def test_settings_that_exclude_each_other(change, message):
    with pytest.raises(ValueError, match=message):
        train(some_features(1), labels_of(MULTICLASS), some_keys(1), MULTICLASS | change)


def test_arguments_that_do_not_fit():
    with pytest.raises(ValueError, match="2 sets of 6 examples for 1 keys and 6 labels"):
        train(some_features(2), labels_of(MULTICLASS), some_keys(1), MULTICLASS)
    with pytest.raises(ValueError, match="1 sets of 5 examples for 1 keys and 6 labels"):
        train(some_features(1, size=5), labels_of(MULTICLASS), some_keys(1), MULTICLASS)
    labels_N = torch.zeros(FEATURES, dtype=torch.int64)
    with pytest.raises(ValueError, match="12 features of 12 examples: more than that are needed"):
        train(some_features(1, size=FEATURES), labels_N, some_keys(1), MULTICLASS)


def test_diverged():
    features_HND = some_features(3).float()
    features_HND[1] *= 1e20
    settings = MULTICLASS | {"learning_rate": 1e20, "weight_decay": 0.0}
    message = "1 of 3 heads .* after 20 epochs at learning_rate 1e[+]20. Choose a smaller"
    with pytest.raises(TrainingError, match=message):
        train(features_HND, labels_of(MULTICLASS), some_keys(3), settings)
