"""The experiment grid: names of variants, blocks and models, and what determines a model."""

import pytest

from shadowmill.config import Cell, Variant
from shadowmill.config.study import shadow_names


@pytest.fixture
def study(raw, read):
    return read(raw).studies["main"]


@pytest.mark.parametrize(
    ("name", "method", "sparsity"),
    [
        ("dense", "dense", 0.0),
        ("static-0.9", "static", 0.9),
        ("dpf-0.95", "dpf", 0.95),
        ("static-0.333333", "static", 0.333333),
        ("dpf-1e-05", "dpf", 1e-5),
    ],
)
def test_variants_by_name(name, method, sparsity):
    variant = Variant.parse(name)
    assert variant == Variant(method, sparsity)
    assert variant.name == name
    assert variant.defense == "none"


@pytest.mark.parametrize("name", ["", "static-", "-0.9", "Static-0.9", "static-.9", "static_0.9"])
def test_other_names_are_no_variants(name):
    with pytest.raises(ValueError, match=r"Known: dense|write it static-0\.9"):
        Variant.parse(name)


def shadows_of(study):
    return [name for block in study.shadow_blocks for name in study.models(block)]


def test_cells_are_all_combinations(study):
    assert len(study.cells) == 2 * 2 * 4
    assert study.cells[0] == Cell("main", "digits", "small_convnet", "dense")
    assert study.cells[5] == Cell("main", "digits", "resnet18", "static-0.9")
    assert study.cells[-1] == Cell("main", "cifar10", "resnet18", "static-0.5")
    assert study.cells[5].folder == "main/digits/resnet18/static-0.9"
    assert len(set(study.cells)) == 16


def test_blocks_and_models(study):
    assert study.targets == {"target-42": 42, "target-7": 7}
    assert study.shadow_blocks == ("shadow-00", "shadow-01", "shadow-02", "shadow-03")
    assert study.blocks == ("target-42", "target-7", *study.shadow_blocks)
    assert study.models("target-7") == ["target-7"]
    assert study.models("shadow-02") == [f"shadow-02-{slot}" for slot in range(4)]


def test_shadow_k_has_the_slot_and_the_seed_of_its_number(study):
    assert len(shadows_of(study)) == 16
    for k, name in enumerate(shadows_of(study)):
        block, slot = divmod(k, 4)
        assert name == f"shadow-{block:02d}-{slot}"
        assert study.keys(f"shadow-{block:02d}")[name] == ["shadow", k]


@pytest.mark.parametrize("models_per_job", [1, 2, 8, 16])
def test_the_seed_of_a_shadow_does_not_depend_on_the_size_of_the_jobs(raw, read, models_per_job):
    raw["studies"]["main"]["models_per_job"] = models_per_job
    study = read(raw).studies["main"]
    keys = [key for block in study.shadow_blocks for key in study.keys(block).values()]
    assert keys == [["shadow", k] for k in range(16)]
    names = [name for block in study.shadow_blocks for name in study.keys(block)]
    assert names == shadows_of(study)
    assert len(set(shadows_of(study))) == 16


def test_a_target_is_drawn_from_its_own_seed(study):
    assert study.keys("target-7") == {"target-7": ["target", 7]}


def test_the_numbers_of_shadows_go_on_beyond_a_hundred_blocks(raw, read):
    raw["studies"]["main"] |= {"num_shadows": 128, "models_per_job": 1}
    study = read(raw).studies["main"]
    assert study.keys("shadow-103") == {"shadow-103-0": ["shadow", 103]}


def test_slots_have_names_of_one_length_in_order():
    names = shadow_names("shadow-00", 64)
    assert names == sorted(names)
    assert (names[0], names[9], names[63]) == ("shadow-00-00", "shadow-00-09", "shadow-00-63")
    assert shadow_names("shadow-07", 1) == ["shadow-07-0"]


def test_more_than_a_hundred_blocks_have_different_names(raw, read):
    raw["studies"]["main"] |= {"num_shadows": 128, "models_per_job": 1}
    blocks = read(raw).studies["main"].shadow_blocks
    assert len(set(blocks)) == 128
    assert (blocks[0], blocks[99], blocks[100]) == ("shadow-00", "shadow-99", "shadow-100")


# What determines a model: a change of it trains anew, any other change does not.


def test_training_settings(study, raw):
    assert study.training_settings("resnet18", "dpf-0.5") == {
        "architecture": "resnet18",
        "recipe": raw["recipes"]["short"],
        "pruning": {"method": "dpf", "sparsity": 0.5, "every": 2, "target_epoch": 4},
        "protocol": "half",
        "seed": 0,
    }
    assert study.training_settings("resnet18", "dense")["pruning"] == {
        "method": "dense",
        "sparsity": 0.0,
    }


def changed_settings(raw, read, variant, study=None, recipe=None, static=None):
    read(raw)
    before = read(raw).studies["main"].training_settings("small_convnet", variant)
    raw["studies"]["main"] |= study or {}
    raw["recipes"]["short"] |= recipe or {}
    raw["studies"]["main"]["pruning"]["static"] |= static or {}
    after = read(raw).studies["main"].training_settings("small_convnet", variant)
    return {key for key in before.keys() | after.keys() if before[key] != after[key]}


@pytest.mark.parametrize("variant", ["dense", "dpf-0.5"])
def test_other_variants_do_not_depend_on_the_settings_of_static(raw, read, variant):
    assert changed_settings(raw, read, variant, static={"epoch": 1}) == set()


def test_static_depends_on_its_own_settings(raw, read):
    assert changed_settings(raw, read, "static-0.9", static={"epoch": 1}) == {"pruning"}


@pytest.mark.parametrize(
    "change",
    [
        {"attacks": ["lira_fixed"]},
        {"queries": {"mirror": True, "shift": 1}},
        {"num_shadows": 32},
        {"models_per_job": 8},
        {"target_seeds": [1, 2, 3]},
        {"variants": ["dense"]},
        {"datasets": ["digits"]},
        {"description": "another"},
    ],
)
def test_models_do_not_depend_on_who_else_is_trained_and_asked(raw, read, change):
    assert changed_settings(raw, read, "dense", study=change) == set()


def test_models_depend_on_recipe_and_seed(raw, read):
    assert changed_settings(raw, read, "dense", recipe={"weight_decay": 0.1}) == {"recipe"}
    assert changed_settings(raw, read, "dense", study={"seed": 1}) == {"seed"}
