"""The configuration that comes with the workflow: it is valid, and means what it says."""

from pathlib import Path

import pytest
import yaml

from shadowmill.config import load
from shadowmill.defenses import DEFENSES
from shadowmill.pruning import METHODS

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "workflow_config.yaml").read_text(encoding="utf-8")
WRITTEN = yaml.safe_load(TEXT)  # `load` fills in its own copy


@pytest.fixture(scope="module")
def config():
    return load(yaml.safe_load(TEXT))


def includes(whole, part):
    """Whether a mapping has all that another has, at every level."""
    if not isinstance(part, dict):
        return whole == part
    return all(name in whole and includes(whole[name], value) for name, value in part.items())


def test_what_is_built_is_there(config):
    assert config.build == ("quickstart",)
    assert config.keep_models is True
    assert list(config.studies) == list(WRITTEN["studies"])


@pytest.mark.parametrize("name", WRITTEN["studies"])
def test_a_study_is_what_is_written(config, name):
    study, written = config.studies[name], WRITTEN["studies"][name]
    assert written["description"]
    for key in ("datasets", "architectures", "attacks", "target_seeds"):
        assert tuple(getattr(study, key)) == tuple(written[key])
    assert [variant.name for variant in study.variants] == written["variants"]
    for key in ("num_shadows", "models_per_job"):
        assert getattr(study, key) == written[key]
    defaults = {"protocol": "half", "validation": 0, "seed": 0}
    for key, default in defaults.items():
        assert getattr(study, key) == written.get(key, default)
    assert study.pruning == written.get("pruning", {})
    assert includes(study.queries, written.get("queries", {"mirror": False, "shift": 0}))
    assert includes(study.defenses, written.get("defenses", {}))
    assert includes(study.recipe, WRITTEN["recipes"][written["recipe"]])
    assert study.subsets == written.get("subsets")
    assert study.shadows == written.get("shadows")
    if "fine_tune" in written:
        assert includes(study.fine_tune, WRITTEN["recipes"][written["fine_tune"]])
    else:
        assert study.fine_tune is None


@pytest.mark.parametrize("name", WRITTEN["studies"])
def test_all_models_of_a_study_have_settings(config, name):
    study = config.studies[name]
    for cell in study.cells:
        settings = study.training_settings(cell.architecture, cell.variant)
        variant = study.variant(cell.variant)
        assert settings["pruning"]["sparsity"] == variant.sparsity
        assert settings["defense"].get("value", 0) == variant.strength
        shadows = study.blocks(cell.variant)[len(study.targets) :]
        trained = 0 if study.shadows else study.num_shadows
        assert sum(len(study.models(block)) for block in shadows) == trained


def test_every_recipe_is_used_or_published():
    studies = WRITTEN["studies"].values()
    used = {study["recipe"] for study in studies}
    used |= {study["fine_tune"] for study in studies if "fine_tune" in study}
    published = {
        "dcil_resnet",
        "dcil_wrn",
        "multistep_300",
        "multistep_300_batch_512",
        "rmsprop_20",
    }
    assert set(WRITTEN["recipes"]) == used | published


def test_recipes_that_continue_others():
    first, second, third = (WRITTEN["recipes"][f"adam_{epochs}"] for epochs in (100, 50, 25))
    assert (first["epochs"], second["epochs"], third["epochs"]) == (100, 50, 25)
    assert first | {"epochs": 50} == second
    assert first | {"epochs": 25} == third
    assert WRITTEN["recipes"]["multistep_300_batch_512"] == WRITTEN["recipes"]["multistep_300"] | {
        "batch_size": 512
    }


# The published grids, from the papers.


def test_the_grid_of_dense_static_and_dynamic_pruning(config):
    study = config.studies["pruning"]
    sparsities = (0.5, 0.7, 0.8, 0.9, 0.95)
    assert {(v.method, v.sparsity) for v in study.variants} == {
        ("dense", 0.0),
        *(("static", s) for s in sparsities),
        *(("dpf", s) for s in sparsities),
    }
    assert len(study.cells) == 22
    static, dpf = (
        study.training_settings("resnet18", name)["pruning"] for name in ("static-0.9", "dpf-0.9")
    )
    # Both are fully sparse from the same epoch on, well before the learning rate falls.
    assert static["epoch"] == dpf["target_epoch"] == 75
    assert (static["feedback"], dpf["feedback"]) == (False, True)
    assert study.recipe["schedule"]["milestones"] == [100, 150]


@pytest.mark.parametrize("name", ["defenses", "defenses_small"])
def test_the_studies_of_defences_have_them_all(config, name):
    study = config.studies[name]
    assert {variant.defense for variant in study.variants} == {"none", *DEFENSES}
    assert study.adversaries == ("adaptive",)
    assert study.validation == 0.1


@pytest.mark.parametrize(
    ("name", "methods"),
    [
        ("pruning_attacks", {"l1_unstructured", "l1_structured", "l2_structured", "slim"}),
        ("pruning_attacks_tabular", {"l1_unstructured"}),
        ("pruning_attacks_small", {"l1_unstructured", "l1_structured", "l2_structured", "slim"}),
    ],
)
def test_attacks_on_pruned_networks_prune_trained_models(config, name, methods):
    study = config.studies[name]
    assert {v.method for v in study.variants} == {"dense", *methods}
    assert methods <= set(METHODS)
    assert (study.protocol, study.num_shadows, study.target_seeds) == ("disjoint", 5, (7,))
    assert study.keys("target-7") == {"target-7": ["target", 7]}
    for variant in study.variants:
        settings = study.training_settings(next(iter(study.architectures)), variant.name)
        if variant.name == "dense":
            assert settings["pretraining"] is None
        else:
            # Pruned at the start of fine-tuning, after the dense training.
            assert settings["pruning"]["epoch"] == 0
            assert settings["pretraining"]["recipe"] == study.recipe
            assert settings["recipe"] == study.fine_tune
