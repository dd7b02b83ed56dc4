"""When and how pruning methods prune: their keys, own methods, epochs that fit the recipe."""

import pytest

from shadowmill.pruning import PruningPlan

OWN = {"criterion": "global_magnitude", "feedback": True}
MINE = "studies.main.pruning.mine"
KNOWN = "only static, dpf, l1_unstructured, l1_structured, l2_structured, slim are known without it"
TIMES = "give either epoch, to prune once, or every and target_epoch, for a ramp; found "

# The whole line that each change gives.
ONE_FAULT = {
    # Keys of known methods.
    "no epoch": (
        {"studies.main.pruning.static": {}},
        "studies.main.pruning.static.epoch: missing; static needs it",
    ),
    "no every": (
        {"studies.main.pruning.dpf.every": ...},
        "studies.main.pruning.dpf.every: missing; dpf needs it",
    ),
    "no target_epoch": (
        {"studies.main.pruning.dpf.target_epoch": ...},
        "studies.main.pruning.dpf.target_epoch: missing; dpf needs it",
    ),
    "a ramp of static": (
        {"studies.main.pruning.static.every": 4},
        "studies.main.pruning.static.every: static has no such key; it has epoch",
    ),
    "the epoch of dpf": (
        {"studies.main.pruning.dpf.epoch": 4},
        "studies.main.pruning.dpf.epoch: dpf has no such key; it has every, target_epoch",
    ),
    "another criterion for static": (
        {"studies.main.pruning.static.criterion": "filter_l1"},
        "studies.main.pruning.static.criterion: static has its own; describe another method by "
        "another name",
    ),
    "no feedback for dpf": (
        {"studies.main.pruning.dpf.feedback": False},
        "studies.main.pruning.dpf.feedback: dpf has its own; describe another method by another "
        "name",
    ),
    # Methods of one's own.
    "no criterion": ({MINE: {"feedback": True, "epoch": 1}}, f"{MINE}.criterion: missing; {KNOWN}"),
    "no feedback": (
        {MINE: {"criterion": "filter_l1", "epoch": 1}},
        f"{MINE}.feedback: missing; {KNOWN}",
    ),
    "no times": ({MINE: OWN}, f"{MINE}: {TIMES}none of them"),
    "half a ramp": ({MINE: OWN | {"every": 4}}, f"{MINE}: {TIMES}every"),
    "the other half": ({MINE: OWN | {"target_epoch": 4}}, f"{MINE}: {TIMES}target_epoch"),
    "once and a ramp": (
        {MINE: OWN | {"epoch": 1, "every": 4, "target_epoch": 4}},
        f"{MINE}: {TIMES}epoch, every, target_epoch",
    ),
    "once and every": ({MINE: OWN | {"epoch": 1, "every": 4}}, f"{MINE}: {TIMES}epoch, every"),
    "a method called dense": (
        {"studies.main.pruning.dense": OWN | {"epoch": 1}},
        "studies.main.pruning.dense: dense models are not pruned; remove this, or choose another "
        "name",
    ),
    # Epochs: the recipe has eight, numbered from 0.
    "after the last epoch": (
        {"studies.main.pruning.static.epoch": 8},
        "studies.main.pruning.static.epoch: 8 must be less than recipes.short.epochs (8), or the "
        "models end without the sparsity they are named after",
    ),
    "a ramp beyond the last epoch": (
        {"studies.main.pruning.dpf.target_epoch": 9},
        "studies.main.pruning.dpf.target_epoch: 9 must be less than recipes.short.epochs (8), or "
        "the models end without the sparsity they are named after",
    ),
    "after the last epoch of fine-tuning": (
        {"studies.apart.pruning.slim.epoch": 5},
        "studies.apart.pruning.slim.epoch: 5 must be less than recipes.cycle.epochs (5), or the "
        "models end without the sparsity they are named after",
    ),
    "own method after the last epoch": (
        {MINE: OWN | {"epoch": 9}},
        f"{MINE}.epoch: 9 must be less than recipes.short.epochs (8), or the models end without "
        "the sparsity they are named after",
    ),
    "frozen before it is full": (
        {"studies.main.pruning.dpf.freeze_epoch": 4},
        "studies.main.pruning.dpf.freeze_epoch: 4 must lie between target_epoch (4) and "
        "recipes.short.epochs (8)",
    ),
    "frozen before it is pruned": (
        {"studies.main.pruning.static.freeze_epoch": 2},
        "studies.main.pruning.static.freeze_epoch: 2 must lie between epoch (3) and "
        "recipes.short.epochs (8)",
    ),
    "frozen after the end": (
        {"studies.main.pruning.dpf.freeze_epoch": 8},
        "studies.main.pruning.dpf.freeze_epoch: 8 must lie between target_epoch (4) and "
        "recipes.short.epochs (8)",
    ),
    # Digits: round(898 / 32) = 28 steps an epoch. From epoch 4 to the end at 8 there are the steps
    # 112 to 223, and no multiple of 224 is among them: the last mask would be that of step 0.
    "no full mask": (
        {"studies.main.pruning.dpf.every": 224},
        "studies.main.pruning.dpf.every: 224 steps between masks leave none to be made from epoch "
        "4 on, when sparsity is full, to epoch 8 on digits (28 steps an epoch). Use 112 steps or "
        "fewer",
    ),
    # With the masks frozen from epoch 5 on, the steps 112 to 139: 2 · 70 = 140 is the next.
    "no full mask before the freeze": (
        {"studies.main.pruning.dpf": {"every": 70, "target_epoch": 4, "freeze_epoch": 5}},
        "studies.main.pruning.dpf.every: 70 steps between masks leave none to be made from epoch 4 "
        "on, when sparsity is full, to epoch 5 on digits (28 steps an epoch). Use 28 steps or "
        "fewer",
    ),
    # Slimming.
    "scales at initialisation": (
        {
            "studies.features.datasets": ["digits"],
            "studies.features.architectures": ["resnet20"],
            "studies.features.variants": ["slim-0.5"],
            "studies.features.pruning": {"slim": {"epoch": 0}},
        },
        "studies.features.pruning.slim.epoch: at initialisation all BatchNorm scales are 1 and "
        "tell nothing; prune at a later epoch, or dense models with fine_tune",
    ),
    "scales of a network without them": (
        {"studies.apart.architectures": ["resnet20", "small_convnet"]},
        "studies.apart.architectures[1]: small_convnet has no BatchNorm, which slim-0.5 prunes. "
        "Use another architecture or method",
    ),
}


