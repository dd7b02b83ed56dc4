"""Files of data sets that change: what is prepared again, and what is computed again."""

import copy
import json
import os
import shutil
import signal

import pytest
from checkouts import SMALL, Checkout, kill_once
from PIL import Image

RECORD = ".prepared/image_folder.json"
SCORES = "results/small/image_folder/small_convnet/dense/scores/target-7.h5"


def own_images(root):
    """Forty images of two classes; their sizes in bytes do not depend on their colours."""
    for index in range(40):
        path = root / "train" / ("cat", "dog")[index % 2] / f"{index:02}.bmp"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (64, 64), (5 * index, 90 * (index % 2), 3 * index)).save(path)


def of_images(root):
    """A configuration of a study of the images in a folder."""
    config = copy.deepcopy(SMALL)
    config["data"] = {"root": "data", "roots": {"image_folder": str(root)}}
    config["recipes"]["short"] |= {"epochs": 1, "batch_size": 8}
    config["studies"]["small"] = {
        "datasets": ["image_folder"],
        "architectures": ["small_convnet"],
        "variants": ["dense"],
        "recipe": "short",
        "target_seeds": [7],
        "num_shadows": 2,
        "models_per_job": 2,
        "attacks": ["loss"],
    }
    return config


@pytest.fixture(scope="module")
def scored_once(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    own_images(folder / "images")
    checkout = Checkout.create(folder / "checkout", of_images("../images"))
    checkout.run(SCORES)
    return folder


@pytest.fixture
def scored(scored_once, tmp_path):
    """A checkout with scores of a model of the images beside it."""
    shutil.copytree(scored_once, tmp_path / "copy", symlinks=True)
    return Checkout(tmp_path / "copy/checkout")


PREPARED_AGAIN = {"dataset_again": 1}


def images_of(checkout):
    return checkout.folder.parent / "images"


def trained(checkout):
    """When each model was trained."""
    return {path.name: path.stat().st_mtime_ns for path in checkout.results.rglob("*.safetensors")}


def content(checkout):
    return json.loads((checkout.results / RECORD).read_text())["content"]


def assert_retrained(checkout, before):
    after = trained(checkout)
    assert after.keys() == before.keys()
    assert all(after[name] > before[name] for name in before)
    assert checkout.planned(SCORES) == {}


def test_nothing_changed(scored):
    assert scored.planned(SCORES) == {}
