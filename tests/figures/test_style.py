"""Colours, markers and titles: no two variants look alike."""

from itertools import combinations

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.textpath import TextPath

from shadowmill.architectures import ARCHITECTURES
from shadowmill.data import DATASETS
from shadowmill.defenses import DEFENSES
from shadowmill.figures import style
from shadowmill.names import Variant
from shadowmill.pruning import METHODS

SPARSITIES = [0.5, 0.7, 0.8, 0.9, 0.95]
DENSE = Variant("dense")


def pruned_at(sparsities):
    return [DENSE, *(Variant(method, s) for method in METHODS for s in sparsities)]


def own_and_pruned():
    own = [Variant(method, s) for method in ("mine", "hers") for s in (0.5, 0.9)]
    return [*pruned_at([0.9]), *own]


def defended():
    return [
        *(DENSE, Variant("static", 0.9), Variant("slim", 0.9)),
        *(Variant("dense", defense=name, strength=s) for name in DEFENSES for s in (1.0, 4.0)),
        *(Variant(method, 0.9, "ppb", 4.0) for method in ("static", "slim")),
    ]


STUDIES = {
    "one sparsity": pruned_at([0.9]),
    "two sparsities": pruned_at([0.5, 0.9]),
    "five sparsities": pruned_at(SPARSITIES),
    "own methods": own_and_pruned(),
    "defences": defended(),
}


@pytest.fixture(params=STUDIES)
def variants(request):
    return STUDIES[request.param]


def test_no_two_variants_of_a_study_look_alike(variants):
    looks = [style.look(variant, variants) for variant in variants]
    for one, other in combinations(looks, 2):
        distance = np.abs(np.subtract(one["color"], other["color"])).max()
        # What a printer can still tell apart, or another shape.
        assert distance > 0.05 or one["marker"] != other["marker"]


def test_lines_of_one_treatment_and_dense_differ_by_colour_alone(variants):
    """Curves have no markers."""
    looks = {variant: np.array(style.look(variant, variants)["color"]) for variant in variants}
    for one, other in combinations(looks, 2):
        if one == DENSE or style.treatment(one) == style.treatment(other):
            assert np.abs(looks[one] - looks[other]).max() > 0.05, (one, other)


def test_colours_can_be_seen_on_white(variants):
    for variant in variants:
        color = style.look(variant, variants)["color"]
        assert all(0 <= part <= 1 for part in color)
        assert np.mean(color) < 0.85


@pytest.mark.parametrize("method", [*METHODS, "mine"])
def test_sparser_models_are_darker(method):
    variants = [Variant(method, s) for s in SPARSITIES]
    brightness = [sum(style.look(variant, variants)["color"]) for variant in variants]
    assert brightness == sorted(brightness, reverse=True)
    assert len(set(brightness)) == len(SPARSITIES)


@pytest.mark.parametrize("defense", DEFENSES)
def test_stronger_defences_are_darker(defense):
    variants = [Variant("dense", defense=defense, strength=s) for s in (1.0, 2.0, 16.0)]
    brightness = [sum(style.look(variant, variants)["color"]) for variant in variants]
    assert brightness == sorted(brightness, reverse=True)


def test_a_single_variant_of_its_kind_has_the_full_colour_whatever_else_is_there():
    others = [DENSE, Variant("dpf", 0.5), Variant("static", 0.9, "ppb", 1.0)]
    alone = Variant("static", 0.9)
    assert style.look(alone) == style.look(alone, others) == style.look(alone, [*others, alone])


def test_methods_and_defences_have_their_own_colours_and_markers():
    for looks in (
        [style.look(Variant(method)) for method in ("dense", *METHODS, "mine")],
        [style.look(Variant("dense", defense=name, strength=1.0)) for name in DEFENSES],
    ):
        assert len({look["color"] for look in looks}) == len(looks)
        assert len({look["marker"] for look in looks}) == len(looks)


