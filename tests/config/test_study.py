"""The experiment grid: cells, blocks and models, and what the models' members are drawn from."""

import pytest

from shadowmill.errors import ConfigError
from shadowmill.names import Cell, shadow_names


def shadows_of(study):
    return [name for block in study.shadow_blocks for name in study.models(block)]


def test_cells_are_all_combinations(study):
    cells = study("main").cells
    assert len(cells) == 2 * 2 * 4
    assert cells[0] == Cell("main", "digits", "small_convnet", "dense")
    assert cells[5] == Cell("main", "digits", "resnet18", "static-0.9")
    assert cells[-1] == Cell("main", "cifar10", "resnet18", "static-0.5")
    assert cells[5].folder == "main/digits/resnet18/static-0.9"
    assert len(set(cells)) == 16


def test_a_variant_is_found_by_its_name(study):
    assert study("apart").variant("slim-0.5+ppb-4").defense == "ppb"


def test_a_variant_of_another_study_is_refused_with_those_of_this_one(study):
    # Snakemake would take `results/other/…/static-0.9/…`: the name is one of some study.
    with pytest.raises(
        ConfigError, match=r"^studies\.prefixes\.variants: 'static-0\.9' is not"
    ) as e:
        study("prefixes").training_settings("small_convnet", "static-0.9")
    assert "Ask for one of dense, dense+label_smoothing-0.1" in str(e.value)


def test_blocks_and_models(study):
    main = study("main")
    assert main.targets == {"target-42": ["target", 42], "target-7": ["target", 7]}
    assert main.shadow_blocks == ("shadow-00", "shadow-01", "shadow-02", "shadow-03")
    assert main.blocks("dpf-0.5") == ("target-42", "target-7", *main.shadow_blocks)
    assert main.models("target-7") == ["target-7"]
    assert main.models("shadow-02") == [f"shadow-02-{slot}" for slot in range(4)]


def test_shadow_k_has_the_slot_and_the_seed_of_its_number(study):
    main = study("main")
    assert len(shadows_of(main)) == 16
    for k, name in enumerate(shadows_of(main)):
        block, slot = divmod(k, 4)
        assert name == f"shadow-{block:02d}-{slot}"
        assert main.keys(f"shadow-{block:02d}")[name] == ["shadow", k]


@pytest.mark.parametrize("models_per_job", [1, 2, 8, 16])
def test_the_seed_of_a_shadow_does_not_depend_on_the_size_of_the_jobs(raw, study, models_per_job):
    raw["studies"]["main"]["models_per_job"] = models_per_job
    main = study("main")
    keys = [key for block in main.shadow_blocks for key in main.keys(block).values()]
    assert keys == [["shadow", k] for k in range(16)]
    names = [name for block in main.shadow_blocks for name in main.keys(block)]
    assert names == shadows_of(main)
    assert len(set(names)) == 16


def test_a_pair_may_belong_to_two_jobs(raw, study):
    raw["studies"]["main"] |= {"num_shadows": 10, "models_per_job": 5}
    main = study("main")
    assert main.keys("shadow-00")["shadow-00-4"] == ["shadow", 4]
    assert main.keys("shadow-01")["shadow-01-0"] == ["shadow", 5]


def test_a_target_is_drawn_from_its_own_seed(study):
    assert study("main").keys("target-7") == {"target-7": ["target", 7]}


def test_the_numbers_of_shadows_go_on_beyond_a_hundred_blocks(raw, study):
    raw["studies"]["main"] |= {"num_shadows": 128, "models_per_job": 1}
    main = study("main")
    assert main.keys("shadow-103") == {"shadow-103-0": ["shadow", 103]}
    assert len(set(main.shadow_blocks)) == 128
    assert (main.shadow_blocks[99], main.shadow_blocks[100]) == ("shadow-99", "shadow-100")


def test_slots_have_names_of_one_length_in_order():
    names = shadow_names("shadow-00", 64)
    assert names == sorted(names)
    assert (names[0], names[9], names[63]) == ("shadow-00-00", "shadow-00-09", "shadow-00-63")
    assert shadow_names("shadow-07", 1) == ["shadow-07-0"]


# The protocol disjoint.


def test_disjoint_models_are_targets_and_shadows(study):
    apart = study("apart")
    assert apart.keys("target-1") == {"target-1": ["target", 1]}
    assert apart.shadow_blocks == ("shadow-00",)
    assert apart.keys("shadow-00") == {f"shadow-00-{k}": ["shadow", k] for k in range(5)}


def test_disjoint_shadows_may_be_odd_in_number(raw, study):
    raw["studies"]["apart"] |= {"num_shadows": 15}
    keys = [
        key for block in study("apart").shadow_blocks for key in study("apart").keys(block).values()
    ]
    assert keys == [["shadow", k] for k in range(15)]


