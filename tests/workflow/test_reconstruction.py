"""The road of reconstructions, on a small one: what runs, what is redone, and what is killed."""

import signal
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import yaml
from checkouts import ROOT, Checkout, kill_once

from shadowmill.defenses.private import epsilon as privacy_budget

NAME = "reconstruction_small"
SETTING = f"results/{NAME}/class_size-2"


def configuration():
    """The shipped configuration, with the small reconstruction alone."""
    shipped = yaml.safe_load((ROOT / "workflow_config.yaml").read_text())
    return shipped | {"build": [NAME], "reconstructions": {NAME: shipped["reconstructions"][NAME]}}


@pytest.fixture
def untouched(tmp_path):
    return Checkout.create(tmp_path / "checkout", configuration())


@pytest.fixture(scope="module")
def ended_once(tmp_path_factory):
    checkout = Checkout.create(
        tmp_path_factory.mktemp("reconstruction") / "checkout", configuration()
    )
    checkout.run()
    return checkout


@pytest.fixture
def ended(ended_once, tmp_path):
    return ended_once.copy(tmp_path / "checkout")


def test_what_runs(untouched):
    assert untouched.planned() == {
        "all": 1,
        "dataset": 1,
        "backbone": 1,
        "deep_features": 1,
        "train_heads": (4 + 3 + 1) + (8 + 3 + 1),  # twice the seeds with twice the examples
        "weight_statistics": 2,
        "train_reconstructor": 2,
        "reconstruct": 2,
        "head_membership": 2,
        "tabulate_reconstruction": 2,
        "join_reconstructions": 1,
        "plot_reconstruction_roc": 2,
        "plot_min_mse": 2,
        "plot_gallery": 2,
        "plot_learning_curve": 2,
        "plot_head_membership": 2,
        "plot_sweep": 1,
    }


def test_everything_is_there(ended):
    folder = ended.results / NAME
    assert (folder / "tables" / "reconstruction.csv").exists()
    names = ("roc", "min_mse", "gallery", "learning_curve", "membership")
    for name in [f"{n}-class_size-{c}" for n in names for c in (1, 2)] + ["sweep"]:
        for kind in ("png", "pdf"):
            assert (folder / "figures" / f"{name}.{kind}").stat().st_size > 1000
    assert ended.planned() == {}


def test_every_file_can_be_asked_for(ended):
    files = ended.written(NAME, "backbones", "data")
    assert len(files) > 20
    assert ended.planned(*files) == {}


def test_a_lost_shard_is_made_again_alone(ended):
    shard = f"{SETTING}/heads/train-0003.h5"
    (ended.folder / shard).unlink()
    assert ended.planned(shard) == {"train_heads": 1}


def test_another_class_size_leaves_the_others_alone(ended):
    config = configuration()
    config["reconstructions"][NAME]["sweep"]["class_size"].append(3)
    ended.configure(config)
    planned = ended.planned()
    assert planned["train_heads"] == 12 + 3 + 1
    assert planned["train_reconstructor"] == 1


def test_a_damaged_shard_is_named(ended):
    shard = ended.folder / SETTING / "heads" / "train-0003.h5"
    shard.write_bytes(shard.read_bytes()[:1000])
    output = ended.snakemake("--cores", "2", "--profile", "profiles/local", expect=1)
    assert "class_size-2/heads/train-0003.h5: cannot be read" in output
    assert "Traceback" not in output


def test_too_few_examples_are_named(untouched):
    config = configuration()
    config["reconstructions"][NAME]["train_heads"]["per_seed"] = 1000
    untouched.configure(config)
    target = f"results/{NAME}/class_size-1/heads/train-0000.h5"
    output = untouched.snakemake(
        "--cores", "2", "--profile", "profiles/local", "--", target, expect=1
    )
    assert "1000" in output
    assert "Traceback" not in output


def test_weights_that_are_not_there_are_told_while_planning(untouched):
    config = configuration()
    backbone = config["reconstructions"][NAME]["backbone"]
    config["backbones"][backbone]["weights"] = "~/nowhere.pth"
    untouched.configure(config)
    output = untouched.snakemake("-n", "--profile", "profiles/local", expect=1)
    assert f"{Path.home()}/nowhere.pth: no such file. Name a backbone" in output
    assert "Traceback" not in output