def test_the_undefended_are_filled_and_the_defended_are_hollow():
    assert "markerfacecolor" not in style.look(Variant("static", 0.9))
    assert style.look(Variant("static", 0.9, "ppb", 4.0))["markerfacecolor"] == "white"


def test_only_dense_is_black():
    black = (0, 0, 0)
    assert style.look(DENSE)["color"] == black
    others = [*pruned_at([0.9])[1:], *defended()[3:]]
    assert all(style.look(variant)["color"] != black for variant in others)


def test_methods_of_a_users_own_are_grey():
    red, green, blue = to_rgb(style.look(Variant("mine", 0.9))["color"])
    assert red == green == blue
    assert style.treatment_title("mine") == "mine"


def test_titles():
    assert style.variant_title(DENSE) == "dense"
    assert style.variant_title(Variant("dpf", 0.95)) == "DPF, 95% sparse"
    assert style.variant_title(Variant.parse("dense+ppb-4")) == "dense + PPB, λ = 4"
    assert (
        style.variant_title(Variant.parse("slim-0.975+weight_decay-0.005"))
        == "slimming, 97.5% sparse + weight decay, decay = 0.005"
    )
    assert style.setting_title("cifar10", "resnet18") == "CIFAR-10, ResNet-18"
    assert style.setting_title("texas100", "mlp") == "Texas100, MLP"


def test_what_was_done_to_a_variant():
    for name, treatment in (
        ("dense", "dense"),
        ("slim-0.7", "slim"),
        ("dense+dp_sgd-8", "dp_sgd"),
        ("slim-0.7+ppb-4", "ppb"),
    ):
        assert style.treatment(Variant.parse(name)) == treatment
    titles = {style.treatment_title(name) for name in ("dense", *METHODS, *DEFENSES)}
    assert len(titles) == 1 + len(METHODS) + len(DEFENSES)


def test_variants_of_a_study_have_different_titles():
    variants = [Variant(m, s) for m in METHODS for s in (*SPARSITIES, 0.975, 0.98, 0.995, 0.999)]
    variants += defended()[3:]
    assert len({style.variant_title(variant) for variant in variants}) == len(variants)


def test_every_setting_has_its_own_title():
    titles = {style.setting_title(d, a) for d in DATASETS for a in ARCHITECTURES}
    assert len(titles) == len(DATASETS) * len(ARCHITECTURES)


def test_panels_grow_with_the_texts_that_stand_with_them():
    titles = [style.variant_title(variant) for variant in defended()]
    plain, _ = style.panels(1, 2)
    beside, _ = style.panels(1, 2, beside=titles)
    below, _ = style.panels(1, 2, below=titles)
    longest = max(TextPath((0, 0), title, size=9).get_extents().width for title in titles) / 72
    assert beside.get_figwidth() > plain.get_figwidth() + longest
    assert beside.get_figheight() > 0.15 * len(titles)
    assert below.get_figwidth() == plain.get_figwidth()
    assert below.get_figheight() > plain.get_figheight() + 0.1 * len(titles) / 2
    for figure in (plain, beside, below):
        style.plt.close(figure)


@pytest.mark.parametrize(
    ("judged", "note"),
    [
        ([("a", "shadows"), ("b", "shadows")], ""),
        ([("a", "targets"), ("b", "targets")], "\njudged by targets"),
        ([("a", "shadows"), ("b", "targets"), ("b", "targets")], "\njudged by targets: b"),
        (
            [("a", "shadows_loo"), ("b", "targets"), ("c", "targets")],
            "\njudged by shadows, left out one by one: a\njudged by targets: b, c",
        ),
        (
            [(name, "targets") for name in "abcde"] + [("f", "shadows")],
            "\njudged by targets: 5 of 6",
        ),
    ],
)
def test_titles_name_the_models_if_they_are_no_shadows(judged, note):
    assert style.judges_note(judged) == note
