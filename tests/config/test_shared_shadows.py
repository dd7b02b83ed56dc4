"""Studies that use the shadows of another one, and what models are asked."""

import pytest


@pytest.fixture
def shared(raw):
    """`prefixes` with the shadows of a study like it."""
    prefixes = raw["studies"]["prefixes"]
    raw["studies"]["halves"] = {k: v for k, v in prefixes.items() if k != "subsets"}
    prefixes["shadows"] = "halves"
    return prefixes


def test_shared_shadows_are_not_trained(shared, study):
    assert study("prefixes").blocks("dense") == tuple(study("prefixes").targets)
    assert study("prefixes").shadow_study == "halves"
    assert study("halves").blocks("dense")[-2:] == ("shadow-00", "shadow-01")
    assert study("halves").shadow_study == "halves"


def test_own_targets_are_trained_as_the_shadows_were(shared, study):
    settings = [
        study(n).training_settings("small_convnet", "dense") for n in ("prefixes", "halves")
    ]
    assert settings[0] == settings[1]


FAULTS = {
    "unknown": ({"shadows": "quarters"}, "there is no other study 'quarters'"),
    "itself": ({"shadows": "prefixes"}, "there is no other study 'prefixes'"),
    "another recipe": ({"recipe": "short"}, "halves has recipe cycle, this study short"),
    "another number": ({"num_shadows": 16}, "halves has num_shadows 8, this study 16"),
    "another seed": ({"seed": 3}, "halves has seed 0, this study 3"),
    "another network": (
        {"architectures": ["resnet20"]},
        "halves lacks resnet20 among its architectures",
    ),
    "other pruning": (
        {
            "variants": ["dense", "dense+label_smoothing-0.1", "static-0.5"],
            "pruning": {"static": {"epoch": 2}},
        },
        "halves prunes static by {'epoch': 1}, this study by {'epoch': 2}",
    ),
    "scores that are not there": (
        {"attacks": ["lira_offline", "curvature_nll"]},
        "the scores of halves have no curvature_finite_difference",
    ),
}


@pytest.mark.parametrize(("changes", "message"), FAULTS.values(), ids=FAULTS)
def test_fault_of_sharing(raw, shared, faults, changes, message):
    if "pruning" in changes:
        halves = raw["studies"]["halves"]
        halves |= {"variants": changes["variants"], "pruning": {"static": {"epoch": 1}}}
    shared |= changes
    (line,) = faults(raw)
    assert line.startswith("studies.prefixes.shadows: ")
    assert message in line


def test_shadows_are_not_passed_on(raw, shared, faults):
    raw["studies"]["quarters"] = shared | {"shadows": "prefixes"}
    (line,) = faults(raw)
    assert line == ("studies.quarters.shadows: prefixes has its own from halves; name that one")


def test_curvature_is_asked_for_by_attacks_alone(raw, study):
    assert "curvature" not in study("other").score_settings
    raw["studies"]["other"]["attacks"] = [
        "lira_offline",
        "curvature_nll_trace",
        "curvature_nll",
        "published_carlini",
    ]
    settings = study("other").score_settings
    assert settings["arrays"] == ["max_phi", "curvature_finite_difference", "curvature_trace"]
    assert settings["curvature"] == {"probes": 10, "step": 1e-3}
    assert study("other").curvature_estimators == ("trace", "finite_difference")


ORDERS = {
    "unknown": ("results/halve/digits/small_convnet/dense/mean_curvature.csv", "no study 'halve'"),
    "other data": (
        "results/main/cifar10/small_convnet/dense/mean_curvature.csv",
        "is about cifar10, the study about other data",
    ),
    "no curvature": (
        "results/other/digits/small_convnet/dense/mean_curvature.csv",
        "no attack of other looks at curvature",
    ),
}


@pytest.mark.parametrize(("scores", "message"), ORDERS.values(), ids=ORDERS)
def test_fault_of_an_order(raw, faults, scores, message):
    raw["studies"]["main"]["attacks"].append("curvature_nll")
    raw["studies"]["prefixes"]["subsets"]["scores"] = scores
    (line,) = faults(raw)
    assert line.startswith("studies.prefixes.subsets.scores: ")
    assert message in line


def test_an_order_by_another_study(raw, study):
    scores = "results/main/digits/small_convnet/dense/mean_curvature.csv"
    raw["studies"]["main"]["attacks"].append("curvature_nll")
    raw["studies"]["prefixes"]["subsets"]["scores"] = scores
    assert study("prefixes").subsets["scores"] == scores