@pytest.mark.parametrize("case", ONE_FAULT)
def test_one_fault_gives_one_line_that_helps(fault, case):
    changes, line = ONE_FAULT[case]
    assert fault(changes) == line


def test_a_misspelt_method_is_told_what_is_known(raw, faults):
    raw["studies"]["main"]["pruning"]["statics"] = {"epoch": 1}
    assert faults(raw) == [
        f"studies.main.pruning.statics.criterion: missing; {KNOWN}",
        f"studies.main.pruning.statics.feedback: missing; {KNOWN}",
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"static": {"epoch": 7}},
        {"static": {"epoch": 0, "freeze_epoch": 7}},
        # The first mask at or after step 112 is the last that is possible.
        {"dpf": {"every": 223, "target_epoch": 4}},
        {"dpf": {"every": 139, "target_epoch": 4, "freeze_epoch": 5}},
        {"mine": OWN | {"every": 16, "target_epoch": 5, "freeze_epoch": 6}},
        # Not used by any variant.
        {"l2_structured": {"epoch": 1}},
    ],
)
def test_the_last_possible_numbers_are_taken_and_reach_the_sparsity(raw, study, change):
    raw["studies"]["main"]["pruning"] |= change
    raw["studies"]["main"]["datasets"] = ["digits"]
    (method,) = change
    raw["studies"]["main"]["architectures"] = ["small_convnet"]
    raw["studies"]["main"]["variants"].append(f"{method}-0.25")
    pruning = study("main").training_settings("small_convnet", f"{method}-0.25")["pruning"]
    plan = PruningPlan.of(pruning, steps_per_epoch=28)
    due = [step for step in range(8 * 28) if plan.is_due(step)]
    assert plan.sparsity_at(due[-1] // 28) == 0.25


def test_masks_must_fit_every_length_of_an_epoch(fault):
    # Batches of 16: 80 members make epochs of 5 steps, of which the last has step 20, where a mask
    # is due; 96 make epochs of 6 steps, the last from 24 to 29: none. And 898 make 56.
    line = fault(
        {
            "studies.prefixes.subsets.sizes": [80, 96],
            "studies.prefixes.variants": ["dense", "dpf-0.5"],
            "studies.prefixes.pruning": {"dpf": {"every": 10, "target_epoch": 4}},
        }
    )
    assert line == (
        "studies.prefixes.pruning.dpf.every: 10 steps between masks leave none to be made from "
        "epoch 4 on, when sparsity is full, to epoch 5 on digits (6 steps an epoch). Use 5 steps "
        "or fewer"
    )


def test_epochs_are_those_of_fine_tuning(raw, study):
    # `stopped` has more epochs than `cycle` now; the ramp need only fit the latter.
    raw["recipes"]["stopped"]["epochs"] = 50
    raw["studies"]["apart"]["pruning"]["slim"]["epoch"] = 4
    assert study("apart").recipe["epochs"] == 50


@pytest.mark.parametrize("where", [{"epoch": 1}, {"every": 4, "target_epoch": 2}])
def test_scales_that_were_trained_can_be_ranked(raw, study, where):
    own = {"criterion": "batch_norm_scale", "feedback": False} | where
    raw["studies"]["apart"]["pruning"]["mine"] = own
    raw["studies"]["apart"]["variants"].append("mine-0.5")
    del raw["studies"]["apart"]["fine_tune"]
    raw["studies"]["apart"]["pruning"]["slim"]["epoch"] = 1
    assert study("apart").variant("mine-0.5").sparsity == 0.5


def test_own_methods_of_scales_are_slimming_too(fault):
    own = {"criterion": "batch_norm_scale", "feedback": False, "epoch": 0}
    line = fault(
        {
            "studies.other.pruning": {"mine": own},
            "studies.other.variants": ["mine-0.5"],
            "studies.other.architectures": ["resnet20"],
        }
    )
    assert line.startswith("studies.other.pruning.mine.epoch: at initialisation all BatchNorm")


def test_dp_sgd_leaves_no_scales_to_prune(fault):
    line = fault(
        {
            "studies.apart.fine_tune": ...,
            "studies.apart.pruning.slim.epoch": 1,
            "studies.apart.variants": ["dense", "slim-0.5", "slim-0.5+dp_sgd-8"],
        }
    )
    assert line == (
        "studies.apart.variants[2]: slim-0.5+dp_sgd-8: dp_sgd replaces the BatchNorm that slim "
        "prunes. Use another method or defence"
    )