@pytest.mark.slow
def test_killed_again_and_again(untouched, ended_once):
    config = configuration()
    config["execution"]["checkpoint_minutes"] = 1e-6
    one = {"sweep": {"class_size": [1]}, "membership_seeds": 0}
    config["reconstructions"][NAME] = config["reconstructions"][NAME] | one
    untouched.configure(config)
    moments = [
        (".unfinished/backbones/**/checkpoint.safetensors", 1, signal.SIGKILL),
        ("backbones/**/features/*.h5", 1, signal.SIGKILL),
        (f"{NAME}/*/heads/*.h5", 5, signal.SIGKILL),
        (f".unfinished/{NAME}/**/checkpoint.safetensors", 1, signal.SIGKILL),
        (f".unfinished/{NAME}/**/checkpoint.safetensors", 1, signal.SIGTERM),
        (f"{NAME}/*/reconstructions.h5", 1, signal.SIGKILL),
    ]
    for pattern, count, number in moments:
        kill_once(untouched, pattern, count, number)
        untouched.snakemake("--unlock")
    untouched.run()
    assert untouched.planned() == {}
    found_again = sorted(untouched.results.glob(f"{NAME}/**/*.h5"))
    assert len(found_again) == 4 + 1 + 1 + 2
    for again in found_again:
        path = ended_once.results / again.relative_to(untouched.results)
        with h5py.File(path) as expected, h5py.File(again) as found:
            assert found.keys() == expected.keys()
            for key in found:
                np.testing.assert_array_equal(found[key][()], expected[key][()], str(again))
    assert not [path for path in (untouched.results / ".unfinished").rglob("*") if path.is_file()]


def test_members_are_told_from_others(ended):
    with h5py.File(ended.folder / SETTING / "membership.h5") as file:
        assert len(file["score_in"]) == len(file["score_out"]) > 100


# What the small reconstruction leaves out: binary heads with a hidden layer, trained privately,
# whose weights are written out; a reconstructor that is tried on the heads of another study.
HEADS = {"epochs": 20, "learning_rate": 0.05, "init_std": 0.002}
COMMON = {
    "backbone": "digits_low",
    "dataset": "digits",
    "classes": [5, 6, 7, 8, 9],
    "test_fraction": 0.4,
    "train_heads": {"seeds": 2, "per_seed": 90},
    "test_heads": 50,
}
NETWORK = {"image_size": 8, "width": 4, "steps": 20}
OTHERS = {
    "private": COMMON
    | {
        "task": "binary",
        "positive": [5, 7, 9],
        "heads": HEADS | {"hidden": 4, "privacy": {"noise_multiplier": 1, "max_grad_norm": 1}},
        "sweep": {"noise_multiplier": [1, 4]},
        "materialise": True,
        "reconstructor": NETWORK | {"conditional": False},
    },
    "plain": COMMON | {"heads": HEADS, "reconstructor": NETWORK},
    "away": COMMON
    | {
        "heads": HEADS | {"optimizer": "adam", "learning_rate": 0.001},
        "stream": True,
        "test_on": "plain",
        "reconstructor": NETWORK,
    },
}


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    config = configuration() | {"build": ["private"], "reconstructions": OTHERS}
    checkout = Checkout.create(tmp_path_factory.mktemp("others") / "checkout", config)
    tables = [f"results/{name}/tables/reconstruction.csv" for name in ("private", "away")]
    checkout.run(*tables, "results/private/figures/sweep.png")
    return checkout


@pytest.mark.slow
def test_noise_is_shown_as_the_privacy_that_it_gives(others):
    table = pd.read_csv(others.results / "private" / "tables" / "reconstruction.csv")
    epsilon = table.groupby("setting")["epsilon"].unique()
    rate, delta, steps = 0.5, 5**-1.1, 40
    for noise in (1, 4):
        (found,) = epsilon[f"noise_multiplier-{noise}"]
        assert found == pytest.approx(privacy_budget(noise, rate, steps, delta), rel=1e-6)
    assert (others.results / "private" / "figures" / "sweep.png").exists()
    assert set(table["class"]) == {"all"}  # not conditional


@pytest.mark.slow
def test_weights_are_written_where_they_are_asked_for(others):
    size = 4 * (64 + 1) + 4 + 1
    with h5py.File(others.results / "private/noise_multiplier-1/heads/train-0000.h5") as file:
        assert file["weights"].shape == (90, size)
    with h5py.File(others.results / "plain/default/heads/test-0000.h5") as file:
        assert "weights" not in file


@pytest.mark.slow
def test_a_reconstructor_is_tried_on_other_heads(others):
    own = others.results / "away" / "default" / "heads"
    assert [path.stem for path in own.glob("test-*")] == ["test-9999"]  # of the learning curve
    with (
        h5py.File(others.results / "away" / "default" / "reconstructions.h5") as found,
        h5py.File(others.results / "plain" / "default" / "heads" / "test-0000.h5") as tested,
    ):
        np.testing.assert_array_equal(found["indices"][()], tested["indices"][()])
