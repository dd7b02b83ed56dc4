"""Orders of examples, augmentation and Poisson sampling, against slow twins and statistics."""

from collections import Counter

import numpy as np
import pytest
import torch

from shadowmill.data.store import Data
from shadowmill.seeds import generator
from shadowmill.training import batches
from shadowmill.training.batches import BatchSource, Normaliser, Pool, example_order

CPU = torch.device("cpu")
MEMBERS = np.array([3, 5, 8, 13, 21, 34, 55])
HEIGHT, WIDTH = 6, 8
PLAIN = {"crop": 0, "padding": "zero", "flip": False, "cutout": 0}


def make_data(inputs, kind="image", **fields):
    """A data set whose labels are the numbers of its examples, so that a batch tells them."""
    num, axes = len(inputs), inputs.shape[-1]
    return Data(
        **{
            "name": "made up",
            "kind": kind,
            "inputs": inputs,
            "labels": np.arange(num),
            "pool_size": num,
            "class_names": tuple(map(str, range(num))),
            "mean": np.linspace(0.3, 0.6, axes),
            "std": np.linspace(0.1, 0.4, axes),
            "digest": "0123",
        }
        | fields
    )


@pytest.fixture(scope="module")
def photos():
    random = np.random.default_rng(0)
    return make_data(random.integers(0, 256, (60, HEIGHT, WIDTH, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def table():
    features = np.random.default_rng(1).normal(size=(60, 5)).astype(np.float32)
    return make_data(features, "tabular")


def source(data, seeds=(1, 2), members=None, batch_size=16, steps=3, poisson=False, **augmentation):
    augmentation = PLAIN | augmentation
    if members is None:
        members = [np.arange(20 * k, 20 * k + 20) for k in range(len(seeds))]
    pool = Pool(data, len(data.labels), CPU)
    recipe = {"batch_size": batch_size, "augmentation": augmentation}
    return BatchSource(pool, list(seeds), members, recipe, steps, poisson=poisson)


def normalised(data, image):
    """(H, W, C) bytes to (C, H, W), one number at a time."""
    out = np.empty(image.shape[-1:] + image.shape[:-1])
    for h, w, c in np.ndindex(image.shape):
        out[c, h, w] = (image[h, w, c] / 255 - data.mean[c]) / data.std[c]
    return out


def pixels(data, images):
    """Back from normalised (…, C, H, W) to bytes (…, H, W, C)."""
    values = images.movedim(-3, -1).double().numpy() * data.std + data.mean
    return (values * 255).round().astype(np.uint8)


# Orders.


@pytest.mark.parametrize(
    ("start", "count", "passes"),
    [(0, 7, [0]), (0, 8, [0, 1]), (6, 1, [0]), (7, 7, [1]), (13, 2, [1, 2])],
)
def test_only_passes_that_are_needed_are_drawn(monkeypatch, start, count, passes):
    drawn = []

    def noted(seed, purpose, number):
        drawn.append(number)
        return generator(seed, purpose, number)

    monkeypatch.setattr(batches, "generator", noted)
    assert len(example_order(5, MEMBERS, start, count)) == count
    assert drawn == passes


def test_stretches_of_the_order_fit_together():
    whole = example_order(7, MEMBERS, 0, 40)
    pieces = [example_order(7, MEMBERS, start, 8) for start in range(0, 40, 8)]
    np.testing.assert_array_equal(np.concatenate(pieces), whole)


def test_every_member_is_seen_equally_often():
    order = example_order(7, MEMBERS, 0, 5 * len(MEMBERS))
    assert Counter(order.tolist()) == dict.fromkeys(MEMBERS.tolist(), 5)
    counts = Counter(example_order(7, MEMBERS, 0, 40).tolist())
    assert max(counts.values()) - min(counts.values()) == 1


def test_passes_and_models_are_shuffled_differently():
    first, second = example_order(7, MEMBERS, 0, 7), example_order(7, MEMBERS, 7, 7)
    assert first.tolist() != second.tolist()
    assert first.tolist() != example_order(8, MEMBERS, 0, 7).tolist()


# The pool.


def test_images_are_normalised_by_channel(photos):
    found = Normaliser(photos, CPU)(torch.from_numpy(photos.inputs[:2, None]))
    assert found.shape == (2, 1, 3, HEIGHT, WIDTH)
    assert found.dtype == torch.float32
    expected = [[normalised(photos, image)] for image in photos.inputs[:2]]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_features_are_normalised_each_by_its_own_moments(table):
    found = Normaliser(table, CPU)(torch.from_numpy(table.inputs))
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found, (table.inputs - table.mean) / table.std, rtol=1e-5, atol=1e-6)


def test_plain_examples_are_whole_and_unchanged(photos):
    pool = Pool(photos, 50, CPU)
    index = torch.tensor([[7, 0, 49], [7, 7, 1]])
    images, labels = pool.plain(index)
    assert images.shape == (2, 3, 3, HEIGHT, WIDTH)
    assert labels.dtype == torch.int64
    assert torch.equal(labels, index)
    np.testing.assert_array_equal(pixels(photos, images), photos.inputs[index])
    torch.testing.assert_close(pool.plain(torch.tensor(7))[0], images[0, 0])


def test_plain_features(table):
    inputs, labels = Pool(table, 60, CPU).plain(torch.tensor([4, 2]))
    np.testing.assert_allclose(
        inputs.numpy() * table.std + table.mean, table.inputs[[4, 2]], atol=1e-5
    )
    assert labels.tolist() == [4, 2]


def test_a_pool_ends_where_it_is_told(photos):
    with pytest.raises(IndexError):
        Pool(photos, 50, CPU).plain(torch.tensor([50]))


def test_examples_without_room_on_the_device_stay_where_they_are(photos, monkeypatch):
    """Batches are the same; `meta` stands for a device that has no room."""
    monkeypatch.setattr(batches, "_room", lambda device: photos.inputs.nbytes)
    pool = Pool(photos, 60, torch.device("meta"))
    assert not pool.is_on_device
    assert pool.plain(torch.tensor([1, 2]))[0].device.type == "meta"
    monkeypatch.setattr(batches, "_room", lambda device: photos.inputs.nbytes + 1)
    assert Pool(photos, 60, torch.device("meta")).is_on_device


def test_the_largest_input_is_found_wherever_it_is(photos, table):
    features = table.inputs.copy()
    features[17, 3] = -1e6
    pool = Pool(make_data(features, "tabular"), 60, CPU)
    expected = (1e6 + table.mean[3]) / table.std[3]
    assert pool.largest_input == pytest.approx(expected, rel=1e-6)


@pytest.fixture(scope="module")
def numbers():
    """Images of floating-point numbers."""
    return make_data(np.random.default_rng(2).normal(size=(9, HEIGHT, WIDTH, 1)).astype(np.float32))


def test_numbers_are_normalised_as_they_are(numbers):
    found = Normaliser(numbers, CPU)(torch.from_numpy(numbers.inputs))
    expected = (numbers.inputs - numbers.mean) / numbers.std
    np.testing.assert_allclose(found, expected.transpose(0, 3, 1, 2), rtol=1e-5, atol=1e-6)


# Batches.


@pytest.mark.parametrize("kind", ["image", "tabular"])
def test_batches_hold_the_members_own_examples_and_labels(photos, table, kind):
    data = photos if kind == "image" else table
    inputs, labels = source(data).batch(4)
    assert inputs.shape == (2, 16, *data.input_shape)
    assert inputs.dtype == torch.float32
    for model, seed in enumerate((1, 2)):
        members = np.arange(20 * model, 20 * model + 20)
        expected = example_order(seed, members, 4 * 16, 16)
        assert labels[model].tolist() == expected.tolist()
        stored = Normaliser(data, CPU)(torch.from_numpy(data.inputs[expected]))
        assert torch.equal(inputs[model], stored)


EVERYTHING = {"crop": 2, "padding": "reflect", "flip": True, "cutout": 3}


def test_a_model_sees_in_a_block_what_it_sees_alone(photos):
    members = [MEMBERS, np.arange(30), np.arange(40, 60)]
    block = source(photos, (5, 6, 7), members, **EVERYTHING)
    for model in range(3):
        alone = source(photos, [5 + model], members[model : model + 1], **EVERYTHING)
        for step in (0, 1, 7):
            for together, single in zip(block.batch(step), alone.batch(step), strict=True):
                assert torch.equal(together[model], single[0])


@pytest.mark.parametrize("poisson", [False, True])
def test_batches_do_not_depend_on_those_before(photos, poisson):
    first, second = (source(photos, [5], poisson=poisson, **EVERYTHING) for _ in range(2))
    for step in (0, 1, 2, 3, 4, 9):
        first.batch(step)
    for step in (9, 4, 0):
        for one, other in zip(first.batch(step), second.batch(step), strict=True):
            assert torch.equal(one, other)


# Crops, flips and cutout.


def test_the_draws_never_change():
    # Each image holds the numbers from 1 to 16, so an augmented one tells how it was made.
    numbers = np.arange(1, 17, dtype=np.uint8).reshape(4, 4)
    data = make_data(np.tile(numbers[..., None], (12, 1, 1, 1)), mean=np.zeros(1), std=np.ones(1))
    expected = [
        [(3, 2, 0, False), (5, 1, 1, True), (0, 1, 0, True)],
        [(9, 0, 2, False), (6, 2, 0, False), (10, 1, 2, False)],
    ]
    members = [np.arange(6), np.arange(6, 12)]
    found = source(data, (1, 2), members, batch_size=3, steps=2, crop=1, flip=True)
    images, labels = found.batch(3)
    padded = np.pad(numbers, 1)
    for model, rows in enumerate(expected):
        assert labels[model].tolist() == [example for example, *_ in rows]
        for image, (_, top, left, is_flipped) in zip(images[model], rows, strict=True):
            crop = padded[top : top + 4, left : left + 4]
            crop = crop[:, ::-1] if is_flipped else crop
            np.testing.assert_array_equal(pixels(data, image)[..., 0], crop)


def padded_slowly(image, crop, padding):
    """One pixel at a time: 0 outside, or what lies as far inside of the outermost pixel."""
    height, width, channels = image.shape
    out = np.zeros((height + 2 * crop, width + 2 * crop, channels), np.uint8)
    for i, j in np.ndindex(out.shape[:2]):
        row, column = i - crop, j - crop
        if padding == "reflect":
            row = abs(row) if row < height else 2 * (height - 1) - row
            column = abs(column) if column < width else 2 * (width - 1) - column
        if 0 <= row < height and 0 <= column < width:
            out[i, j] = image[row, column]
    return out


@pytest.mark.parametrize("padding", ["zero", "reflect"])
@pytest.mark.parametrize(("crop", "flip"), [(1, False), (1, True), (2, True)])
def test_augmentation_crops_padded_images_and_flips_half_of_them(photos, padding, crop, flip):
    augmented = source(photos, crop=crop, flip=flip, padding=padding)
    found = Counter()
    num = 0
    for step in range(30):
        images, labels = augmented.batch(step)
        for image, label in zip(
            pixels(photos, images.flatten(0, 1)), labels.flatten(), strict=True
        ):
            padded = padded_slowly(photos.inputs[label], crop, padding)
            made = {
                (top, left, is_flipped)
                for top, left, is_flipped in np.ndindex(2 * crop + 1, 2 * crop + 1, 2)
                if np.array_equal(
                    padded[top : top + HEIGHT, left : left + WIDTH][:, :: -1 if is_flipped else 1],
                    image,
                )
            }
            assert len(made) == 1
            found.update(made)
            num += 1
    assert set(is_flipped for *_, is_flipped in found) == ({0, 1} if flip else {0})
    cells = (2 * crop + 1) ** 2 * (1 + flip)
    assert len(found) == cells
    share = np.array(list(found.values())) / num
    assert np.abs(share - 1 / cells).max() < 5 * np.sqrt(1 / cells * (1 - 1 / cells) / num)


def test_padding_is_that_of_numpy(photos):
    for padding, mode in (("zero", "constant"), ("reflect", "reflect")):
        expected = np.pad(photos.inputs[0], [(2, 2), (2, 2), (0, 0)], mode)
        np.testing.assert_array_equal(padded_slowly(photos.inputs[0], 2, padding), expected)


def cut_out_slowly(image, side, row, column):
    """(C, H, W) with 0 in the square of a side around a centre, one pixel at a time."""
    out = image.clone()
    _, height, width = image.shape
    for i in range(row - side // 2, row - side // 2 + side):
        for j in range(column - side // 2, column - side // 2 + side):
            if 0 <= i < height and 0 <= j < width:
                out[:, i, j] = 0
    return out


@pytest.mark.parametrize("side", [1, 2, 3, 4, 20])
@pytest.mark.parametrize("others", [{}, {"crop": 1, "flip": True}], ids=["alone", "with others"])
def test_cutout_blanks_a_square_and_changes_nothing_else(photos, side, others):
    without, with_it = source(photos, **others), source(photos, **others, cutout=side)
    for step in range(4):
        images, labels = without.batch(step)
        cut_images, cut_labels = with_it.batch(step)
        assert torch.equal(labels, cut_labels)
        for image, cut in zip(images.flatten(0, 1), cut_images.flatten(0, 1), strict=True):
            assert any(
                torch.equal(cut_out_slowly(image, side, *centre), cut)
                for centre in np.ndindex(HEIGHT, WIDTH)
            )


def test_centres_of_cutout_are_uniform_over_the_image(photos):
    # Of side 1, the square is its centre.
    holes = torch.zeros(HEIGHT, WIDTH)
    cut = source(photos, batch_size=64, steps=40, cutout=1)
    for step in range(40):
        blank = (cut.batch(step)[0] == 0).all(dim=2)
        assert (blank.sum(dim=(2, 3)) == 1).all()
        holes += blank.sum(dim=(0, 1))
    num, share = int(holes.sum()), 1 / (HEIGHT * WIDTH)
    assert num == 40 * 2 * 64
    assert (holes / num - share).abs().max() < 5 * (share * (1 - share) / num) ** 0.5


def test_a_square_of_the_image_size_leaves_what_its_place_outside_leaves(photos):
    # Of 8 columns, a square of side 8 around column c covers c − 4 … c + 3: of row 3, which
    # it always meets, it leaves c − 4 columns on the left or 4 − c on the right.
    images = source(photos, [1], cutout=8, batch_size=64).batch(0)[0][0]
    kept = (images[:, :, 3] != 0).any(dim=1)
    assert set(kept.sum(dim=1).tolist()) == {0, 1, 2, 3, 4}
    assert not kept[:, 3].any()  # a square that leaves 4 on the right reaches up to column 3


# Poisson sampling.


def test_poisson_batches_are_the_members_whose_number_is_small():
    data = make_data(np.zeros((60, 2), np.float32), "tabular")
    poisson = source(data, [9], [MEMBERS], batch_size=2, poisson=True)
    assert poisson.sample_rate == 2 / 7
    for step in range(20):
        numbers = generator(9, "poisson", step).random(7)
        inputs, labels = poisson.batch(step)
        assert labels.tolist() == [[m for m, u in zip(MEMBERS, numbers, strict=True) if u < 2 / 7]]
        assert inputs.shape == (1, labels.shape[1], 2)


def test_poisson_draws_each_member_at_its_rate_and_independently(table):
    num, rate = 4000, 0.3
    poisson = source(table, [4], [np.arange(30, 40)], batch_size=3, poisson=True)
    drawn = np.zeros((num, 10))
    for step in range(num):
        drawn[step, poisson.batch(step)[1][0].numpy() - 30] = 1
    spread = 5 * np.sqrt(rate * (1 - rate) / num)
    assert np.abs(drawn.mean(axis=0) - rate).max() < spread
    together = drawn.T @ drawn / num
    pairs = together[~np.eye(10, dtype=bool)]
    assert np.abs(pairs - rate**2).max() < 5 * np.sqrt(rate**2 * (1 - rate**2) / num)
    following = (drawn[1:] * drawn[:-1]).mean(axis=0)
    assert np.abs(following - rate**2).max() < 5 * np.sqrt(rate**2 * (1 - rate**2) / num)
    sizes = drawn.sum(axis=1)
    assert sizes.min() == 0
    assert sizes.var() == pytest.approx(10 * rate * (1 - rate), rel=0.15)


@pytest.mark.parametrize("augmentation", [{}, EVERYTHING], ids=["plain", "augmented"])
def test_a_poisson_batch_may_be_empty(photos, augmentation):
    poisson = source(photos, [4], [MEMBERS], batch_size=1, poisson=True, **augmentation)
    sizes = set()
    for step in range(20):
        images, labels = poisson.batch(step)
        assert images.shape == (1, labels.shape[1], 3, HEIGHT, WIDTH)
        sizes.add(labels.shape[1])
    assert {0, 1} < sizes


def test_poisson_batches_are_augmented(photos):
    plain = source(photos, [4], batch_size=10, poisson=True)
    augmented = source(photos, [4], batch_size=10, poisson=True, **EVERYTHING)
    for step in range(3):
        (before, labels), (after, same_labels) = plain.batch(step), augmented.batch(step)
        assert torch.equal(labels, same_labels)
        assert (before != after).flatten(2).any(dim=2).sum() > 0.8 * labels.numel()


def test_poisson_sampling_is_for_one_model(photos):
    with pytest.raises(ValueError, match="Poisson sampling for 2 models"):
        source(photos, poisson=True)