@pytest.mark.parametrize(
    ("dataset", "half", "disjoint"),
    [
        ("digits", 1797, 1797),  # no official test set
        ("cifar10", 50_000, 60_000),
        ("svhn", 73_257, 99_289),
        ("skin", None, None),  # only the user's files know
    ],
)
def test_the_pool_of_disjoint_includes_the_test_set(raw, study, dataset, half, disjoint):
    raw["datasets"] = {"skin": {"images": "skin", "size": 16}}
    for name in ("main", "apart"):
        raw["studies"][name]["datasets"] = [dataset]
    assert study("main").num_examples(dataset) == half
    assert study("apart").num_examples(dataset) == disjoint


def test_only_under_half_some_shadows_trained_on_each_example(study):
    assert study("main").compares_examples
    assert study("prefixes").compares_examples
    assert not study("apart").compares_examples


# Subsets.


def test_each_seed_and_size_is_a_target(study):
    prefixes = study("prefixes")
    assert prefixes.targets == {
        "target-1-100": ["prefix", 1, 100],
        "target-1-900": ["prefix", 1, 900],
        "target-2-100": ["prefix", 2, 100],
        "target-2-900": ["prefix", 2, 900],
    }
    assert prefixes.models("target-2-100") == ["target-2-100"]
    assert prefixes.keys("target-2-100") == {"target-2-100": ["prefix", 2, 100]}


def test_shadows_of_subsets_train_on_halves(study):
    assert study("prefixes").keys("shadow-01")["shadow-01-3"] == ["shadow", 7]


# The adversaries.


@pytest.mark.parametrize("variant", ["dense", "slim-0.5", "slim-0.5+ppb-4"])
def test_an_adaptive_adversary_has_shadows_of_each_variant(study, variant):
    apart = study("apart")
    assert apart.adversaries_of(variant) == ("adaptive",)
    assert apart.shadow_variant(variant, "adaptive") == variant
    assert apart.blocks(variant) == ("target-1", "shadow-00")


def test_a_non_adaptive_adversary_has_shadows_without_the_defence(study):
    prefixes = study("prefixes")
    targets = tuple(prefixes.targets)
    assert prefixes.adversaries_of("dense") == ("adaptive",)
    assert prefixes.blocks("dense") == (*targets, "shadow-00", "shadow-01")
    defended = "dense+label_smoothing-0.1"
    assert prefixes.adversaries_of(defended) == ("non_adaptive",)
    assert prefixes.shadow_variant(defended, "non_adaptive") == "dense"
    assert prefixes.blocks(defended) == targets
    assert [cell.variant for cell in prefixes.own_shadow_cells] == ["dense"]


def test_all_adversaries_of_one_study(raw, study):
    raw["studies"]["apart"]["adversaries"] = ["adaptive", "non_adaptive", "original"]
    apart = study("apart")
    assert apart.adversaries_of("dense") == ("adaptive",)
    assert apart.adversaries_of("slim-0.5") == ("adaptive", "original")
    assert apart.adversaries_of("slim-0.5+ppb-4") == ("adaptive", "non_adaptive", "original")
    assert apart.shadow_variant("slim-0.5+ppb-4", "non_adaptive") == "slim-0.5"
    assert apart.shadow_variant("slim-0.5+ppb-4", "original") == "dense"
    assert apart.blocks("slim-0.5+ppb-4") == ("target-1", "shadow-00")


def test_only_what_an_adversary_needs_is_trained(raw, study):
    raw["studies"]["apart"]["adversaries"] = ["original"]
    apart = study("apart")
    assert apart.blocks("dense") == ("target-1", "shadow-00")
    assert apart.blocks("slim-0.5") == ("target-1",)


def test_scores_hold_what_the_attacks_need(study):
    assert study("main").score_settings == {
        "queries": {"mirror": False, "shift": 0},
        "arrays": [],
    }


def test_attacks_that_would_have_to_be_trained_anew_are_not_run_with_fewer_shadows(raw, study):
    raw["studies"]["main"]["attacks"] = ["loss", "rmia_online", "quantile_pinball", "lira_online"]
    assert study("main").fast_attacks == ("rmia_online", "lira_online")


def test_attacks_on_curvature_are_paired_with_each_lira_that_there_is(raw, study):
    attacks = ["curvature_lira_trace", "loss", "lira_fixed", "lira_online"]
    raw["studies"]["main"]["attacks"] = attacks
    assert study("main").attack_pairs == (
        ("curvature_lira_trace", "lira_online"),
        ("curvature_lira_trace", "lira_fixed"),
    )
    raw["studies"]["main"]["attacks"] = attacks[:2]
    assert study("main").attack_pairs == ()
    raw["studies"]["main"]["attacks"] = attacks[1:]
    assert study("main").attack_pairs == ()


@pytest.mark.parametrize(
    ("variant", "strength", "expected"),
    [
        ("dense+dp_sgd-8", "epsilon", True),
        ("dense+dp_sgd-8", "noise_multiplier", False),
        ("dense+ppb-4", "epsilon", False),
    ],
)
def test_privacy_budgets(raw, study, variant, strength, expected):
    raw["studies"]["other"] |= {
        "variants": ["dense", variant],
        "defenses": {"dp_sgd": {"strength": strength}},
    }
    assert study("other").privacy_budgets is expected
