"""Colours, markers and titles: no two variants look alike."""

from itertools import combinations

import numpy as np
import pytest

from shadowmill.architectures import ARCHITECTURES
from shadowmill.config import Variant
from shadowmill.data import DATASETS
from shadowmill.figures import style
from shadowmill.pruning import METHODS

SPARSITIES = [0.5, 0.7, 0.8, 0.9, 0.95]


@pytest.mark.parametrize("sparsities", [[0.9], [0.5, 0.9], SPARSITIES])
def test_every_variant_of_a_study_has_its_own_colour(sparsities):
    variants = [Variant("dense", 0.0)]
    variants += [Variant(method, sparsity) for method in METHODS for sparsity in sparsities]
    colors = []
    for variant in variants:
        siblings = [v.sparsity for v in variants if v.method == variant.method]
        color = style.variant_color(variant, siblings)
        assert len(color) == 3
        assert all(0 <= part <= 1 for part in color)
        colors.append(np.array(color))
    for one, other in combinations(colors, 2):
        assert np.abs(one - other).max() > 0.05  # what a printer can still tell apart
    assert min(color.min() for color in colors) >= 0
    assert max(color.mean() for color in colors) < 0.85  # and can be seen on white


@pytest.mark.parametrize("method", METHODS)
def test_sparser_models_are_darker(method):
    brightness = [sum(style.variant_color(Variant(method, s), SPARSITIES)) for s in SPARSITIES]
    assert brightness == sorted(brightness, reverse=True)


def test_methods_have_their_own_colours_markers_and_titles():
    methods = ["dense", *METHODS]
    for look in (style.method_color, style.method_marker, style.METHOD_TITLES.get):
        assert len({look(method) for method in methods}) == len(methods)


def test_titles():
    assert style.variant_title(Variant("dense", 0.0)) == "dense"
    assert style.variant_title(Variant("dpf", 0.95)) == "DPF, 95% sparse"
    assert style.setting_title("cifar10", "resnet18") == "CIFAR-10, ResNet-18"


def test_variants_of_a_study_have_different_titles():
    variants = [Variant(m, s) for m in METHODS for s in (*SPARSITIES, 0.975, 0.98, 0.995, 0.999)]
    assert len({style.variant_title(variant) for variant in variants}) == len(variants)


def test_every_setting_has_its_own_title():
    titles = {style.setting_title(d, a) for d in DATASETS for a in ARCHITECTURES}
    assert len(titles) == len(DATASETS) * len(ARCHITECTURES)
