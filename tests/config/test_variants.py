"""Names of variants: what they mean, that each has one name, and what is said of others."""

import re

import pytest

from shadowmill.config.variants import read_variant
from shadowmill.defenses import DEFENSES
from shadowmill.names import Variant
from shadowmill.pruning import METHODS

KNOWN_VARIANTS = (
    "unknown variant. Known: dense, static-SPARSITY, dpf-SPARSITY, l1_unstructured-SPARSITY, "
    "l1_structured-SPARSITY, l2_structured-SPARSITY, slim-SPARSITY"
)
KNOWN_DEFENSES = (
    "Known: ppb-λ, relaxloss-α, adversarial-λ, dp_sgd-strength, label_smoothing-smoothing, "
    "weight_decay-decay, early_stopping-patience"
)


@pytest.mark.parametrize(
    ("name", "variant"),
    [
        ("dense", Variant("dense", 0.0, "none", 0.0)),
        ("static-0.9", Variant("static", 0.9, "none", 0.0)),
        ("dpf-0.95", Variant("dpf", 0.95)),
        ("static-0.333333", Variant("static", 0.333333)),
        ("dpf-1e-05", Variant("dpf", 1e-5)),
        ("l1_unstructured-0.7", Variant("l1_unstructured", 0.7)),
        # A method of the user's own; whether it is described is checked with the study.
        ("my_method2-0.5", Variant("my_method2", 0.5)),
        ("dense+ppb-4", Variant("dense", 0.0, "ppb", 4.0)),
        ("dense+weight_decay-0.005", Variant("dense", 0.0, "weight_decay", 0.005)),
        ("static-0.9+dp_sgd-8", Variant("static", 0.9, "dp_sgd", 8.0)),
        ("slim-0.5+relaxloss-1e-05", Variant("slim", 0.5, "relaxloss", 1e-5)),
        ("dpf-0.5+dp_sgd-1e+06", Variant("dpf", 0.5, "dp_sgd", 1e6)),
    ],
)
def test_a_name_is_read_and_written_alike(name, variant):
    assert read_variant(name) == variant
    assert variant.name == name


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("defense", DEFENSES)
def test_all_methods_go_with_all_defences(method, defense):
    variant = read_variant(f"{method}-0.25+{defense}-2")
    assert variant == Variant(method, 0.25, defense, 2.0)
    assert variant.name == f"{method}-0.25+{defense}-2"


def test_without_its_defence_a_variant_is_pruned_as_before():
    assert read_variant("static-0.9+ppb-4").undefended == Variant("static", 0.9)
    assert read_variant("dense+ppb-4").undefended.name == "dense"
    assert read_variant("dpf-0.5").undefended.name == "dpf-0.5"


@pytest.mark.parametrize(
    "name",
    ["", "static", "Static-0.9", "static_0.9", "-0.9", "9lives-0.9", "static-", "dense-0.5", "+"],
)
def test_other_forms_are_answered_with_those_that_are_known(name):
    with pytest.raises(ValueError, match=f"^{re.escape(KNOWN_VARIANTS)}$"):
        read_variant(name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        # Sparsities.
        ("static-0", "sparsity 0 must lie strictly between 0 and 1"),
        ("static-1", "sparsity 1 must lie strictly between 0 and 1"),
        ("static-1.5", "sparsity 1.5 must lie strictly between 0 and 1"),
        ("static--0.5", "sparsity -0.5 must lie strictly between 0 and 1"),
        ("static-nan", "nan is not a finite number; write static-NUMBER"),
        ("static-inf", "inf is not a finite number; write static-NUMBER"),
        ("dpf-abc", "'abc' is not a number; write dpf-NUMBER"),
        # A second name would train a variant twice.
        ("static-0.90", "write it static-0.9"),
        ("static-.9", "write it static-0.9"),
        ("static- 0.9", "write it static-0.9"),
        ("static-0.9\n", "write it static-0.9"),
        ("static-9e-1", "write it static-0.9"),
        ("dpf-0.00001", "write it dpf-1e-05"),
        # Following "write it static-1" would only lead to the next refusal.
        ("static-0.9999999", "0.9999999 has too many digits; numbers in names have six at most"),
        # Defences.
        ("dense+pbb-4", f"unknown defence 'pbb-4'. {KNOWN_DEFENSES}"),
        ("dense+none-1", f"unknown defence 'none-1'. {KNOWN_DEFENSES}"),
        ("dense+", f"unknown defence ''. {KNOWN_DEFENSES}"),
        ("dense+ppb", "ppb needs its λ; write dense+ppb-NUMBER"),
        (
            "static-0.9+early_stopping",
            "early_stopping needs its patience; write static-0.9+early_stopping-NUMBER",
        ),
        ("dense+ppb-x", "'x' is not a number; write dense+ppb-NUMBER"),
        ("dense+ppb-4.0", "write it dense+ppb-4"),
        ("static-0.9+dp_sgd-1000000", "write it static-0.9+dp_sgd-1e+06"),
        ("dense+ppb-inf", "inf is not a finite number; write dense+ppb-NUMBER"),
        ("dense+ppb-nan", "nan is not a finite number; write dense+ppb-NUMBER"),
        (
            "dense+early_stopping-1e999",
            "1e999 is not a finite number; write dense+early_stopping-NUMBER",
        ),
        ("dense+ppb-4+relaxloss-1", "a variant has one defence at most"),
        # The part before the defence is read first.
        ("static-2+ppb-4", "sparsity 2 must lie strictly between 0 and 1"),
        ("+ppb-4", KNOWN_VARIANTS),
    ],
)
def test_faults_of_names_are_told_with_their_cure(name, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        read_variant(name)
