"""summary.tex: the numbers of the summary, in a table that LaTeX takes."""

import pandas as pd
import pytest

from shadowmill.names import Cell
from shadowmill.tables import identity, latex, write_csv
from shadowmill.tables.summary import NONE_NOTE, PPV, PPV_NOTE, headline, summarise


@pytest.fixture
def paths(tmp_path):
    training, membership = [], []
    for variant in ("dense", "l1_structured-0.7"):
        names = identity(Cell("main", "digits", "small_convnet", variant))
        training.append(names | {"model": "target-1", "test_accuracy": 0.5})
        for metric in ("auc", "tpr_at_fpr_0.001", "tpr_at_fpr_0.01"):
            estimate = {"value": 0.6, "ci_low": 0.55, "ci_high": 0.65}
            estimate["detectable"] = 0.57
            labels = {"target": "shadows-pooled", "attack": "loss", "adversary": "adaptive"}
            membership.append(names | labels | {"metric": metric} | estimate)
    files = str(tmp_path / "training.csv"), str(tmp_path / "membership.csv")
    for path, rows in zip(files, (training, membership), strict=True):
        write_csv(path, pd.DataFrame(rows))
    return files


def test_the_table_to_the_letter(paths, tmp_path):
    latex.tabulate(*paths, str(tmp_path / "summary.tex"))
    estimates = r"0.600 [0.550, 0.650] & 60.0\% [55.0\%, 65.0\%] & 60.0\% [55.0\%, 65.0\%] & "
    estimates += r"87\%, 38\% \\"
    assert (tmp_path / "summary.tex").read_text().splitlines() == [
        r"% attack: loss; 95 % intervals in brackets; needs \usepackage{booktabs}",
        f"% {PPV_NOTE}",
        f"% {NONE_NOTE}",
        r"\begin{tabular}{llllll}",
        r"\toprule",
        r"variant & test accuracy & AUC & TPR at 0.1 \% FPR & TPR at 1 \% FPR & "
        r"PPV at 10 \%, 1 \% \\",
        r"\midrule",
        rf"dense & 50.0\% & {estimates}",
        rf"l1\_structured-0.7 & 50.0\% & {estimates}",
        r"\bottomrule",
        r"\end{tabular}",
    ]


def test_the_headline_is_that_of_the_first_adversary(paths):
    """Figures and summaries show one; the others have rows of their own."""
    table = pd.read_csv(paths[1])
    other = table.assign(adversary="original", target="targets-pooled", value=0.9)
    write_csv(paths[1], pd.concat([table, other]))
    _, shown = headline(*paths)
    assert shown["AUC"].tolist() == ["0.600 [0.550, 0.650]"] * 2


def test_models_that_are_no_shadows_are_named(paths):
    assert "judged by" not in headline(*paths)[1]
    table = pd.read_csv(paths[1])
    is_dense = table["variant"] == "dense"
    table["target"] = table["target"].where(is_dense, "targets-pooled")
    write_csv(paths[1], table)
    assert headline(*paths)[1]["judged by"].tolist() == ["shadows", "targets"]


def test_a_pool_too_small_for_one_percent_has_no_ppv(paths):
    table = pd.read_csv(paths[1])
    table.loc[table["metric"] == "tpr_at_fpr_0.01", ["value", "ci_low", "ci_high"]] = float("nan")
    write_csv(paths[1], table)
    shown = headline(*paths)[1]
    assert set(shown[PPV]) == set(shown["TPR at 1 % FPR"]) == {"undefined"}


def test_what_was_not_found_has_what_would_have_been(paths):
    table = pd.read_csv(paths[1])
    is_auc = (table["metric"] == "auc") & (table["variant"] == "dense")
    table.loc[is_auc, ["value", "ci_low", "ci_high", "detectable"]] = [0.51, 0.49, 0.53, 0.529]
    table.loc[table["metric"] == "tpr_at_fpr_0.01", "ci_low"] = 0.01
    write_csv(paths[1], table)
    shown = headline(*paths)[1]
    assert shown["AUC"].tolist() == [
        "0.510 [0.490, 0.530] (none from 0.529)",
        "0.600 [0.550, 0.650]",
    ]
    assert shown["TPR at 1 % FPR"].str.endswith("(none from 57.0%)").all()
    assert "none from x: nothing was found" in summarise(*paths)
    table["ci_low"] = 0.55
    write_csv(paths[1], table)
    assert "none from" not in summarise(*paths)
