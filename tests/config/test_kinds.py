"""Images and tables of features: networks, augmentation, queries and pruning that fit them."""

import pytest

from shadowmill.architectures import ARCHITECTURES
from shadowmill.data import DATASETS

FEATURES = "studies.features"
AUGMENTS = f"{FEATURES}.recipe: stopped augments, which is for images; use another recipe"
# The recipe `stopped` is that of `apart` too, which has images: there all of this is allowed.
ONE_FAULT = {
    "a table for a convnet": (
        {
            "studies.main.datasets": ["digits", "location"],
            "studies.main.architectures": ["resnet18"],
        },
        "studies.main.architectures[0]: resnet18 is for image data, location is tabular. "
        "Possible: mlp",
    ),
    "random crops": ({"recipes.stopped.augmentation": {"crop": 2}}, AUGMENTS),
    "flips": ({"recipes.stopped.augmentation": {"flip": True}}, AUGMENTS),
    "holes": ({"recipes.stopped.augmentation": {"cutout": 2}}, AUGMENTS),
    "mirror images": (
        {f"{FEATURES}.queries": {"mirror": True}},
        f"{FEATURES}.queries: mirror and shift are for images; remove them",
    ),
    "shifts": (
        {f"{FEATURES}.queries": {"shift": 1}},
        f"{FEATURES}.queries: mirror and shift are for images; remove them",
    ),
    "convolution weights": (
        {f"{FEATURES}.variants": ["static-0.5"], f"{FEATURES}.pruning": {"static": {"epoch": 1}}},
        f"{FEATURES}.architectures[0]: mlp has no convolutions, which static-0.5 prunes. Give "
        f"{FEATURES}.pruning.static the key layers: [linear], or use l1_unstructured",
    ),
    "filters": (
        {
            f"{FEATURES}.variants": ["dense", "l2_structured-0.5+ppb-4"],
            f"{FEATURES}.pruning": {"l2_structured": {"epoch": 1}},
        },
        f"{FEATURES}.architectures[0]: mlp has no convolutions, which l2_structured-0.5+ppb-4 "
        f"prunes. Give {FEATURES}.pruning.l2_structured the key layers: [linear], or use "
        "l1_unstructured",
    ),
    "filters by a method of one's own": (
        {
            f"{FEATURES}.variants": ["mine-0.5"],
            f"{FEATURES}.pruning": {
                "mine": {"criterion": "filter_l1", "feedback": False, "epoch": 1}
            },
        },
        f"{FEATURES}.architectures[0]: mlp has no convolutions, which mine-0.5 prunes. Give "
        f"{FEATURES}.pruning.mine the key layers: [linear], or use l1_unstructured",
    ),
    "BatchNorm scales": (
        {f"{FEATURES}.variants": ["slim-0.5"], f"{FEATURES}.pruning": {"slim": {"epoch": 1}}},
        f"{FEATURES}.architectures[0]: mlp has no BatchNorm, which slim-0.5 prunes. Use another "
        "architecture or method",
    ),
}


@pytest.mark.parametrize("case", ONE_FAULT)
def test_one_fault_gives_one_line_that_helps(fault, case):
    changes, line = ONE_FAULT[case]
    assert fault(changes) == line


def test_an_image_for_an_mlp_is_answered_with_all_networks_for_images(fault):
    line = fault({"studies.other.architectures": ["mlp"]})
    begin, _, possible = line.partition(". Possible: ")
    assert begin == "studies.other.architectures[0]: mlp is for tabular data, digits is image"
    assert possible.split(", ") == [name for name in ARCHITECTURES if name != "mlp"]


def test_a_fine_tuning_recipe_that_augments_is_named_too(fault):
    line = fault(
        {
            f"{FEATURES}.fine_tune": "cycle",
            "recipes.cycle.augmentation": {"flip": True},
        }
    )
    assert line == f"{FEATURES}.fine_tune: cycle augments, which is for images; use another recipe"


def test_padding_alone_changes_nothing(raw, study):
    raw["recipes"]["stopped"]["augmentation"] = {"padding": "reflect"}
    assert study("features").recipe["augmentation"]["crop"] == 0


def test_own_methods_of_linear_weights_go_with_tables(raw, study):
    own = {"criterion": "layer_magnitude", "feedback": True, "epoch": 1}
    raw["studies"]["features"]["pruning"]["mine"] = own
    raw["studies"]["features"]["variants"].append("mine-0.5")
    assert study("features").variant("mine-0.5").method == "mine"


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_data_set_has_a_network(raw, study, dataset):
    kind = DATASETS[dataset].kind
    name = next(name for name, row in ARCHITECTURES.items() if row.kind == kind)
    raw["studies"]["other"] |= {"datasets": [dataset], "architectures": [name]}
    assert study("other").cells[0].path == (dataset, name, "dense")


@pytest.mark.parametrize("method", ["static", "l1_structured", "l2_structured"])
@pytest.mark.parametrize("name", [n for n, row in ARCHITECTURES.items() if row.kind == "image"])
def test_every_network_for_images_has_convolutions(raw, study, name, method):
    raw["studies"]["other"] |= {
        "architectures": [name],
        "variants": [f"{method}-0.5"],
        "pruning": {method: {"epoch": 1}},
    }
    assert study("other").architectures == {name: ARCHITECTURES[name]}
