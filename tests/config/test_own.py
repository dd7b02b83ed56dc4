"""Data and networks of the user's own in the configuration: what is read, what is refused."""

import re

import numpy as np
import pytest

IMAGES = {"images": "skin", "size": 16}
TABLE = {"table": "patients.csv", "label": "outcome"}


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text("def build(*a): pass\n")
    np.savez("scans.npz", inputs=np.zeros((4, 3)), labels=np.zeros(4), groups=np.zeros(4))


def test_studies_list_own_data_and_networks_by_name(raw, read):
    raw["datasets"] = {"skin": IMAGES, "patients": TABLE, "scans": {"arrays": "scans.npz"}}
    raw["architectures"] = {
        "mine": {"file": "mine.py", "function": "build", "arguments": {"width": 3}},
        "wide": {"ours": "perceptron", "arguments": {"hidden": [9], "dropout": 0}},
    }
    raw["studies"]["other"] |= {"datasets": ["skin", "digits"], "architectures": ["mine"]}
    config = read(raw)
    study = config.studies["other"]
    assert [cell.dataset for cell in study.cells] == ["skin", "digits"]
    assert study.datasets["skin"].settings == {"name": "skin", "size": 16}
    assert study.num_examples("skin") is None
    assert config.datasets["scans"].kind == "tabular"
    assert config.datasets["scans"].has_groups
    assert not config.datasets["patients"].has_groups
    settings = study.training_settings("mine", "dense")
    assert settings["network"] == {"function": "build", "arguments": {"width": 3}}
    assert "file" not in str(settings)
    assert "network" not in config.studies["main"].training_settings("resnet18", "dense")


def test_sizes_of_published_images_are_settings(raw, read):
    raw["data"] = {"sizes": {"imagenet": 224}}
    datasets = read(raw).datasets
    assert datasets["imagenet"].settings == {"size": 224}
    assert datasets["chmnist"].settings == {}


def test_groups_leave_out_the_audit_of_privacy(raw, read):
    raw["datasets"] = {"skin": IMAGES | {"group": r"p(\d+)"}, "plain": IMAGES}
    raw["studies"]["other"] |= {
        "variants": ["dense+dp_sgd-8"],
        "datasets": ["plain"],
        "architectures": ["small_convnet"],
    }
    assert read(raw).studies["other"].audits_privacy
    raw["studies"]["other"]["datasets"] = ["skin"]
    assert not read(raw).studies["other"].audits_privacy


