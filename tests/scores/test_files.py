"""Score files: put together in order, and never mixed with what does not belong."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from shadowmill.errors import ArtefactError
from shadowmill.names import shadow_names
from shadowmill.roles import MEMBER, NON_MEMBER
from shadowmill.scores.files import check_same_settings, read_scores

SETTINGS = {"recipe": {"epochs": 5, "learning_rate": 0.1}, "seed": 0, "protocol": "half"}


def test_blocks_are_joined_in_the_order_given(write_scores):
    (first, a), (second, b) = write_scores("shadow-01"), write_scores("shadow-00")
    of_models = ("test_accuracy", "test_loss", "sparsity", "epochs", "training_seconds")
    scores = read_scores([first, second], of_models)
    assert scores.models == ("shadow-01-0", "shadow-01-1", "shadow-00-0", "shadow-00-1")
    for name in ("phi", "correct", "roles", *of_models):
        expected = np.concatenate([a[name], b[name]])
        np.testing.assert_array_equal(scores[name], expected, strict=True)
    assert scores.training_settings["recipe"] == {"epochs": 5, "learning_rate": 0.1}


def test_members_and_non_members_are_those_of_the_roles(write_scores):
    paths, arrays = zip(*(write_scores(b) for b in ("target-1", "shadow-01")), strict=True)
    scores = read_scores(paths)
    roles_MN = np.concatenate([content["roles"] for content in arrays])
    assert set(np.unique(roles_MN)) == {0, 1, 2, 3}
    np.testing.assert_array_equal(scores["roles"], roles_MN, strict=True)
    np.testing.assert_array_equal(scores.member_MN, roles_MN == MEMBER)
    np.testing.assert_array_equal(scores.nonmember_MN, roles_MN == NON_MEMBER)


def test_the_identity_query_alone(write_scores):
    path, arrays = write_scores("shadow-00")
    scores = read_scores([path], identity_only=True)
    np.testing.assert_array_equal(scores["phi"], arrays["phi"][:, :, :1], strict=True)


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"seed": 1}, "seed"),
        ({"recipe": {"epochs": 6, "learning_rate": 0.1}}, "recipe"),
        (
            {"recipe": {"epochs": 5, "learning_rate": 0.1}, "extra": 1, "protocol": "x"},
            "extra, protocol",
        ),
    ],
)
def test_models_trained_with_other_settings_are_named_with_what_differs(
    write_scores, change, fields
):
    first, _ = write_scores("shadow-00", settings=SETTINGS)
    second, _ = write_scores("shadow-01", settings=SETTINGS | change)
    with pytest.raises(ArtefactError) as caught:
        read_scores([first, second])
    message = str(caught.value)
    assert message.startswith(f"{second}: ")
    assert f"those of {first}: {fields}. Delete" in message


def test_a_setting_that_is_missing_differs(write_scores):
    first, _ = write_scores("shadow-00", settings=SETTINGS | {"extra": None, "x": 1})
    second, _ = write_scores("shadow-01", settings=SETTINGS)
    with pytest.raises(ArtefactError, match=r": x\. "):
        read_scores([first, second])


def test_settings_are_compared_as_they_are_written():
    check_same_settings("b", {"sizes": [1, 2]}, "a", {"sizes": (1, 2)})
    with pytest.raises(ArtefactError, match=r"b: .* of a: seed, sizes\. Delete"):
        check_same_settings("b", {"sizes": [1], "seed": 0}, "a", {"sizes": (1, 2), "seed": 1})


@pytest.mark.parametrize("part", [0.3, 0.95])
def test_a_truncated_file_is_named(write_scores, part):
    path, _ = write_scores("shadow-00")
    content = Path(path).read_bytes()
    Path(path).write_bytes(content[: int(part * len(content))])
    with pytest.raises(ArtefactError, match=rf"{re.escape(path)}: .*truncated"):
        read_scores([path])


def test_files_with_other_numbers_of_queries_are_refused(write_scores):
    first, arrays = write_scores("shadow-00")
    second, _ = write_scores("shadow-01", phi=arrays["phi"][:, :, :1])
    with pytest.raises(ArtefactError, match=re.escape(second)):
        read_scores([first, second])


# What a file is named for.


def copied(path, name):
    return shutil.copy(path, Path(path).with_name(f"{name}.h5"))


def test_a_copy_of_another_block_of_shadows_is_refused(write_scores):
    path, _ = write_scores("shadow-00")
    with pytest.raises(
        ArtefactError, match=r"shadow-01\.h5: it holds shadow-00-0, shadow-00-1, .*not.*shadow-01"
    ):
        read_scores([path, copied(path, "shadow-01")])


def test_swapped_targets_are_refused(write_scores):
    one, other = (Path(write_scores(f"target-{seed}")[0]) for seed in (1, 2))
    one.rename(one.with_name("kept"))
    other.rename(one)
    one.with_name("kept").rename(other)
    with pytest.raises(ArtefactError, match=r"target-1\.h5: it holds target-2, which are not"):
        read_scores([str(one), str(other)])


@pytest.mark.parametrize(("found", "name"), [("shadow-00", "target-1"), ("target-1", "shadow-00")])
def test_a_shadow_is_no_target(write_scores, found, name):
    path = copied(write_scores(found)[0], name)
    with pytest.raises(ArtefactError, match=rf"{name}\.h5: it holds {found}"):
        read_scores([path])


@pytest.mark.parametrize("count", [1, 8, 16, 64])
def test_a_block_of_any_size_is_taken(write_scores, count):
    names = shadow_names("shadow-03", count)
    arrays = {key: np.zeros((count, 5, 2), np.float32) for key in ("phi",)}
    arrays |= {key: np.zeros((count, 5), np.int8) for key in ("correct", "roles")}
    keys = ("test_accuracy", "test_loss", "sparsity", "epochs", "training_seconds")
    arrays |= {key: np.zeros(count) for key in keys}
    path, _ = write_scores("shadow-03", models=names, **arrays)
    assert read_scores([path]).models == tuple(names)


def test_an_array_that_is_not_there_is_named_with_who_needs_it(write_scores):
    path, _ = write_scores("shadow-00")
    with pytest.raises(
        ArtefactError, match=r"shadow-00\.h5: it has no logits, which the attack nn needs"
    ):
        read_scores([path], ["logits"], reader="the attack nn")
