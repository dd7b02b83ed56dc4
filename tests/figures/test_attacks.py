"""Overlaid ROC curves: those of the attack files, told apart, the strongest first."""

from itertools import combinations, pairwise

import numpy as np
import pytest
from figure_checks import check_layout, check_twice, labels_of
from matplotlib.colors import to_hex
from sklearn.metrics import roc_auc_score

from shadowmill import storage
from shadowmill.attacks import ATTACKS
from shadowmill.attacks.run import read_attack
from shadowmill.figures import attacks, style
from shadowmill.names import Cell
from shadowmill.roles import MEMBER, NON_MEMBER

CELL = Cell("main", "fashion_mnist", "efficientnet_b0", "l1_unstructured-0.95+adversarial-0.5")


@pytest.fixture
def attack_paths(write_attacks, pruned_cells):
    return dict(zip(ATTACKS, write_attacks(pruned_cells).values(), strict=False))


@pytest.fixture
def many_paths(attack_paths):
    return {attack: path for attack in ATTACKS for path in attack_paths.values()} | dict(
        zip(ATTACKS, [*attack_paths.values()] * 2, strict=False)
    )


def ranking_of(path):
    scores = read_attack(path)
    used = np.isin(scores.shadow_roles_MN, (MEMBER, NON_MEMBER)) & ~np.isnan(scores.shadow_score_MN)
    return scores.shadow_score_MN[used], scores.shadow_roles_MN[used] == MEMBER


def areas_of(paths):
    rankings = {attack: ranking_of(path) for attack, path in paths.items()}
    return {attack: roc_auc_score(member, score) for attack, (score, member) in rankings.items()}


@pytest.mark.long
def test_valid_files_the_same_every_time(attack_paths, tmp_path):
    check_twice(lambda outputs: attacks.plot(CELL, attack_paths, outputs), tmp_path)


@pytest.mark.parametrize("count", [1, 8])
def test_texts_neither_overlap_nor_are_cut_off(drawn, attack_paths, count):
    attacks.plot(CELL, dict(list(attack_paths.items())[-count:]), [])
    check_layout(drawn[0])


def test_ten_of_all_attacks_have_room(drawn, many_paths):
    assert len(many_paths) == len(ATTACKS)
    attacks.plot(CELL, many_paths, [])
    check_layout(drawn[0])


def test_attacks_are_named_with_their_auc_the_largest_first(drawn, attack_paths):
    attacks.plot(CELL, attack_paths, [])
    areas = areas_of(attack_paths)
    order = sorted(areas, key=areas.get, reverse=True)
    assert order != list(attack_paths)
    expected = [f"{ATTACKS[attack].title} ({areas[attack]:.3f})" for attack in order]
    (legend,) = drawn[0].legends
    assert [text.get_text() for text in legend.get_texts()] == [*expected, "chance"]


@pytest.mark.long
def test_curves_are_the_counts(drawn, attack_paths):
    attacks.plot(CELL, attack_paths, [])
    titles = [label.rpartition(" (")[0] for label in labels_of(drawn[0].axes[0])]
    lines = dict(zip(titles, drawn[0].axes[0].get_lines(), strict=True))
    for attack, path in attack_paths.items():
        score, member = ranking_of(path)
        inside, outside = score[member], score[~member]
        thresholds = np.unique([*score, np.inf])
        for fpr, tpr in zip(*lines[ATTACKS[attack].title].get_data(), strict=True):
            allowed = [t for t in thresholds if np.mean(outside >= t) <= fpr + 1e-12]
            assert tpr == pytest.approx(np.mean(inside >= min(allowed)))


def test_pairs_without_a_score_take_no_part(drawn, attack_paths):
    attack, path = next(iter(attack_paths.items()))
    with storage.open_hdf5(path) as file:
        arrays = {name: file[name] for name in file}
    arrays["shadow_score"][:, ::2] = np.nan
    storage.write_hdf5(path, arrays, {}, adversary="adaptive", judged_by="shadows")
    attacks.plot(CELL, {attack: path}, [])
    assert labels_of(drawn[0].axes[0])[0].endswith(f"({areas_of({attack: path})[attack]:.3f})")


def test_of_many_attacks_the_ten_largest_are_drawn_and_the_title_says_so(drawn, many_paths):
    attacks.plot(CELL, many_paths, [])
    areas = areas_of(many_paths)
    labels = labels_of(drawn[0].axes[0])[:-1]
    shown = [float(label.rpartition("(")[2].rstrip(")")) for label in labels]
    assert shown == pytest.approx(sorted(areas.values(), reverse=True)[:10], abs=6e-4)
    assert f"The 10 of {len(ATTACKS)} attacks" in drawn[0].get_suptitle()


def test_a_look_stays_the_same_whatever_else_is_drawn(drawn, many_paths):
    few = {attack: many_paths[attack] for attack in list(ATTACKS)[:3]}
    attacks.plot(CELL, few, [])
    attacks.plot(CELL, dict(list(many_paths.items())[:9]), [])
    one, other = (
        {
            label.rpartition(" (")[0]: (to_hex(line.get_color()), line.get_linestyle())
            for label, line in zip(labels_of(axes), axes.get_lines(), strict=True)
        }
        for axes in (figure.axes[0] for figure in drawn)
    )
    assert one == {title: other[title] for title in one}


def test_no_two_attacks_look_alike():
    looks = style.attack_looks(tuple(ATTACKS))
    assert list(looks) == list(ATTACKS)
    for one, other in combinations(looks.values(), 2):
        assert one != other
    for one, other in pairwise(looks.values()):
        assert one["color"] != other["color"]
        assert one["linestyle"] != other["linestyle"]


def test_attacks_without_an_auc_are_the_first_to_be_left_out():
    auc = {f"attack {number}": 0.4 + number / 100 for number in range(10)}
    assert style.strongest(auc) == (list(auc)[::-1], "All attacks")
    assert style.strongest({"none": np.nan} | auc)[0] == list(auc)[::-1]