DATA = "datasets.skin"
FAULTS = {
    "a name of ours": ({"datasets": {"cifar10": IMAGES}}, "datasets.cifar10: there is a published"),
    "nothing": ({"datasets": {"skin": {}}}, f"{DATA}: give exactly one of images, table, arrays"),
    "two kinds": (
        {"datasets": {"skin": IMAGES | TABLE}},
        f"{DATA}: give .*; found images and table",
    ),
    "no size": ({"datasets": {"skin": {"images": "skin"}}}, f"{DATA}.size: missing; data given as"),
    "no label": ({"datasets": {"skin": {"table": "a.csv"}}}, f"{DATA}.label: missing"),
    "a key of another kind": (
        {"datasets": {"skin": IMAGES | {"label": "x"}}},
        f"{DATA}.label: data given as images have no such key; they have group, size",
    ),
    "a small size": (
        {"datasets": {"skin": IMAGES | {"size": 4}}},
        f"{DATA}.size: 4 must be at least 8",
    ),
    "an expression": (
        {"datasets": {"skin": IMAGES | {"group": "p("}}},
        rf"{DATA}.group: 'p\(' is no regular",
    ),
    "a suffix": (
        {"datasets": {"skin": TABLE | {"table": "a.xlsx"}}},
        f"{DATA}.table: a.xlsx ends in none",
    ),
    "a column twice": (
        {"datasets": {"skin": TABLE | {"id": "outcome"}}},
        f"{DATA}: the column outcome is named for two",
    ),
    "a root": (
        {"datasets": {"skin": IMAGES}, "data": {"roots": {"skin": "x"}}},
        r"data\.roots\.skin: skin is your own, its path is under datasets\.skin",
    ),
    "a size of what is not scaled": (
        {"data": {"sizes": {"cifar10": 64}}},
        r"data\.sizes\.cifar10: only images of chmnist, imagenet",
    ),
    "a reconstruction": (
        {"datasets": {"skin": IMAGES}, "reconstructions.home.dataset": "skin"},
        r"reconstructions\.home\.dataset: skin is your own",
    ),
    "prefixes of groups": (
        {"datasets": {"skin": IMAGES | {"group": "p"}}, "studies.prefixes.datasets": ["skin"]},
        r"studies\.prefixes\.subsets: .* would cut the groups of skin",
    ),
    "an architecture of ours": (
        {"architectures": {"mlp": {"file": "mine.py", "function": "build"}}},
        r"architectures\.mlp: there is an architecture of this name",
    ),
    "no network": (
        {"architectures": {"mine": {}}},
        r"architectures\.mine: give exactly one of file",
    ),
    "a file without function": (
        {"architectures": {"mine": {"file": "mine.py"}}},
        r"architectures\.mine\.function: name the one that builds",
    ),
    "a missing file": (
        {"architectures": {"mine": {"file": "none.py", "function": "build"}}},
        r"architectures\.mine\.file: there is no file none\.py",
    ),
    "a family": (
        {"architectures": {"mine": {"ours": "wide_resnets"}}},
        r"architectures\.mine\.ours: there is no family 'wide_resnets'. Did you mean wide_resnet",
    ),
    "a depth": (
        {
            "architectures": {
                "mine": {"ours": "wide_resnet", "arguments": {"depth": 17, "width": 2}}
            }
        },
        r"architectures\.mine\.arguments\.depth: 17 must be 6n \+ 4, such as 10, 16 or 22",
    ),
    "a missing argument": (
        {"architectures": {"mine": {"ours": "wide_resnet", "arguments": {"depth": 16}}}},
        r"architectures\.mine\.arguments\.width: missing; wide_resnet needs it",
    ),
    "an unknown argument": (
        {
            "architectures": {
                "mine": {"ours": "cifar_resnet", "arguments": {"depth": 8, "width": 2}}
            }
        },
        r"architectures\.mine\.arguments\.width: cifar_resnet has depth",
    ),
    "widths": (
        {
            "architectures": {
                "mine": {"ours": "perceptron", "arguments": {"hidden": 3, "dropout": 0.1}}
            }
        },
        r"architectures\.mine\.arguments\.hidden: 3 must be a list of widths",
    ),
    "layers of channels": (
        {"studies.apart.pruning.slim.layers": ["conv"]},
        r"studies\.apart\.pruning\.slim\.layers: what is pruned are channels of BatchNorm",
    ),
    "kinds of layers": (
        {"studies.main.pruning.static.layers": ["dense"]},
        r"pruning\.static\.layers\[0\]: 'dense' is not",
    ),
    "precision": (
        {"recipes.short.precision": "half"},
        r"recipes\.short\.precision: 'half' is not allowed",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_one_fault_gives_one_line_that_helps(fault, name):
    changes, words = FAULTS[name]
    line = fault(changes)
    assert re.search(words, line), line


def test_tables_are_pruned_by_other_criteria_in_linear_layers(raw, study):
    raw["studies"]["features"] |= {
        "variants": ["static-0.5"],
        "pruning": {"static": {"epoch": 1, "layers": ["linear"]}},
    }
    settings = study("features").training_settings("mlp", "static-0.5")["pruning"]
    assert settings["layers"] == ["linear"]
    assert "layers" not in study("main").training_settings("resnet18", "static-0.9")["pruning"]


def test_a_precision_is_part_of_a_model_unless_it_is_left_to_the_device(raw, read):
    plain = dict(read(raw).studies["main"].recipe)
    raw["recipes"]["short"]["precision"] = "auto"
    assert read(raw).studies["main"].recipe == plain
    raw["recipes"]["short"]["precision"] = "bfloat16"
    assert read(raw).studies["main"].recipe == plain | {"precision": "bfloat16"}
