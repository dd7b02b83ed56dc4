"""Finished models in the configuration: what is read, what is refused."""

import re

import pytest

MODEL = {"file": "a.pth", "members": "in.txt"}


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.pth", "in.txt", "out.npy", "a.onnx"):
        (tmp_path / name).touch()


@pytest.fixture
def importing(raw):
    raw["studies"]["other"]["imports"] = {"dense": {"targets": {"mine": dict(MODEL)}}}
    del raw["studies"]["other"]["target_seeds"]
    return raw


def test_targets_are_finished_models_by_their_names(importing, read):
    given = {"members": "in.txt", "held_out": "out.npy"}
    importing["studies"]["other"]["imports"]["dense"]["targets"]["mine"] |= given
    study = read(importing).studies["other"]
    assert study.targets == {"target-mine": ["given", "mine"]}
    assert study.given == {"mine": given}
    assert study.imported("dense", "target-mine") == {"file": "a.pth", "trust": False} | given
    assert study.imported("dense", "target-7") is None
    assert study.imported("static-0.9", "target-mine") is None
    assert study.num_examples("digits") is None  # the lists say


def test_targets_by_seed_stand_beside_them(importing, read):
    importing["studies"]["other"]["target_seeds"] = [3]
    targets = read(importing).studies["other"].targets
    assert targets == {"target-3": ["target", 3], "target-mine": ["given", "mine"]}


def test_a_study_without_imports_needs_seeds(raw, faults):
    del raw["studies"]["other"]["target_seeds"]
    assert "studies.other.target_seeds: missing; there is one" in "\n".join(faults(raw))


PLACE = "studies.other.imports.dense"
FAULTS = {
    "no such variant": (
        {"imports": {"dpf-0.9": {"targets": {"mine": MODEL}}}},
        "studies.other.imports.dpf-0.9: there is no variant 'dpf-0.9'",
    ),
    "nothing": (
        {"imports": {"dense": {"targets": {}}}},
        f"{PLACE}.targets: is empty; give at",
    ),
    "no members": (
        {"imports": {"dense": {"targets": {"mine": {"file": "a.pth"}}}}},
        f"{PLACE}.targets.mine.members: missing",
    ),
    "no file": (
        {"imports": {"dense": {"targets": {"mine": MODEL | {"file": "b.pth"}}}}},
        f"{PLACE}.targets.mine.file: there is no file b.pth",
    ),
    "another kind of file": (
        {"imports": {"dense": {"targets": {"mine": MODEL | {"file": "a.onnx"}}}}},
        f"{PLACE}.targets.mine.file: a.onnx ends in none of .safetensors",
    ),
    "a list of another kind": (
        {"imports": {"dense": {"targets": {"mine": MODEL | {"members": "a.pth"}}}}},
        f"{PLACE}.targets.mine.members: a.pth ends in none of .npy, .txt, .csv",
    ),
    "half of a normalisation": (
        {"imports": {"dense": {"targets": {"mine": MODEL | {"mean": [0.5]}}}}},
        f"{PLACE}.targets.mine: mean and std go together",
    ),
    "two networks": (
        {"architectures": ["small_convnet", "resnet20"]},
        "studies.other.architectures: an imported model belongs to one architecture",
    ),
    "two data sets": (
        {"datasets": ["digits", "cifar10"]},
        "studies.other.datasets: an imported model belongs to one data set",
    ),
    "the other protocol": (
        {"protocol": "disjoint", "attacks": ["loss"]},
        "studies.other.protocol: imported models need the protocol half",
    ),
    "validation": ({"validation": 0.1}, "studies.other.validation: says who is a member"),
    "one name, two training sets": (
        {
            "variants": ["dense", "dense+label_smoothing-0.1"],
            "imports": {
                "dense": {"targets": {"mine": MODEL}},
                "dense+label_smoothing-0.1": {"targets": {"mine": MODEL | {"members": "out.npy"}}},
            },
        },
        "targets.mine: its members and held_out differ from those of studies.other.imports.dense",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults(importing, faults, fault):
    change, message = FAULTS[fault]
    importing["studies"]["other"] |= change
    found = "\n".join(faults(importing))
    assert re.search(re.escape(message), found), found
