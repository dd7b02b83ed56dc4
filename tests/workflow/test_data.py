"""Files of data sets that change: what is prepared again, and what is computed again."""

import copy
import shutil
from base64 import urlsafe_b64encode

import pytest
from checkouts import SMALL, Checkout
from PIL import Image

DATA = "results/data/skin.h5"
ROLES = "results/small/skin/roles/target-7.h5"  # hang on the number of images
SCORES = "results/small/skin/small_convnet/dense/scores/target-7.h5"


def own_images(root):
    """Forty images of two classes; their sizes in bytes do not depend on their colours."""
    for index in range(40):
        path = root / "train" / ("cat", "dog")[index % 2] / f"{index:02}.bmp"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (64, 64), (5 * index, 90 * (index % 2), 3 * index)).save(path)


def of_images(root):
    """A configuration of a study of the images in a folder."""
    config = copy.deepcopy(SMALL)
    config["datasets"] = {"skin": {"images": str(root), "size": 64}}
    config["recipes"]["short"] |= {"epochs": 1, "batch_size": 8}
    config["studies"]["small"] = {
        "datasets": ["skin"],
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


def images_of(checkout):
    return checkout.folder.parent / "images"


def change_pixel(checkout):
    """One pixel of one image; the sizes of files do not change."""
    path = images_of(checkout) / "train/cat/00.bmp"
    with Image.open(path) as image:
        image.putpixel((3, 4), (255, 255, 255))
        image.save(path)


def touch(checkout):
    (images_of(checkout) / "train/cat/00.bmp").touch()


def models(checkout):
    """When each model was trained."""
    return {path: path.stat().st_mtime_ns for path in checkout.results.rglob("*.safetensors")}


def remote_job(checkout, rule, **wildcards):
    """A job as a cluster runs it."""
    values = ",".join(f"{name}={value}" for name, value in wildcards.items())
    mode = ("--mode", "remote", "--executor", "local", "--nolock", "--cores", "1")
    return checkout.snakemake(
        "--target-jobs", f"{rule}:{values}", "--allowed-rules", rule, *mode, "--force"
    )


AGAIN = {"dataset_again": 1}
RETRAINED = {"roles": 1, "train_target": 1, "score_block": 1}


def test_copied_deleted_and_mistaken_folders(scored):
    """Nothing to do for a copy with its times, nor without the files; no folder is an error."""
    assert scored.planned(SCORES) == {}
    images = images_of(scored)
    images.rename(images.with_name("moved"))
    output = scored.snakemake("-n", "--profile", "profiles/local", SCORES)
    assert "skin: no files in ../images any more" in output
    assert "Nothing to be done" in output
    scored.configure(of_images("../moved"))
    assert scored.planned(SCORES) == {}
    scored.configure(of_images("../nowhere"))
    output = scored.snakemake("-n", "--profile", "profiles/local", SCORES, expect=1)
    assert "datasets.skin: there is no folder ../nowhere" in output
    assert "Traceback" not in output
    # Jobs of a cluster do not look.
    wildcards = {"study": "small", "dataset": "skin", "block": "target-7"}
    assert "1 of 1 steps" in remote_job(scored, "roles", **wildcards)


def test_touched_images_are_prepared_again_and_nothing_is_trained(scored):
    """Even if a kill while they were prepared left nothing of them, and a job then needs them."""
    before = models(scored)
    touch(scored)
    output = scored.snakemake("-n", "--profile", "profiles/local", SCORES)
    assert "the files in ../images are not those that were prepared" in output
    assert scored.planned(SCORES) == AGAIN
    (scored.folder / DATA).unlink()
    (scored.folder / SCORES).unlink()
    scored.run(SCORES)
    assert models(scored) == before
    assert scored.planned(SCORES) == {}


def test_a_changed_pixel_retrains_in_the_same_run(scored):
    before = models(scored)
    change_pixel(scored)
    assert scored.planned(SCORES) == AGAIN
    scored.run(SCORES)
    after = models(scored)
    assert after.keys() == before.keys()
    assert all(after[path] > before[path] for path in before)
    assert scored.planned(SCORES) == {}


@pytest.mark.parametrize("change", ["added", "moved"])
def test_other_images_are_planned_to_be_prepared(scored, change):
    images = images_of(scored)
    if change == "added":
        shutil.copy(images / "train/cat/00.bmp", images / "train/cat/more.bmp")
    else:
        shutil.copytree(images, images.with_name("others"), copy_function=shutil.copyfile)
        scored.configure(of_images("../others"))
    assert scored.planned(SCORES) == AGAIN


def test_killed_between_preparing_and_training(scored):
    """What was prepared then is known, to models that are there and where none are kept."""
    change_pixel(scored)
    scored.run(DATA)
    assert scored.planned(SCORES) == RETRAINED
    for path in models(scored):
        path.unlink()
    assert scored.planned(SCORES) == RETRAINED


def test_killed_before_it_is_noted_that_data_are_prepared(scored):
    """Snakemake would forget all that hangs on them: its plan is looked at again."""
    change_pixel(scored)
    scored.run(DATA)
    mark = scored.folder / ".snakemake/incomplete" / urlsafe_b64encode(DATA.encode()).decode()
    mark.parent.mkdir(exist_ok=True)
    mark.write_text("{}")
    before = (scored.folder / ROLES).stat().st_mtime_ns
    assert scored.planned(ROLES) == AGAIN
    scored.run(ROLES)
    assert (scored.folder / ROLES).stat().st_mtime_ns > before
